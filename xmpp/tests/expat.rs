//! expat as a judge: a child process that runs `expat.py`, asked in batches.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use crate::pieces::{Attribute, Name, Piece};

/// How long one answer may take: far longer than any does, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

const REMEDY: &str = "python3 with its pyexpat is the judge of this test: run `cargo xtask test`, which installs it, \
    or `apt-get install python3`";

/// What expat says of a document.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Whether the root element is well-formed, and the document with it unless there is data behind the root.
    pub(crate) accepted: bool,
    /// Why not, or what is wrong with the data behind the root.
    pub(crate) reason: String,
    /// Whether the root holds text directly that is not literal white space.
    pub(crate) text_in_stream: bool,
    /// Whether anything but white space follows the root.
    pub(crate) data_behind_root: bool,
    /// What it read, as far as it came.
    pub(crate) pieces: Vec<Piece>,
}

/// The child process; ends with this value.
pub(crate) struct Expat {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Vec<u8>>,
}

impl Expat {
    /// Starts it, and fails with the remedy where it cannot.
    pub(crate) fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-I", "-c", include_str!("expat.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|cause| panic!("cannot start python3 ({cause}); {REMEDY}"));
        let (requests, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut expat = Self { child, requests, answers: read_answers(answers) };
        let version = expat.ask(&[b"V"]).remove(0);
        println!("judged by {}", String::from_utf8_lossy(&version));
        expat
    }

    /// The verdicts on these streams, in order.
    pub(crate) fn judge<T: AsRef<[u8]>>(&mut self, streams: &[T]) -> Vec<Verdict> {
        self.verdicts(b"D", streams)
    }

    /// The verdicts on these documents, whose roots may hold text.
    pub(crate) fn judge_elements<T: AsRef<[u8]>>(&mut self, elements: &[T]) -> Vec<Verdict> {
        self.verdicts(b"E", elements)
    }

    /// For each code point, whether the document that has it between `before` and `behind` is well-formed.
    pub(crate) fn code_points(&mut self, before: &str, behind: &str) -> Vec<bool> {
        let request = format!("C{before}\0{behind}");
        self.ask(&[request]).remove(0).into_iter().map(|answer| answer == 1).collect()
    }

    fn verdicts<T: AsRef<[u8]>>(&mut self, kind: &[u8], documents: &[T]) -> Vec<Verdict> {
        let requests: Vec<Vec<u8>> = documents.iter().map(|document| [kind, document.as_ref()].concat()).collect();
        self.ask(&requests).iter().map(|answer| parse(answer)).collect()
    }

    fn ask<T: AsRef<[u8]>>(&mut self, requests: &[T]) -> Vec<Vec<u8>> {
        let mut batch = length(requests.len());
        for request in requests.iter().map(AsRef::as_ref) {
            batch.extend(length(request.len()));
            batch.extend(request);
        }
        self.requests.write_all(&batch).and_then(|()| self.requests.flush()).unwrap_or_else(|cause| lost(&cause));
        requests.iter().map(|_| self.answers.recv_timeout(DEADLINE).unwrap_or_else(|cause| lost(&cause))).collect()
    }
}

impl Drop for Expat {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lost(cause: &dyn std::fmt::Display) -> ! {
    panic!("expat does not answer ({cause}); {REMEDY}")
}

fn length(length: usize) -> Vec<u8> {
    u32::try_from(length).unwrap().to_le_bytes().to_vec()
}

/// Reads answers on a thread of its own, which ends when the child does, so that waiting for one can have a deadline.
fn read_answers(mut source: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(64);
    thread::spawn(move || {
        while let Ok(answer) = read_answer(&mut source) {
            if sender.send(answer).is_err() {
                return;
            }
        }
    });
    receiver
}

fn read_answer(source: &mut ChildStdout) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 4];
    source.read_exact(&mut head)?;
    let mut answer = vec![0; u32::from_le_bytes(head) as usize];
    source.read_exact(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Verdict {
    let mut fields = std::str::from_utf8(answer).unwrap().split('\0').map(str::to_owned);
    let mut next = || fields.next().unwrap();
    let (accepted, reason) = (next() == "accepted", next());
    let (text_in_stream, data_behind_root) = (next() == "text", next() == "data");
    let mut pieces = Vec::new();
    loop {
        match next().as_str() {
            "<" => {
                let name = Name { namespace: next(), local: next() };
                let count = next().parse().unwrap();
                let mut attribute = || Attribute { name: Name { namespace: next(), local: next() }, value: next() };
                pieces.push(Piece::Start { name, attributes: (0..count).map(|_| attribute()).collect() });
            }
            "T" => pieces.push(Piece::Text(next())),
            ">" => pieces.push(Piece::End),
            _ => break,
        }
    }
    Verdict { accepted, reason, text_in_stream, data_behind_root, pieces }
}

//! A process without file descriptors: the test binary runs itself again under a low limit.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use convoke_net::{Tasks, accept};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::greeting::SOON;

/// Set in the process that is to run out of descriptors.
const POOR: &str = "CONVOKE_TEST_FEW_DESCRIPTORS";

/// What the poor process may open: the runtime and the listener take less than half.
const DESCRIPTORS: usize = 24;

/// More connections than it can take.
const CONNECTIONS: usize = 2 * DESCRIPTORS;

/// A process that serves an echo with few descriptors, killed when dropped.
struct Poor {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Poor {
    fn start() -> Self {
        let itself = std::env::current_exe().unwrap();
        // The shell lowers the limit of what it becomes.
        let script =
            format!("ulimit -n {DESCRIPTORS} && exec \"$0\" --exact descriptors::poor_process --nocapture --ignored");
        let mut process = Command::new("sh")
            .args(["-c".as_ref(), script.as_ref(), itself.as_os_str()])
            .env(POOR, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn line_with(&mut self, text: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text)).unwrap()
    }

    fn address(&mut self) -> SocketAddr {
        let line = self.line_with("listens on ");
        line.split("listens on ").last().unwrap().parse().unwrap()
    }

    /// What is left to read once it has been told to end.
    fn rest(mut self) -> Vec<String> {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.lines.by_ref().map(Result::unwrap).collect()
    }
}

/// The process itself: not a test, and so ignored.
#[test]
#[ignore = "is run by another test, in a process with few descriptors"]
fn poor_process() {
    if std::env::var_os(POOR).is_none() {
        return;
    }
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listens on {}", listener.local_addr().unwrap());
        accept(listener, 10_000, Tasks::new(), |mut stream, _| async move {
            while let Ok(byte) = stream.read_u8().await {
                let _ = stream.write_u8(byte).await;
            }
        })
        .await;
    });
}

fn is_served(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(&[7]).is_ok() && socket.read_exact(&mut [0]).is_ok()
}

#[test]
fn says_once_that_no_descriptor_is_left_and_serves_again_when_there_is_one() {
    let mut poor = Poor::start();
    let address = poor.address();
    // The backlog takes them; the process cannot.
    let mut sockets: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let warning = poor.line_with("WARN");
    assert!(warning.contains("cannot accept connections: this process has no file descriptor left"), "{warning}");
    assert!(is_served(&mut sockets[0]));
    // In the order of their coming: all are served in the end, as soon as others go.
    let last = sockets.pop();
    drop(sockets);
    assert!(is_served(&mut last.unwrap()));
    let warnings: Vec<_> = poor.rest().into_iter().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.is_empty(), "one line is enough: {warnings:#?}");
}

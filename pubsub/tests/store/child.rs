//! The process that is killed: a service on a disk, its requesters, and everything that they are told on standard output.
//!
//! It is this program again, with one test alone that does nothing otherwise.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use convoke_pubsub::{PubSubConfig, PubSubService, client};
use convoke_store::RedbStore;
use convoke_xmpp::{Element, Jid, Kind, Origin, Router, Service, Stanza, Undelivered};

use super::disk_full;
use super::model::{self, SERVICE, WORKERS};
use super::picture::position;

/// What the child is to do, in its environment.
const TASK: &str = "CONVOKE_PUBSUB_CHILD";

/// Longer than any answer takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// The program that runs `task`, with these words before it if it needs a shell around it.
pub(super) fn command(task: &str, shell: Option<&str>) -> Command {
    let program = env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(program),
        Some(words) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{words}; exec \"$0\" \"$@\"")]).arg(program);
            shell
        }
    };
    command.args(["--exact", "store::child::child", "--ignored", "--nocapture"]);
    command.env(TASK, task).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A process that is killed at the latest when nobody looks any more.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "is started by the tests that kill it"]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    // The name of the test is on this line already.
    println!();
    match task.split(' ').collect::<Vec<_>>()[..] {
        ["work", directory, done] => work(Path::new(directory), done),
        ["fill", directory] => disk_full::fill(Path::new(directory)),
        _ => panic!("{TASK}={task}"),
    }
}

/// Has all workers go on behind the steps that they have done, until the process is killed.
fn work(directory: &Path, done: &str) {
    let house = Arc::new(Running::start(directory, model::config()));
    let done = done.split(',').map(|done| done.parse::<u64>().unwrap());
    let workers = done.enumerate().map(|(worker, done)| {
        let house = house.clone();
        thread::spawn(move || {
            for index in done.. {
                house.perform(worker, index);
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// A service at work, and a thread that calls it when it wants to be called.
pub(super) struct Running {
    service: Arc<PubSubService>,
    teller: Arc<Teller>,
    answers: Vec<Mutex<Receiver<Stanza>>>,
}

/// Tells standard output of everything that leaves the service, and workers of their answers.
struct Teller {
    answers: Vec<Sender<Stanza>>,
}

impl Running {
    pub(super) fn start(directory: &Path, config: PubSubConfig) -> Self {
        let store = Arc::new(RedbStore::open(directory).unwrap());
        let service = PubSubService::open(Jid::new(SERVICE).unwrap(), config, store).unwrap();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| channel()).unzip();
        let (service, teller) = (Arc::new(service), Arc::new(Teller { answers: senders }));
        run(service.clone(), teller.clone());
        Self { service, teller, answers: receivers.into_iter().map(Mutex::new).collect() }
    }

    fn perform(&self, worker: usize, index: u64) {
        let request = model::step(worker, index).request(worker, &format!("{worker}:{index}"));
        let answer = self.ask(worker, &request);
        assert_eq!(answer.error(), None);
    }

    /// The answer to a request, whose id begins with the number of the worker.
    pub(super) fn ask(&self, worker: usize, request: &str) -> Stanza {
        self.service.handle(Stanza::parse(request).unwrap(), &Origin::Local, &*self.teller);
        self.answers[worker].lock().unwrap().recv_timeout(DEADLINE).expect("every request is answered")
    }
}

fn run(service: Arc<PubSubService>, teller: Arc<Teller>) {
    let (wake, woken) = sync_channel(1);
    // One call is enough for however many reasons.
    service.on_wake(move || {
        let _ = wake.try_send(());
    });
    thread::spawn(move || {
        loop {
            let pause = service.next_deadline().map(|due| due.saturating_duration_since(Instant::now()));
            match woken.recv_timeout(pause.unwrap_or(DEADLINE)) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => service.advance(&*teller),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}

impl Router for Teller {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        match stanza.kind() {
            Kind::Iq(_) => self.answer(stanza),
            _ => tell(&notification(&stanza)),
        }
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        panic!("{undelivered:?}");
    }
}

impl Teller {
    fn answer(&self, answer: Stanza) {
        let id = answer.id().unwrap().to_owned();
        match answer.error() {
            None => tell(&format!("acknowledged {id}")),
            Some(error) => tell(&format!("refused {id} {} {:?}", error.condition.as_str(), error.error_type)),
        }
        let worker: usize = id.split(':').next().unwrap().parse().unwrap();
        self.answers[worker].send(answer).unwrap();
    }
}

fn notification(message: &Stanza) -> String {
    let node = match client::parse_event(message) {
        Some(client::Event::Items { node, .. } | client::Event::Deleted { node, .. }) => node,
        other => panic!("{other:?}"),
    };
    let (incarnation, sequence) = position(message).unwrap();
    format!("told {node} {incarnation} {sequence}")
}

/// One line, in one piece: a process that is killed tells all of it or nothing.
pub(super) fn tell(line: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The items that an answer holds.
pub(super) fn count_items(answer: &Stanza) -> usize {
    let payload = answer.payload().unwrap();
    payload.children().flat_map(Element::children).count()
}

//! A scheduler is killed again and again while nodes of another domain work for it: what it has acknowledged, and what it has
//! told of, is as it was, and nothing counts twice.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke::Domain;
use convoke::cloud::{
    Allowance, LeaseTimes, ResourceManager, ResourceManagerConfig, Scheduler, SchedulerConfig, SchedulerEvent, Task,
    TaskError, Volunteer, Worker,
};
use convoke::store::RedbStore;
use convoke::xmpp::{Domainpart, Jid};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::network::{Papers, Site};

const SCHEDULING: &str = "a.lan";
const WORKING: &str = "b.lan";
const BATCHES: usize = 5;
const TASKS: u64 = 60;
/// At how many results it is killed; the first time as soon as it has taken a batch.
const KILLS: [usize; 6] = [0, 20, 50, 100, 160, 230];
/// How long leases live: so long no node is lent to a scheduler that was killed without a word.
const TTL: Duration = Duration::from_secs(1);

/// For its next word: after each kill both domains find each other anew, beside whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the process finds what it needs, in its environment.
const DIRECTORY: &str = "CONVOKE_SCHEDULER_DIRECTORY";

/// What processes have told so far.
#[derive(Default)]
struct Told {
    taken: BTreeSet<String>,
    done: BTreeSet<String>,
    finished: BTreeMap<String, String>,
}

impl Told {
    /// Each line is told before a kill, or it is not: none is told twice.
    fn note(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').unwrap();
        match what {
            "taken" => assert!(self.taken.insert(rest.to_owned()), "{rest} was taken, and is not known any more"),
            // It was killed before it could tell.
            "kept" => drop(self.taken.insert(rest.to_owned())),
            "done" => assert!(self.done.insert(rest.to_owned()), "{rest} has counted twice"),
            "finished" => {
                let (batch, sum) = rest.split_once(' ').unwrap();
                let before = self.finished.insert(batch.to_owned(), sum.to_owned());
                assert!(before.is_none_or(|before| before == sum), "{batch}");
            }
            _ => panic!("{line}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_killed_loses_nothing_acknowledged_and_counts_nothing_twice() {
    let site = Site::new().await;
    let directory = tempfile::tempdir().unwrap();
    let (working, _before_working) = site.domain(WORKING).await;
    let _volunteers = lend(&working, directory.path()).await;
    let (papers, mut before_scheduling) = site.process(SCHEDULING).await;
    papers.write(&directory.path().join("papers"));
    let mut told = Told::default();
    for kill in KILLS {
        let (mut process, address) = SchedulerProcess::start(directory.path()).await;
        before_scheduling.leads_to(address).await;
        while told.taken.is_empty() || told.done.len() < kill {
            told.note(&process.line().await.expect("a process that goes on"));
        }
        process.process.start_kill().unwrap();
        while let Some(line) = process.line().await {
            told.note(&line);
        }
        // Its port may be another's soon.
        before_scheduling.down();
    }
    let (mut process, address) = SchedulerProcess::start(directory.path()).await;
    before_scheduling.leads_to(address).await;
    while told.finished.len() < BATCHES {
        told.note(&process.line().await.expect("a process that goes on"));
    }
    let sum: u64 = (0..TASKS).map(|n| n * n).sum();
    let expected = format!("{TASKS} {sum}");
    assert!(told.finished.values().all(|outcome| *outcome == expected), "{:?}", told.finished);
}

/// Volunteers, and who lends them.
async fn lend(domain: &Domain, directory: &Path) -> Vec<Volunteer> {
    let store = Arc::new(RedbStore::open(directory.join("manager")).unwrap());
    let allow = vec![Allowance { domain: Domainpart::new(SCHEDULING).unwrap(), nodes: 100 }];
    let times = LeaseTimes { default: TTL, shortest: TTL, longest: TTL };
    let config = ResourceManagerConfig { store, allow, times, publish_to: None };
    ResourceManager::start(domain, config).await.unwrap();
    let join = |name| Volunteer::builder(domain, name, "desk").worker("square", Square).join().unwrap();
    ["alice", "bob", "carol", "dave"].map(join).into()
}

struct Square;

#[async_trait]
impl Worker for Square {
    async fn run(&self, task: Task) -> Result<String, TaskError> {
        let number: u64 = task.input.parse().map_err(|_| TaskError::Input(task.input))?;
        Ok((number * number).to_string())
    }
}

/// This program again, with one test alone that does nothing otherwise.
struct SchedulerProcess {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl SchedulerProcess {
    /// Starts it; gives where it listens.
    async fn start(directory: &Path) -> (Self, SocketAddr) {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "kills::scheduler_process", "--ignored", "--nocapture"]);
        command.env(DIRECTORY, directory).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut process = Self { process, lines };
        loop {
            // What the harness of tests says comes first.
            let line = process.line().await.expect("a process that starts");
            if let Some(address) = line.strip_prefix("listening ") {
                return (process, address.parse().unwrap());
            }
        }
    }

    /// What it tells next; `None` once it has ended.
    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: a word of the scheduler")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by the test that kills it"]
async fn scheduler_process() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    // The name of the test is on this line already.
    println!();
    let directory = Path::new(&directory);
    let (domain, address) = Papers::read(&directory.join("papers")).start(SCHEDULING).await;
    tell(&format!("listening {address}"));
    let store = Arc::new(RedbStore::open(directory.join("scheduler")).unwrap());
    let managers = vec![Jid::new(&format!("resources@{WORKING}")).unwrap()];
    let config = SchedulerConfig { managers, ttl: Some(TTL), ..SchedulerConfig::default() };
    let scheduler = Scheduler::start_durable(&domain, config, store).unwrap();
    let mut events = scheduler.watch();
    tokio::spawn(async move {
        loop {
            if let SchedulerEvent::Done { batch, task, .. } = events.recv().await.unwrap() {
                tell(&format!("done {batch} {task}"));
            }
        }
    });
    let mut batches = Vec::new();
    for n in 0..BATCHES {
        batches.push(take(&scheduler, format!("b{n}")).await);
    }
    for (name, batch) in batches {
        let statistics = batch.finished().await.unwrap();
        tell(&format!("finished {name} {} {}", statistics.done, statistics.sum.unwrap()));
    }
    std::future::pending().await
}

async fn take(scheduler: &Scheduler, name: String) -> (String, convoke::cloud::Batch) {
    if let Some(batch) = scheduler.batch(&name).await {
        tell(&format!("kept {name}"));
        return (name, batch);
    }
    let task = |n: u64| Task { id: format!("t{n}"), kind: "square".into(), input: n.to_string() };
    let batch = scheduler.submit(&name, (0..TASKS).map(task), true).await.unwrap();
    tell(&format!("taken {name}"));
    (name, batch)
}

/// One line, in one piece: a process that is killed tells all of it or nothing.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

//! `kill -9` during load, again and again on the same store.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use convoke_store::{Batch, RedbStore, Store};

use super::child::{self, DEADLINE, Killed};
use super::model::{Nodes, SERVICE, WORKERS, step};
use super::picture::{self, Picture};
use crate::support::Numbers;

/// Seed and kills: from the environment as `KILLS=SEED,KILLS`, or a few.
fn given() -> (u64, usize) {
    let given = std::env::var("KILLS").unwrap_or_else(|_| "1,20".to_owned());
    let numbers: Vec<_> = given.split(',').map(|number| number.parse::<u64>().unwrap()).collect();
    let [seed, kills] = numbers[..] else { panic!("KILLS=SEED,KILLS") };
    println!("KILLS={seed},{kills}");
    (seed, kills as usize)
}

/// How often one store is taken up again, before a new one is made.
const LIVES: usize = 10;

/// What is known to be there.
#[derive(Default)]
struct Account {
    /// How many steps each worker has done.
    done: [u64; WORKERS],
    nodes: Nodes,
    acknowledged: usize,
    told: usize,
    /// Steps that were there and nobody had been told.
    unannounced: usize,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_is_there_after_a_kill() {
    let (seed, mut kills) = given();
    let (mut numbers, begin) = (Numbers::new(seed), Instant::now());
    while kills > 0 {
        let lives = kills.min(LIVES);
        let directory = tempfile::tempdir().unwrap();
        let mut account = Account::default();
        for _ in 0..lives {
            let lines = one_life(directory.path(), &account, &mut numbers);
            account.check(&lines, &picture::take(directory.path()));
        }
        println!("{lives} kills: {account}");
        // One life alone may end before anything was asked.
        assert!(lives < LIVES || (account.acknowledged > 0 && account.told > 0));
        kills -= lives;
    }
    println!("in {:?}", begin.elapsed());
}

/// Runs the service until a random moment and kills it; gives everything that it told.
fn one_life(directory: &Path, account: &Account, numbers: &mut Numbers) -> Vec<String> {
    let done: Vec<_> = account.done.iter().map(u64::to_string).collect();
    let task = format!("work {} {}", directory.display(), done.join(","));
    let mut child = Killed(child::command(&task, None).spawn().unwrap());
    let lines = lines(&mut child);
    // A number of lines, so that slow machines do something too, then a moment somewhere between two of them; or while
    // the process starts.
    let is_starting = numbers.below(4) == 0;
    let count = if is_starting { 0 } else { numbers.below(120) };
    let mut told: Vec<_> = (0..count).map(|_| lines.recv_timeout(DEADLINE).expect("the child works")).collect();
    thread::sleep(Duration::from_micros(numbers.below(if is_starting { 40_000 } else { 3_000 })));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    told.extend(lines);
    told
}

/// What the child tells, line by line; it ends with the child.
pub(super) fn lines(child: &mut Killed) -> Receiver<String> {
    let (sender, receiver) = channel();
    let output = BufReader::new(child.0.stdout.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, told, unannounced, .. } = self;
        write!(f, "{acknowledged} acknowledged, {told} notifications, {unannounced} done and not answered")
    }
}

impl Account {
    /// Compares what was told with what is there, and takes it for known.
    fn check(&mut self, lines: &[String], picture: &Picture) {
        let mut acknowledged = self.done;
        let mut positions = BTreeMap::new();
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["acknowledged", id] => self.acknowledge(id, &mut acknowledged),
                ["told", node, incarnation, sequence] => {
                    self.told += 1;
                    check_order(&mut positions, (node, incarnation), sequence.parse().unwrap());
                }
                ["refused", ..] => panic!("{line}"),
                // What the test harness says.
                _ => {}
            }
        }
        check_told(&positions, picture);
        for (worker, acknowledged) in acknowledged.into_iter().enumerate() {
            self.check_worker(worker, acknowledged, &picture.nodes);
        }
        self.nodes = picture.nodes.clone();
    }

    fn acknowledge(&mut self, id: &str, acknowledged: &mut [u64; WORKERS]) {
        let (worker, index) = id.split_once(':').unwrap();
        let done = &mut acknowledged[worker.parse::<usize>().unwrap()];
        assert_eq!(index, done.to_string(), "every request is answered once");
        *done += 1;
        self.acknowledged += 1;
    }

    /// Exactly what was acknowledged is there, or the one step more that was asked for, and all of it.
    fn check_worker(&mut self, worker: usize, acknowledged: u64, found: &Nodes) {
        let expected = (self.done[worker]..acknowledged)
            .fold(self.nodes.of_worker(worker), |nodes, index| nodes.after(&step(worker, index)));
        let found = found.of_worker(worker);
        let is_one_more = found != expected;
        if is_one_more {
            let next = expected.after(&step(worker, acknowledged));
            assert_eq!(found, next, "worker {worker} was acknowledged {acknowledged} steps, with {expected:?}");
        }
        self.done[worker] = acknowledged + u64::from(is_one_more);
        self.unannounced += usize::from(is_one_more);
    }
}

/// Notifications of a node come in their order, without a gap.
fn check_order<'a>(last: &mut BTreeMap<(&'a str, &'a str), u64>, of: (&'a str, &'a str), sequence: u64) {
    if let Some(before) = last.insert(of, sequence) {
        assert_eq!(sequence, before + 1, "{of:?}");
    }
}

/// Nobody was told of a change that is not there.
fn check_told(told: &BTreeMap<(&str, &str), u64>, picture: &Picture) {
    for ((node, incarnation), sequence) in told {
        let is_same = picture.incarnations.get(*node).is_some_and(|found| found == incarnation);
        // A node that is gone, or is another one, was deleted by a step: `check_worker` knows whether it was.
        if is_same {
            assert!(*sequence <= picture.nodes.0[*node].sequence, "{node} {sequence}");
        }
    }
}

/// Were it otherwise, a campaign that finds nothing would say nothing.
#[test]
fn a_missing_record_is_seen() {
    let (directory, mut numbers) = (tempfile::tempdir().unwrap(), Numbers::new(1));
    let mut account = Account::default();
    while !account.nodes.is_busy() {
        let lines = one_life(directory.path(), &account, &mut numbers);
        account.check(&lines, &picture::take(directory.path()));
    }
    let complete = picture::take(directory.path()).nodes;
    for key in keys(directory.path(), *b"ispm") {
        let value = replace(directory.path(), &key, None);
        assert_ne!(picture::take(directory.path()).nodes, complete, "{}", key.escape_ascii());
        replace(directory.path(), &key, Some(value));
    }
    assert_eq!(picture::take(directory.path()).nodes, complete);
}

/// The keys of these kinds of records.
fn keys(directory: &Path, kinds: [u8; 4]) -> Vec<Vec<u8>> {
    let records = RedbStore::open(directory).unwrap().scan("pubsub", b"").unwrap();
    let keys = records.into_iter().map(|(key, _)| key);
    keys.filter(|key| kinds.contains(&key[SERVICE.len() + 1])).collect()
}

fn replace(directory: &Path, key: &[u8], value: Option<Vec<u8>>) -> Vec<u8> {
    let store = RedbStore::open(directory).unwrap();
    let before = store.get("pubsub", key).unwrap().unwrap_or_default();
    let batch = match value {
        Some(value) => Batch::new().put("pubsub", key, value),
        None => Batch::new().delete("pubsub", key),
    };
    let (sender, outcome) = channel();
    store.commit(batch, Box::new(move |result| sender.send(result).unwrap()));
    outcome.recv_timeout(DEADLINE).unwrap().unwrap();
    before
}

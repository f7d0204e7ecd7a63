//! The rules of dispatch: which task runs where, and which result counts. Pure and deterministic.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use convoke_xmpp::Jid;
use thiserror::Error;

use super::lease::LeaseRef;
use super::task::{Attempt, Submission, Task, TaskError, Verdict};

/// What a batch has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BatchStatistics {
    /// Tasks that were submitted.
    pub tasks: u64,
    /// Tasks whose result counts.
    pub done: u64,
    /// Tasks that failed by their own fault, as often as is allowed.
    pub failed: u64,
    /// Attempts that were begun.
    pub attempts: u64,
    /// Results that were refused because their attempt had been given up, whatever they said.
    pub fenced: u64,
    /// Results that came again after they had counted.
    pub duplicates: u64,
    /// Results that came for a task that had failed, or again with another output.
    pub superseded: u64,
    /// The sum of the outputs, if the submitter asked for it.
    pub sum: Option<u128>,
}

impl BatchStatistics {
    /// Whether every task is done or has failed.
    pub fn is_finished(&self) -> bool {
        self.done + self.failed == self.tasks
    }
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// There is a batch of that name.
    #[error("there is a batch `{0}` already")]
    Exists(String),
    /// Two tasks of the batch have the same name.
    #[error("there are two tasks `{0}`")]
    Twice(String),
    /// With this batch there would be too many tasks that are not done.
    #[error("more than {OPEN_TASKS} tasks would be open")]
    TooMany,
    /// The scheduler has ended.
    #[error("the scheduler has ended")]
    Ended,
}

/// How many tasks may be neither done nor failed, in all batches together.
const OPEN_TASKS: u64 = 1_000_000;
/// How many finished batches are remembered, for their statistics and for results that come again; the oldest is
/// forgotten first, and its name is free again.
const FINISHED_BATCHES: usize = 1_000;
/// How many tasks these may have together; the last batch is remembered whatever its size.
const FINISHED_TASKS: u64 = 1_000_000;

/// The work of one scheduler.
#[derive(Debug)]
pub(super) struct Board {
    batches: BTreeMap<String, Batch>,
    ready: VecDeque<Key>,
    /// What runs where.
    running: HashMap<Jid, BTreeSet<Key>>,
    /// Finished batches, the oldest first, and how many tasks they have.
    finished: VecDeque<String>,
    finished_tasks: u64,
    max_faults: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    batch: String,
    task: String,
}

#[derive(Debug)]
struct Batch {
    tasks: HashMap<String, Entry>,
    sums: bool,
    statistics: BatchStatistics,
}

#[derive(Debug)]
struct Entry {
    task: Task,
    attempts: u32,
    /// Errors that were the task's own fault.
    faults: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    Running {
        attempt: Attempt,
        node: Jid,
    },
    /// Which attempt counts, and what it gave.
    Done {
        attempt: Attempt,
        output: String,
    },
    Failed,
}

/// What a result leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It counts: the task is done.
    Done { output: String, attempts: u32 },
    /// The task has failed for good.
    Failed { error: TaskError },
    /// The error counts, but the task is tried again.
    Again,
    /// It had counted, or the task had failed.
    Known(Verdict),
    /// Its attempt was given up; `now` is the epoch of the one that has the task, 0 if none has.
    Fenced { now: u64 },
    /// There is no such task.
    Unknown,
}

impl Board {
    /// A board on which a task may fail by its own fault so many times.
    pub(super) fn new(max_faults: u32) -> Self {
        Self {
            batches: BTreeMap::new(),
            ready: VecDeque::new(),
            running: HashMap::new(),
            finished: VecDeque::new(),
            finished_tasks: 0,
            max_faults,
        }
    }

    /// Takes a batch.
    pub(super) fn submit(&mut self, submission: Submission) -> Result<(), SubmitError> {
        self.check(&submission)?;
        let name = submission.batch.clone();
        let key = |task: &Task| Key { batch: submission.batch.clone(), task: task.id.clone() };
        self.ready.extend(submission.tasks.iter().map(key));
        let entry = |task: Task| (task.id.clone(), Entry { task, attempts: 0, faults: 0, state: State::Open });
        let tasks: HashMap<_, _> = submission.tasks.into_iter().map(entry).collect();
        let sum = submission.sums.then_some(0);
        let statistics = BatchStatistics { tasks: tasks.len() as u64, sum, ..BatchStatistics::default() };
        self.batches.insert(submission.batch, Batch { tasks, sums: submission.sums, statistics });
        self.remember_if_finished(&name);
        Ok(())
    }

    fn check(&self, submission: &Submission) -> Result<(), SubmitError> {
        if self.batches.contains_key(&submission.batch) {
            return Err(SubmitError::Exists(submission.batch.clone()));
        }
        if self.open() + submission.tasks.len() as u64 > OPEN_TASKS {
            return Err(SubmitError::TooMany);
        }
        // A name that stood for two tasks would let one of them count for both.
        let mut names = HashSet::new();
        match submission.tasks.iter().find(|task| !names.insert(&task.id)) {
            Some(twice) => Err(SubmitError::Twice(twice.id.clone())),
            None => Ok(()),
        }
    }

    fn remember_if_finished(&mut self, name: &str) {
        let Some(statistics) = self.statistics(name).filter(BatchStatistics::is_finished) else { return };
        self.finished.push_back(name.to_owned());
        self.finished_tasks += statistics.tasks;
        while self.finished.len() > FINISHED_BATCHES
            || (self.finished_tasks > FINISHED_TASKS && self.finished.len() > 1)
        {
            let oldest = self.finished.pop_front().and_then(|oldest| self.batches.remove(&oldest));
            self.finished_tasks -= oldest.map_or(0, |batch| batch.statistics.tasks);
        }
    }

    /// Begins the next attempt on this node; `None` if nothing is ready.
    pub(super) fn next(&mut self, node: &Jid, lease: &LeaseRef) -> Option<(Attempt, Task)> {
        let key = self.ready.pop_front()?;
        let batch = self.batches.get_mut(&key.batch)?;
        let entry = batch.tasks.get_mut(&key.task)?;
        entry.attempts += 1;
        batch.statistics.attempts += 1;
        let attempt =
            Attempt { batch: key.batch.clone(), task: key.task.clone(), number: entry.attempts, lease: lease.clone() };
        entry.state = State::Running { attempt: attempt.clone(), node: node.clone() };
        let task = entry.task.clone();
        self.running.entry(node.clone()).or_default().insert(key);
        Some((attempt, task))
    }

    /// Whether this attempt is the present one of its task.
    pub(super) fn is_current(&self, attempt: &Attempt) -> bool {
        let entry = self.batches.get(&attempt.batch).and_then(|batch| batch.tasks.get(&attempt.task));
        entry.is_some_and(|entry| matches!(&entry.state, State::Running { attempt: current, .. } if current == attempt))
    }

    /// An attempt did not begin: the task is ready again, before the others.
    pub(super) fn refused(&mut self, attempt: &Attempt) {
        if self.is_current(attempt) {
            let key = Key { batch: attempt.batch.clone(), task: attempt.task.clone() };
            self.reopen(&key);
        }
    }

    /// A node is gone: what ran there is ready again. Gives how many tasks that were.
    pub(super) fn node_lost(&mut self, node: &Jid) -> usize {
        let lost = self.running.remove(node).unwrap_or_default();
        for key in lost.iter().rev() {
            self.reopen(key);
        }
        lost.len()
    }

    fn reopen(&mut self, key: &Key) {
        let entry = self.batches.get_mut(&key.batch).and_then(|batch| batch.tasks.get_mut(&key.task));
        let Some(entry) = entry else { return };
        if let State::Running { node, .. } = std::mem::replace(&mut entry.state, State::Open) {
            self.end_on(&node, key);
            // A task that was begun before is the one that the end of the batch waits for.
            self.ready.push_front(key.clone());
        }
    }

    fn end_on(&mut self, node: &Jid, key: &Key) {
        if let Some(keys) = self.running.get_mut(node) {
            keys.remove(key);
            if keys.is_empty() {
                self.running.remove(node);
            }
        }
    }

    /// Judges a result: the one place where a task becomes done (compare and set).
    pub(super) fn result(&mut self, from: &Jid, attempt: &Attempt, outcome: Result<String, TaskError>) -> Judgement {
        let Some(batch) = self.batches.get_mut(&attempt.batch) else { return Judgement::Unknown };
        let Some(entry) = batch.tasks.get_mut(&attempt.task) else { return Judgement::Unknown };
        match &entry.state {
            State::Running { attempt: current, node } if current == attempt && node == from => {}
            // The acknowledgement got lost, and the node tells again what it told.
            State::Done { attempt: counted, output } if counted == attempt => {
                let same = outcome.as_ref().is_ok_and(|o| o == output);
                let verdict = if same { Verdict::Duplicate } else { Verdict::Superseded };
                *(if same { &mut batch.statistics.duplicates } else { &mut batch.statistics.superseded }) += 1;
                return Judgement::Known(verdict);
            }
            State::Failed => {
                batch.statistics.superseded += 1;
                return Judgement::Known(Verdict::Superseded);
            }
            // Another attempt has the task, or had it last: this one was given up.
            State::Running { attempt: current, .. } | State::Done { attempt: current, .. } => {
                batch.statistics.fenced += 1;
                return Judgement::Fenced { now: current.lease.epoch };
            }
            State::Open => {
                batch.statistics.fenced += 1;
                return Judgement::Fenced { now: 0 };
            }
        }
        let key = Key { batch: attempt.batch.clone(), task: attempt.task.clone() };
        self.judge_current(&key, attempt.clone(), outcome)
    }

    fn judge_current(&mut self, key: &Key, attempt: Attempt, outcome: Result<String, TaskError>) -> Judgement {
        let outcome = outcome.and_then(|output| self.check_output(key, output));
        if let Err(error) = &outcome
            && !self.is_final(key, error)
        {
            self.reopen(key);
            return Judgement::Again;
        }
        let judgement = self.conclude(key, attempt, outcome);
        self.remember_if_finished(&key.batch);
        judgement
    }

    /// Where a sum is wanted, an output that is no number must not pass for nothing.
    fn check_output(&self, key: &Key, output: String) -> Result<String, TaskError> {
        let sums = self.batches.get(&key.batch).is_some_and(|batch| batch.sums);
        match number(&output) {
            None if sums => Err(TaskError::Input("the output is no number".to_owned())),
            _ => Ok(output),
        }
    }

    fn conclude(&mut self, key: &Key, attempt: Attempt, outcome: Result<String, TaskError>) -> Judgement {
        let Some(batch) = self.batches.get_mut(&key.batch) else { return Judgement::Unknown };
        let Some(entry) = batch.tasks.get_mut(&key.task) else { return Judgement::Unknown };
        // What it was given is not needed any more; what came of it is.
        entry.task.input = String::new();
        let (state, judgement) = match outcome {
            Ok(output) => {
                batch.statistics.done += 1;
                let added = batch.statistics.sum.zip(number(&output));
                batch.statistics.sum = added.map_or(batch.statistics.sum, |(sum, n)| Some(sum + u128::from(n)));
                let judgement = Judgement::Done { output: output.clone(), attempts: entry.attempts };
                (State::Done { attempt, output }, judgement)
            }
            Err(error) => {
                batch.statistics.failed += 1;
                (State::Failed, Judgement::Failed { error })
            }
        };
        if let State::Running { node, .. } = std::mem::replace(&mut entry.state, state) {
            self.end_on(&node, key);
        }
        judgement
    }

    /// Counts an error that is the task's own fault; whether it was one too many.
    fn is_final(&mut self, key: &Key, error: &TaskError) -> bool {
        let entry = self.batches.get_mut(&key.batch).and_then(|batch| batch.tasks.get_mut(&key.task));
        let Some(entry) = entry else { return false };
        match error {
            TaskError::Input(_) => {
                entry.faults += 1;
                entry.faults >= self.max_faults
            }
            _ => false,
        }
    }

    /// How many tasks are neither done nor failed.
    pub(super) fn open(&self) -> u64 {
        self.batches.values().map(|b| b.statistics.tasks - b.statistics.done - b.statistics.failed).sum()
    }

    /// What a batch has come to.
    pub(super) fn statistics(&self, batch: &str) -> Option<BatchStatistics> {
        self.batches.get(batch).map(|batch| batch.statistics)
    }
}

fn number(output: &str) -> Option<u64> {
    output.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn lease(epoch: u64) -> LeaseRef {
        LeaseRef { id: format!("l{epoch}"), epoch }
    }

    fn board(tasks: usize) -> Board {
        let mut board = Board::new(2);
        let task = |at: usize| Task { id: format!("t{at}"), kind: "k".into(), input: at.to_string() };
        board.submit(Submission { batch: "b".into(), tasks: (0..tasks).map(task).collect(), sums: true }).unwrap();
        board
    }

    fn ok(output: &str) -> Result<String, TaskError> {
        Ok(output.to_owned())
    }

    #[test]
    fn each_task_counts_once_however_often_its_result_comes() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert_eq!(board.result(&node, &attempt, ok("4")), Judgement::Done { output: "4".into(), attempts: 1 });
        assert_eq!(board.result(&node, &attempt, ok("4")), Judgement::Known(Verdict::Duplicate));
        assert_eq!(board.result(&node, &attempt, ok("5")), Judgement::Known(Verdict::Superseded));
        let statistics = board.statistics("b").unwrap();
        assert_eq!((statistics.done, statistics.duplicates, statistics.superseded), (1, 1, 1));
        assert_eq!(statistics.sum, Some(4));
        assert!(statistics.is_finished());
    }

    #[test]
    fn a_node_that_was_given_up_is_fenced_while_another_runs_the_task() {
        let (mut board, old, new) = (board(1), jid("v@b.example/1"), jid("w@b.example/1"));
        let (first, _) = board.next(&old, &lease(1)).unwrap();
        assert_eq!(board.node_lost(&old), 1);
        assert_eq!(board.result(&old, &first, ok("4")), Judgement::Fenced { now: 0 });
        let (second, _) = board.next(&new, &lease(2)).unwrap();
        assert_eq!(board.result(&old, &first, ok("4")), Judgement::Fenced { now: 2 });
        assert_eq!(second.number, 2);
        assert!(matches!(board.result(&new, &second, ok("4")), Judgement::Done { attempts: 2, .. }));
        assert_eq!(board.result(&old, &first, ok("4")), Judgement::Fenced { now: 2 });
        assert_eq!(board.statistics("b").unwrap().fenced, 3);
    }

    #[test]
    fn nobody_reports_for_another_node() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert!(matches!(board.result(&jid("evil@b.example/1"), &attempt, ok("0")), Judgement::Fenced { .. }));
        assert!(board.is_current(&attempt));
    }

    #[test]
    fn a_lost_task_goes_before_the_others() {
        let (mut board, node) = (board(3), jid("v@b.example/1"));
        let (first, _) = board.next(&node, &lease(1)).unwrap();
        board.refused(&first);
        assert_eq!(board.next(&node, &lease(1)).unwrap().1.id, first.task);
        assert_eq!(board.ready.len(), 2);
    }

    #[test]
    fn only_faults_of_the_task_itself_make_it_fail() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        for _ in 0..5 {
            let (attempt, _) = board.next(&node, &lease(1)).unwrap();
            let error = TaskError::Resource("no memory".into());
            assert_eq!(board.result(&node, &attempt, Err(error)), Judgement::Again);
        }
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert_eq!(board.result(&node, &attempt, Err(TaskError::Input("x".into()))), Judgement::Again);
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        let error = TaskError::Input("x".into());
        assert_eq!(board.result(&node, &attempt, Err(error.clone())), Judgement::Failed { error });
        assert!(board.statistics("b").unwrap().is_finished());
        assert_eq!(board.open(), 0);
    }

    #[test]
    fn a_name_is_one_batch_and_within_it_one_task() {
        let mut board = board(1);
        let task = |id: &str| Task { id: id.into(), kind: "k".into(), input: String::new() };
        let submission = |batch: &str, ids: &[&str]| Submission {
            batch: batch.into(),
            tasks: ids.iter().copied().map(task).collect(),
            sums: false,
        };
        assert_eq!(board.submit(submission("b", &[])), Err(SubmitError::Exists("b".into())));
        assert_eq!(board.submit(submission("c", &["x", "y", "x"])), Err(SubmitError::Twice("x".into())));
        assert_eq!((board.ready.len(), board.open()), (1, 1));
    }

    #[test]
    fn an_output_that_is_no_number_is_not_summed_up_as_nothing() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert_eq!(board.result(&node, &attempt, ok("four")), Judgement::Again);
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert!(matches!(board.result(&node, &attempt, ok("")), Judgement::Failed { .. }));
        let statistics = board.statistics("b").unwrap();
        assert_eq!((statistics.done, statistics.failed, statistics.sum), (0, 1, Some(0)));
    }

    #[test]
    fn finished_batches_and_idle_nodes_are_forgotten_in_time() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        board.result(&node, &attempt, ok("4"));
        assert!(board.running.is_empty());
        for n in 0..FINISHED_BATCHES {
            assert!(board.statistics("b").is_some());
            board.submit(Submission { batch: format!("empty{n}"), tasks: Vec::new(), sums: false }).unwrap();
        }
        assert_eq!((board.statistics("b"), board.finished_tasks), (None, 0));
        assert_eq!(board.result(&node, &attempt, ok("4")), Judgement::Unknown);
    }
}

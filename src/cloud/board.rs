//! The rules of dispatch: which task runs where, and which result counts. Pure and deterministic.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use convoke_xmpp::Jid;

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

/// The work of one scheduler.
#[derive(Debug)]
pub(super) struct Board {
    batches: BTreeMap<String, Batch>,
    ready: VecDeque<Key>,
    /// What runs where.
    running: HashMap<Jid, HashSet<Key>>,
    max_faults: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        Self { batches: BTreeMap::new(), ready: VecDeque::new(), running: HashMap::new(), max_faults }
    }

    /// Takes a batch; `false` if its name is in use.
    pub(super) fn submit(&mut self, submission: Submission) -> bool {
        if self.batches.contains_key(&submission.batch) {
            return false;
        }
        let key = |task: &Task| Key { batch: submission.batch.clone(), task: task.id.clone() };
        self.ready.extend(submission.tasks.iter().map(key));
        let entry = |task: Task| (task.id.clone(), Entry { task, attempts: 0, faults: 0, state: State::Open });
        let tasks: HashMap<_, _> = submission.tasks.into_iter().map(entry).collect();
        let sum = submission.sums.then_some(0);
        let statistics = BatchStatistics { tasks: tasks.len() as u64, sum, ..BatchStatistics::default() };
        self.batches.insert(submission.batch, Batch { tasks, sums: submission.sums, statistics });
        true
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
        for key in &lost {
            self.reopen(key);
        }
        lost.len()
    }

    fn reopen(&mut self, key: &Key) {
        let entry = self.batches.get_mut(&key.batch).and_then(|batch| batch.tasks.get_mut(&key.task));
        let Some(entry) = entry else { return };
        if let State::Running { node, .. } = std::mem::replace(&mut entry.state, State::Open) {
            if let Some(keys) = self.running.get_mut(&node) {
                keys.remove(key);
            }
            // A task that was begun before is the one that the end of the batch waits for.
            self.ready.push_front(key.clone());
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
        if let Err(error) = &outcome
            && !self.is_final(key, error)
        {
            self.reopen(key);
            return Judgement::Again;
        }
        let Some(batch) = self.batches.get_mut(&key.batch) else { return Judgement::Unknown };
        let Some(entry) = batch.tasks.get_mut(&key.task) else { return Judgement::Unknown };
        if let State::Running { node, .. } = &entry.state
            && let Some(keys) = self.running.get_mut(node)
        {
            keys.remove(key);
        }
        match outcome {
            Ok(output) => {
                batch.statistics.done += 1;
                if batch.sums
                    && let (Some(sum), Ok(number)) = (batch.statistics.sum, output.trim().parse::<u64>())
                {
                    batch.statistics.sum = Some(sum + u128::from(number));
                }
                entry.state = State::Done { attempt, output: output.clone() };
                Judgement::Done { output, attempts: entry.attempts }
            }
            Err(error) => {
                batch.statistics.failed += 1;
                entry.state = State::Failed;
                Judgement::Failed { error }
            }
        }
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

    /// How many tasks wait for a node.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
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
        assert!(board.submit(Submission { batch: "b".into(), tasks: (0..tasks).map(task).collect(), sums: true }));
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
        assert_eq!(board.ready(), 2);
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
    fn a_name_is_a_batch_for_good() {
        let mut board = board(1);
        assert!(!board.submit(Submission { batch: "b".into(), tasks: Vec::new(), sums: false }));
    }
}

//! The rules of dispatch: which task runs where, and which result counts. Pure and deterministic.

mod batch;
mod statistics;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use convoke_xmpp::Jid;

pub(super) use self::batch::Outcome;
use self::batch::{Batch, State};
pub use self::statistics::{BatchStatistics, SubmitError};
use super::lease::LeaseRef;
use super::task::{Attempt, Submission, Task, TaskError, Verdict};

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
    /// Batches that are not remembered any more, until somebody asks.
    forgotten: Vec<String>,
    max_faults: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    batch: String,
    task: String,
}

/// What a result leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The task has come to its end, once that is durable: [`Board::kept`] or [`Board::not_kept`] must follow. With the
    /// place of the task in its submission.
    Counts(u32, Outcome),
    /// It counts, and that is not yet durable.
    Keeping,
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
            forgotten: Vec::new(),
            max_faults,
        }
    }

    /// Whether a batch can be taken beside what is there, and so many tasks that are about to be taken.
    pub(super) fn check(&self, submission: &Submission, reserved: u64) -> Result<(), SubmitError> {
        if self.batches.contains_key(&submission.batch) {
            return Err(SubmitError::Exists(submission.batch.clone()));
        }
        if self.open() + reserved + submission.tasks.len() as u64 > OPEN_TASKS {
            return Err(SubmitError::TooMany);
        }
        // A name that stood for two tasks would let one of them count for both.
        let mut names = HashSet::new();
        match submission.tasks.iter().find(|task| !names.insert(&task.id)) {
            Some(twice) => Err(SubmitError::Twice(twice.id.clone())),
            None => Ok(()),
        }
    }

    /// Takes a batch that was checked.
    pub(super) fn submit(&mut self, submission: Submission) {
        self.restore(submission, &[]);
    }

    /// Takes a batch of an earlier run, of whose tasks some have come to their end.
    pub(super) fn restore(&mut self, submission: Submission, outcomes: &[Outcome]) {
        let name = submission.batch.clone();
        let concluded: HashSet<_> = outcomes.iter().map(|outcome| &outcome.attempt.task).collect();
        let open = submission.tasks.iter().filter(|task| !concluded.contains(&task.id));
        self.ready.extend(open.map(|task| Key { batch: name.clone(), task: task.id.clone() }));
        let mut batch = Batch::new(submission);
        outcomes.iter().for_each(|outcome| batch.restore(outcome));
        self.batches.insert(name.clone(), batch);
        self.remember_if_finished(&name);
    }

    fn remember_if_finished(&mut self, name: &str) {
        let Some(statistics) = self.statistics(name).filter(BatchStatistics::is_finished) else { return };
        self.finished.push_back(name.to_owned());
        self.finished_tasks += statistics.tasks;
        while (self.finished.len() > FINISHED_BATCHES
            || (self.finished_tasks > FINISHED_TASKS && self.finished.len() > 1))
            && let Some(oldest) = self.finished.pop_front()
        {
            self.finished_tasks -= self.batches.remove(&oldest).map_or(0, |batch| batch.statistics().tasks);
            self.forgotten.push(oldest);
        }
    }

    /// The batches that are not remembered any more, each told once.
    pub(super) fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }

    /// Begins the next attempt on this node; `None` if nothing is ready.
    pub(super) fn next(&mut self, node: &Jid, lease: &LeaseRef) -> Option<(Attempt, Task)> {
        let key = self.ready.pop_front()?;
        let batch = self.batches.get_mut(&key.batch)?;
        batch.statistics_mut().attempts += 1;
        let entry = batch.entry_mut(&key.task)?;
        entry.attempts += 1;
        let attempt =
            Attempt { batch: key.batch.clone(), task: key.task.clone(), number: entry.attempts, lease: lease.clone() };
        entry.state = State::Running { attempt: attempt.clone(), node: node.clone() };
        let task = entry.task.clone();
        self.running.entry(node.clone()).or_default().insert(key);
        Some((attempt, task))
    }

    /// Whether this attempt is the present one of its task.
    pub(super) fn is_current(&self, attempt: &Attempt) -> bool {
        let entry = self.batches.get(&attempt.batch).and_then(|batch| batch.entry(&attempt.task));
        entry.is_some_and(|entry| matches!(&entry.state, State::Running { attempt: current, .. } if current == attempt))
    }

    /// An attempt did not begin: the task is ready again, before the others.
    pub(super) fn refused(&mut self, attempt: &Attempt) {
        if self.is_current(attempt) {
            self.reopen(&Key::of(attempt));
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
        let entry = self.batches.get_mut(&key.batch).and_then(|batch| batch.entry_mut(&key.task));
        let Some(entry) = entry else { return };
        if let State::Running { node, .. } = std::mem::replace(&mut entry.state, State::Open) {
            self.end_on(&node, key);
        }
        // A task that was begun before is the one that the end of the batch waits for.
        self.ready.push_front(key.clone());
    }

    fn end_on(&mut self, node: &Jid, key: &Key) {
        if let Some(keys) = self.running.get_mut(node) {
            keys.remove(key);
            if keys.is_empty() {
                self.running.remove(node);
            }
        }
    }

    /// Judges a result: the one place where a task comes to its end (compare and set).
    pub(super) fn result(&mut self, from: &Jid, attempt: &Attempt, outcome: Result<String, TaskError>) -> Judgement {
        let Some(batch) = self.batches.get_mut(&attempt.batch) else { return Judgement::Unknown };
        let Some(entry) = batch.entry(&attempt.task) else { return Judgement::Unknown };
        match &entry.state {
            State::Running { attempt: current, node } if current == attempt && node == from => {}
            // The acknowledgement is late or got lost, and the node tells again what it told.
            State::Keeping(kept) if kept.attempt == *attempt => return Judgement::Keeping,
            State::Done { attempt: counted, output } if counted == attempt => {
                let same = outcome.as_ref().is_ok_and(|o| o == output);
                let statistics = batch.statistics_mut();
                *(if same { &mut statistics.duplicates } else { &mut statistics.superseded }) += 1;
                return Judgement::Known(if same { Verdict::Duplicate } else { Verdict::Superseded });
            }
            State::Failed => {
                batch.statistics_mut().superseded += 1;
                return Judgement::Known(Verdict::Superseded);
            }
            // Another attempt has the task, or had it last: this one was given up.
            State::Running { attempt: current, .. }
            | State::Keeping(Outcome { attempt: current, .. })
            | State::Done { attempt: current, .. } => {
                let now = current.lease.epoch;
                batch.statistics_mut().fenced += 1;
                return Judgement::Fenced { now };
            }
            State::Open => {
                batch.statistics_mut().fenced += 1;
                return Judgement::Fenced { now: 0 };
            }
        }
        self.judge_current(from, attempt, outcome)
    }

    fn judge_current(&mut self, from: &Jid, attempt: &Attempt, result: Result<String, TaskError>) -> Judgement {
        let key = Key::of(attempt);
        let Some(batch) = self.batches.get_mut(&key.batch) else { return Judgement::Unknown };
        let result = result.and_then(|output| batch.check_output(output));
        let Some(entry) = batch.entry_mut(&key.task) else { return Judgement::Unknown };
        // Only an error that is the task's own fault counts against it.
        let is_fault = matches!(result, Err(TaskError::Input(_)));
        entry.faults += u32::from(is_fault);
        if result.is_err() && !(is_fault && entry.faults >= self.max_faults) {
            self.reopen(&key);
            return Judgement::Again;
        }
        let outcome = Outcome { attempt: attempt.clone(), by: from.clone(), result };
        let index = entry.index;
        entry.state = State::Keeping(outcome.clone());
        self.end_on(from, &key);
        Judgement::Counts(index, outcome)
    }

    /// What the task of this attempt has come to is durable: gives it, with the number of its attempts.
    pub(super) fn kept(&mut self, attempt: &Attempt) -> Option<(Outcome, u32)> {
        let batch = self.batches.get_mut(&attempt.batch)?;
        let entry = batch.entry_mut(&attempt.task)?;
        let State::Keeping(outcome) = &entry.state else { return None };
        let outcome = outcome.clone();
        let attempts = batch.conclude(&outcome)?;
        self.remember_if_finished(&attempt.batch);
        Some((outcome, attempts))
    }

    /// It could not be made durable: nobody has heard of it, and the task is ready again.
    pub(super) fn not_kept(&mut self, attempt: &Attempt) {
        let entry = self.batches.get(&attempt.batch).and_then(|batch| batch.entry(&attempt.task));
        if entry.is_some_and(|entry| matches!(entry.state, State::Keeping(_))) {
            self.reopen(&Key::of(attempt));
        }
    }

    /// How many tasks are neither done nor failed.
    pub(super) fn open(&self) -> u64 {
        self.batches.values().map(Batch::open).sum()
    }

    /// What a batch has come to.
    pub(super) fn statistics(&self, batch: &str) -> Option<BatchStatistics> {
        self.batches.get(batch).map(Batch::statistics)
    }
}

impl Key {
    fn of(attempt: &Attempt) -> Self {
        Self { batch: attempt.batch.clone(), task: attempt.task.clone() }
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
        board.submit(Submission { batch: "b".into(), tasks: (0..tasks).map(task).collect(), sums: true });
        board
    }

    /// What a result leads to when what counts is durable at once.
    fn result(board: &mut Board, from: &Jid, attempt: &Attempt, result: Result<String, TaskError>) -> Judgement {
        let judgement = board.result(from, attempt, result);
        if let Judgement::Counts(_, outcome) = &judgement {
            assert_eq!(board.kept(attempt).map(|(kept, _)| kept).as_ref(), Some(outcome));
        }
        judgement
    }

    fn counts(judgement: Judgement) -> Outcome {
        match judgement {
            Judgement::Counts(_, outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn ok(output: &str) -> Result<String, TaskError> {
        Ok(output.to_owned())
    }

    #[test]
    fn each_task_counts_once_however_often_its_result_comes() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert_eq!(counts(result(&mut board, &node, &attempt, ok("4"))).result, ok("4"));
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
        counts(board.result(&new, &second, ok("4")));
        assert_eq!(board.result(&old, &first, ok("4")), Judgement::Fenced { now: 2 });
        assert_eq!(board.kept(&second).unwrap().1, 2);
        assert_eq!(board.result(&old, &first, ok("4")), Judgement::Fenced { now: 2 });
        assert_eq!(board.statistics("b").unwrap().fenced, 4);
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
        assert_eq!(counts(result(&mut board, &node, &attempt, Err(error.clone()))).result, Err(error));
        assert!(board.statistics("b").unwrap().is_finished());
        assert_eq!(board.open(), 0);
    }

    #[test]
    fn a_name_is_one_batch_and_within_it_one_task() {
        let board = board(1);
        let task = |id: &str| Task { id: id.into(), kind: "k".into(), input: String::new() };
        let submission = |batch: &str, ids: &[&str]| Submission {
            batch: batch.into(),
            tasks: ids.iter().copied().map(task).collect(),
            sums: false,
        };
        assert_eq!(board.check(&submission("b", &[]), 0), Err(SubmitError::Exists("b".into())));
        assert_eq!(board.check(&submission("c", &["x", "y", "x"]), 0), Err(SubmitError::Twice("x".into())));
        assert_eq!(board.check(&submission("c", &["x"]), OPEN_TASKS - 2), Ok(()));
        assert_eq!(board.check(&submission("c", &["x"]), OPEN_TASKS - 1), Err(SubmitError::TooMany));
        assert_eq!((board.ready.len(), board.open()), (1, 1));
    }

    #[test]
    fn an_output_that_is_no_number_is_not_summed_up_as_nothing() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert_eq!(board.result(&node, &attempt, ok("four")), Judgement::Again);
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        assert!(counts(result(&mut board, &node, &attempt, ok(""))).result.is_err());
        let statistics = board.statistics("b").unwrap();
        assert_eq!((statistics.done, statistics.failed, statistics.sum), (0, 1, Some(0)));
    }

    #[test]
    fn finished_batches_and_idle_nodes_are_forgotten_in_time() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (attempt, _) = board.next(&node, &lease(1)).unwrap();
        result(&mut board, &node, &attempt, ok("4"));
        assert!(board.running.is_empty());
        for n in 0..FINISHED_BATCHES {
            assert!(board.statistics("b").is_some());
            board.submit(Submission { batch: format!("empty{n}"), tasks: Vec::new(), sums: false });
        }
        assert_eq!((board.statistics("b"), board.finished_tasks), (None, 0));
        assert_eq!((board.take_forgotten(), board.take_forgotten()), (vec!["b".to_owned()], Vec::new()));
        assert_eq!(board.result(&node, &attempt, ok("4")), Judgement::Unknown);
    }

    #[test]
    fn a_result_counts_when_it_is_durable_and_not_before() {
        let (mut board, node) = (board(1), jid("v@b.example/1"));
        let (first, _) = board.next(&node, &lease(1)).unwrap();
        counts(board.result(&node, &first, ok("4")));
        assert_eq!(board.result(&node, &first, ok("4")), Judgement::Keeping);
        assert_eq!((board.open(), board.statistics("b").unwrap().done), (1, 0));
        // What the node did is done, whatever becomes of the node.
        assert_eq!((board.node_lost(&node), board.is_current(&first)), (0, false));
        board.not_kept(&first);
        assert_eq!((board.result(&node, &first, ok("4")), board.kept(&first)), (Judgement::Fenced { now: 0 }, None));
        let (second, _) = board.next(&node, &lease(2)).unwrap();
        result(&mut board, &node, &second, ok("4"));
        assert_eq!((board.open(), board.statistics("b").unwrap().sum), (0, Some(4)));
    }

    #[test]
    fn what_an_earlier_run_has_kept_counts_and_is_not_done_again() {
        let (mut before, node) = (board(3), jid("v@b.example/1"));
        let mut outcomes = Vec::new();
        for outcome in [ok("4"), Err(TaskError::Input("x".into())), Err(TaskError::Input("x".into()))] {
            let (attempt, _) = before.next(&node, &lease(1)).unwrap();
            if let Judgement::Counts(_, outcome) = before.result(&node, &attempt, outcome) {
                outcomes.push(outcome);
            }
        }
        assert_eq!(outcomes.len(), 2);
        let mut board = Board::new(2);
        let task = |at: usize| Task { id: format!("t{at}"), kind: "k".into(), input: at.to_string() };
        board.restore(Submission { batch: "b".into(), tasks: (0..3).map(task).collect(), sums: true }, &outcomes);
        let statistics = board.statistics("b").unwrap();
        assert_eq!((statistics.done, statistics.failed, statistics.attempts), (1, 1, 3));
        assert_eq!((statistics.sum, board.open()), (Some(4), 1));
        // The acknowledgement had got lost.
        assert_eq!(board.result(&node, &outcomes[0].attempt, ok("4")), Judgement::Known(Verdict::Duplicate));
        assert_eq!(board.next(&node, &lease(2)).unwrap().1.id, "t2");
        assert!(board.next(&node, &lease(2)).is_none());
    }
}

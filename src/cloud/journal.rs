//! What a scheduler keeps: the batches that it has taken, and what has become of their tasks.
//!
//! A batch is some records: its head, its tasks in parts, and an outcome for each task that has come to its end. That an
//! attempt was begun is not kept: after a restart it is given up like one whose node was lost.

mod record;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use convoke_store::{Batch, Store, StoreError};
use convoke_xmpp::Jid;
use thiserror::Error;
use tokio::sync::oneshot;

use self::record::{Damage, Head, Key, Part};
use super::board::Outcome;
use super::task::{Attempt, Submission, Task};

const TABLE: &str = "tasks";

/// How many bytes of tasks one record has, about.
const PART_BYTES: usize = 256 * 1024;
/// How many bytes of keys and values are committed together at most, where all need not be durable at once.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Why what was kept cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The store could not be read.
    #[error("the batches of {scheduler} could not be read: {cause}")]
    Store {
        /// Whose batches.
        scheduler: Jid,
        /// What the store said.
        cause: StoreError,
    },
    /// A record is not what this version writes, or an older one wrote.
    #[error("a record of {scheduler} cannot be read; it is damaged, or of a newer version")]
    Damaged {
        /// Whose record.
        scheduler: Jid,
    },
}

/// The journal of one scheduler; without a store it keeps nothing.
pub(super) struct Journal {
    store: Option<Arc<dyn Store>>,
    scheduler: Jid,
    /// The batches that are kept.
    places: HashMap<String, Place>,
    next_number: u64,
}

/// Where the records of a batch are.
#[derive(Debug, Clone, Copy)]
struct Place {
    number: u64,
    parts: u32,
    tasks: u32,
}

/// A batch of an earlier run.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) submission: Submission,
    pub(super) outcomes: Vec<Outcome>,
    /// Who is to be told of its end, and was not yet.
    pub(super) submitter: Option<Jid>,
}

/// Becomes ready when something is durable, or has failed.
pub(super) struct Durable(Vec<oneshot::Receiver<Result<(), StoreError>>>);

impl Durable {
    /// Waits for it. After a failure nothing is known of what is on the disk.
    pub(super) async fn wait(self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for part in self.0 {
            outcome = outcome.and(part.await.unwrap_or(Err(StoreError::Stopped)));
        }
        outcome
    }
}

impl Journal {
    /// Keeps nothing.
    pub(super) fn none(scheduler: Jid) -> Self {
        Self { store: None, scheduler, places: HashMap::new(), next_number: 0 }
    }

    /// Reads what earlier runs have kept, in the order of submission, and goes on behind it. What is left of a batch that
    /// was not wholly taken, or not wholly forgotten, is deleted.
    pub(super) fn open(scheduler: Jid, store: Arc<dyn Store>) -> Result<(Self, Vec<Kept>), JournalError> {
        let failed = |cause| JournalError::Store { scheduler: scheduler.clone(), cause };
        let entries = store.scan(TABLE, &Key::prefix(&scheduler)).map_err(failed)?;
        let mut journal = Self { store: Some(store), ..Self::none(scheduler.clone()) };
        let mut records = BTreeMap::<u64, Vec<(Key, Vec<u8>)>>::new();
        for (key, value) in entries {
            let key = Key::read(&scheduler, &key).map_err(|_| journal.damaged())?;
            records.entry(key.number).or_default().push((key, value));
        }
        let mut kept = Vec::new();
        for (number, records) in records {
            journal.next_number = number + 1;
            match read(&records).map_err(|_| journal.damaged())? {
                Some((batch, place)) => {
                    // One of the same name was to be forgotten before this one was taken, and the store did not do it.
                    journal.forget(&batch.submission.batch);
                    kept.retain(|before: &Kept| before.submission.batch != batch.submission.batch);
                    journal.places.insert(batch.submission.batch.clone(), place);
                    kept.push(batch);
                }
                None => journal.delete(records.into_iter().map(|(key, _)| key)),
            }
        }
        Ok((journal, kept))
    }

    /// Keeps a batch that is about to be taken; `None` if nothing is kept. If it fails, [`Journal::forget`] must follow.
    pub(super) fn submitted(&mut self, submission: &Submission, submitter: Option<&Jid>) -> Option<Durable> {
        self.store.as_ref()?;
        let parts = parts(&submission.tasks);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let place = Place { number: self.next_number, parts: count(parts.len()), tasks: count(submission.tasks.len()) };
        self.next_number += 1;
        self.places.insert(submission.batch.clone(), place);
        let tasks = (0..).zip(parts).map(|(at, part)| (Part::Tasks(at), record::tasks(&submission.tasks[part])));
        // The head last: without it there is no batch.
        let head = (Part::Head, Head::of(submission, submitter, place.parts).write());
        let records = tasks.chain([head]).map(|(part, value)| (Key { number: place.number, part }, Some(value)));
        self.commit(records)
    }

    /// Keeps what a task has come to; `None` if nothing is kept.
    pub(super) fn concluded(&self, index: u32, outcome: &Outcome) -> Option<Durable> {
        let number = self.places.get(&outcome.attempt.batch)?.number;
        self.commit([(Key { number, part: Part::Outcome(index) }, Some(record::outcome(outcome)))])
    }

    /// The submitter of a batch was told of its end: it is not told again.
    pub(super) fn told(&self, batch: &str, sums: bool) {
        let Some(place) = self.places.get(batch) else { return };
        let head = Head { batch: batch.to_owned(), sums, tasks: place.tasks, parts: place.parts, submitter: None };
        self.let_go([(Key { number: place.number, part: Part::Head }, Some(head.write()))]);
    }

    /// Deletes all of a batch.
    pub(super) fn forget(&mut self, batch: &str) {
        let Some(Place { number, parts, tasks }) = self.places.remove(batch) else { return };
        // The head first: without it there is no batch.
        let keys = [Part::Head].into_iter().chain((0..parts).map(Part::Tasks)).chain((0..tasks).map(Part::Outcome));
        self.delete(keys.map(|part| Key { number, part }));
    }

    fn delete(&self, keys: impl IntoIterator<Item = Key>) {
        self.let_go(keys.into_iter().map(|key| (key, None)));
    }

    /// Commits what nobody waits for; what fails is made good by the next run.
    fn let_go(&self, records: impl IntoIterator<Item = (Key, Option<Vec<u8>>)>) {
        drop(self.commit(records));
    }

    /// Commits records in their order, many of them in several pieces.
    fn commit(&self, records: impl IntoIterator<Item = (Key, Option<Vec<u8>>)>) -> Option<Durable> {
        let store = self.store.as_ref()?;
        let mut outcomes = Vec::new();
        let mut batch = Batch::new();
        for (key, value) in records {
            let bytes = batch.bytes() + value.as_ref().map_or(0, Vec::len);
            if bytes > COMMIT_BYTES && !batch.is_empty() {
                outcomes.push(commit(&**store, std::mem::take(&mut batch)));
            }
            let key = key.write(&self.scheduler);
            batch = match value {
                Some(value) => batch.put(TABLE, key, value),
                None => batch.delete(TABLE, key),
            };
        }
        outcomes.push(commit(&**store, batch));
        Some(Durable(outcomes))
    }

    fn damaged(&self) -> JournalError {
        JournalError::Damaged { scheduler: self.scheduler.clone() }
    }
}

fn commit(store: &dyn Store, batch: Batch) -> oneshot::Receiver<Result<(), StoreError>> {
    let (done, outcome) = oneshot::channel();
    let on_durable = move |result: Result<(), StoreError>| {
        if let Err(error) = &result {
            tracing::warn!(%error, "the store does not keep what a scheduler gives it");
        }
        let _nobody_waits = done.send(result);
    };
    store.commit(batch, Box::new(on_durable));
    outcome
}

/// Cuts tasks into parts of some size.
fn parts(tasks: &[Task]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, task) in tasks.iter().enumerate() {
        let size = task.id.len() + task.kind.len() + task.input.len();
        if bytes + size > PART_BYTES && at > start {
            parts.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < tasks.len() {
        parts.push(start..tasks.len());
    }
    parts
}

/// Reads the records of one batch, in the order of their keys; `None` if it is not whole.
fn read(records: &[(Key, Vec<u8>)]) -> Result<Option<(Kept, Place)>, Damage> {
    let mut records = records.iter();
    let Some((Key { number, part: Part::Head }, head)) = records.next() else { return Ok(None) };
    let head = Head::read(head)?;
    let mut tasks = Vec::new();
    let mut outcomes = Vec::new();
    for (key, value) in records {
        match key.part {
            Part::Head => return Err(Damage),
            Part::Tasks(_) => tasks.extend(record::read_tasks(value)?),
            Part::Outcome(index) => {
                let task = tasks.get(index as usize).ok_or(Damage)?;
                let (number, lease, by, result) = record::read_outcome(value)?;
                let attempt = Attempt { batch: head.batch.clone(), task: task.id.clone(), number, lease };
                outcomes.push(Outcome { attempt, by, result });
            }
        }
    }
    if tasks.len() != head.tasks as usize {
        return Ok(None);
    }
    let place = Place { number: *number, parts: head.parts, tasks: head.tasks };
    let submission = Submission { batch: head.batch, tasks, sums: head.sums };
    Ok(Some((Kept { submission, outcomes, submitter: head.submitter }, place)))
}

#[cfg(test)]
mod tests {
    use convoke_store::MemoryStore;

    use super::*;
    use crate::cloud::lease::LeaseRef;
    use crate::cloud::task::TaskError;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn submission(batch: &str, tasks: u32, input: &str) -> Submission {
        let task = |at: u32| Task { id: format!("t{at}"), kind: "k".into(), input: input.into() };
        Submission { batch: batch.into(), tasks: (0..tasks).map(task).collect(), sums: true }
    }

    fn outcome(batch: &str, task: &str, result: Result<String, TaskError>) -> Outcome {
        let lease = LeaseRef { id: "l7".into(), epoch: 7 };
        let attempt = Attempt { batch: batch.into(), task: task.into(), number: 3, lease };
        Outcome { attempt, by: jid("v@b.example/desk"), result }
    }

    fn open(store: &Arc<MemoryStore>) -> (Journal, Vec<Kept>) {
        Journal::open(jid("scheduler@a.example"), store.clone()).unwrap()
    }

    fn records(store: &MemoryStore) -> usize {
        store.scan(TABLE, b"").unwrap().len()
    }

    #[tokio::test]
    async fn what_was_kept_is_read_back_in_the_order_of_submission() {
        let store = Arc::new(MemoryStore::new());
        let (mut journal, kept) = open(&store);
        assert!(kept.is_empty());
        let (second, first) = (submission("a", 2, "<&>"), submission("b", 0, ""));
        let client = jid("client@a.example/x");
        journal.submitted(&first, None).unwrap().wait().await.unwrap();
        journal.submitted(&second, Some(&client)).unwrap().wait().await.unwrap();
        let outcomes = [outcome("a", "t0", Ok("4".into())), outcome("a", "t1", Err(TaskError::Input("x".into())))];
        for (index, outcome) in (0..).zip(&outcomes) {
            journal.concluded(index, outcome).unwrap().wait().await.unwrap();
        }
        let (journal, kept) = open(&store);
        assert_eq!(kept.iter().map(|kept| &kept.submission).collect::<Vec<_>>(), [&first, &second]);
        assert_eq!((&kept[1].outcomes[..], &kept[1].submitter), (&outcomes[..], &Some(client)));
        journal.told("a", true);
        assert_eq!(open(&store).1[1].submitter, None);
    }

    #[tokio::test]
    async fn a_large_batch_is_kept_in_parts_and_forgotten_whole() {
        let store = Arc::new(MemoryStore::new());
        let (mut journal, _) = open(&store);
        let large = submission("large", 200, &"x".repeat(60_000));
        journal.submitted(&large, None).unwrap().wait().await.unwrap();
        assert_eq!(records(&store), 51);
        let (mut journal, kept) = open(&store);
        assert_eq!(kept[0].submission, large);
        journal.concluded(199, &outcome("large", "t199", Ok("4".into()))).unwrap().wait().await.unwrap();
        journal.forget("large");
        assert_eq!(records(&store), 0);
    }

    #[tokio::test]
    async fn a_batch_that_was_not_wholly_taken_was_never_there() {
        let store = Arc::new(MemoryStore::new());
        let (mut journal, _) = open(&store);
        let large = submission("large", 10, &"x".repeat(60_000));
        journal.submitted(&large, None).unwrap().wait().await.unwrap();
        for part in [Part::Head, Part::Tasks(1)] {
            let (key, before) = (Key { number: 0, part }.write(&journal.scheduler), store.scan(TABLE, b"").unwrap());
            commit(&*store, Batch::new().delete(TABLE, key)).await.unwrap().unwrap();
            assert!(open(&store).1.is_empty());
            assert_eq!(records(&store), 0);
            let all = before.into_iter().fold(Batch::new(), |batch, (key, value)| batch.put(TABLE, key, value));
            commit(&*store, all).await.unwrap().unwrap();
        }
        assert_eq!(open(&store).1.len(), 1);
    }

    #[tokio::test]
    async fn of_two_batches_of_one_name_the_later_one_is_there() {
        let store = Arc::new(MemoryStore::new());
        let (mut journal, _) = open(&store);
        for tasks in [3, 1] {
            // That the first one was forgotten never reached the store.
            journal.submitted(&submission("b", tasks, ""), None).unwrap().wait().await.unwrap();
        }
        let (_, kept) = open(&store);
        assert_eq!(kept.iter().map(|kept| kept.submission.tasks.len()).collect::<Vec<_>>(), [1]);
        assert_eq!(records(&store), 2);
    }

    #[tokio::test]
    async fn what_is_damaged_or_newer_is_refused_and_what_is_anothers_is_left_alone() {
        let store = Arc::new(MemoryStore::new());
        let (mut other, _) = Journal::open(jid("scheduler@b.example"), store.clone()).unwrap();
        other.submitted(&submission("b", 1, ""), None).unwrap().wait().await.unwrap();
        let (mut journal, kept) = open(&store);
        assert!(kept.is_empty());
        journal.submitted(&submission("a", 1, ""), None).unwrap().wait().await.unwrap();
        let key = Key { number: 0, part: Part::Head }.write(&journal.scheduler);
        let head = store.get(TABLE, &key).unwrap().unwrap();
        let newer = [&[head[0] + 1], &head[1..]].concat();
        for damaged in [newer, head[..head.len() - 1].to_vec(), [&head[..], &[0]].concat(), Vec::new()] {
            commit(&*store, Batch::new().put(TABLE, &*key, damaged)).await.unwrap().unwrap();
            let refused = Journal::open(journal.scheduler.clone(), store.clone());
            assert!(matches!(refused, Err(JournalError::Damaged { .. })));
        }
        assert!(Journal::open(jid("scheduler@b.example"), store.clone()).is_ok());
    }

    #[test]
    fn without_a_store_nothing_is_kept() {
        let mut journal = Journal::none(jid("scheduler@a.example"));
        assert!(journal.submitted(&submission("a", 1, ""), None).is_none());
        assert!(journal.concluded(0, &outcome("a", "t0", Ok("4".into()))).is_none());
    }
}

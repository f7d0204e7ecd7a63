//! The thread that writes: one transaction for everything that waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::database::Database;
use super::queue::{Pending, Queue};
use crate::StoreError;

/// How many batches became durable in how many transactions; their ratio is what group commit saves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitCounts {
    /// Batches that became durable.
    pub batches: u64,
    /// Transactions that made them durable, each paying for one synchronisation.
    pub transactions: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    transactions: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> CommitCounts {
        CommitCounts {
            batches: self.batches.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
        }
    }

    fn count(&self, group: usize) {
        self.batches.fetch_add(group as u64, Ordering::Relaxed);
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts the thread; it ends when the queue is closed and empty.
pub(super) fn spawn(
    database: Arc<Database>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
) -> Result<JoinHandle<()>, StoreError> {
    let path = database.path().to_owned();
    thread::Builder::new()
        .name("convoke-store".to_owned())
        .spawn(move || run(&database, &queue, &counters))
        .map_err(|cause| StoreError::Open { path, cause: Arc::new(cause) })
}

fn run(database: &Database, queue: &Queue, counters: &Counters) {
    let _close = CloseOnExit(queue);
    while let Some(group) = queue.take() {
        let outcome = database.write(group.iter().map(|pending| &pending.batch));
        if outcome.is_ok() {
            counters.count(group.len());
        }
        answer_all(group, &outcome);
    }
}

fn answer_all(group: VecDeque<Pending>, outcome: &Result<(), StoreError>) {
    for pending in group {
        pending.acknowledgement.answer(outcome.clone());
    }
}

/// Should the database panic, later commits are refused and those that wait are answered, instead of waiting for ever.
struct CloseOnExit<'a>(&'a Queue);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take());
    }
}

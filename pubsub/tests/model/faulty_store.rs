//! A store that fails when it is told to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use convoke_store::{Batch, Durability, Entry, MemoryStore, OnDurable, Store, StoreError};

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing is written.
    Nothing,
    /// All of it is written, and the word of that is lost.
    AllTheSame,
}

/// Keeps everything in memory, but for what it is told to fail at.
#[derive(Default)]
pub(super) struct FaultyStore {
    memory: MemoryStore,
    next: Mutex<Option<Failure>>,
    kept: AtomicUsize,
    is_forgetful: AtomicBool,
}

impl FaultyStore {
    /// Says that it has kept everything, and keeps nothing from now on.
    pub(super) fn forget(&self) {
        self.is_forgetful.store(true, Ordering::SeqCst);
    }

    /// The next commit fails.
    pub(super) fn fail(&self, failure: Failure) {
        *self.next.lock().unwrap() = Some(failure);
    }

    /// Whether a commit is still to fail.
    pub(super) fn will_fail(&self) -> bool {
        self.next.lock().unwrap().is_some()
    }

    /// How many commits it has kept, and said so.
    pub(super) fn kept(&self) -> usize {
        self.kept.load(Ordering::SeqCst)
    }
}

impl Store for FaultyStore {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        let failure = self.next.lock().unwrap().take();
        let is_written = failure != Some(Failure::Nothing) && !self.is_forgetful.load(Ordering::SeqCst);
        if is_written {
            self.memory.commit(batch, Box::new(|outcome| outcome.unwrap()));
        }
        if failure.is_some() {
            return on_durable(Err(full_disk()));
        }
        self.kept.fetch_add(1, Ordering::SeqCst);
        on_durable(Ok(()));
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(table, key)
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.memory.scan(table, prefix)
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

fn full_disk() -> StoreError {
    StoreError::Write { path: "/full".into(), cause: Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull)) }
}

//! A store on disk: one redb file, one thread that commits.

mod committer;
mod creation;
mod database;
mod queue;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::error::check_size;
use crate::{Batch, Durability, Entry, OnDurable, Store, StoreError};

use committer::Counters;
use database::Database;
use queue::Queue;

pub use committer::CommitCounts;
pub use queue::{QUEUE_BATCHES, QUEUE_BYTES};

/// The name of the file inside the store's directory.
const FILE_NAME: &str = "convoke.redb";

/// A store in one redb file, whose acknowledgement means that the disk has synchronised the batch.
///
/// A thread of its own takes everything that waits (at most [`QUEUE_BATCHES`] batches and [`QUEUE_BYTES`] bytes) and commits it as
/// one transaction: the more is going on, the more batches share the price of one synchronisation. A batch that finds the
/// queue full is answered [`StoreError::Busy`] at once; nobody is ever blocked.
///
/// Dropping the store finishes what is queued and joins the thread; then the file can be opened again.
pub struct RedbStore {
    database: Arc<Database>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    committer: Option<JoinHandle<()>>,
}

impl RedbStore {
    /// Opens the store in this directory, creating both if need be (the directory readable by this user alone).
    ///
    /// Fails with [`StoreError::CreateDirectory`], [`StoreError::Locked`] when another process or this one has it open,
    /// [`StoreError::NewerFormat`], or [`StoreError::Open`] for anything else that is wrong with the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = path.as_ref();
        create_directory(directory)?;
        Self::start(Database::open(directory.join(FILE_NAME))?)
    }

    /// Counts what was committed since the store was opened.
    #[must_use]
    pub fn counts(&self) -> CommitCounts {
        self.counters.read()
    }

    fn start(database: Database) -> Result<Self, StoreError> {
        let (database, queue, counters) = (Arc::new(database), Arc::new(Queue::default()), Arc::default());
        let committer = committer::spawn(Arc::clone(&database), Arc::clone(&queue), Arc::clone(&counters))?;
        Ok(Self { database, queue, counters, committer: Some(committer) })
    }
}

impl Store for RedbStore {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        let pending = queue::Pending::new(batch, on_durable);
        match check_size(&pending.batch) {
            Ok(()) => self.queue.push(pending),
            Err(too_large) => pending.acknowledgement.answer(Err(too_large)),
        }
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get(table, key)
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.database.scan(table, prefix)
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.queue.close();
        let Some(committer) = self.committer.take() else { return };
        // A callback may hold the last handle: the committer cannot wait for itself, and ends by itself once the queue is empty.
        if committer.thread().id() != thread::current().id() {
            // A committer that panicked has answered everybody on its way out; there is nothing left to tell.
            let _ = committer.join();
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedbStore").field("path", &self.database.path()).finish_non_exhaustive()
    }
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|cause| StoreError::CreateDirectory { path: PathBuf::from(path), cause: Arc::new(cause) })
}

#[cfg(test)]
mod tests;

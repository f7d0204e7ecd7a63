//! Durable key-value batches with group commit for Convoke, without tokio and without XMPP.
//!
//! A [`Batch`] of puts and deletes is committed as one: after a crash either all of it is there or nothing.
//! [`Store::commit`] returns at once and reports later through a callback, so that whoever owes somebody an
//! acknowledgement can send it from there: *durable before acknowledged* needs no thread that waits.
//!
//! Two stores keep the same contract: [`MemoryStore`] for tests and rehearsals, [`RedbStore`] on disk.
//! [`Store::durability`] tells which promise an acknowledgement carries.
//!
//! ```
//! use convoke_store::{Batch, MemoryStore, Store};
//!
//! let store = MemoryStore::new();
//! let grant = Batch::new().put("leases", "node-1", "epoch 7").delete("offers", "node-1");
//! store.commit(grant, Box::new(|outcome| outcome.expect("memory takes every batch within the limits")));
//! assert_eq!(store.get("leases", b"node-1")?, Some(b"epoch 7".to_vec()));
//! # Ok::<(), convoke_store::StoreError>(())
//! ```

mod acknowledgement;
mod batch;
mod disk;
mod error;
mod memory;

pub use batch::{Batch, Change, MAX_BATCH_BYTES};
pub use disk::{CommitCounts, QUEUE_BATCHES, QUEUE_BYTES, RedbStore};
pub use error::{Cause, StoreError};
pub use memory::MemoryStore;

/// What [`Store::commit`] calls exactly once with the outcome of a batch.
pub type OnDurable = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// One key and its value, as [`Store::scan`] returns them.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Tables of byte keys and byte values, written in atomic batches and read synchronously.
///
/// Table names are dynamic: a table exists as soon as something is put into it. Batches of one store take effect in
/// the order of their `commit` calls, and a batch sees no other one half done.
pub trait Store: Send + Sync + 'static {
    /// Commits the batch; `on_durable` is called exactly once, from any thread, after the batch is durable or has failed.
    ///
    /// It never blocks. The callback may run before this returns, and on a thread that serves every other commit too:
    /// it should hand the news on and be done. It may call `commit` itself. A callback that panics is survived.
    /// Readers see the batch at the latest when the callback gets `Ok`.
    ///
    /// The callback gets [`StoreError::TooLarge`] for a batch of more than [`MAX_BATCH_BYTES`], [`StoreError::Busy`] when
    /// too much is waiting already, [`StoreError::Write`] when the disk fails, [`StoreError::Stopped`] when the store ends first.
    fn commit(&self, batch: Batch, on_durable: OnDurable);

    /// Reads one value as of the last durable batch, or `None` when the table or the key does not exist.
    ///
    /// Fails with [`StoreError::Read`] when the disk does.
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Reads every entry of the table whose key starts with `prefix`, in the order of the keys' bytes, at one point in time.
    ///
    /// The whole answer is held in memory: it is meant for start-up and for prefixes that the caller keeps small, and is not
    /// a cursor. An empty prefix reads the table. Fails with [`StoreError::Read`] when the disk does.
    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError>;

    /// Says what an acknowledgement of this store means.
    fn durability(&self) -> Durability;
}

/// What is safe once a commit has been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The batch lasts as long as this process.
    Memory,
    /// The batch was handed to the disk and synchronised: it survives a crash of the process and of the machine.
    Disk,
}

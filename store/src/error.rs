//! What can go wrong, with the guilty path and the remedy.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::{Batch, MAX_BATCH_BYTES};

/// The cause below a [`StoreError`], shared because one failed transaction fails every batch in it.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a store could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory of the store could not be made.
    #[error("cannot create the store directory {path}: {cause}; create it and let this user write to it", path = path.display())]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: Cause,
    },
    /// Somebody has the file open already.
    #[error("the store {path} is in use by another process; stop that one or give this one a directory of its own", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer Convoke.
    #[error("the store {path} has format {found} but this version knows formats up to {supported}; run the newer version that wrote it", path = path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
        /// The newest format this version reads and writes.
        supported: u64,
    },
    /// The file could not be opened: no permission, not a store, or damaged.
    #[error("cannot open the store {path}: {cause}; check its permissions, or move it away and restore it from a backup", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system or the database said.
        #[source]
        cause: Cause,
    },
    /// Reading failed.
    #[error("cannot read from the store {path}: {cause}; check the disk and restart", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system or the database said.
        #[source]
        cause: Cause,
    },
    /// Writing failed, and it is not known whether the batch was written: wholly, or nothing of it.
    ///
    /// The store goes on: what is committed later is written if the disk takes it.
    #[error("cannot write to the store {path}: {cause}; check the disk and its free space", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system or the database said.
        #[source]
        cause: Cause,
    },
    /// More is waiting to be written than the store takes; nothing of this batch was written.
    #[error("{waiting} batches are waiting for the store already; commit again later or write less")]
    Busy {
        /// How many batches were waiting.
        waiting: usize,
    },
    /// The batch is larger than a store takes; nothing of it was written.
    #[error("a batch of {bytes} bytes is more than the {limit} that a store takes at once; split it")]
    TooLarge {
        /// The size of the batch.
        bytes: usize,
        /// The most bytes a batch may have.
        limit: usize,
    },
    /// The store stopped before it could write the batch; nothing of it was written unless [`StoreError::Write`] came before.
    #[error("the store has stopped; open it again")]
    Stopped,
}

/// Refuses what no store takes, so that both stores refuse the same.
pub(crate) fn check_size(batch: &Batch) -> Result<(), StoreError> {
    if batch.bytes() > MAX_BATCH_BYTES {
        return Err(StoreError::TooLarge { bytes: batch.bytes(), limit: MAX_BATCH_BYTES });
    }
    Ok(())
}

//! The redb file: its format, its reads, its transactions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Builder, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, Table, TableDefinition, WriteTransaction,
};

use super::creation;
use crate::batch::Change;
use crate::{Batch, Cause, Entry, StoreError};

/// All tables in one, by (table name, key): names need no declaration, and a group touches one tree.
const ENTRIES: TableDefinition<'_, EntryKey, &[u8]> = TableDefinition::new("entries");

type EntryKey = (&'static str, &'static [u8]);
type Entries = ReadOnlyTable<EntryKey, &'static [u8]>;

/// What describes the file itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

const FORMAT_KEY: &str = "format";

/// The format that this version writes: [`ENTRIES`] as above.
pub(super) const FORMAT: u64 = 1;

/// The memory redb may use to cache pages (32 MiB): its default of 1 GiB would be most of a small server.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Opens a file that exists.
pub(super) type Open = Box<dyn Fn(&Path) -> Result<redb::Database, DatabaseError> + Send + Sync>;

/// An open file of the right format.
///
/// After a failed write redb refuses everything, reads too, until the file is opened again. So it is: at once, and if
/// that fails before the next write. Whoever has made room on the disk need not restart anything.
pub(super) struct Database {
    path: PathBuf,
    open: Open,
    /// Or why it could not be opened again.
    inner: RwLock<Result<redb::Database, Cause>>,
}

impl Database {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        creation::ensure(&path)?;
        let inner = redb_file().open(&path).map_err(|error| open_error(&path, error))?;
        creation::tidy(&path);
        Self::check(inner, path, Box::new(|path| redb_file().open(path)))
    }

    /// Accepts an open redb database if its format is ours, or gives it our format if it is new.
    pub(super) fn check(inner: redb::Database, path: PathBuf, open: Open) -> Result<Self, StoreError> {
        match initialise(&inner).map_err(|error| open_cause(&path, error))? {
            FORMAT => Ok(Self { path, open, inner: RwLock::new(Ok(inner)) }),
            found => Err(StoreError::NewerFormat { path, found, supported: FORMAT }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|entries| Ok(entries.get((table, key))?.map(|value| value.value().to_vec())))
    }

    pub(super) fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.read(|entries| scan(entries, table, prefix))
    }

    /// Writes all batches in one transaction and returns when the disk has synchronised it.
    pub(super) fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>) -> Result<(), StoreError> {
        if self.with(|_| Ok(())).is_err() {
            self.reopen();
        }
        let written = self.with(|inner| {
            transact(inner, |transaction| {
                let mut entries = transaction.open_table(ENTRIES)?;
                batches.flat_map(Batch::changes).try_for_each(|change| apply(&mut entries, change))
            })
        });
        written.map_err(|cause| {
            self.reopen();
            StoreError::Write { path: self.path.clone(), cause }
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Entries) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let read = self.with(|inner| work(&inner.begin_read()?.open_table(ENTRIES)?));
        read.map_err(|cause| StoreError::Read { path: self.path.clone(), cause })
    }

    fn with<T>(&self, work: impl FnOnce(&redb::Database) -> Result<T, redb::Error>) -> Result<T, Cause> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let inner = inner.as_ref().map_err(Arc::clone)?;
        work(inner).map_err(|error| Arc::new(error) as Cause)
    }

    /// Opens the file again. Readers wait meanwhile: what they would be told now is an error.
    fn reopen(&self) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: the file is locked as long as it is open.
        *inner = Err(Arc::new(redb::Error::PreviousIo));
        *inner = (self.open)(&self.path).map_err(|error| Arc::new(error) as Cause);
    }
}

/// How a file is opened.
pub(super) fn redb_file() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes the tables of a new file; returns the format.
pub(super) fn initialise(inner: &redb::Database) -> Result<u64, redb::Error> {
    if let Some(format) = format(inner)? {
        return Ok(format);
    }
    transact(inner, |transaction| {
        transaction.open_table(ENTRIES)?;
        transaction.open_table(ABOUT)?.insert(FORMAT_KEY, FORMAT)?;
        Ok(())
    })?;
    Ok(FORMAT)
}

fn format(inner: &redb::Database) -> Result<Option<u64>, redb::Error> {
    match inner.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get(FORMAT_KEY)?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn transact<T>(
    inner: &redb::Database,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = inner.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // Values come from strangers: without the second phase, one who can also crash the machine could forge
    // redb's checksum of a torn commit (redb, `WriteTransaction::set_two_phase_commit`).
    transaction.set_two_phase_commit(true);
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn apply(entries: &mut Table<'_, EntryKey, &'static [u8]>, change: &Change) -> Result<(), redb::Error> {
    let key = (change.table.as_str(), change.key.as_slice());
    match &change.value {
        Some(value) => entries.insert(key, value.as_slice())?,
        None => entries.remove(key)?,
    };
    Ok(())
}

fn scan(entries: &Entries, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, redb::Error> {
    let mut found = Vec::new();
    for entry in entries.range((table, prefix)..)? {
        let (key, value) = entry?;
        let (its_table, its_key) = key.value();
        if its_table != table || !its_key.starts_with(prefix) {
            break;
        }
        found.push((its_key.to_vec(), value.value().to_vec()));
    }
    Ok(found)
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path.to_owned() },
        error => open_cause(path, error.into()),
    }
}

pub(super) fn open_cause(path: &Path, error: redb::Error) -> StoreError {
    StoreError::Open { path: path.to_owned(), cause: Arc::new(error) }
}

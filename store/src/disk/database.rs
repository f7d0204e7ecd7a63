//! The redb file: its format, its reads, its transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Builder, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, Table, TableDefinition, WriteTransaction,
};

use crate::batch::Change;
use crate::{Batch, Entry, StoreError};

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

/// An open file of the right format.
pub(super) struct Database {
    inner: redb::Database,
    path: PathBuf,
}

impl Database {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let opened = Builder::new().set_cache_size(CACHE_BYTES).create(&path);
        let inner = opened.map_err(|error| open_error(&path, error))?;
        Self::check(inner, path)
    }

    /// Accepts an open redb database if its format is ours, or gives it our format if it is new.
    pub(super) fn check(inner: redb::Database, path: PathBuf) -> Result<Self, StoreError> {
        let database = Self { inner, path };
        match database.initialise().map_err(|error| open_cause(&database.path, error))? {
            FORMAT => Ok(database),
            found => Err(StoreError::NewerFormat { path: database.path, found, supported: FORMAT }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let read =
            || -> Result<_, redb::Error> { Ok(self.entries()?.get((table, key))?.map(|value| value.value().to_vec())) };
        read().map_err(|error| self.read_error(error))
    }

    pub(super) fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        scan(&self.entries().map_err(|error| self.read_error(error))?, table, prefix)
            .map_err(|error| self.read_error(error))
    }

    /// Writes all batches in one transaction and returns when the disk has synchronised it.
    pub(super) fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let mut entries = transaction.open_table(ENTRIES)?;
            batches.flat_map(Batch::changes).try_for_each(|change| apply(&mut entries, change))
        })
        .map_err(|error| StoreError::Write { path: self.path.clone(), cause: Arc::new(error) })
    }

    /// Makes the tables of a new file; returns the format.
    fn initialise(&self) -> Result<u64, redb::Error> {
        if let Some(format) = self.format()? {
            return Ok(format);
        }
        self.transact(|transaction| {
            transaction.open_table(ENTRIES)?;
            transaction.open_table(ABOUT)?.insert(FORMAT_KEY, FORMAT)?;
            Ok(())
        })?;
        Ok(FORMAT)
    }

    fn format(&self) -> Result<Option<u64>, redb::Error> {
        match self.inner.begin_read()?.open_table(ABOUT) {
            Ok(about) => Ok(about.get(FORMAT_KEY)?.map(|format| format.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn transact<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let mut transaction = self.inner.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // Values come from strangers: without the second phase, one who can also crash the machine could forge
        // redb's checksum of a torn commit (redb, `WriteTransaction::set_two_phase_commit`).
        transaction.set_two_phase_commit(true);
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    fn entries(&self) -> Result<Entries, redb::Error> {
        Ok(self.inner.begin_read()?.open_table(ENTRIES)?)
    }

    fn read_error(&self, error: redb::Error) -> StoreError {
        StoreError::Read { path: self.path.clone(), cause: Arc::new(error) }
    }
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

fn open_cause(path: &Path, error: redb::Error) -> StoreError {
    StoreError::Open { path: path.to_owned(), cause: Arc::new(error) }
}

//! A store that forgets.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::acknowledgement::Acknowledgement;
use crate::batch::{Batch, Change};
use crate::error::check_size;
use crate::{Durability, Entry, OnDurable, Store, StoreError};

type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory, for tests and rehearsals: every batch within the limits succeeds, and before `commit` returns.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<BTreeMap<String, Table>>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> RwLockReadGuard<'_, BTreeMap<String, Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, batch: Batch) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for Change { table, key, value } in batch.into_changes() {
            let table = tables.entry(table).or_default();
            match value {
                Some(value) => table.insert(key, value),
                None => table.remove(&key),
            };
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        let outcome = check_size(&batch);
        if outcome.is_ok() {
            self.apply(batch);
        }
        // The lock is released by now: the callback may use the store.
        Acknowledgement::new(on_durable).answer(outcome);
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables().get(table).and_then(|table| table.get(key)).cloned())
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let tables = self.tables();
        let Some(table) = tables.get(table) else { return Ok(Vec::new()) };
        let from_prefix_on = table.range(prefix.to_vec()..);
        Ok(from_prefix_on
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

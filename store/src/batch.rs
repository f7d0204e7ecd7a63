//! What is written together.

/// The most bytes of table names, keys and values that one batch may carry (16 MiB).
///
/// A batch lives in memory until it is durable, and one enormous batch would hold up everybody's acknowledgement.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Puts and deletes that become durable together or not at all.
///
/// Later changes win over earlier ones to the same key. An empty batch is a barrier: it is acknowledged after all
/// batches before it.
///
/// ```
/// # use convoke_store::Batch;
/// let batch = Batch::new().put("rosters", "juliet", [1, 2, 3]).delete("rosters", "romeo");
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

/// One change of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name of the table.
    pub table: String,
    /// The key within the table.
    pub key: Vec<u8>,
    /// The new value, or `None` to delete the key.
    pub value: Option<Vec<u8>>,
}

impl Batch {
    /// Makes a batch without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: the key of this table has this value from now on.
    pub fn put(self, table: impl Into<String>, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.with(table.into(), key.into(), Some(value.into()))
    }

    /// Adds: the key of this table is gone. Deleting what is not there is no error.
    pub fn delete(self, table: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        self.with(table.into(), key.into(), None)
    }

    /// Counts the changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Tells whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Counts the bytes of table names, keys and values, which [`MAX_BATCH_BYTES`] limits.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes in the order in which they were added: what an own implementation of [`Store`](crate::Store) applies.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Takes the batch apart into its changes, in the order in which they were added.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    fn with(mut self, table: String, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        self.bytes += table.len() + key.len() + value.as_ref().map_or(0, Vec::len);
        self.changes.push(Change { table, key, value });
        self
    }
}

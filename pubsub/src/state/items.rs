//! The items of one node, in the order of their publication (XEP-0060, section 13.1); of a transient one the last, if any
//! (section 13.10).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Item, Usage};

/// Items by their id and by the order of their publication.
#[derive(Debug, Default)]
pub(crate) struct Items {
    numbers: HashMap<Arc<str>, u64>,
    by_number: BTreeMap<u64, Arc<Item>>,
    usage: Usage,
}

impl Items {
    /// The item of that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Item>> {
        self.by_number.get(self.numbers.get(id)?)
    }

    /// All items, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Item>> + Clone {
        self.by_number.values()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// What they take up.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn by_number(&self, number: u64) -> Option<&Arc<Item>> {
        self.by_number.get(&number)
    }

    /// Adds an item under its number; there is none of its id.
    pub(super) fn insert(&mut self, item: Arc<Item>) {
        self.usage.add(&item);
        self.numbers.insert(item.shared_id().clone(), item.number());
        self.by_number.insert(item.number(), item);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Arc<Item>> {
        let item = self.by_number.remove(&number)?;
        self.numbers.remove(item.id());
        self.usage.subtract(&item);
        Some(item)
    }
}

//! How much is stored, counted as it changes.

use std::collections::HashMap;

use convoke_xmpp::Jid;

use super::{Item, Items};

/// What a number of items takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// How many there are.
    pub(crate) items: usize,
    /// Their bytes, as [`Item::bytes`] counts them.
    pub(crate) bytes: usize,
}

impl Usage {
    pub(super) fn add(&mut self, item: &Item) {
        self.items += 1;
        self.bytes += item.bytes();
    }

    pub(super) fn subtract(&mut self, item: &Item) {
        self.items -= 1;
        self.bytes -= item.bytes();
    }
}

/// What the whole service and each publisher take up.
#[derive(Debug, Default)]
pub(super) struct Usages {
    service: Usage,
    /// By bare address; who has no item is not there.
    publishers: HashMap<Jid, Usage>,
}

impl Usages {
    pub(super) fn service(&self) -> Usage {
        self.service
    }

    pub(super) fn of(&self, publisher: &Jid) -> Usage {
        self.publishers.get(publisher).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, item: &Item) {
        self.service.add(item);
        match self.publishers.get_mut(item.publisher()) {
            Some(usage) => usage.add(item),
            None => self.publishers.entry(item.publisher().clone()).or_default().add(item),
        }
    }

    pub(super) fn subtract(&mut self, item: &Item) {
        self.service.subtract(item);
        let Some(usage) = self.publishers.get_mut(item.publisher()) else { return };
        usage.subtract(item);
        if usage.items == 0 {
            self.publishers.remove(item.publisher());
        }
    }

    pub(super) fn add_all(&mut self, items: &Items) {
        items.iter().for_each(|item| self.add(item));
    }

    pub(super) fn remove_all(&mut self, items: &Items) {
        items.iter().for_each(|item| self.subtract(item));
    }

    /// How many publishers have items.
    #[cfg(test)]
    pub(super) fn publishers(&self) -> usize {
        self.publishers.len()
    }
}

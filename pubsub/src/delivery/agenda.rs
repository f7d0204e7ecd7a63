//! What is to be done when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// One moment for each of some things.
#[derive(Debug)]
pub(super) struct Agenda<K> {
    moments: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { moments: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Agenda<K> {
    /// Sets the moment of a thing, in place of the one it had.
    pub(super) fn set(&mut self, key: K, moment: Instant) {
        self.cancel(&key);
        self.order.insert((moment, key.clone()));
        self.moments.insert(key, moment);
    }

    /// Takes a thing off, if it is there.
    pub(super) fn cancel(&mut self, key: &K) {
        if let Some((key, moment)) = self.moments.remove_entry(key) {
            self.order.remove(&(moment, key));
        }
    }

    /// Whether a thing has a moment.
    pub(super) fn has(&self, key: &K) -> bool {
        self.moments.contains_key(key)
    }

    /// The earliest moment.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(moment, _)| *moment)
    }

    /// Takes off the earliest of the things whose moment has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
        self.order.first().filter(|(moment, _)| *moment <= now)?;
        let (_, key) = self.order.pop_first()?;
        self.moments.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn things_come_due_in_the_order_of_their_moments() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut agenda = Agenda::default();
        agenda.set("b", start + 2 * second);
        agenda.set("a", start + 3 * second);
        agenda.set("c", start + second);
        agenda.set("a", start);
        agenda.cancel(&"b");
        assert_eq!(agenda.next(), Some(start));
        assert_eq!((agenda.take_due(start), agenda.take_due(start)), (Some("a"), None));
        assert_eq!((agenda.take_due(start + second), agenda.next()), (Some("c"), None));
    }
}

//! State that is cut by bare JID, so that no lock is shared by all entities.

use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many parts: many more than cores, so that two that are busy seldom meet.
const PARTS: usize = 64;

/// Parts of a table; everything about one bare JID lies in one part.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    parts: Vec<RwLock<T>>,
    /// Keyed at random: nobody outside can choose names that meet.
    hasher: RandomState,
}

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        let parts = std::iter::repeat_with(RwLock::default).take(PARTS).collect();
        Self { parts, hasher: RandomState::new() }
    }
}

impl<T> Shards<T> {
    /// The part of this bare JID, to read.
    pub(crate) fn read(&self, bare: &str) -> RwLockReadGuard<'_, T> {
        read(self.part(bare))
    }

    /// The part of this bare JID, to change.
    pub(crate) fn write(&self, bare: &str) -> RwLockWriteGuard<'_, T> {
        write(self.part(bare))
    }

    /// All parts, one after the other.
    pub(crate) fn all(&self) -> impl Iterator<Item = RwLockReadGuard<'_, T>> {
        self.parts.iter().map(read)
    }

    /// All parts, one after the other, to change.
    pub(crate) fn all_mut(&self) -> impl Iterator<Item = RwLockWriteGuard<'_, T>> {
        self.parts.iter().map(write)
    }

    fn part(&self, bare: &str) -> &RwLock<T> {
        &self.parts[self.hasher.hash_one(bare) as usize % self.parts.len()]
    }
}

fn read<T>(part: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    part.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(part: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    // No code panics while it holds the lock; should one ever, the table is still whole.
    part.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_found_in_the_same_part() {
        let shards = Shards::<Vec<String>>::default();
        let names: Vec<_> = (0..1000).map(|n| format!("v{n}@b.example")).collect();
        names.iter().for_each(|name| shards.write(name).push(name.clone()));
        assert!(names.iter().all(|name| shards.read(name).contains(name)));
        assert_eq!(shards.all().map(|part| part.len()).sum::<usize>(), names.len());
    }

    #[test]
    fn one_part_does_not_wait_for_another() {
        let shards = Shards::<u32>::default();
        let held = shards.write("a@b.example");
        let free = (0..).map(|n| format!("v{n}@b.example")).find(|name| shards.part(name).try_write().is_ok());
        assert!(free.is_some());
        drop(held);
    }
}

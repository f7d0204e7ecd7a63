//! The subscriptions of one address by which it has a notification.

use crate::broker::SubId;

/// One SubID or several; mostly it is one, which needs no memory of its own, and of which the address is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubIds {
    first: SubId,
    others: Vec<SubId>,
    are_told: bool,
}

impl SubIds {
    /// This one, and whether the address is told: it is if it has several.
    pub(super) fn one(subid: SubId, are_told: bool) -> Self {
        Self { first: subid, others: Vec::new(), are_told }
    }

    /// These; `None` if there are none.
    pub(super) fn new(subids: impl IntoIterator<Item = SubId>, are_told: bool) -> Option<Self> {
        let mut subids = subids.into_iter();
        Some(Self { first: subids.next()?, others: subids.collect(), are_told })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = SubId> {
        [self.first].into_iter().chain(self.others.iter().copied())
    }

    pub(super) fn are_told(&self) -> bool {
        self.are_told
    }

    /// Leaves one out, if it is here; `false` if no other is.
    pub(super) fn remove(&mut self, subid: SubId) -> bool {
        if self.first != subid {
            self.others.retain(|other| *other != subid);
            return true;
        }
        if self.others.is_empty() {
            return false;
        }
        self.first = self.others.remove(0);
        true
    }
}

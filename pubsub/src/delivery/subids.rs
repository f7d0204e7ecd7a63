//! The subscriptions of one address by which it has a notification.

use crate::broker::SubId;

/// One SubID or several; mostly it is one, which needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SubIds {
    first: SubId,
    others: Vec<SubId>,
}

impl SubIds {
    pub(super) fn one(subid: SubId) -> Self {
        Self { first: subid, others: Vec::new() }
    }

    /// These; `None` if there are none.
    pub(super) fn new(subids: impl IntoIterator<Item = SubId>) -> Option<Self> {
        let mut subids = subids.into_iter();
        Some(Self { first: subids.next()?, others: subids.collect() })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = SubId> {
        [self.first].into_iter().chain(self.others.iter().copied())
    }

    pub(super) fn are_several(&self) -> bool {
        !self.others.is_empty()
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

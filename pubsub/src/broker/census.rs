//! How much there is.

use std::iter::Sum;

use super::Broker;

/// What one service holds, or several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    pub(crate) nodes: usize,
    pub(crate) subscriptions: usize,
    pub(crate) items: usize,
    pub(crate) item_bytes: usize,
}

impl Broker {
    /// Counts what there is; looks at each node once.
    pub(crate) fn census(&self) -> Census {
        let usage = self.state.usage();
        Census {
            nodes: self.state.nodes().len(),
            subscriptions: self.state.nodes().map(|node| node.subscriptions().len()).sum(),
            items: usage.items,
            item_bytes: usage.bytes,
        }
    }
}

impl Sum for Census {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            nodes: sum.nodes + one.nodes,
            subscriptions: sum.subscriptions + one.subscriptions,
            items: sum.items + one.items,
            item_bytes: sum.item_bytes + one.item_bytes,
        })
    }
}

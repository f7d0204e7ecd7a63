//! What the follower of a node is told.

use thiserror::Error;

use super::ItemError;
use crate::component::RequestError;

/// What a subscription tells of its node.
///
/// First comes a [`NodeEvent::Snapshot`]; each later event changes it, so that whoever applies them in order has what
/// the node has.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum NodeEvent<T> {
    /// All items of the node, oldest first. It replaces everything that was told before.
    Snapshot(Vec<T>),
    /// An item is new, or replaces the one with its id.
    Published(T),
    /// The item of this id is gone.
    Retracted(String),
    /// All items are gone.
    Purged,
    /// The node is gone. Should it be made again, a snapshot follows.
    Deleted {
        /// The URI of the node that replaces it, if there is one.
        redirect: Option<String>,
    },
    /// Changes were missed: they were lost on the way, or came faster than they were read. What follows makes up for
    /// it: the items that were missed, or a snapshot.
    Gap {
        /// How many changes; `None` where the service does not number them, or the node was made anew.
        missed: Option<u64>,
    },
    /// An item is not what the node is for; whatever had its id before is replaced by it.
    Unreadable {
        /// Its id.
        id: String,
        /// What is wrong with it.
        error: ItemError,
    },
    /// Nothing can be heard of the node for now. The subscription tries on by itself; a snapshot or
    /// [`NodeEvent::Resumed`] follows, or a gap.
    Interrupted(Interruption),
    /// The interruption is over, and nothing was missed.
    Resumed,
}

/// Why nothing is heard of a node.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Interruption {
    /// The way to the domain of the service is lost.
    #[error("the way to the service is lost")]
    RouteLost,
    /// The service refuses, or does not answer. A node that is not there yet is refused with item-not-found.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The service's answer is none.
    #[error("the service does not answer as a publish-subscribe service does")]
    Answer,
}

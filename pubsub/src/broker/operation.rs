//! What the broker is asked, what it answers and what it tells.

use std::sync::Arc;

use bytes::Bytes;
use convoke_xmpp::Jid;

use super::{Affiliation, NodeId, NodeInfo};
use crate::state::{Item, Position, Subscriptions};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    /// The address that asks, with its resource.
    pub(crate) jid: Jid,
    /// Whether this process serves its domain.
    pub(crate) is_local: bool,
}

/// What the broker can do.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Section 8.1; without a name for an instant node.
    Create { node: Option<NodeId> },
    /// Section 8.4.
    Delete { node: NodeId, redirect: Option<String> },
    /// Section 7.1.
    Publish { node: NodeId, item: NewEntry },
    /// Section 7.2; `notify` where the request says whether subscribers are told.
    Retract { node: NodeId, id: String, notify: Option<bool> },
    /// Section 6.1.
    Subscribe { node: NodeId, jid: Jid },
    /// Section 6.2.
    Unsubscribe { node: NodeId, jid: Jid },
    /// Section 6.5.
    Items { node: NodeId, selection: Selection },
    /// Section 8.9.1.
    Affiliations { node: NodeId },
    /// Section 8.9.2; all of the changes or none.
    ChangeAffiliations { node: NodeId, changes: Vec<(Jid, Affiliation)> },
    /// Section 5.2.
    ListNodes,
    /// Section 5.5.
    ListItems { node: NodeId },
    /// Sections 5.3 and 5.4.
    Describe { node: NodeId },
}

/// An item to publish.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    /// Its id; one is made if there is none.
    pub(crate) id: Option<String>,
    /// What is published, as XML that means the same wherever it stands; the broker does not look into it.
    pub(crate) payload: Bytes,
}

/// Which items of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All, in the order of their publication.
    All,
    /// So many of those published last, in the order of their publication.
    Newest(usize),
    /// Those of them that exist, in the order of the ids.
    Ids(Vec<String>),
}

/// What the requester is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Created {
        node: NodeId,
    },
    /// With the id if the broker made it.
    Published {
        node: NodeId,
        generated: Option<String>,
    },
    Subscribed {
        node: NodeId,
        jid: Jid,
    },
    Unsubscribed {
        node: NodeId,
        jid: Jid,
    },
    Items {
        node: NodeId,
        items: Vec<Arc<Item>>,
    },
    Affiliations {
        node: NodeId,
        affiliations: Vec<(Jid, Affiliation)>,
    },
    Nodes {
        nodes: Vec<NodeId>,
    },
    ItemIds {
        node: NodeId,
        items: Vec<Arc<Item>>,
    },
    Described {
        node: NodeId,
        info: NodeInfo,
    },
}

/// What happened at a node.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Published {
        item: Arc<Item>,
    },
    Retracted {
        id: String,
    },
    /// The node is gone; perhaps it lives on elsewhere.
    Deleted {
        redirect: Option<String>,
    },
}

/// Who is told what.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) node: NodeId,
    pub(crate) change: Change,
    /// Where the history of the node stands with this change.
    pub(crate) position: Position,
    pub(crate) recipients: Arc<Subscriptions>,
}

/// All that an operation brings about outside the broker, in order: first the answer, then the notifications.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) notifications: Vec<Notification>,
}

impl Outcome {
    pub(super) fn done(notifications: impl IntoIterator<Item = Notification>) -> Self {
        Self { answer: Answer::Done, notifications: notifications.into_iter().collect() }
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self { answer, notifications: Vec::new() }
    }
}

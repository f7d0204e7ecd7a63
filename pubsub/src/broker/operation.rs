//! What the broker is asked.

use bytes::Bytes;
use convoke_xmpp::Jid;

use super::{Affiliation, NodeId, PageRequest, Submission, SubscriptionName, SubscriptionState};
use crate::form::Fields;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Requester {
    /// The address that asks, with its resource.
    pub(crate) jid: Jid,
    /// Whether this process serves its domain.
    pub(crate) is_local: bool,
}

/// What the broker can do, by the sections of XEP-0060.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Section 5.2.
    ListNodes { page: Option<PageRequest> },
    /// Sections 5.3 and 5.4.
    Describe { node: NodeId },
    /// Section 5.5.
    ListItems { node: NodeId, page: Option<PageRequest> },
    /// Section 5.6; those at one node, or at all.
    OwnSubscriptions { node: Option<NodeId> },
    /// Section 5.7; that with one node, or with all.
    OwnAffiliations { node: Option<NodeId> },
    /// Section 6.1, with the options that go along (6.3.7).
    Subscribe { node: NodeId, jid: Jid, options: Option<Submission> },
    /// Section 6.2.
    Unsubscribe { node: NodeId, subscription: SubscriptionName },
    /// Section 6.3.2.
    Options { node: NodeId, subscription: SubscriptionName },
    /// Section 6.3.5.
    SetOptions { node: NodeId, subscription: SubscriptionName, options: Submission },
    /// Section 6.4; of one node or of the service.
    DefaultOptions { node: Option<NodeId> },
    /// Section 6.5; `subid` where the request says on behalf of which subscription.
    Items { node: NodeId, subid: Option<String>, selection: Selection, page: Option<PageRequest> },
    /// Section 7.1, with what the publisher takes for granted (7.1.5).
    Publish { node: NodeId, item: Option<NewEntry>, options: Fields },
    /// Section 7.2; `notify` where the request says whether subscribers are told.
    Retract { node: NodeId, id: String, notify: Option<bool> },
    /// Section 8.1; without a name for an instant node.
    Create { node: Option<NodeId>, config: Option<Submission> },
    /// Section 8.2.1.
    Configuration { node: NodeId },
    /// Section 8.2.4.
    Configure { node: NodeId, config: Submission },
    /// Section 8.3.
    DefaultConfiguration,
    /// Section 8.4.
    Delete { node: NodeId, redirect: Option<String> },
    /// Section 8.5.
    Purge { node: NodeId },
    /// Section 8.6: an owner's answer to a request for approval.
    Authorize { node: NodeId, subscription: SubscriptionName, is_allowed: bool },
    /// Section 8.7.1.
    PendingNodes,
    /// Section 8.7.4.
    SendPending { node: NodeId },
    /// Section 8.8.1.
    Subscriptions { node: NodeId, page: Option<PageRequest> },
    /// Section 8.8.2; a subscription without a state ends.
    ChangeSubscriptions { node: NodeId, changes: Vec<(SubscriptionName, Option<SubscriptionState>)> },
    /// Section 8.9.1.
    Affiliations { node: NodeId, page: Option<PageRequest> },
    /// Section 8.9.2.
    ChangeAffiliations { node: NodeId, changes: Vec<(Jid, Affiliation)> },
}

impl Operation {
    /// The one node that it is about.
    pub(super) fn node(&self) -> Option<&NodeId> {
        match self {
            Self::ListNodes { .. } | Self::DefaultConfiguration | Self::PendingNodes => None,
            Self::OwnSubscriptions { node }
            | Self::OwnAffiliations { node }
            | Self::DefaultOptions { node }
            | Self::Create { node, .. } => node.as_ref(),
            Self::Describe { node }
            | Self::ListItems { node, .. }
            | Self::Subscribe { node, .. }
            | Self::Unsubscribe { node, .. }
            | Self::Options { node, .. }
            | Self::SetOptions { node, .. }
            | Self::Items { node, .. }
            | Self::Publish { node, .. }
            | Self::Retract { node, .. }
            | Self::Configuration { node }
            | Self::Configure { node, .. }
            | Self::Delete { node, .. }
            | Self::Purge { node }
            | Self::Authorize { node, .. }
            | Self::SendPending { node }
            | Self::Subscriptions { node, .. }
            | Self::ChangeSubscriptions { node, .. }
            | Self::Affiliations { node, .. }
            | Self::ChangeAffiliations { node, .. } => Some(node),
        }
    }
}

/// An item to publish.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    /// Its id; one is made if there is none.
    pub(crate) id: Option<String>,
    /// What is published, if anything is.
    pub(crate) payload: Option<Payload>,
}

/// The payload of an item; the broker does not look into it.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// As XML that means the same wherever it stands.
    pub(crate) xml: Bytes,
    /// The namespace of its root.
    pub(crate) namespace: String,
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

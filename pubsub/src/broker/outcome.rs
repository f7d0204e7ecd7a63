//! What the broker answers, and what it tells.

use std::sync::Arc;

use convoke_xmpp::Jid;

use super::{Affiliation, NodeId, NodeInfo, Page, SubscriptionInfo};
use crate::config::{ItemReply, NodeConfig, NotificationType, SubscriptionOptions};
use crate::state::{Item, Node, Position, Subscriptions};

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
    /// With the options if the request chose some.
    Subscribed {
        subscription: SubscriptionInfo,
        options: Option<SubscriptionOptions>,
    },
    Unsubscribed {
        subscription: SubscriptionInfo,
    },
    Options {
        subscription: SubscriptionInfo,
        options: SubscriptionOptions,
    },
    DefaultOptions {
        node: Option<NodeId>,
        options: SubscriptionOptions,
    },
    /// With the position as of which the items are what they are.
    Items {
        node: NodeId,
        position: Position,
        names_publishers: bool,
        page: Page<Arc<Item>>,
    },
    OwnSubscriptions {
        node: Option<NodeId>,
        page: Page<SubscriptionInfo>,
    },
    OwnAffiliations {
        node: Option<NodeId>,
        page: Page<AffiliationInfo>,
    },
    Configuration {
        node: NodeId,
        config: Box<NodeConfig>,
    },
    DefaultConfiguration {
        config: Box<NodeConfig>,
    },
    /// The nodes at which subscriptions wait for approval.
    PendingNodes {
        nodes: Vec<NodeId>,
    },
    /// Requests for approval are on their way.
    PendingSent,
    Subscriptions {
        node: NodeId,
        page: Page<SubscriptionInfo>,
    },
    /// These could not be changed and are as they were; all others have been.
    SubscriptionsRefused {
        node: NodeId,
        entries: Vec<SubscriptionInfo>,
    },
    Affiliations {
        node: NodeId,
        page: Page<AffiliationInfo>,
    },
    /// These could not be changed and are as they were; all others have been.
    AffiliationsRefused {
        node: NodeId,
        entries: Vec<AffiliationInfo>,
    },
    /// Names and titles.
    Nodes {
        page: Page<(NodeId, String)>,
    },
    ItemIds {
        node: NodeId,
        page: Page<Arc<Item>>,
    },
    /// With what those know of it who may subscribe.
    Described {
        node: NodeId,
        info: Option<Box<NodeInfo>>,
    },
}

/// An affiliation as the service tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AffiliationInfo {
    pub(crate) node: NodeId,
    pub(crate) jid: Jid,
    pub(crate) affiliation: Affiliation,
}

impl AffiliationInfo {
    pub(super) fn new(node: &Node, jid: &Jid, affiliation: Affiliation) -> Self {
        Self { node: node.id().clone(), jid: jid.clone(), affiliation }
    }
}

/// What happened at a node.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Published {
        item: Arc<Item>,
    },
    /// Something was published that is no item (section 4.3).
    Announced,
    /// An item that was published earlier, for somebody who has not had it.
    Recalled {
        item: Arc<Item>,
    },
    Retracted {
        id: String,
    },
    Purged,
    /// With the configuration, where the node tells more than that it has changed.
    Configured {
        config: Option<Box<NodeConfig>>,
    },
    /// The node is gone; perhaps it lives on elsewhere.
    Deleted {
        redirect: Option<String>,
    },
    /// A subscription has begun, or ended if it has no state.
    Subscription {
        subscription: SubscriptionInfo,
    },
    Affiliation {
        jid: Jid,
        affiliation: Affiliation,
    },
    /// Somebody waits for an owner's approval.
    Authorization {
        subscription: SubscriptionInfo,
    },
}

/// Who is told what.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) node: NodeId,
    pub(crate) change: Change,
    /// Where the history of the node stands with this change; `None` for a word that is no part of it.
    pub(crate) position: Option<Position>,
    pub(crate) style: Style,
    pub(crate) recipients: Arc<Subscriptions>,
}

/// How a node words its notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether items have their payloads.
    pub(crate) has_payloads: bool,
    /// Whether items name their publishers.
    pub(crate) names_publishers: bool,
    /// Whether the newest item alone matters: a node that still has more of them is no state yet.
    pub(crate) is_singleton: bool,
    /// The type of the message.
    pub(crate) notification_type: NotificationType,
}

impl Style {
    pub(super) fn of(node: &Node) -> Self {
        let config = node.config();
        Self {
            has_payloads: config.deliver_payloads,
            names_publishers: config.item_reply == ItemReply::Publisher,
            is_singleton: config.is_singleton() && node.items().len() <= 1,
            notification_type: config.notification_type,
        }
    }
}

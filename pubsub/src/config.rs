//! What the service allows and how it behaves.

use std::collections::BTreeSet;

use convoke_xmpp::{Domainpart, MessageType};

/// Limits and defaults of a publish-subscribe service.
///
/// Every limit is a number of things or of bytes, is checked before anything is stored, and is answered with the
/// condition that XEP-0060 names for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubConfig {
    /// Who may create nodes (XEP-0060, section 8.1.1). Default: [`Creators::OwnDomain`].
    pub creators: Creators,
    /// Nodes of the service. Default 1,000: a few for each domain and each batch of work, and still one disco#items
    /// answer. Beyond it, creation is refused with resource-constraint and `max-nodes-exceeded`.
    pub max_nodes: usize,
    /// Items that a node keeps. Default 1,000: one for each volunteer of a large domain. Beyond it the oldest item is
    /// retracted (`retract-oldest`, the default of XEP-0060, section 7.1.2.5).
    pub max_items_per_node: usize,
    /// Bytes of one payload as XML. Default 64 KiB: an event then fits, with room to spare, into a stanza of any peer
    /// that takes 256 KiB. Beyond it, publication is refused with `payload-too-big` (section 7.1.3.5).
    pub max_payload_bytes: usize,
    /// Bytes of all stored items together, as XML. Default 64 MiB: what a small daemon can spare, as trees cost a few
    /// times as much. Beyond it, publication is refused with resource-constraint.
    pub max_stored_bytes: usize,
    /// Subscriptions of one node. Default 10,000: a fan-out of a few milliseconds. Beyond it, subscribing is refused
    /// with `too-many-subscriptions` (section 6.1.3.9).
    pub max_subscriptions_per_node: usize,
    /// Entities that have an affiliation with one node. Default 1,000. Beyond it, a change is refused with
    /// policy-violation.
    pub max_affiliations_per_node: usize,
    /// Bytes of one answer that lists items or nodes. Default 192 KiB: less than the 256 KiB that peers take in one
    /// stanza. A longer list is cut and says so (section 6.5.4).
    pub max_answer_bytes: usize,
    /// Answers and notifications that wait for the router. Default 1,024. They wait only while another thread hands
    /// earlier ones on; beyond it, requests are refused with resource-constraint.
    pub max_waiting: usize,
    /// Whether items name their publisher's bare address (section 7.1.2.3). Default `false`: it tells every subscriber
    /// who publishes.
    pub include_publisher: bool,
    /// The type of notifications. Default [`NotificationType::Headline`].
    pub notification_type: NotificationType,
    /// Whether subscribers hear of retracted items where the request does not say (`pubsub#notify_retract`).
    /// Default `true`: a subscriber that mirrors a node would otherwise keep what is gone.
    pub notify_retract: bool,
    /// When the last published item is sent (`pubsub#send_last_published_item`). Default [`SendLast::OnSubscribe`].
    pub send_last: SendLast,
}

impl Default for PubSubConfig {
    fn default() -> Self {
        Self {
            creators: Creators::default(),
            max_nodes: 1_000,
            max_items_per_node: 1_000,
            max_payload_bytes: 64 * 1024,
            max_stored_bytes: 64 * 1024 * 1024,
            max_subscriptions_per_node: 10_000,
            max_affiliations_per_node: 1_000,
            max_answer_bytes: 192 * 1024,
            max_waiting: 1_024,
            include_publisher: false,
            notification_type: NotificationType::default(),
            notify_retract: true,
            send_last: SendLast::default(),
        }
    }
}

/// Who may create nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Creators {
    /// Entities of the service's own domain, served by this process. A stranger then cannot fill the service.
    #[default]
    OwnDomain,
    /// Entities of these domains, wherever they are served.
    Domains(BTreeSet<Domainpart>),
    /// Every entity.
    Anyone,
}

/// The type of the messages that carry notifications (`pubsub#notification_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NotificationType {
    /// `headline`: no server keeps the message for later (XEP-0060, section 13.7). A notification that is late is
    /// stale; who was away asks for the items.
    #[default]
    Headline,
    /// `normal`: servers may keep the message for entities that are away.
    Normal,
}

impl NotificationType {
    pub(crate) fn message_type(self) -> MessageType {
        match self {
            Self::Headline => MessageType::Headline,
            Self::Normal => MessageType::Normal,
        }
    }
}

/// When a subscriber is sent the last published item unasked (XEP-0060, section 6.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendLast {
    /// When it subscribes (`on_sub`), so that it need not wait for the next publication to know anything.
    #[default]
    OnSubscribe,
    /// Never.
    Never,
}

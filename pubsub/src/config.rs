//! What the service allows and how it behaves.

mod field;
mod node;
mod options;
mod word;

use std::collections::BTreeSet;

use convoke_xmpp::Domainpart;

pub use node::NodeConfig;
pub use word::{AccessModel, ItemReply, NodeFull, NotificationType, PublishModel, SendLast};

pub(crate) use field::{Configured, Expiry, Field, FieldError, Kind};
pub(crate) use options::SubscriptionOptions;
pub(crate) use word::{Show, Word};

use crate::delivery::DeliveryConfig;

/// Limits and defaults of a publish-subscribe service.
///
/// Every limit is a number of things or of bytes, is checked before anything is stored, and is answered with the
/// condition that XEP-0060 names for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubConfig {
    /// Who may create nodes (XEP-0060, section 8.1.1). Default: [`Creators::OwnDomain`].
    pub creators: Creators,
    /// Whether the service names a node whose creator does not (an instant node, section 8.1.2). Default `true`. Else such a
    /// request is refused with not-acceptable and `nodeid-required`.
    pub instant_nodes: bool,
    /// Nodes of the service. Default 1,000: a few for each domain and each batch of work, and still one disco#items
    /// answer. Beyond it, creation is refused with resource-constraint and `max-nodes-exceeded`.
    pub max_nodes: usize,
    /// Nodes that were deleted with a redirection and of which the service knows where they have gone, until there is one
    /// of that name again (section 8.4.1). Default 1,000. Beyond it, the one that went first is forgotten.
    pub max_moved_nodes: usize,
    /// Items that a node keeps. Default 1,000: one for each volunteer of a large domain. Beyond it the oldest item is
    /// retracted (`retract-oldest`, the default of XEP-0060, section 7.1.2.5).
    pub max_items_per_node: usize,
    /// Bytes of one payload as XML. Default 64 KiB: an event then fits, with room to spare, into a stanza of any peer
    /// that takes 256 KiB. Beyond it, publication is refused with `payload-too-big` (section 7.1.3.5).
    pub max_payload_bytes: usize,
    /// Bytes of one node's items, as XML. Default 16 MiB: a quarter of what the service stores. Beyond it, publication is
    /// refused with resource-constraint.
    pub max_bytes_per_node: usize,
    /// Items of one publisher, by its bare address, in all nodes. Default 20,000: a component that reports for every
    /// volunteer of a large domain to many nodes. Beyond it, publication is refused with resource-constraint.
    pub max_items_per_publisher: usize,
    /// Bytes of one publisher's items in all nodes. Default 32 MiB: no publisher alone fills the service. Beyond it,
    /// publication is refused with resource-constraint.
    pub max_bytes_per_publisher: usize,
    /// Items of the service. Default 100,000: each costs some hundred bytes besides its own. Beyond it, publication is
    /// refused with resource-constraint.
    pub max_stored_items: usize,
    /// Bytes of all stored items together, as XML. Default 64 MiB: what a small daemon can spare. Beyond it, publication
    /// is refused with resource-constraint.
    pub max_stored_bytes: usize,
    /// Subscriptions of one node. Default 10,000: a fan-out of a few milliseconds. Beyond it, subscribing is refused
    /// with `too-many-subscriptions` (section 6.1.3.9).
    pub max_subscriptions_per_node: usize,
    /// Entities that have an affiliation with one node. Default 1,000. Beyond it, a change is refused with
    /// not-acceptable, and with what it would have changed (section 8.9.2.4).
    pub max_affiliations_per_node: usize,
    /// Bytes of one answer that lists items or nodes. Default 192 KiB: less than the 256 KiB that peers take in one
    /// stanza. A longer list is cut and says so (section 6.5.4).
    pub max_answer_bytes: usize,
    /// Requests that wait for the store, and answers and notifications that wait for the router. Default 1,024: some
    /// tens of milliseconds. Beyond it, requests are refused with resource-constraint.
    pub max_waiting: usize,
    /// Bytes of requests that wait for the store. Default 8 MiB.
    pub max_waiting_bytes: usize,
    /// Addresses of which the service knows that they are available. Default 10,000. Beyond it, the service does not know
    /// who is not, and delivers to everybody else as if presence did not matter.
    pub max_available: usize,
    /// Whether each request to subscribe makes another subscription, with a SubID and options of its own, to the node that
    /// the address has subscribed to before (XEP-0060, section 6.1.6, `multi-subscribe`). Default `false`: a bot that
    /// subscribes at each start would pile up subscriptions; it is told the one that it has.
    ///
    /// An address then has 16 subscriptions to a node at most, all of which count as subscriptions of the node. The
    /// notifications of who has several name them, and so are written for it alone. Services of accounts do not do this,
    /// whatever is said here.
    pub multi_subscribe: bool,
    /// Whether publishing to a node that does not exist creates it, for those who may create nodes (section 7.1.4).
    /// Default `false`: a mistyped name makes no node.
    pub auto_create: bool,
    /// The configuration that a node has where its creator does not say otherwise (section 8.3).
    pub node: NodeConfig,
    /// How much may wait for slow subscribers, and for how long.
    pub delivery: DeliveryConfig,
}

impl Default for PubSubConfig {
    fn default() -> Self {
        Self {
            creators: Creators::default(),
            instant_nodes: true,
            max_nodes: 1_000,
            max_moved_nodes: 1_000,
            max_items_per_node: 1_000,
            max_payload_bytes: 64 * 1024,
            max_bytes_per_node: 16 * 1024 * 1024,
            max_items_per_publisher: 20_000,
            max_bytes_per_publisher: 32 * 1024 * 1024,
            max_stored_items: 100_000,
            max_stored_bytes: 64 * 1024 * 1024,
            max_subscriptions_per_node: 10_000,
            max_affiliations_per_node: 1_000,
            max_answer_bytes: 192 * 1024,
            max_waiting: 1_024,
            max_waiting_bytes: 8 * 1024 * 1024,
            max_available: 10_000,
            multi_subscribe: false,
            auto_create: false,
            node: NodeConfig::default(),
            delivery: DeliveryConfig::default(),
        }
    }
}

impl PubSubConfig {
    /// The configuration of a service at the bare address of an account (XEP-0163): the account alone makes nodes, by
    /// publishing to them; those who see its presence hear of them, and what it published last when they come.
    ///
    /// The limits are those of one account: 100 nodes, 1,000 items and 4 MiB.
    pub fn personal() -> Self {
        let node = NodeConfig {
            access_model: AccessModel::Presence,
            send_last_published_item: SendLast::OnSubscribeAndPresence,
            max_items: Some(1),
            // Each item takes the place of the one before: nobody need be told.
            notify_retract: false,
            ..NodeConfig::default()
        };
        Self {
            creators: Creators::Account,
            auto_create: true,
            max_nodes: 100,
            max_moved_nodes: 100,
            max_stored_items: 1_000,
            max_stored_bytes: 4 * 1024 * 1024,
            max_subscriptions_per_node: 1_000,
            max_available: 1_000,
            node,
            ..Self::default()
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
    /// The account whose nodes they are, alone: a service at the bare address of an account (XEP-0163).
    Account,
    /// Entities of these domains, wherever they are served. Of none: then the service has the nodes that its store has,
    /// and says that it does not support the creation of nodes (section 8.1.1).
    Domains(BTreeSet<Domainpart>),
    /// Every entity.
    Anyone,
}

impl Creators {
    /// Whether there can be an entity that creates a node.
    pub(crate) fn may_exist(&self) -> bool {
        !matches!(self, Self::Domains(domains) if domains.is_empty())
    }
}

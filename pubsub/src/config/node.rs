//! The configuration of one node.

use std::collections::BTreeSet;

use convoke_xmpp::Jid;

use super::field::{Configured, Field, FieldError, Value, fields};
use super::word::{AccessModel, ItemReply, NodeFull, NotificationType, PublishModel, SendLast};

/// How one node behaves (XEP-0060, sections 8.2 and 17.4.4).
///
/// A creator or owner changes it by the form `pubsub#node_config`, within the limits of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// A name for people (`pubsub#title`).
    pub title: String,
    /// A description for people (`pubsub#description`).
    pub description: String,
    /// The namespace of the payloads (`pubsub#type`). If there is one, every payload must be of it (section 7.1.3.6).
    pub payload_type: String,
    /// The language of the content (`pubsub#language`).
    pub language: String,
    /// Where to find an XSL transformation of the payloads into a data form, which clients apply (`pubsub#dataform_xslt`); the
    /// service only passes it on.
    pub dataform_xslt: String,
    /// Whom to ask (`pubsub#contact`).
    pub contact: BTreeSet<Jid>,
    /// Who may subscribe and retrieve (`pubsub#access_model`). Default [`AccessModel::Open`], as section 4.5 advises.
    pub access_model: AccessModel,
    /// The groups of the access model roster (`pubsub#roster_groups_allowed`).
    pub roster_groups_allowed: BTreeSet<String>,
    /// Who may publish (`pubsub#publish_model`). Default [`PublishModel::Publishers`].
    pub publish_model: PublishModel,
    /// Whether items are kept (`pubsub#persist_items`). Default `true`: who comes later asks for them. A node that keeps none
    /// has the last one in memory until the process ends, for those who come later, unless it delivers no payloads or
    /// never sends the last item.
    pub persist_items: bool,
    /// Items that are kept (`pubsub#max_items`); none for as many as the service allows, the default.
    pub max_items: Option<usize>,
    /// Seconds that an item is kept (`pubsub#item_expire`); none for ever, the default.
    pub item_expire: Option<usize>,
    /// What a publication does when there are so many (`pubsub#publish_node_full`). Default
    /// [`NodeFull::RetractOldest`], as section 7.1.2.5 asks.
    pub publish_node_full: NodeFull,
    /// Bytes of one payload as XML (`pubsub#max_payload_size`). Default 64 KiB: an event then fits, with room to spare,
    /// into a stanza of any peer that takes 256 KiB. Never more than the service allows.
    pub max_payload_size: usize,
    /// Whether publications are told to subscribers (`pubsub#deliver_notifications`). Default `true`.
    pub deliver_notifications: bool,
    /// Whether notifications hold the payloads (`pubsub#deliver_payloads`). Default `true`.
    pub deliver_payloads: bool,
    /// Whether anybody may subscribe (`pubsub#subscribe`). Default `true`.
    pub subscribe: bool,
    /// Whether subscribers hear of a changed configuration (`pubsub#notify_config`). Default `false`: it concerns few.
    pub notify_config: bool,
    /// Whether subscribers hear that the node is deleted (`pubsub#notify_delete`). Default `true`: section 8.4.2 asks
    /// for it.
    pub notify_delete: bool,
    /// Whether subscribers hear of retracted items where the request does not say (`pubsub#notify_retract`). Default
    /// `true`: a subscriber that mirrors a node would otherwise keep what is gone.
    pub notify_retract: bool,
    /// Whether owners hear who comes and goes (`pubsub#notify_sub`). Default `false`.
    pub notify_sub: bool,
    /// When the last published item is sent (`pubsub#send_last_published_item`). Default
    /// [`SendLast::OnSubscribeAndPresence`]. With [`SendLast::Never`], a node that keeps no items has not even the last.
    pub send_last_published_item: SendLast,
    /// Whether only available subscribers are notified (`pubsub#presence_based_delivery`). Default `false`.
    pub presence_based_delivery: bool,
    /// The type of notifications (`pubsub#notification_type`). Default [`NotificationType::Headline`].
    pub notification_type: NotificationType,
    /// Whether items name their publisher (`pubsub#itemreply`). Default [`ItemReply::None`]: to name it tells every
    /// subscriber who publishes.
    pub item_reply: ItemReply,
    /// Whether a publisher's items go when it becomes unavailable (`pubsub#purge_offline`). Default `false`.
    pub purge_offline: bool,
    /// Whether every subscription ends when its subscriber becomes unavailable (`pubsub#tempsub`). Default `false`.
    pub temporary_subscriptions: bool,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
            language: String::new(),
            dataform_xslt: String::new(),
            contact: BTreeSet::new(),
            access_model: AccessModel::default(),
            roster_groups_allowed: BTreeSet::new(),
            publish_model: PublishModel::default(),
            persist_items: true,
            max_items: None,
            item_expire: None,
            publish_node_full: NodeFull::default(),
            max_payload_size: 64 * 1024,
            deliver_notifications: true,
            deliver_payloads: true,
            subscribe: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            notify_sub: false,
            send_last_published_item: SendLast::default(),
            presence_based_delivery: false,
            notification_type: NotificationType::default(),
            item_reply: ItemReply::default(),
            purge_offline: false,
            temporary_subscriptions: false,
        }
    }
}

impl NodeConfig {
    /// Whether the node is a state, of which the newest item alone matters.
    pub fn is_singleton(&self) -> bool {
        self.persist_items && self.max_items == Some(1)
    }

    /// Whether the node is transient and has the last item all the same, in memory (XEP-0060, section 13.10): not where
    /// there are no items, nor where its owner wants nobody to have it later.
    pub(crate) fn caches_last_item(&self) -> bool {
        !self.persist_items && self.deliver_payloads && self.send_last_published_item != SendLast::Never
    }
}

impl Configured for NodeConfig {
    const FORM_TYPE: &'static str = "http://jabber.org/protocol/pubsub#node_config";

    const FIELDS: &'static [Field<Self>] = fields! { NodeConfig:
        "pubsub#title" title: String, "A friendly name for the node";
        "pubsub#description" description: String, "A description of the node";
        "pubsub#type" payload_type: String, "The namespace of the payloads";
        "pubsub#language" language: String, "The default language of the node";
        "pubsub#dataform_xslt" dataform_xslt: String, "The URL of an XSL transformation of payloads into data forms";
        "pubsub#contact" contact: BTreeSet<Jid>, "The addresses of those to contact with questions";
        "pubsub#access_model" access_model: AccessModel, "Who may subscribe and retrieve items";
        "pubsub#roster_groups_allowed" roster_groups_allowed: BTreeSet<String>,
            "The roster groups allowed to subscribe and retrieve items";
        "pubsub#publish_model" publish_model: PublishModel, "Who may publish";
        "pubsub#persist_items" persist_items: bool, "Whether to persist items to storage";
        "pubsub#max_items" max_items: Option<usize>, "The maximum number of items to persist";
        "pubsub#item_expire" item_expire: Option<usize>, "Seconds after which to automatically purge items";
        "pubsub#publish_node_full" publish_node_full: NodeFull, "What to do when publishing on a full node";
        "pubsub#max_payload_size" max_payload_size: usize, "The maximum payload size in bytes";
        "pubsub#deliver_notifications" deliver_notifications: bool, "Whether to deliver event notifications";
        "pubsub#deliver_payloads" deliver_payloads: bool, "Whether to deliver payloads with event notifications";
        "pubsub#subscribe" subscribe: bool, "Whether to allow subscriptions";
        "pubsub#notify_config" notify_config: bool, "Whether to notify subscribers when the configuration changes";
        "pubsub#notify_delete" notify_delete: bool, "Whether to notify subscribers when the node is deleted";
        "pubsub#notify_retract" notify_retract: bool, "Whether to notify subscribers when items are removed";
        "pubsub#notify_sub" notify_sub: bool, "Whether to notify owners about new subscribers and unsubscribes";
        "pubsub#send_last_published_item" send_last_published_item: SendLast, "When to send the last published item";
        "pubsub#presence_based_delivery" presence_based_delivery: bool,
            "Whether to deliver notifications to available users only";
        "pubsub#notification_type" notification_type: NotificationType, "The delivery style for notifications";
        "pubsub#itemreply" item_reply: ItemReply, "Whether items name their publisher";
        "pubsub#purge_offline" purge_offline: bool, "Whether to purge a publisher's items when it goes offline";
        "pubsub#tempsub" temporary_subscriptions: bool, "Whether subscriptions end with the subscriber's presence";
    };
}

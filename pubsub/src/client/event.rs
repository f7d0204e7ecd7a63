//! Events as a subscriber reads them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use convoke_xmpp::namespace::{DELAY, PUBSUB_EVENT};
use convoke_xmpp::{Element, Jid, Kind, MessageType, Stanza};

use super::form::parse_form;
use super::result::{Subscription, subscription};
use crate::protocol::subids;
use crate::timestamp;

/// What a notification tells of a node (XEP-0060, section 4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Items were published or retracted, in this order (sections 7.1.2 and 7.2.2.1).
    Items {
        /// The node.
        node: String,
        /// What happened to its items.
        changes: Vec<Change>,
    },
    /// The node was deleted (section 8.4.2).
    Deleted {
        /// The node.
        node: String,
        /// The URI of the node that replaces it, if there is one.
        redirect: Option<String>,
    },
    /// All items of the node are gone (section 8.5.2).
    Purged {
        /// The node.
        node: String,
    },
    /// The node is configured otherwise (section 8.2.5.3).
    Configured {
        /// The node.
        node: String,
        /// The configuration by the names of its fields; `None` if the node does not tell it.
        fields: Option<BTreeMap<String, Vec<String>>>,
    },
    /// A subscription has begun, was refused, or has ended (section 13.14).
    Subscription {
        /// The node.
        node: String,
        /// The subscription.
        subscription: Subscription,
    },
}

/// What happened to one item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is new, or replaces the one with its id.
    Published(Item),
    /// It is gone; this is its id.
    Retracted(String),
}

/// An item as a subscriber sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// Its id, unique within the node.
    pub id: String,
    /// Who published it, if the service says so.
    pub publisher: Option<Jid>,
    /// What was published; `None` if the node notifies without payloads.
    pub payload: Option<Element>,
}

impl Item {
    pub(super) fn read(item: &Element) -> Option<Self> {
        Some(Self {
            id: item.attribute("id")?.to_owned(),
            publisher: item.attribute("publisher").and_then(|jid| Jid::new(jid).ok()),
            payload: item.children().next().cloned(),
        })
    }
}

/// The event that a message carries; `None` if it carries none that is known, and for a bounced notification.
///
/// Everybody can send such a message: the caller checks that [`Stanza::from`] is the service that it has subscribed
/// to.
pub fn parse_event(stanza: &Stanza) -> Option<Event> {
    let is_message = matches!(stanza.kind(), Kind::Message(kind) if kind != MessageType::Error);
    if !is_message {
        return None;
    }
    let message = stanza.to_element();
    let content = message.find("event", PUBSUB_EVENT)?.children().next()?;
    let node = content.attribute("node")?.to_owned();
    match (content.name(), content.namespace()) {
        ("items", PUBSUB_EVENT) => {
            Some(Event::Items { node, changes: content.children().filter_map(change).collect() })
        }
        ("delete", PUBSUB_EVENT) => Some(Event::Deleted { node, redirect: redirect(content) }),
        ("purge", PUBSUB_EVENT) => Some(Event::Purged { node }),
        ("configuration", PUBSUB_EVENT) => Some(Event::Configured { node, fields: parse_form(content) }),
        ("subscription", PUBSUB_EVENT) => Some(Event::Subscription { node, subscription: subscription(content)? }),
        _ => None,
    }
}

/// When the item was published that a notification tells of late, such as the last one for a new subscriber (section
/// 6.1.7; XEP-0203); `None` for one that tells of what is new.
pub fn parse_delay(message: &Stanza) -> Option<SystemTime> {
    message.to_element().find("delay", DELAY)?.attribute("stamp").and_then(timestamp::parse)
}

/// The SubIDs of the subscriptions by which an address has this notification of items (section 7.1.2.4); empty for an
/// address with one subscription, and for what is told of the node itself.
pub fn parse_subids(message: &Stanza) -> Vec<String> {
    subids(&message.to_element())
}

fn change(child: &Element) -> Option<Change> {
    match (child.name(), child.namespace()) {
        ("item", PUBSUB_EVENT) => Item::read(child).map(Change::Published),
        ("retract", PUBSUB_EVENT) => child.attribute("id").map(|id| Change::Retracted(id.to_owned())),
        _ => None,
    }
}

fn redirect(delete: &Element) -> Option<String> {
    delete.find("redirect", PUBSUB_EVENT)?.attribute("uri").map(str::to_owned)
}

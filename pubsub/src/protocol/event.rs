//! Events: the messages by which the service tells of a change (XEP-0060, sections 4.3, 7 and 8).

use std::time::SystemTime;

use convoke_xmpp::namespace::{DELAY, PUBSUB, PUBSUB_EVENT};
use convoke_xmpp::{Element, Jid, MessageType};

use super::answer::{identified, item_element};
use super::form;
use crate::broker::{Change, Notification};
use crate::timestamp;

/// The type of the message that tells of a change: what owners have to answer must not be lost because they are away.
pub(crate) fn message_type(notification: &Notification) -> MessageType {
    match notification.change {
        Change::Authorization { .. } => MessageType::Normal,
        _ => notification.style.notification_type.message_type(),
    }
}

/// The payload of that message.
pub(crate) fn event(notification: &Notification) -> Element {
    match &notification.change {
        Change::Authorization { subscription } => form::authorization(subscription),
        Change::Affiliation { jid, affiliation } => {
            let named = |name| Element::new(name, PUBSUB);
            let entry = named("affiliation").attr("jid", jid).attr("affiliation", affiliation.as_str());
            named("pubsub").child(named("affiliations").attr("node", &notification.node).child(entry))
        }
        _ => element("event").child(content(notification)),
    }
}

fn content(notification: &Notification) -> Element {
    let named = |name| element(name).attr("node", &notification.node);
    match &notification.change {
        Change::Published { item } | Change::Recalled { item } => {
            let shown = item_element(item, PUBSUB_EVENT, notification.style.names_publishers);
            let has_payload = notification.style.has_payloads;
            named("items").child(if has_payload { shown } else { without_payload(&shown) })
        }
        Change::Retracted { id } => named("items").child(element("retract").attr("id", id)),
        Change::Purged => named("purge"),
        Change::Configured { config } => {
            named("configuration").with_children(config.as_ref().map(|config| form::result(&**config)))
        }
        Change::Deleted { redirect } => {
            let redirect = redirect.as_ref().map(|uri| element("redirect").attr("uri", uri));
            named("delete").with_children(redirect)
        }
        Change::Subscription { subscription } => {
            identified(element("subscription"), subscription).attr("subscription", subscription.state())
        }
        Change::Announced | Change::Affiliation { .. } | Change::Authorization { .. } => named("items"),
    }
}

fn without_payload(item: &Element) -> Element {
    item.attributes().fold(element("item"), |element, (name, value)| element.attr(name.to_owned(), value))
}

/// Says of what is sent late when it happened, and who kept it so long (section 6.1.7; XEP-0203).
pub(crate) fn delay(service: &Jid, stamp: SystemTime) -> Element {
    Element::new("delay", DELAY).attr("from", service).attr("stamp", timestamp::format(stamp))
}

fn element(name: &'static str) -> Element {
    Element::new(name, PUBSUB_EVENT)
}

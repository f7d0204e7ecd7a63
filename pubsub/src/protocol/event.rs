//! Events: the payload of notifications (XEP-0060, sections 7.1.2, 7.2.2.1 and 8.4.2).

use convoke_xmpp::namespace::PUBSUB_EVENT;
use convoke_xmpp::{Element, Jid, Stanza};

use super::answer::item_element;
use crate::PubSubConfig;
use crate::broker::{Change, Notification};

/// The message that tells of a change, without a recipient; its payload is written once for all of them.
pub(crate) fn event(notification: &Notification, service: &Jid, config: &PubSubConfig) -> Stanza {
    let event = Element::new("event", PUBSUB_EVENT).child(content(notification, config));
    Stanza::message(config.node.notification_type.message_type()).with_from(service).with_payload(event)
}

fn content(notification: &Notification, config: &PubSubConfig) -> Element {
    let named = |name| Element::new(name, PUBSUB_EVENT).attr("node", &notification.node);
    match &notification.change {
        Change::Published { item } => named("items").child(item_element(item, PUBSUB_EVENT, config.names_publishers())),
        Change::Retracted { id } => named("items").child(Element::new("retract", PUBSUB_EVENT).attr("id", id)),
        Change::Deleted { redirect } => {
            let redirect = redirect.as_ref().map(|uri| Element::new("redirect", PUBSUB_EVENT).attr("uri", uri));
            named("delete").with_children(redirect)
        }
    }
}

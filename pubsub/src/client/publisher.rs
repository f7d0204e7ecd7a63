//! Requests of publishers (XEP-0060, section 7).

use convoke_xmpp::Element;

use super::form::{Fields, submit};
use super::{element, pubsub};

/// Publishes an item (section 7.1). An iq of type set.
///
/// Without an id the service makes one, which [`published_id`](super::published_id) reads from the result. An item of
/// the same id is replaced.
pub fn publish(node: &str, id: Option<&str>, payload: Element) -> Element {
    pubsub(element("publish").attr("node", node).child(element("item").attr_opt("id", id).child(payload)))
}

/// Publishes an item if the node is configured so; a node that does not exist is created so, where the service creates
/// nodes by publication (sections 7.1.4 and 7.1.5). An iq of type set.
pub fn publish_with_options(node: &str, id: Option<&str>, payload: Element, fields: &Fields<'_>) -> Element {
    let form = submit("http://jabber.org/protocol/pubsub#publish-options", fields);
    publish(node, id, payload).child(element("publish-options").child(form))
}

/// Publishes that something happened, to a node that is transient and notifies without payloads (section 4.3). An iq of
/// type set.
pub fn signal(node: &str) -> Element {
    pubsub(element("publish").attr("node", node))
}

/// Retracts an item, and has the subscribers told (section 7.2). An iq of type set.
pub fn retract(node: &str, id: &str) -> Element {
    pubsub(element("retract").attr("node", node).attr("notify", true).child(element("item").attr("id", id)))
}

//! The other side: payloads of requests, what their results hold, and events read from notifications.
//!
//! Pure functions: whoever sends the iq gives it its type (`get` for [`items`] and its kin, `set` for the others),
//! addresses and id.

mod event;

use convoke_xmpp::namespace::{PUBSUB, PUBSUB_OWNER};
use convoke_xmpp::{Element, Jid};

pub use event::{Change, Event, Item, parse_event};

/// Creates a node with the default configuration (XEP-0060, section 8.1.2). An iq of type set.
pub fn create(node: &str) -> Element {
    pubsub(element("create").attr("node", node))
}

/// Creates a node whose name the service chooses (section 8.1.1); [`created_node`] reads it from the result.
pub fn create_instant() -> Element {
    pubsub(element("create"))
}

/// Deletes a node (section 8.4). An iq of type set.
pub fn delete(node: &str) -> Element {
    owner("pubsub").child(owner("delete").attr("node", node))
}

/// Publishes an item (section 7.1). An iq of type set.
///
/// Without an id the service makes one, which [`published_id`] reads from the result. An item of the same id is
/// replaced.
pub fn publish(node: &str, id: Option<&str>, payload: Element) -> Element {
    pubsub(element("publish").attr("node", node).child(element("item").attr_opt("id", id).child(payload)))
}

/// Retracts an item, and has the subscribers told (section 7.2). An iq of type set.
pub fn retract(node: &str, id: &str) -> Element {
    pubsub(element("retract").attr("node", node).attr("notify", true).child(element("item").attr("id", id)))
}

/// Subscribes an address of one's own, bare or full (section 6.1). An iq of type set.
pub fn subscribe(node: &str, jid: &Jid) -> Element {
    pubsub(element("subscribe").attr("node", node).attr("jid", jid))
}

/// Ends the subscription of this very address (section 6.2). An iq of type set.
pub fn unsubscribe(node: &str, jid: &Jid) -> Element {
    pubsub(element("unsubscribe").attr("node", node).attr("jid", jid))
}

/// Asks for all items of a node (section 6.5.2). An iq of type get.
pub fn items(node: &str) -> Element {
    pubsub(element("items").attr("node", node))
}

/// Asks for the items published last, at most so many of them (section 6.5.7). An iq of type get.
pub fn newest_items(node: &str, limit: usize) -> Element {
    pubsub(element("items").attr("node", node).attr("max_items", limit))
}

/// Asks for the items of these ids (section 6.5.8). An iq of type get.
pub fn items_by_id<'a>(node: &str, ids: impl IntoIterator<Item = &'a str>) -> Element {
    let item = |id| element("item").attr("id", id);
    pubsub(element("items").attr("node", node).with_children(ids.into_iter().map(item)))
}

/// The name of the node that was created, from the payload of a result.
pub fn created_node(result: &Element) -> Option<&str> {
    answer(result, "create")?.attribute("node")
}

/// The id that the service made for a published item, from the payload of a result.
pub fn published_id(result: &Element) -> Option<&str> {
    answer(result, "publish")?.find("item", PUBSUB)?.attribute("id")
}

/// The items of a node, oldest first, from the payload of a result; `None` if it is no answer to [`items`].
pub fn parse_items(result: &Element) -> Option<Vec<Item>> {
    let items = answer(result, "items")?.children().filter(|child| child.is("item", PUBSUB));
    Some(items.filter_map(Item::read).collect())
}

fn answer<'a>(result: &'a Element, name: &str) -> Option<&'a Element> {
    result.is("pubsub", PUBSUB).then(|| result.find(name, PUBSUB)).flatten()
}

fn pubsub(child: Element) -> Element {
    element("pubsub").child(child)
}

fn element(name: &'static str) -> Element {
    Element::new(name, PUBSUB)
}

fn owner(name: &'static str) -> Element {
    Element::new(name, PUBSUB_OWNER)
}

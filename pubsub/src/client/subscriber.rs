//! Requests of subscribers (XEP-0060, sections 5.6, 5.7 and 6).

use convoke_xmpp::{Element, Jid};

use super::form::{Fields, submit};
use super::{element, pubsub};
use crate::config::{Configured, SubscriptionOptions};

/// Subscribes an address of one's own, bare or full (section 6.1). An iq of type set.
pub fn subscribe(node: &str, jid: &Jid) -> Element {
    pubsub(element("subscribe").attr("node", node).attr("jid", jid))
}

/// Subscribes an address with options (section 6.3.7), such as `pubsub#digest`. An iq of type set.
pub fn subscribe_with_options(node: &str, jid: &Jid, fields: &Fields<'_>) -> Element {
    subscribe(node, jid).child(element("options").child(submit(SubscriptionOptions::FORM_TYPE, fields)))
}

/// Ends the subscription of this very address (section 6.2). An iq of type set.
pub fn unsubscribe(node: &str, jid: &Jid) -> Element {
    pubsub(element("unsubscribe").attr("node", node).attr("jid", jid))
}

/// Says in one of [`unsubscribe`], [`options`], [`set_options`], [`items`] and its kin which of several subscriptions of the
/// address is meant (section 6.1.6): that with this SubID.
pub fn with_subid(mut request: Element, subid: &str) -> Element {
    let verb = request.children().next().map(|verb| (verb.name().to_owned(), verb.namespace().to_owned()));
    match verb.and_then(|(name, namespace)| request.take(&name, &namespace)) {
        Some(verb) => pubsub(verb.attr("subid", subid)).with_children(request.children().cloned()),
        None => request,
    }
}

/// Asks for the options of a subscription (section 6.3.2), which [`parse_form`](super::parse_form) reads. An iq of type
/// get.
pub fn options(node: &str, jid: &Jid) -> Element {
    pubsub(element("options").attr("node", node).attr("jid", jid))
}

/// Chooses options of a subscription (section 6.3.5); what is left out stays as it is. An iq of type set.
pub fn set_options(node: &str, jid: &Jid, fields: &Fields<'_>) -> Element {
    let form = submit(SubscriptionOptions::FORM_TYPE, fields);
    pubsub(element("options").attr("node", node).attr("jid", jid).child(form))
}

/// Asks for the options that a subscription has by default, to a node or to all of them (section 6.4). An iq of type
/// get.
pub fn default_options(node: Option<&str>) -> Element {
    pubsub(element("default").attr_opt("node", node))
}

/// Asks for one's own subscriptions, to a node or to all of them (section 5.6). An iq of type get.
pub fn own_subscriptions(node: Option<&str>) -> Element {
    pubsub(element("subscriptions").attr_opt("node", node))
}

/// Asks for one's own affiliations, with a node or with all of them (section 5.7). An iq of type get.
pub fn own_affiliations(node: Option<&str>) -> Element {
    pubsub(element("affiliations").attr_opt("node", node))
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

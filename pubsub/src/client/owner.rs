//! Requests of creators and owners (XEP-0060, section 8).

use convoke_xmpp::{Element, Jid};

use super::form::{Fields, submit};
use super::{element, of_owner, owner_element, pubsub};
use crate::config::{Configured, NodeConfig};

/// Creates a node with the default configuration (section 8.1.2). An iq of type set.
pub fn create(node: &str) -> Element {
    pubsub(element("create").attr("node", node))
}

/// Creates a node whose name the service chooses (section 8.1.1); [`created_node`](super::created_node) reads it from
/// the result. An iq of type set.
pub fn create_instant() -> Element {
    pubsub(element("create"))
}

/// Creates a node configured by these fields, such as `pubsub#access_model` (section 8.1.3). An iq of type set.
pub fn create_configured(node: &str, fields: &Fields<'_>) -> Element {
    create(node).child(element("configure").child(submit(NodeConfig::FORM_TYPE, fields)))
}

/// Asks for the configuration of a node (section 8.2.1), which [`parse_form`](super::parse_form) reads. An iq of type
/// get.
pub fn configuration(node: &str) -> Element {
    of_owner(owner_element("configure").attr("node", node))
}

/// Configures a node (section 8.2.4); what is left out stays as it is. An iq of type set.
pub fn configure(node: &str, fields: &Fields<'_>) -> Element {
    of_owner(owner_element("configure").attr("node", node).child(submit(NodeConfig::FORM_TYPE, fields)))
}

/// Asks for the configuration that nodes have by default (section 8.3). An iq of type get.
pub fn default_configuration() -> Element {
    of_owner(owner_element("default"))
}

/// Deletes a node (section 8.4). An iq of type set.
pub fn delete(node: &str) -> Element {
    of_owner(owner_element("delete").attr("node", node))
}

/// Deletes a node in favour of the one at this URI (section 8.4.1). An iq of type set.
pub fn delete_with_redirect(node: &str, uri: &str) -> Element {
    of_owner(owner_element("delete").attr("node", node).child(owner_element("redirect").attr("uri", uri)))
}

/// Removes all items of a node (section 8.5). An iq of type set.
pub fn purge(node: &str) -> Element {
    of_owner(owner_element("purge").attr("node", node))
}

/// Asks for the subscriptions of a node (section 8.8.1). An iq of type get.
pub fn subscriptions(node: &str) -> Element {
    of_owner(owner_element("subscriptions").attr("node", node))
}

/// Gives subscriptions these states, `subscribed` or `none` (section 8.8.2). An iq of type set.
pub fn set_subscriptions<'a>(node: &str, changes: impl IntoIterator<Item = (&'a Jid, &'a str)>) -> Element {
    let entry = |(jid, state)| owner_element("subscription").attr("jid", jid).attr("subscription", state);
    of_owner(owner_element("subscriptions").attr("node", node).with_children(changes.into_iter().map(entry)))
}

/// Gives the subscriptions of these SubIDs, each of that address, these states (section 8.8.2). An iq of type set.
pub fn set_subscriptions_by_subid<'a>(
    node: &str,
    changes: impl IntoIterator<Item = (&'a Jid, &'a str, &'a str)>,
) -> Element {
    let entry = |(jid, subid, state)| {
        owner_element("subscription").attr("jid", jid).attr("subid", subid).attr("subscription", state)
    };
    of_owner(owner_element("subscriptions").attr("node", node).with_children(changes.into_iter().map(entry)))
}

/// Asks for the affiliations with a node (section 8.9.1). An iq of type get.
pub fn affiliations(node: &str) -> Element {
    of_owner(owner_element("affiliations").attr("node", node))
}

/// Gives bare addresses these affiliations, such as `publisher` (section 8.9.2). An iq of type set.
pub fn set_affiliations<'a>(node: &str, changes: impl IntoIterator<Item = (&'a Jid, &'a str)>) -> Element {
    let entry = |(jid, affiliation)| owner_element("affiliation").attr("jid", jid).attr("affiliation", affiliation);
    of_owner(owner_element("affiliations").attr("node", node).with_children(changes.into_iter().map(entry)))
}

//! Answers: the stanza that ends a request.

use std::sync::Arc;

use convoke_xmpp::{Condition, Element, Jid, JidRef, Stanza, StanzaError, namespace};

use super::list::{self, EMPTY_ENTRY_BYTES, List, written_bytes};
use super::{command, discovery, form};
use crate::PubSubConfig;
use crate::broker::{Affiliation, Answer, Entry, NodeId, Page, SubscriptionState};
use crate::config::SubscriptionOptions;
use crate::state::{Item, Position};

/// The stanza that answers a request.
///
/// It is a result, but for a request that was performed in part: the error of that one holds what was not (XEP-0060,
/// sections 8.8.2.4 and 8.9.2.4).
pub(crate) fn answer(request: &Stanza, answer: &Answer, config: &PubSubConfig) -> Stanza {
    let payload = payload(answer, request.to().map_or("", JidRef::as_str), config);
    match (answer, payload) {
        (Answer::SubscriptionsRefused { .. } | Answer::AffiliationsRefused { .. }, Some(rest)) => {
            partly_refused(request, rest)
        }
        (_, payload) => request.result(payload),
    }
}

fn partly_refused(request: &Stanza, rest: Element) -> Stanza {
    let error = StanzaError::from(Condition::NotAcceptable);
    let with_both = request.bounce(&error).and_then(|bounced| {
        let mut tree = bounced.to_element();
        let error = tree.take("error", namespace::CLIENT)?;
        Stanza::from_element(tree.child(rest).child(error)).ok()
    });
    // A request has a sender, so that it can be answered with an error.
    with_both.unwrap_or_else(|| request.result(None))
}

fn payload(answer: &Answer, service: &str, config: &PubSubConfig) -> Option<Element> {
    Some(match answer {
        Answer::Done => return None,
        Answer::Created { node } => pubsub(element("create").attr("node", node)),
        Answer::Published { node, generated } => pubsub(published(node, generated.as_deref())),
        Answer::Subscribed { node, jid, state, options } => subscribed(node, jid, *state, options.as_ref()),
        Answer::Unsubscribed { node, jid } => pubsub(subscription(node, jid, None)),
        Answer::Options { node, jid, options } => {
            pubsub(element("options").attr("node", node).attr("jid", jid).child(form::filled(options)))
        }
        Answer::DefaultOptions { node, options } => {
            pubsub(element("default").attr_opt("node", node.as_ref()).child(form::result(options)))
        }
        Answer::Items { node, position, names_publishers, page } => {
            retrieved(node, position, *names_publishers, page, config)
        }
        Answer::OwnSubscriptions { node, page } => own_subscriptions(node.as_ref(), page, config),
        Answer::OwnAffiliations { node, page } => own_affiliations(node.as_ref(), page, config),
        Answer::Configuration { node, config } => {
            owner("pubsub").child(owner("configure").attr("node", node).child(form::filled(&**config)))
        }
        Answer::DefaultConfiguration { config } => {
            owner("pubsub").child(owner("default").child(form::filled(&**config)))
        }
        Answer::PendingNodes { nodes } => command::nodes_to_choose(nodes),
        Answer::PendingSent => command::executed("completed"),
        Answer::Subscriptions { node, page } => managed("subscriptions", node, page, SubscriptionState::as_str, config),
        Answer::SubscriptionsRefused { node, entries } => {
            let state = |state: &Option<SubscriptionState>| state.map_or("none", SubscriptionState::as_str);
            refused("subscriptions", "subscription", node, entries, state)
        }
        Answer::Affiliations { node, page } => managed("affiliations", node, page, Affiliation::as_str, config),
        Answer::AffiliationsRefused { node, entries } => {
            refused("affiliations", "affiliation", node, entries, |affiliation| affiliation.as_str())
        }
        Answer::Nodes { page } => listed_nodes(page, service, config),
        Answer::ItemIds { node, page } => listed_items(node, page, service, config),
        Answer::Described { node, info } => discovery::node_info(node, info.as_deref()),
    })
}

fn pubsub(child: Element) -> Element {
    element("pubsub").child(child)
}

fn element(name: &'static str) -> Element {
    Element::new(name, namespace::PUBSUB)
}

fn owner(name: &'static str) -> Element {
    Element::new(name, namespace::PUBSUB_OWNER)
}

fn published(node: &NodeId, generated: Option<&str>) -> Element {
    element("publish").attr("node", node).with_children(generated.map(|id| element("item").attr("id", id)))
}

fn subscribed(node: &NodeId, jid: &Jid, state: SubscriptionState, options: Option<&SubscriptionOptions>) -> Element {
    let options = options.map(|options| element("options").child(form::result(options)));
    pubsub(subscription(node, jid, Some(state))).with_children(options)
}

fn subscription(node: &NodeId, jid: &Jid, state: Option<SubscriptionState>) -> Element {
    let state = state.map_or("none", SubscriptionState::as_str);
    element("subscription").attr("node", node).attr("jid", jid).attr("subscription", state)
}

fn retrieved(
    node: &NodeId,
    position: &Position,
    names_publishers: bool,
    page: &Page<Arc<Item>>,
    config: &PubSubConfig,
) -> Element {
    let publisher_bytes = |item: &Item| if names_publishers { written_bytes(item.publisher().as_str()) } else { 0 };
    let bytes =
        |item: &Arc<Item>| EMPTY_ENTRY_BYTES + item.payload().len() + written_bytes(item.id()) + publisher_bytes(item);
    let list = List::of(page, bytes, config);
    let shown = list.shown().iter().map(|item| item_element(item, namespace::PUBSUB, names_publishers));
    pubsub(element("items").attr("node", node).with_children(shown))
        .with_children(list.note(|item| item.id().to_owned()))
        .child(position_element(position))
}

/// Where the history of a node stands (the position of a snapshot).
pub(crate) fn position_element(position: &Position) -> Element {
    Element::new("position", crate::POSITION).attr("inc", &position.incarnation).attr("seq", position.sequence)
}

/// One item with its payload, in an answer or in an event.
pub(super) fn item_element(item: &Item, namespace: &'static str, names_publisher: bool) -> Element {
    Element::new("item", namespace)
        .attr("id", item.id())
        .attr_opt("publisher", names_publisher.then(|| item.publisher()))
        .with_children(item.payload_tree())
}

fn own_subscriptions(node: Option<&NodeId>, page: &Page<Entry<SubscriptionState>>, config: &PubSubConfig) -> Element {
    let list = List::of(page, list::entry_bytes, config);
    let shown = list.shown().iter().map(|entry| subscription(&entry.node, &entry.jid, Some(entry.what)));
    pubsub(element("subscriptions").attr_opt("node", node).with_children(shown))
        .with_children(list.note(|entry| format!("{} {}", entry.jid, entry.node)))
}

fn own_affiliations(node: Option<&NodeId>, page: &Page<Entry<Affiliation>>, config: &PubSubConfig) -> Element {
    let list = List::of(page, list::entry_bytes, config);
    let entry = |entry: &Entry<Affiliation>| {
        element("affiliation").attr("node", &entry.node).attr("affiliation", entry.what.as_str())
    };
    pubsub(element("affiliations").attr_opt("node", node).with_children(list.shown().iter().map(entry)))
        .with_children(list.note(|entry| entry.node.to_string()))
}

/// What an owner manages: each entry has the singular name, and its state in an attribute of that name.
fn managed<T: Copy>(
    name: &'static str,
    node: &NodeId,
    page: &Page<Entry<T>>,
    state: fn(T) -> &'static str,
    config: &PubSubConfig,
) -> Element {
    let singular = &name[..name.len() - 1];
    let list = List::of(page, list::entry_bytes, config);
    let entry = |entry: &Entry<T>| owner(singular).attr("jid", &entry.jid).attr(singular, state(entry.what));
    owner("pubsub")
        .child(owner(name).attr("node", node).with_children(list.shown().iter().map(entry)))
        .with_children(list.note(|entry| entry.jid.to_string()))
}

fn refused<T>(
    name: &'static str,
    singular: &'static str,
    node: &NodeId,
    entries: &[(Jid, T)],
    state: impl Fn(&T) -> &'static str,
) -> Element {
    let entry = |(jid, what): &(Jid, T)| owner(singular).attr("jid", jid).attr(singular, state(what));
    owner("pubsub").child(owner(name).attr("node", node).with_children(entries.iter().map(entry)))
}

fn listed_nodes(page: &Page<(NodeId, String)>, service: &str, config: &PubSubConfig) -> Element {
    let bytes = |(node, title): &(NodeId, String)| {
        EMPTY_ENTRY_BYTES + written_bytes(service) + written_bytes(node.as_str()) + written_bytes(title)
    };
    let list = List::of(page, bytes, config);
    let shown = list.shown().iter().map(|(node, title)| discovery::node_item(service, node, title));
    items_query(None).with_children(shown).with_children(list.note(|(node, _)| node.to_string()))
}

fn listed_items(node: &NodeId, page: &Page<Arc<Item>>, service: &str, config: &PubSubConfig) -> Element {
    let bytes = |item: &Arc<Item>| EMPTY_ENTRY_BYTES + written_bytes(service) + written_bytes(item.id());
    let list = List::of(page, bytes, config);
    let shown = list.shown().iter().map(|item| discovery::published_item(service, item.id()));
    items_query(Some(node)).with_children(shown).with_children(list.note(|item| item.id().to_owned()))
}

fn items_query(node: Option<&NodeId>) -> Element {
    Element::new("query", namespace::DISCO_ITEMS).attr_opt("node", node)
}

//! Answers: the stanza that ends a request.

use std::sync::Arc;

use convoke_xmpp::{Condition, Element, Jid, JidRef, Stanza, StanzaError, namespace};

use super::list::{EMPTY_ENTRY_BYTES, List, STATE_BYTES, SUBID_BYTES, written_bytes};
use super::{command, discovery, form};
use crate::PubSubConfig;
use crate::broker::{AffiliationInfo, Answer, NodeId, Page, SubscriptionInfo};
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
        Answer::Subscribed { subscription, options } => subscribed(subscription, options.as_ref()),
        Answer::Unsubscribed { subscription } => pubsub(of_participant(subscription)),
        Answer::Options { subscription, options } => {
            pubsub(identified(element("options"), subscription).child(form::filled(options)))
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
            owned(owner("configure").attr("node", node).child(form::filled(&**config)))
        }
        Answer::DefaultConfiguration { config } => owned(owner("default").child(form::filled(&**config))),
        Answer::PendingNodes { nodes } => command::nodes_to_choose(nodes),
        Answer::PendingSent => command::executed("completed"),
        Answer::Subscriptions { node, page } => managed_subscriptions(node, page, config),
        Answer::SubscriptionsRefused { node, entries } => {
            owned(owner("subscriptions").attr("node", node).with_children(entries.iter().map(of_owner)))
        }
        Answer::Affiliations { node, page } => managed_affiliations(node, page, config),
        Answer::AffiliationsRefused { node, entries } => {
            owned(owner("affiliations").attr("node", node).with_children(entries.iter().map(affiliation)))
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

fn owned(child: Element) -> Element {
    owner("pubsub").child(child)
}

fn owner(name: &'static str) -> Element {
    Element::new(name, namespace::PUBSUB_OWNER)
}

fn published(node: &NodeId, generated: Option<&str>) -> Element {
    element("publish").attr("node", node).with_children(generated.map(|id| element("item").attr("id", id)))
}

fn subscribed(subscription: &SubscriptionInfo, options: Option<&SubscriptionOptions>) -> Element {
    let options = options.map(|options| element("options").child(form::result(options)));
    pubsub(of_participant(subscription)).with_children(options)
}

/// A subscription as those are told of it who are no owners.
fn of_participant(subscription: &SubscriptionInfo) -> Element {
    identified(element("subscription"), subscription).attr("subscription", subscription.state())
}

/// With what a subscription is called.
pub(super) fn identified(element: Element, subscription: &SubscriptionInfo) -> Element {
    element.attr("node", &subscription.node).attr("jid", &subscription.jid).attr_opt("subid", subscription.told_subid())
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

fn own_subscriptions(node: Option<&NodeId>, page: &Page<SubscriptionInfo>, config: &PubSubConfig) -> Element {
    let list = List::of(page, subscription_bytes, config);
    let shown = list.shown().iter().map(of_participant);
    pubsub(element("subscriptions").attr_opt("node", node).with_children(shown))
        .with_children(list.note(|subscription| format!("{} {}", subscription.list_id(), subscription.node)))
}

fn own_affiliations(node: Option<&NodeId>, page: &Page<AffiliationInfo>, config: &PubSubConfig) -> Element {
    let list = List::of(page, affiliation_bytes, config);
    let entry = |entry: &AffiliationInfo| {
        element("affiliation").attr("node", &entry.node).attr("affiliation", entry.affiliation.as_str())
    };
    pubsub(element("affiliations").attr_opt("node", node).with_children(list.shown().iter().map(entry)))
        .with_children(list.note(|entry| entry.node.to_string()))
}

fn managed_subscriptions(node: &NodeId, page: &Page<SubscriptionInfo>, config: &PubSubConfig) -> Element {
    let list = List::of(page, subscription_bytes, config);
    owned(owner("subscriptions").attr("node", node).with_children(list.shown().iter().map(of_owner)))
        .with_children(list.note(SubscriptionInfo::list_id))
}

/// A subscription as an owner is told of it.
fn of_owner(subscription: &SubscriptionInfo) -> Element {
    owner("subscription")
        .attr("jid", &subscription.jid)
        .attr("subscription", subscription.state())
        .attr_opt("subid", subscription.told_subid())
}

fn managed_affiliations(node: &NodeId, page: &Page<AffiliationInfo>, config: &PubSubConfig) -> Element {
    let list = List::of(page, affiliation_bytes, config);
    owned(owner("affiliations").attr("node", node).with_children(list.shown().iter().map(affiliation)))
        .with_children(list.note(|entry| entry.jid.to_string()))
}

fn affiliation(entry: &AffiliationInfo) -> Element {
    owner("affiliation").attr("jid", &entry.jid).attr("affiliation", entry.affiliation.as_str())
}

fn subscription_bytes(subscription: &SubscriptionInfo) -> usize {
    entry_bytes(&subscription.node, &subscription.jid) + SUBID_BYTES
}

fn affiliation_bytes(affiliation: &AffiliationInfo) -> usize {
    entry_bytes(&affiliation.node, &affiliation.jid)
}

fn entry_bytes(node: &NodeId, jid: &Jid) -> usize {
    EMPTY_ENTRY_BYTES + STATE_BYTES + written_bytes(node.as_str()) + written_bytes(jid.as_str())
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

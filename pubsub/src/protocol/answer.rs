//! Answers: the payload of the result.

use std::sync::Arc;

use convoke_xmpp::{Element, Jid, namespace};

use super::{RSM, discovery};
use crate::PubSubConfig;
use crate::broker::{Affiliation, Answer, NodeId};
use crate::state::Item;

/// The payload that answers a request which was sent to `service`; `None` for an empty result.
pub(crate) fn answer(answer: &Answer, service: &str, config: &PubSubConfig) -> Option<Element> {
    Some(match answer {
        Answer::Done => return None,
        Answer::Created { node } => pubsub(element("create").attr("node", node)),
        Answer::Published { node, generated } => pubsub(published(node, generated.as_deref())),
        Answer::Subscribed { node, jid } => pubsub(subscription(node, jid, "subscribed")),
        Answer::Unsubscribed { node, jid } => pubsub(subscription(node, jid, "none")),
        Answer::Items { node, items } => retrieved(node, items, config),
        Answer::Affiliations { node, affiliations } => affiliated(node, affiliations),
        Answer::Nodes { nodes } => listed_nodes(nodes, service, config),
        Answer::ItemIds { node, items } => listed_items(node, items, service, config),
        Answer::Described { node, info } => discovery::node_info(node, info),
    })
}

fn pubsub(child: Element) -> Element {
    element("pubsub").child(child)
}

fn element(name: &'static str) -> Element {
    Element::new(name, namespace::PUBSUB)
}

fn published(node: &NodeId, generated: Option<&str>) -> Element {
    element("publish").attr("node", node).with_children(generated.map(|id| element("item").attr("id", id)))
}

fn subscription(node: &NodeId, jid: &Jid, state: &str) -> Element {
    element("subscription").attr("node", node).attr("jid", jid).attr("subscription", state)
}

fn retrieved(node: &NodeId, items: &[Arc<Item>], config: &PubSubConfig) -> Element {
    let page = Page::of(items, |item| item_bytes(item, config), config);
    let shown = page.shown.iter().map(|item| item_element(item, namespace::PUBSUB, config.names_publishers()));
    pubsub(element("items").attr("node", node).with_children(shown)).with_children(page.rest(|item| item.id()))
}

/// One item with its payload, in an answer or in an event.
pub(super) fn item_element(item: &Item, namespace: &'static str, include_publisher: bool) -> Element {
    Element::new("item", namespace)
        .attr("id", item.id())
        .attr_opt("publisher", include_publisher.then(|| item.publisher()))
        .with_children(item.payload_tree())
}

fn affiliated(node: &NodeId, affiliations: &[(Jid, Affiliation)]) -> Element {
    let owner = |name| Element::new(name, namespace::PUBSUB_OWNER);
    let entry = |(jid, affiliation): &(Jid, Affiliation)| {
        owner("affiliation").attr("jid", jid).attr("affiliation", affiliation.as_str())
    };
    owner("pubsub").child(owner("affiliations").attr("node", node).with_children(affiliations.iter().map(entry)))
}

fn listed_nodes(nodes: &[NodeId], service: &str, config: &PubSubConfig) -> Element {
    let bytes = |node: &NodeId| EMPTY_ITEM_BYTES + written_bytes(service) + written_bytes(node.as_str());
    let page = Page::of(nodes, bytes, config);
    let shown = page.shown.iter().map(|node| discovery::node_item(service, node));
    discovery::items(None, shown.collect(), page.rest(NodeId::as_str))
}

fn listed_items(node: &NodeId, items: &[Arc<Item>], service: &str, config: &PubSubConfig) -> Element {
    let bytes = |item: &Arc<Item>| EMPTY_ITEM_BYTES + written_bytes(service) + written_bytes(item.id());
    let page = Page::of(items, bytes, config);
    let shown = page.shown.iter().map(|item| discovery::published_item(service, item.id()));
    discovery::items(Some(node), shown.collect(), page.rest(|item| item.id()))
}

/// The end of a list, as much of it as an answer may hold: with items, those published last.
struct Page<'a, T> {
    shown: &'a [T],
    skipped: usize,
}

impl<'a, T> Page<'a, T> {
    fn of(all: &'a [T], bytes: impl Fn(&T) -> usize, config: &PubSubConfig) -> Self {
        let mut room = config.max_answer_bytes;
        let fits = |entry: &&T| {
            let fits = bytes(entry) <= room;
            room = room.saturating_sub(bytes(entry));
            fits
        };
        // A page without anything would look like an empty node.
        let count = all.iter().rev().take_while(fits).count().max(1).min(all.len());
        let skipped = all.len() - count;
        Self { shown: &all[skipped..], skipped }
    }

    /// The note that the list is cut (XEP-0060, section 6.5.4; XEP-0059), if it is.
    fn rest<'b>(&'b self, id: impl Fn(&'b T) -> &'b str) -> Option<Element> {
        let (first, last) = (self.shown.first()?, self.shown.last()?);
        let child = |name| Element::new(name, RSM);
        let set = || {
            child("set")
                .child(child("first").attr("index", self.skipped).text(id(first)))
                .child(child("last").text(id(last)))
                .child(child("count").text((self.skipped + self.shown.len()).to_string()))
        };
        (self.skipped > 0).then(set)
    }
}

/// The bytes of an item's tags and the names of its attributes, generously.
const EMPTY_ITEM_BYTES: usize = 48;

fn item_bytes(item: &Item, config: &PubSubConfig) -> usize {
    let publisher = if config.names_publishers() { written_bytes(item.publisher().as_str()) } else { 0 };
    EMPTY_ITEM_BYTES + item.payload().len() + written_bytes(item.id()) + publisher
}

/// The bytes of an attribute's value once its special characters are references.
fn written_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| if matches!(byte, b'&' | b'<' | b'>' | b'\'' | b'\t' | b'\n' | b'\r') { 6 } else { 1 })
        .sum()
}

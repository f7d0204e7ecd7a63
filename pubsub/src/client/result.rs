//! What the payloads of results hold.

use convoke_xmpp::namespace::{PUBSUB, PUBSUB_OWNER};
use convoke_xmpp::{Element, Jid};

use super::Item;

/// A subscription as the service tells of it (XEP-0060, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// The node, where the list is not one of a node.
    pub node: Option<String>,
    /// The address that is subscribed.
    pub jid: Jid,
    /// `subscribed`, `pending`, `unconfigured` or `none`.
    pub state: String,
    /// Which of several subscriptions of the address it is, at services that have them.
    pub subid: Option<String>,
}

/// An affiliation as the service tells of it (XEP-0060, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affiliation {
    /// The node, where the list is not one of a node.
    pub node: Option<String>,
    /// Whose affiliation it is, where the list is not one's own.
    pub jid: Option<Jid>,
    /// `owner`, `publisher`, `publish-only`, `member`, `none` or `outcast`.
    pub affiliation: String,
}

/// The name of the node that was created, from the payload of a result.
pub fn created_node(result: &Element) -> Option<&str> {
    answer(result, "create")?.attribute("node")
}

/// The id that the service made for a published item, from the payload of a result.
pub fn published_id(result: &Element) -> Option<&str> {
    answer(result, "publish")?.find("item", PUBSUB)?.attribute("id")
}

/// The items of a node, oldest first, from the payload of a result; `None` if it is no answer to
/// [`items`](super::items) and its kin.
pub fn parse_items(result: &Element) -> Option<Vec<Item>> {
    let items = answer(result, "items")?.children().filter(|child| child.is("item", PUBSUB));
    Some(items.filter_map(Item::read).collect())
}

/// The subscription that a request has made or ended, from the payload of its result.
pub fn parse_subscription(result: &Element) -> Option<Subscription> {
    answer(result, "subscription").and_then(subscription)
}

/// The subscriptions in the payload of a result, one's own or those of a node; `None` if it holds no list of them.
pub fn parse_subscriptions(result: &Element) -> Option<Vec<Subscription>> {
    Some(list(result, "subscriptions")?.children().filter_map(subscription).collect())
}

/// The affiliations in the payload of a result, one's own or those with a node; `None` if it holds no list of them.
pub fn parse_affiliations(result: &Element) -> Option<Vec<Affiliation>> {
    Some(list(result, "affiliations")?.children().filter_map(affiliation).collect())
}

fn list<'a>(result: &'a Element, name: &str) -> Option<&'a Element> {
    let of_node = || result.is("pubsub", PUBSUB_OWNER).then(|| result.find(name, PUBSUB_OWNER)).flatten();
    answer(result, name).or_else(of_node)
}

pub(super) fn subscription(entry: &Element) -> Option<Subscription> {
    let text = |name| entry.attribute(name).map(str::to_owned);
    let jid = Jid::new(entry.attribute("jid")?).ok()?;
    Some(Subscription { node: text("node"), jid, state: text("subscription")?, subid: text("subid") })
}

fn affiliation(entry: &Element) -> Option<Affiliation> {
    let text = |name| entry.attribute(name).map(str::to_owned);
    let jid = entry.attribute("jid").and_then(|jid| Jid::new(jid).ok());
    Some(Affiliation { node: text("node"), jid, affiliation: text("affiliation")? })
}

fn answer<'a>(result: &'a Element, name: &str) -> Option<&'a Element> {
    result.is("pubsub", PUBSUB).then(|| result.find(name, PUBSUB)).flatten()
}

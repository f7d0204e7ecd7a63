//! Service discovery of the service and its nodes (XEP-0060, sections 5.1 to 5.5), ping and version.

use convoke_xmpp::payload::{self, Identity};
use convoke_xmpp::{Element, Jid, namespace};

use super::RequestError;
use super::feature::SUPPORTED;
use super::request::{Request, optional_node};
use crate::broker::{NodeId, NodeInfo, Operation};

/// Reads a request for information.
pub(super) fn read(query: &Element) -> Result<Request, RequestError> {
    match (query.name(), query.namespace()) {
        ("query", namespace::DISCO_INFO) => Ok(match optional_node(query)? {
            Some(node) => Operation::Describe { node }.into(),
            None => Request::Constant(Some(service_info())),
        }),
        ("query", namespace::DISCO_ITEMS) => Ok(match optional_node(query)? {
            Some(node) => Operation::ListItems { node }.into(),
            None => Operation::ListNodes.into(),
        }),
        ("ping", namespace::PING) => Ok(Request::Constant(None)),
        ("query", namespace::VERSION) => Ok(Request::Constant(Some(version()))),
        _ => Err(RequestError::NotServed),
    }
}

fn version() -> Element {
    payload::version("Convoke", env!("CARGO_PKG_VERSION"))
}

fn service_info() -> Element {
    let identity = Identity { category: "pubsub", kind: "service", name: "Publish-Subscribe".to_owned() };
    let features: Vec<_> = SUPPORTED.iter().map(|f| format!("{}#{}", namespace::PUBSUB, f.as_str())).collect();
    let general = [namespace::DISCO_ITEMS, namespace::PING, namespace::VERSION, namespace::PUBSUB];
    payload::disco_info(&[identity], general.into_iter().chain(features.iter().map(String::as_str)))
}

/// The payload that describes a node, its metadata included.
pub(super) fn node_info(node: &NodeId, info: &NodeInfo) -> Element {
    let identity = Identity { category: "pubsub", kind: "leaf", name: node.to_string() };
    let features = [namespace::DISCO_ITEMS, namespace::PUBSUB];
    let query = payload::disco_info(&[identity], features);
    let mut query = query.attr("node", node);
    query.push(metadata(info));
    query
}

/// The metadata form (section 5.4).
fn metadata(info: &NodeInfo) -> Element {
    let owners = info.owners.iter().map(Jid::as_str);
    Element::new("x", namespace::DATA_FORMS)
        .attr("type", "result")
        .child(field("FORM_TYPE", "hidden", ["http://jabber.org/protocol/pubsub#meta-data"]))
        .child(field("pubsub#creator", "jid-single", [info.creator.as_str()]))
        .child(field("pubsub#owner", "jid-multi", owners))
        .child(field("pubsub#access_model", "list-single", ["open"]))
        .child(field("pubsub#publish_model", "list-single", ["publishers"]))
        .child(field("pubsub#max_items", "text-single", [&*info.max_items.to_string()]))
        .child(field("pubsub#num_subscribers", "text-single", [&*info.subscribers.to_string()]))
}

fn field<'a>(name: &str, kind: &str, values: impl IntoIterator<Item = &'a str>) -> Element {
    let value = |text: &str| Element::new("value", namespace::DATA_FORMS).text(text);
    Element::new("field", namespace::DATA_FORMS)
        .attr("var", name)
        .attr("type", kind)
        .with_children(values.into_iter().map(value))
}

/// One node in the list of nodes (section 5.2).
pub(super) fn node_item(service: &str, node: &NodeId) -> Element {
    item(service).attr("node", node)
}

/// One published item in the list of a node's items, which has no `node` (section 5.5).
pub(super) fn published_item(service: &str, id: &str) -> Element {
    item(service).attr("name", id)
}

fn item(service: &str) -> Element {
    Element::new("item", namespace::DISCO_ITEMS).attr("jid", service)
}

/// The payload of a list.
pub(super) fn items(node: Option<&NodeId>, items: Vec<Element>, rest: Option<Element>) -> Element {
    Element::new("query", namespace::DISCO_ITEMS).attr_opt("node", node).with_children(items).with_children(rest)
}

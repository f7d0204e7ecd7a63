//! Service discovery of the service and its nodes (XEP-0060, sections 5.1 to 5.5), ping and version.

use convoke_xmpp::payload::{self, Identity};
use convoke_xmpp::{Element, JidRef, Stanza, namespace};

use super::RequestError;
use super::command::{self, COMMANDS, GET_PENDING};
use super::feature::Feature;
use super::request::{Request, optional_node};
use super::rsm::{self, RSM};
use super::shim::{SHIM, SUB_ID};
use crate::broker::{NodeId, NodeInfo, Operation};
use crate::{PubSubConfig, form, timestamp};

/// Reads a request for information.
pub(super) fn read(query: &Element, iq: &Stanza, config: &PubSubConfig) -> Result<Request, RequestError> {
    match (query.name(), query.namespace(), query.attribute("node")) {
        ("query", namespace::DISCO_INFO, Some(GET_PENDING)) => Ok(Request::Constant(Some(command_info()))),
        ("query", namespace::DISCO_ITEMS, Some(COMMANDS)) => Ok(Request::Constant(Some(commands(iq)))),
        ("query", namespace::DISCO_INFO, Some(SHIM)) if config.multi_subscribe => {
            Ok(Request::Constant(Some(header_info())))
        }
        ("query", namespace::DISCO_INFO, _) => Ok(match optional_node(query)? {
            Some(node) => Operation::Describe { node }.into(),
            None => Request::Constant(Some(service_info(config))),
        }),
        ("query", namespace::DISCO_ITEMS, _) => {
            let page = rsm::read(query)?;
            Ok(match optional_node(query)? {
                Some(node) => Operation::ListItems { node, page }.into(),
                None => Operation::ListNodes { page }.into(),
            })
        }
        ("ping", namespace::PING, _) => Ok(Request::Constant(None)),
        ("query", namespace::VERSION, _) => Ok(Request::Constant(Some(version()))),
        _ => Err(RequestError::NotServed),
    }
}

fn version() -> Element {
    payload::version("Convoke", env!("CARGO_PKG_VERSION"))
}

/// What an account is (XEP-0163, section 6.1).
pub(crate) fn account_info(config: &PubSubConfig) -> Element {
    let account = Identity { category: "account", kind: "registered", name: String::new() };
    let features: Vec<_> = personal_features(config).collect();
    let general = [namespace::DISCO_ITEMS, RSM];
    payload::disco_info(&[account, personal_identity()], general.into_iter().chain(features.iter().map(String::as_str)))
}

/// The identity of an account that has nodes of its own (XEP-0163, section 6.1).
pub fn personal_identity() -> Identity {
    Identity { category: "pubsub", kind: "pep", name: String::new() }
}

/// The features of such an account.
pub fn personal_features(config: &PubSubConfig) -> impl Iterator<Item = String> {
    Feature::supported(config).map(feature_name)
}

fn feature_name(feature: Feature) -> String {
    format!("{}#{}", namespace::PUBSUB, feature.as_str())
}

fn service_info(config: &PubSubConfig) -> Element {
    let identity = Identity { category: "pubsub", kind: "service", name: "Publish-Subscribe".to_owned() };
    let features: Vec<_> = Feature::supported(config).map(feature_name).collect();
    let general = [namespace::DISCO_ITEMS, namespace::PING, namespace::VERSION, namespace::PUBSUB, RSM, COMMANDS];
    let general = general.into_iter().chain(config.multi_subscribe.then_some(SHIM));
    payload::disco_info(&[identity], general.chain(features.iter().map(String::as_str)))
}

/// The stanza headers that the service writes (XEP-0131, section 3.2).
fn header_info() -> Element {
    payload::disco_info(&[], [format!("{SHIM}#{SUB_ID}").as_str()]).attr("node", SHIM)
}

fn command_info() -> Element {
    let name = "Pending subscription requests".to_owned();
    let identity = Identity { category: "automation", kind: "command-node", name };
    payload::disco_info(&[identity], [COMMANDS, namespace::DATA_FORMS]).attr("node", GET_PENDING)
}

fn commands(iq: &Stanza) -> Element {
    let service = iq.to().map_or("", JidRef::as_str);
    Element::new("query", namespace::DISCO_ITEMS).attr("node", COMMANDS).child(command::item(service))
}

/// The payload that describes a node, with its metadata for those who may know them.
pub(super) fn node_info(node: &NodeId, info: Option<&NodeInfo>) -> Element {
    let title = info.map(|info| &info.config.title).filter(|title| !title.is_empty());
    let name = title.cloned().unwrap_or_else(|| node.to_string());
    let identity = Identity { category: "pubsub", kind: "leaf", name };
    let features = [namespace::DISCO_ITEMS, namespace::PUBSUB];
    payload::disco_info(&[identity], features).attr("node", node).with_children(info.map(metadata))
}

/// The metadata form (section 5.4).
fn metadata(info: &NodeInfo) -> Element {
    let config = &info.config;
    let text = |name: &str, value: &str| {
        let field = form::field(name).attr("type", "text-single");
        form::values(field, Some(value).filter(|value| !value.is_empty()))
    };
    let jids = |name: &str| form::field(name).attr("type", "jid-multi");
    let list = |name: &str, value: &str| form::values(form::field(name).attr("type", "list-single"), [value]);
    let creator = form::field("pubsub#creator").attr("type", "jid-single");
    form::form("result", "http://jabber.org/protocol/pubsub#meta-data")
        .child(text("pubsub#type", &config.payload_type))
        .child(form::addresses(creator, [&info.creator]))
        .child(text("pubsub#creation_date", &timestamp::format(info.created)))
        .child(text("pubsub#title", &config.title))
        .child(text("pubsub#description", &config.description))
        .child(list("pubsub#language", &config.language))
        .child(form::addresses(jids("pubsub#contact"), &config.contact))
        .child(list("pubsub#access_model", config.access_model.as_str()))
        .child(list("pubsub#publish_model", config.publish_model.as_str()))
        .child(text("pubsub#max_items", &info.max_items.to_string()))
        .child(form::addresses(jids("pubsub#owner"), &info.owners))
        .child(form::addresses(jids("pubsub#publisher"), &info.publishers))
        .child(text("pubsub#num_subscribers", &info.subscribers.to_string()))
}

/// One node in the list of nodes (section 5.2).
pub(super) fn node_item(service: &str, node: &NodeId, title: &str) -> Element {
    item(service).attr("node", node).attr_opt("name", Some(title).filter(|title| !title.is_empty()))
}

/// One published item in the list of a node's items, which has no `node` (section 5.5).
pub(super) fn published_item(service: &str, id: &str) -> Element {
    item(service).attr("name", id)
}

fn item(service: &str) -> Element {
    Element::new("item", namespace::DISCO_ITEMS).attr("jid", service)
}

//! Requests of subscribers, publishers and creators: the namespace `pubsub` (XEP-0060, sections 5 to 7 and 8.1).

use convoke_xmpp::address::MAX_PART_BYTES;
use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, namespace};

use super::RequestError;
use super::feature::Feature;
use super::request::{boolean, optional_node, required_jid, required_node};
use crate::broker::{NewEntry, Operation, Selection};
use crate::state::self_contained;

const UNKNOWN: RequestError = RequestError::Malformed("no request of publish-subscribe");

/// Reads what the element `pubsub` asks for.
pub(super) fn read(mut pubsub: Element, is_set: bool) -> Result<Operation, RequestError> {
    let verb = pubsub.children().next().filter(|verb| verb.namespace() == namespace::PUBSUB).ok_or(UNKNOWN)?;
    match (verb.name(), is_set) {
        ("create", true) => create(&pubsub, verb),
        ("configure", true) => Err(RequestError::Malformed("configure must follow create")),
        ("subscribe", true) => subscribe(&pubsub, verb),
        ("unsubscribe", true) => unsubscribe(verb),
        ("items", false) => items(verb),
        ("publish", true) => publish(&mut pubsub),
        ("retract", true) => retract(verb),
        ("options", _) | ("default", false) => Err(RequestError::Unsupported(Feature::SubscriptionOptions)),
        ("subscriptions", false) => Err(RequestError::Unsupported(Feature::RetrieveSubscriptions)),
        ("affiliations", false) => Err(RequestError::Unsupported(Feature::RetrieveAffiliations)),
        _ => Err(UNKNOWN),
    }
}

fn create(pubsub: &Element, create: &Element) -> Result<Operation, RequestError> {
    if let Some(configure) = pubsub.find("configure", namespace::PUBSUB) {
        check_configuration(configure)?;
    }
    Ok(Operation::Create { node: optional_node(create)? })
}

/// Accepts the default configuration alone (section 8.1.2).
fn check_configuration(configure: &Element) -> Result<(), RequestError> {
    if configure.attribute("node").is_some() {
        return Err(RequestError::Malformed("configure names no node beside create"));
    }
    let Some(form) = configure.find("x", namespace::DATA_FORMS) else { return Ok(()) };
    let fields = || form.children().filter(|field| field.is("field", namespace::DATA_FORMS));
    if fields().any(is_other_access_model) {
        return Err(RequestError::UnsupportedAccessModel);
    }
    let is_default = |field: &Element| matches!(field.attribute("var"), Some("FORM_TYPE" | "pubsub#access_model"));
    if fields().all(is_default) { Ok(()) } else { Err(RequestError::Unsupported(Feature::CreateAndConfigure)) }
}

fn is_other_access_model(field: &Element) -> bool {
    let value = field.find("value", namespace::DATA_FORMS).map(Element::content);
    field.attribute("var") == Some("pubsub#access_model") && value.as_deref() != Some("open")
}

fn subscribe(pubsub: &Element, subscribe: &Element) -> Result<Operation, RequestError> {
    if pubsub.find("options", namespace::PUBSUB).is_some() {
        return Err(RequestError::Unsupported(Feature::SubscriptionOptions));
    }
    Ok(Operation::Subscribe { node: required_node(subscribe)?, jid: required_jid(subscribe)? })
}

/// A SubID is ignored: the service gives none (section 6.2.3.5).
fn unsubscribe(unsubscribe: &Element) -> Result<Operation, RequestError> {
    Ok(Operation::Unsubscribe { node: required_node(unsubscribe)?, jid: required_jid(unsubscribe)? })
}

fn items(items: &Element) -> Result<Operation, RequestError> {
    let ids = children_named_item(items).map(|item| item.attribute("id").map(str::to_owned));
    let ids: Option<Vec<_>> = ids.collect();
    let ids = ids.ok_or(RequestError::ItemRequired)?;
    let newest = items.attribute("max_items").map(positive).transpose()?;
    let selection = match newest {
        _ if !ids.is_empty() => Selection::Ids(ids),
        Some(limit) => Selection::Newest(limit),
        None => Selection::All,
    };
    Ok(Operation::Items { node: required_node(items)?, selection })
}

fn positive(text: &str) -> Result<usize, RequestError> {
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    number.ok_or(RequestError::Malformed("max_items is a positive integer"))
}

fn publish(pubsub: &mut Element) -> Result<Operation, RequestError> {
    // Options are preconditions: to publish without checking them would be worse than not to publish.
    if pubsub.find("publish-options", namespace::PUBSUB).is_some() {
        return Err(RequestError::Unsupported(Feature::PublishOptions));
    }
    let mut publish = pubsub.take("publish", namespace::PUBSUB).ok_or(UNKNOWN)?;
    let node = required_node(&publish)?;
    if children_named_item(&publish).count() > 1 {
        return Err(RequestError::Malformed("one item is published at a time"));
    }
    let item = publish.take("item", namespace::PUBSUB).ok_or(RequestError::ItemRequired)?;
    Ok(Operation::Publish { node, item: new_item(item)? })
}

fn new_item(mut item: Element) -> Result<NewEntry, RequestError> {
    let id = item.attribute("id").filter(|id| !id.is_empty()).map(str::to_owned);
    if id.as_ref().is_some_and(|id| id.len() > MAX_PART_BYTES) {
        return Err(RequestError::UnacceptableName);
    }
    let payload = self_contained(&only_payload(&mut item)?);
    Ok(NewEntry { id, payload })
}

/// Exactly one element, and no text beside it (section 7.1.3.6).
fn only_payload(item: &mut Element) -> Result<Element, RequestError> {
    let is_text = |node: &Node| matches!(node, Node::Text(text) if !text.trim().is_empty());
    if item.nodes().iter().any(is_text) || item.children().count() > 1 {
        return Err(RequestError::InvalidPayload);
    }
    let payload = item.children().next().ok_or(RequestError::PayloadRequired)?;
    let (name, namespace) = (payload.name().to_owned(), payload.namespace().to_owned());
    item.take(&name, &namespace).ok_or(RequestError::PayloadRequired)
}

fn retract(retract: &Element) -> Result<Operation, RequestError> {
    let node = required_node(retract)?;
    let mut items = children_named_item(retract);
    let id = items.next().and_then(|item| item.attribute("id")).filter(|id| !id.is_empty());
    let id = id.ok_or(RequestError::ItemRequired)?.to_owned();
    if items.next().is_some() {
        return Err(RequestError::Malformed("one item is retracted at a time"));
    }
    let notify = retract.attribute("notify").map(boolean).transpose()?;
    Ok(Operation::Retract { node, id, notify })
}

fn children_named_item(element: &Element) -> impl Iterator<Item = &Element> {
    element.children().filter(|child| child.is("item", namespace::PUBSUB))
}

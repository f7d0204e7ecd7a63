//! Publication and retraction (XEP-0060, section 7).

use convoke_xmpp::address::MAX_PART_BYTES;
use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, namespace};

use super::RequestError;
use super::form::submission;
use super::participant::UNKNOWN;
use super::request::{boolean, required_node};
use crate::broker::{NewEntry, Operation, Payload, Submission};
use crate::form::Fields;
use crate::state::self_contained;

/// The purpose of the form that says what a publisher takes for granted (section 7.1.5).
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";

pub(super) fn publish(pubsub: &mut Element) -> Result<Operation, RequestError> {
    let options = publish_options(pubsub)?;
    let mut publish = pubsub.take("publish", namespace::PUBSUB).ok_or(UNKNOWN)?;
    let node = required_node(&publish)?;
    if items_within(&publish).count() > 1 {
        return Err(RequestError::Malformed("one item is published at a time"));
    }
    let item = publish.take("item", namespace::PUBSUB).map(new_entry).transpose()?;
    Ok(Operation::Publish { node, item, options })
}

fn publish_options(pubsub: &Element) -> Result<Fields, RequestError> {
    let Some(options) = pubsub.find("publish-options", namespace::PUBSUB) else { return Ok(Fields::new()) };
    match submission(options, PUBLISH_OPTIONS)? {
        Some(Submission::Fields(fields)) => Ok(fields),
        // To publish without checking them would be worse than not to publish.
        Some(Submission::Cancelled) | None => Err(RequestError::Malformed("publish-options submit a form")),
    }
}

fn new_entry(mut item: Element) -> Result<NewEntry, RequestError> {
    let id = item.attribute("id").filter(|id| !id.is_empty()).map(str::to_owned);
    if id.as_ref().is_some_and(|id| id.len() > MAX_PART_BYTES) {
        return Err(RequestError::UnacceptableName);
    }
    let payload = only_payload(&mut item)?;
    let payload = payload.map(|tree| Payload { xml: self_contained(&tree), namespace: tree.namespace().to_owned() });
    Ok(NewEntry { id, payload })
}

/// One element at most, and no text beside it (section 7.1.3.6).
fn only_payload(item: &mut Element) -> Result<Option<Element>, RequestError> {
    let is_text = |node: &Node| matches!(node, Node::Text(text) if !text.trim().is_empty());
    if item.nodes().iter().any(is_text) || item.children().count() > 1 {
        return Err(RequestError::InvalidPayload);
    }
    let Some(payload) = item.children().next() else { return Ok(None) };
    let (name, namespace) = (payload.name().to_owned(), payload.namespace().to_owned());
    Ok(item.take(&name, &namespace))
}

pub(super) fn retract(retract: &Element) -> Result<Operation, RequestError> {
    let node = required_node(retract)?;
    let mut items = items_within(retract);
    let id = items.next().and_then(|item| item.attribute("id")).filter(|id| !id.is_empty());
    let id = id.ok_or(RequestError::ItemRequired)?.to_owned();
    if items.next().is_some() {
        return Err(RequestError::Malformed("one item is retracted at a time"));
    }
    let notify = retract.attribute("notify").map(boolean).transpose()?;
    Ok(Operation::Retract { node, id, notify })
}

pub(super) fn items_within(element: &Element) -> impl Iterator<Item = &Element> {
    element.children().filter(|child| child.is("item", namespace::PUBSUB))
}

//! From JSON to XML.

use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, Jid, Kind, ReadError, Stanza, namespace};
use serde_json::{Map, Value};

use super::element::{check_text, only_keys, optional, push_attributes, push_children, required, string};
use super::{Fault, MappingError, shortcuts, to_json};

const KINDS: &[&str] = &["message", "presence", "iq"];
const MESSAGE_TYPES: &[&str] = &["normal", "chat", "groupchat", "headline", "error"];
const PRESENCE_TYPES: &[&str] =
    &["available", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"];
const IQ_TYPES: &[&str] = &["get", "set", "result", "error"];

/// The stanza that the JSON says.
///
/// Fails on whatever it cannot say in XML, keys without a meaning included, and names the place.
pub fn from_json(value: &Value) -> Result<Stanza, MappingError> {
    let object = value.as_object().ok_or(MappingError::here(Fault::NotA("an object")))?;
    if let Some(xml) = object.get("xml") {
        return from_xml_key(xml, value, object.len() == 1).map_err(|error| error.within("xml"));
    }
    let head = head(object)?;
    let kind = parse(&head)?.kind();
    check_keys(object, kind)?;
    let listed = match object.get("children") {
        Some(children) => push_children(Element::new(kind.name(), namespace::CLIENT), children, 0)
            .map_err(|error| error.within("children"))?,
        None => Element::new(kind.name(), namespace::CLIENT),
    };
    parse(&body(head, kind, object, &listed)?)
}

fn from_xml_key(xml: &Value, whole: &Value, alone: bool) -> Result<Stanza, MappingError> {
    let stanza = from_xml(string(xml)?).map_err(|error| MappingError::here(Fault::Xml(error)))?;
    if alone || to_json(&stanza) == *whole { Ok(stanza) } else { Err(MappingError::here(Fault::Contradiction)) }
}

/// A stanza written as XML: one element, complete, with nothing around it.
///
/// A stanza keeps its bytes as they came, so one that left an element open, or held more than one, would break the
/// stream that it goes into.
pub(crate) fn from_xml(text: &str) -> Result<Stanza, ReadError> {
    let mut element = Element::parse(text)?;
    let stanza = Stanza::parse(text)?;
    if stanza.fault().is_some() {
        // A missing identifier can be given, a type cannot be guessed.
        element.set_attribute("id", "given");
        if Stanza::parse(&element.to_string())?.fault().is_some() {
            return Err(ReadError::BadFormat("the type is missing or unknown"));
        }
    }
    Ok(stanza)
}

fn parse(element: &Element) -> Result<Stanza, MappingError> {
    Stanza::parse(&element.to_string()).map_err(|error| MappingError::here(Fault::Xml(error)))
}

/// The stanza without its children.
fn head(object: &Map<String, Value>) -> Result<Element, MappingError> {
    let kind = one_of(required(object, "kind")?, KINDS).map_err(|error| error.within("kind"))?;
    let mut element = Element::new(kind, namespace::CLIENT);
    for key in ["to", "from"] {
        if let Some(text) = optional(object, key)? {
            let jid = Jid::new(text).map_err(|error| MappingError::at(key, Fault::Address(error)))?;
            element.set_attribute(key, jid.as_str());
        }
    }
    if let Some(id) = checked(object, "id")? {
        element.set_attribute("id", id);
    }
    if let Some(kind) = stanza_type(kind, object)? {
        element.set_attribute("type", kind);
    }
    if let Some(lang) = checked(object, "lang")? {
        element = element.with_lang(lang);
    }
    match object.get("attrs") {
        Some(attributes) => further_attributes(element, attributes).map_err(|error| error.within("attrs")),
        None => Ok(element),
    }
}

/// A text that XML can carry.
fn checked<'a>(object: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, MappingError> {
    let text = optional(object, key)?;
    check_text(text.unwrap_or_default()).map_err(|error| error.within(key))?;
    Ok(text)
}

/// The attribute `type`; `None` where XMPP leaves it out.
fn stanza_type(kind: &str, object: &Map<String, Value>) -> Result<Option<&'static str>, MappingError> {
    let given = optional(object, "type")?;
    let (known, left_out) = match kind {
        "message" => (MESSAGE_TYPES, Some("normal")),
        "presence" => (PRESENCE_TYPES, Some("available")),
        _ => (IQ_TYPES, None),
    };
    let text = given.or(left_out).ok_or_else(|| MappingError::at("type", Fault::Missing))?;
    let known = one_of(text, known).map_err(|error| error.within("type"))?;
    Ok(Some(known).filter(|known| Some(*known) != left_out))
}

fn one_of(text: &str, known: &'static [&'static str]) -> Result<&'static str, MappingError> {
    known.iter().copied().find(|name| *name == text).ok_or(MappingError::here(Fault::NotOneOf(known)))
}

fn further_attributes(element: Element, attributes: &Value) -> Result<Element, MappingError> {
    let has_key = |name: &&str| attributes.get(name).is_some();
    match ["to", "from", "id", "type", "xml:lang"].iter().copied().find(has_key) {
        Some(name) => Err(MappingError::at(name, Fault::UnknownKey)),
        None => push_attributes(element, attributes),
    }
}

fn check_keys(object: &Map<String, Value>, kind: Kind) -> Result<(), MappingError> {
    let mut known = vec!["kind", "type", "to", "from", "id", "lang", "attrs", "children"];
    known.extend(shortcuts::keys(kind));
    if kind.is_error() {
        known.push("error");
    }
    only_keys(object, &known)
}

/// Adds the children: those with keys of their own, those of the list, the error.
fn body(head: Element, kind: Kind, object: &Map<String, Value>, listed: &Element) -> Result<Element, MappingError> {
    let mut stanza = head;
    for key in shortcuts::keys(kind) {
        if let Some(value) = object.get(*key) {
            stanza = shortcuts::push(stanza, key, value, listed).map_err(|error| error.within(key))?;
        }
    }
    for node in listed.nodes() {
        stanza = match node {
            Node::Text(text) => stanza.text(text.clone()),
            Node::Element(child) => stanza.child(child.clone()),
        };
    }
    match object.get("error") {
        Some(error) => shortcuts::push_error(stanza, error, listed).map_err(|error| error.within("error")),
        None => Ok(stanza),
    }
}

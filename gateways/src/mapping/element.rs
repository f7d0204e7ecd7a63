//! One element as JSON, and back.

use convoke_xmpp::Element;
use convoke_xmpp::xml::Node;
use serde_json::{Map, Value};

use super::{Fault, MappingError};

/// How deep elements nest in JSON; deeper ones are carried as XML. Two levels of JSON for each keep it well under the
/// default limit of a body.
pub const MAX_DEPTH: usize = 24;

const LANG: &str = "xml:lang";

/// A child of an element whose namespace is `around`.
pub(super) fn node_to_json(node: &Node, around: &str) -> Value {
    match node {
        Node::Text(text) => text.as_str().into(),
        Node::Element(element) if needs_xml(element) => {
            Value::Object(Map::from_iter([("xml".to_owned(), element.to_string().into())]))
        }
        Node::Element(element) => element_to_json(element, around),
    }
}

/// The attributes that have a place in JSON, `xml:lang` among them; `except` are left out.
pub(super) fn attributes_to_json(element: &Element, except: &[&str]) -> Map<String, Value> {
    let attributes = element.attributes().filter(|(name, _)| !except.contains(name));
    attributes.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Whether attributes of a foreign namespace stand in the start tag of an element written as XML.
///
/// Written XML declares prefixes for nothing else. The tag ends with the first `>`, which values escape.
pub(super) fn has_foreign_attributes(xml: &str) -> bool {
    xml.split('>').next().is_some_and(declares_prefix)
}

fn declares_prefix(xml: &str) -> bool {
    xml.contains(" xmlns:")
}

/// JSON has no place for attributes of foreign namespaces, and no depth without end.
///
/// A text that looks like a declaration is carried as XML too, which is harmless.
fn needs_xml(element: &Element) -> bool {
    depth(element) > MAX_DEPTH || declares_prefix(&element.to_string())
}

fn depth(element: &Element) -> usize {
    1 + element.children().map(depth).max().unwrap_or(0)
}

fn element_to_json(element: &Element, around: &str) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), element.name().into());
    if element.namespace() != around {
        object.insert("xmlns".into(), element.namespace().into());
    }
    let mut attributes = attributes_to_json(element, &[]);
    if let Some(lang) = element.lang() {
        attributes.insert(LANG.into(), lang.into());
    }
    if !attributes.is_empty() {
        object.insert("attrs".into(), attributes.into());
    }
    match element.nodes() {
        [] => {}
        [Node::Text(text)] => {
            object.insert("text".into(), text.as_str().into());
        }
        nodes => {
            let children: Vec<Value> = nodes.iter().map(|n| inner_to_json(n, element.namespace())).collect();
            object.insert("children".into(), children.into());
        }
    }
    object.into()
}

/// A node within an element of which it is known that no part of it needs XML.
fn inner_to_json(node: &Node, around: &str) -> Value {
    match node {
        Node::Text(text) => text.as_str().into(),
        Node::Element(element) => element_to_json(element, around),
    }
}

/// Adds a list of children to an element.
pub(super) fn push_children(parent: Element, value: &Value, depth: usize) -> Result<Element, MappingError> {
    let list = value.as_array().ok_or(MappingError::here(Fault::NotA("a list")))?;
    let around = parent.namespace().to_owned();
    list.iter().enumerate().try_fold(parent, |parent, (at, item)| {
        push_node(parent, item, &around, depth).map_err(|error| error.within(&at.to_string()))
    })
}

fn push_node(parent: Element, item: &Value, around: &str, depth: usize) -> Result<Element, MappingError> {
    match item {
        Value::String(text) => push_text(parent, text),
        Value::Object(object) => Ok(parent.child(element_from_json(object, around, depth)?)),
        _ => Err(MappingError::here(Fault::NotA("a string or an object"))),
    }
}

fn push_text(parent: Element, text: &str) -> Result<Element, MappingError> {
    check_text(text)?;
    // An empty text is none: XML cannot tell them apart.
    Ok(if text.is_empty() { parent } else { parent.text(text) })
}

fn element_from_json(object: &Map<String, Value>, around: &str, depth: usize) -> Result<Element, MappingError> {
    if depth >= MAX_DEPTH {
        return Err(MappingError::here(Fault::TooDeep));
    }
    if let Some(xml) = object.get("xml") {
        only_keys(object, &["xml"])?;
        return element_from_key(xml).map_err(|error| error.within("xml"));
    }
    only_keys(object, &["name", "xmlns", "attrs", "text", "children"])?;
    let element = start_tag(object, around)?;
    match (object.get("text"), object.get("children")) {
        (Some(_), Some(_)) => Err(MappingError::at("text", Fault::Contradiction)),
        (Some(text), None) => {
            string(text).and_then(|text| push_text(element, text)).map_err(|error| error.within("text"))
        }
        (None, Some(children)) => push_children(element, children, depth + 1).map_err(|error| error.within("children")),
        (None, None) => Ok(element),
    }
}

fn element_from_key(xml: &Value) -> Result<Element, MappingError> {
    Element::parse(string(xml)?).map_err(|error| MappingError::here(Fault::Xml(error)))
}

fn start_tag(object: &Map<String, Value>, around: &str) -> Result<Element, MappingError> {
    let name = required(object, "name")?;
    let namespace = optional(object, "xmlns")?.unwrap_or(around);
    let element = checked(Element::new(name.to_owned(), "")).map_err(|error| error.within("name"))?;
    let element = if namespace.is_empty() {
        element
    } else {
        checked(Element::new(name.to_owned(), namespace.to_owned())).map_err(|error| error.within("xmlns"))?
    };
    match object.get("attrs") {
        Some(attributes) => push_attributes(element, attributes).map_err(|error| error.within("attrs")),
        None => Ok(element),
    }
}

/// Adds an object of attributes to an element; `xml:lang` is one of them.
pub(super) fn push_attributes(element: Element, value: &Value) -> Result<Element, MappingError> {
    let object = value.as_object().ok_or(MappingError::here(Fault::NotA("an object")))?;
    object.iter().try_fold(element, |element, (name, value)| {
        push_attribute(element, name, value).map_err(|error| error.within(name))
    })
}

fn push_attribute(element: Element, name: &str, value: &Value) -> Result<Element, MappingError> {
    let value = string(value)?;
    if name == LANG {
        check_text(value)?;
        return Ok(element.with_lang(value));
    }
    checked(Element::new("x", "").attr(name.to_owned(), value))?;
    Ok(element.attr(name.to_owned(), value))
}

/// Refuses an element that would not read back as it is: a name that is none, a declaration that looks like an
/// attribute, a forbidden character.
fn checked(element: Element) -> Result<Element, MappingError> {
    match Element::parse(&element.to_string()) {
        Ok(read) if read == element => Ok(element),
        _ => Err(MappingError::here(Fault::NotXml)),
    }
}

/// Refuses characters that XML 1.0 (production 2) does not have.
pub(super) fn check_text(text: &str) -> Result<(), MappingError> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(allowed) { Ok(()) } else { Err(MappingError::here(Fault::NotXml)) }
}

pub(super) fn string(value: &Value) -> Result<&str, MappingError> {
    value.as_str().ok_or(MappingError::here(Fault::NotA("a string")))
}

/// The string under a key, if there is one.
pub(super) fn optional<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, MappingError> {
    object.get(key).map(|value| string(value).map_err(|error| error.within(key))).transpose()
}

/// The string under a key.
pub(super) fn required<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, MappingError> {
    optional(object, key)?.ok_or_else(|| MappingError::at(key, Fault::Missing))
}

/// Refuses keys that are not among these.
pub(super) fn only_keys(object: &Map<String, Value>, known: &[&str]) -> Result<(), MappingError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(MappingError::at(key, Fault::UnknownKey)),
        None => Ok(()),
    }
}

//! Children of a stanza that have keys of their own: `body`, `show`, `error` and their like.

use convoke_xmpp::xml::Node;
use convoke_xmpp::{Condition, Element, ErrorType, Kind, StanzaError, namespace};
use serde_json::{Map, Value, json};

use super::element::{check_text, only_keys, optional, required, string};
use super::{Fault, MappingError};

/// The keys of a message's children, in the order in which they are written.
const OF_MESSAGE: &[&str] = &["subject", "body", "thread"];
/// The keys of a presence's children.
const OF_PRESENCE: &[&str] = &["show", "status", "priority"];
/// RFC 6121, section 4.7.2.1.
const SHOW: &[&str] = &["away", "chat", "dnd", "xa"];
/// RFC 6120, section 8.3.2.
const ERROR_TYPES: &[(&str, ErrorType)] = &[
    ("auth", ErrorType::Auth),
    ("cancel", ErrorType::Cancel),
    ("continue", ErrorType::Continue),
    ("modify", ErrorType::Modify),
    ("wait", ErrorType::Wait),
];
const ERROR_TYPE_NAMES: &[&str] = &["auth", "cancel", "continue", "modify", "wait"];

/// The keys that children of this kind of stanza have, `error` aside.
pub(super) fn keys(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Message(_) => OF_MESSAGE,
        Kind::Presence(_) => OF_PRESENCE,
        Kind::Iq(_) => &[],
    }
}

/// A child that a key can say, and where it stands.
pub(super) struct Found {
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) at: usize,
}

/// The children of a stanza that keys can say, in the order of the keys.
pub(super) fn find(kind: Kind, stanza: &Element) -> Vec<Found> {
    let first_plain = |key: &'static str| {
        let child = |(at, node): (usize, &Node)| Some(Found { key, value: plain_value(key, node)?, at });
        stanza.nodes().iter().enumerate().find_map(child)
    };
    keys(kind).iter().filter_map(|key| first_plain(key)).collect()
}

/// What a key says of this node; `None` if the node is anything but a plain child of that name.
fn plain_value(key: &str, node: &Node) -> Option<Value> {
    let Node::Element(element) = node else { return None };
    let text = element.content();
    if *element != plain(key, &text) {
        return None;
    }
    match key {
        "show" if !SHOW.contains(&text.as_str()) => None,
        "priority" => text.parse::<i8>().ok().filter(|number| number.to_string() == text).map(Value::from),
        _ => Some(text.into()),
    }
}

fn plain(key: &str, text: &str) -> Element {
    let element = Element::new(key.to_owned(), namespace::CLIENT);
    if text.is_empty() { element } else { element.text(text) }
}

/// Adds the child that a key says, unless `listed` holds it already.
pub(super) fn push(stanza: Element, key: &str, value: &Value, listed: &Element) -> Result<Element, MappingError> {
    let child = plain(key, &text_of(key, value)?);
    Ok(if listed.children().any(|other| *other == child) { stanza } else { stanza.child(child) })
}

fn text_of(key: &str, value: &Value) -> Result<String, MappingError> {
    if key == "priority" {
        let number = value.as_i64().and_then(|number| i8::try_from(number).ok());
        return number
            .map(|number| number.to_string())
            .ok_or(MappingError::here(Fault::NotA("a number from -128 to 127")));
    }
    let text = string(value)?;
    check_text(text)?;
    if key == "show" && !SHOW.contains(&text) {
        return Err(MappingError::here(Fault::NotOneOf(SHOW)));
    }
    Ok(text.to_owned())
}

/// The `error` child of a stanza, as its key says it, and where it stands.
pub(super) fn find_error(stanza: &Element) -> Option<Found> {
    let is_error = |node: &Node| matches!(node, Node::Element(child) if child.is("error", namespace::CLIENT));
    let at = stanza.nodes().iter().position(is_error)?;
    let Node::Element(child) = &stanza.nodes()[at] else { return None };
    Some(Found { key: "error", value: error_to_json(&StanzaError::from_element(child), child.attribute("by")), at })
}

/// A stanza error as `{type, condition, text, by}`.
pub(crate) fn error_to_json(error: &StanzaError, by: Option<&str>) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), error.error_type.as_str().into());
    object.insert("condition".into(), error.condition.as_str().into());
    object.extend(error.text.as_ref().map(|text| ("text".into(), json!(text))));
    object.extend(by.map(|by| ("by".into(), json!(by))));
    object.into()
}

/// Adds the `error` child that the key says, unless `listed` holds it already.
pub(super) fn push_error(stanza: Element, value: &Value, listed: &Element) -> Result<Element, MappingError> {
    let child = error_from_json(value)?;
    match find_error(listed) {
        None => Ok(stanza.child(child)),
        Some(found) if found.value == *value => Ok(stanza),
        Some(_) => Err(MappingError::here(Fault::Contradiction)),
    }
}

/// The `error` element that the key says.
pub(super) fn error_from_json(value: &Value) -> Result<Element, MappingError> {
    let object = value.as_object().ok_or(MappingError::here(Fault::NotA("an object")))?;
    only_keys(object, &["type", "condition", "text", "by"])?;
    let condition = Condition::parse(required(object, "condition")?)
        .ok_or_else(|| MappingError::at("condition", Fault::NotA("a condition of RFC 6120, section 8.3.3")))?;
    let mut error = StanzaError::new(condition);
    if let Some(name) = optional(object, "type")? {
        error.error_type = error_type(name)?;
    }
    if let Some(text) = optional(object, "text")? {
        check_text(text).map_err(|error| error.within("text"))?;
        error.text = Some(text.to_owned());
    }
    let by = optional(object, "by")?;
    check_text(by.unwrap_or_default()).map_err(|error| error.within("by"))?;
    Ok(error.to_element().attr_opt("by", by))
}

fn error_type(name: &str) -> Result<ErrorType, MappingError> {
    let found = ERROR_TYPES.iter().find(|(known, _)| *known == name).map(|(_, error_type)| *error_type);
    found.ok_or_else(|| MappingError::at("type", Fault::NotOneOf(ERROR_TYPE_NAMES)))
}

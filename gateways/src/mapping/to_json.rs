//! From XML to JSON.

use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, Stanza, namespace};
use serde_json::{Map, Value};

use super::element::{attributes_to_json, has_foreign_attributes, node_to_json};
use super::shortcuts::{self, Found};

/// The stanza as JSON; [`from_json`](super::from_json) makes the same stanza of it.
pub fn to_json(stanza: &Stanza) -> Value {
    let element = stanza.to_element();
    let mut object = header(stanza);
    if has_foreign_attributes(&element.to_string()) {
        object.insert("xml".into(), stanza.text().into());
        return object.into();
    }
    let attributes = attributes_to_json(&element, &["to", "from", "id", "type"]);
    if !attributes.is_empty() {
        object.insert("attrs".into(), attributes.into());
    }
    add_children(&mut object, stanza, &element);
    object.into()
}

fn header(stanza: &Stanza) -> Map<String, Value> {
    let kind = stanza.kind();
    let left_out = if kind.name() == "message" { "normal" } else { "available" };
    let mut object = Map::new();
    object.insert("kind".into(), kind.name().into());
    object.insert("type".into(), kind.type_attribute().unwrap_or(left_out).into());
    let others = [
        ("to", stanza.to().map(|jid| jid.as_str())),
        ("from", stanza.from().map(|jid| jid.as_str())),
        ("id", stanza.id()),
        ("lang", stanza.lang()),
    ];
    object.extend(others.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
    object
}

fn add_children(object: &mut Map<String, Value>, stanza: &Stanza, element: &Element) {
    let mut found = shortcuts::find(stanza.kind(), element);
    let error = if stanza.kind().is_error() { shortcuts::find_error(element) } else { None };
    let keys_suffice = in_order(&found, element) && error.as_ref().is_none_or(|error| says_all(error, element));
    found.extend(error);
    let said: Vec<usize> = if keys_suffice { found.iter().map(|found| found.at).collect() } else { Vec::new() };
    let rest = element.nodes().iter().enumerate().filter(|(at, _)| !said.contains(at));
    let children: Vec<Value> = rest.map(|(_, node)| node_to_json(node, namespace::CLIENT)).collect();
    object.extend(found.into_iter().map(|found| (found.key.to_owned(), found.value)));
    if !children.is_empty() {
        object.insert("children".into(), children.into());
    }
}

/// Whether the keys give the children back in their order: they stand first, in the order of the keys, and nothing
/// behind them has the same name.
fn in_order(found: &[Found], element: &Element) -> bool {
    let lead = found.iter().enumerate().all(|(at, found)| found.at == at);
    let rest = element.nodes().iter().skip(found.len());
    let repeated = |node: &Node| {
        matches!(node, Node::Element(child) if child.namespace() == namespace::CLIENT
            && found.iter().any(|found| found.key == child.name()))
    };
    lead && !rest.into_iter().any(repeated)
}

/// Whether the key says all of the error, and it stands last.
fn says_all(error: &Found, element: &Element) -> bool {
    let is_last = error.at + 1 == element.nodes().len();
    let written = shortcuts::error_from_json(&error.value).ok();
    is_last && matches!(&element.nodes()[error.at], Node::Element(child) if Some(child) == written.as_ref())
}

//! Payloads that every entity answers: service discovery, ping and version.

use crate::Element;
use crate::namespace;

/// One identity of an entity (XEP-0030, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The category, such as `server` or `pubsub`.
    pub category: &'static str,
    /// The type within the category, such as `im` or `service`.
    pub kind: &'static str,
    /// A name for people.
    pub name: String,
}

/// The payload of a disco#info result (XEP-0030, section 3.1); the feature disco#info itself is added.
pub fn disco_info<'a>(identities: &[Identity], features: impl IntoIterator<Item = &'a str>) -> Element {
    let identity = |i: &Identity| {
        Element::new("identity", namespace::DISCO_INFO)
            .attr("category", i.category)
            .attr("type", i.kind)
            .attr("name", &i.name)
    };
    let feature = |name: &str| Element::new("feature", namespace::DISCO_INFO).attr("var", name);
    Element::new("query", namespace::DISCO_INFO)
        .with_children(identities.iter().map(identity))
        .child(feature(namespace::DISCO_INFO))
        .with_children(features.into_iter().filter(|name| *name != namespace::DISCO_INFO).map(feature))
}

/// The payload of a disco#items result (XEP-0030, section 4.1): addresses with names for people.
pub fn disco_items<'a>(items: impl IntoIterator<Item = (&'a str, &'a str)>) -> Element {
    let item = |(jid, name)| Element::new("item", namespace::DISCO_ITEMS).attr("jid", jid).attr("name", name);
    Element::new("query", namespace::DISCO_ITEMS).with_children(items.into_iter().map(item))
}

/// The payload of a ping (XEP-0199).
pub fn ping() -> Element {
    Element::new("ping", namespace::PING)
}

/// The payload of a software version result (XEP-0092).
pub fn version(name: &str, version: &str) -> Element {
    let child = |tag, text: &str| Element::new(tag, namespace::VERSION).text(text);
    Element::new("query", namespace::VERSION).child(child("name", name)).child(child("version", version))
}

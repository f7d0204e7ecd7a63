//! What the documentation shows is what the types read and write.

use std::collections::BTreeMap;

use convoke_xmpp::Element;

use crate::nodes::{DomainTotals, Health, ItemError, Lent, LinkReport, NodeItem, Offered, TaskResult, TaskState};

const DOCUMENT: &str = include_str!("../../../docs/nodes.md");

/// The items that the document shows under the heading of each node.
fn documented() -> BTreeMap<String, Vec<Element>> {
    let sections = DOCUMENT.split("\n## `").skip(1).filter_map(|section| section.split_once("`\n"));
    let items = |text: &str| {
        let blocks = text.split("```xml\n").skip(1).map(|block| block.split("```").next().unwrap().trim());
        blocks.filter(|block| block.starts_with("<item")).map(|block| Element::parse(block).unwrap()).collect()
    };
    sections.map(|(node, text)| (node.to_owned(), items(text))).collect()
}

fn read<T: NodeItem>(item: &Element) -> (String, Element, Result<T, ItemError>) {
    let (id, payload) = (item.attribute("id").unwrap(), item.children().next().unwrap());
    (id.to_owned(), payload.clone(), T::read(id, payload))
}

/// Reads every item of the node's section, writes it again, and refuses it without any of its attributes.
fn check<T: NodeItem + std::fmt::Debug>(sections: &mut BTreeMap<String, Vec<Element>>, part: &str) {
    let node = format!("{}{part}", T::NODE);
    let items = sections.remove(&node).unwrap_or_else(|| panic!("{node} is not documented"));
    assert!(!items.is_empty(), "{node} shows no item");
    for item in items {
        let (id, payload, value) = read::<T>(&item);
        let value = value.unwrap_or_else(|error| panic!("{payload}: {error}"));
        assert_eq!((value.id().into_owned(), value.payload()), (id.clone(), payload.clone()));
        for (attribute, _) in payload.attributes() {
            let rest = payload.attributes().filter(|(other, _)| *other != attribute);
            let less = rest
                .fold(Element::new(payload.name().to_owned(), payload.namespace().to_owned()), |less, (k, v)| {
                    less.attr(k.to_owned(), v)
                });
            let is_optional = attribute == "why" && payload.attribute("verdict") == Some("ok");
            assert_eq!(T::read(&id, &less).is_ok(), is_optional, "without {attribute}: {less}");
        }
        assert!(T::read("somebody-else", &payload).is_err(), "{payload} is about {id} alone");
        let other = Element::new("other", payload.namespace().to_owned());
        assert!(matches!(T::read(&id, &other), Err(ItemError::OtherPayload { .. })));
    }
}

#[test]
fn every_documented_item_is_what_its_type_reads_and_writes_and_every_node_is_documented() {
    let mut sections = documented();
    check::<Offered>(&mut sections, "");
    check::<DomainTotals>(&mut sections, "");
    check::<Lent>(&mut sections, "");
    check::<TaskState>(&mut sections, "/BATCH");
    check::<TaskResult>(&mut sections, "/BATCH");
    check::<Health>(&mut sections, "");
    check::<LinkReport>(&mut sections, "");
    assert!(sections.is_empty(), "documented, and no type reads it: {:?}", sections.keys());
}

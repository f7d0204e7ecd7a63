//! The fields that the registry has for the forms of publish-subscribe (XEP-0060, section 17.4), against the forms that the
//! service shows and the table in the documentation of the crate.

use std::collections::{BTreeMap, BTreeSet};

use convoke_pubsub::PubSubConfig;
use convoke_xmpp::{Element, Stanza};

use crate::support::{House, NODE, open_config};

const LIB: &str = include_str!("../src/lib.rs");

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const FRANCISCO: &str = "francisco@denmark.lit";

/// The registry, from the standard and not from the code.
const REGISTRY: [(&str, &str); 4] = [
    (
        "node_config",
        "access_model body_xslt contact dataform_xslt deliver_notifications deliver_payloads description item_expire \
         itemreply language max_items max_payload_size node_type notification_type notify_config notify_delete \
         notify_retract notify_sub persist_items presence_based_delivery publish_model publish_node_full purge_offline \
         roster_groups_allowed send_last_published_item subscribe tempsub title type",
    ),
    (
        "meta-data",
        "access_model contact creation_date creator description language max_items num_subscribers owner publish_model \
         publisher title type",
    ),
    (
        "subscribe_options",
        "deliver digest digest_frequency expire include_body show-values subscription_depth subscription_type",
    ),
    ("subscribe_authorization", "allow node subid subscriber_jid"),
];

/// What the table says of one form.
#[derive(Default)]
struct Fields {
    served: BTreeSet<&'static str>,
    left_out: BTreeSet<&'static str>,
}

/// The table, by form; a field that stands twice fails.
fn table() -> BTreeMap<&'static str, Fields> {
    let forms = REGISTRY.map(|(form, _)| form);
    let rows = LIB.lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = rows.map(|row| row.splitn(3, " | ").collect::<Vec<_>>());
    let mut table = BTreeMap::<_, Fields>::new();
    for row in rows.filter(|row| row.len() == 3 && forms.contains(&row[0])) {
        let fields = table.entry(row[0]).or_default();
        for field in row[1].split('`').skip(1).step_by(2) {
            let is_new = !fields.served.contains(field) && !fields.left_out.contains(field);
            assert!(is_new, "{} {field}", row[0]);
            let list = if row[2].starts_with("left out: ") { &mut fields.left_out } else { &mut fields.served };
            list.insert(field);
        }
    }
    table
}

/// The names of the fields of the form of this type that a stanza carries.
fn shown(stanza: &Stanza, form_type: &str) -> BTreeSet<String> {
    let form = find_form(&stanza.to_element(), form_type).unwrap_or_else(|| panic!("no {form_type} in {stanza:?}"));
    let names = form.children().filter_map(|field| field.attribute("var")?.strip_prefix("pubsub#").map(str::to_owned));
    names.collect()
}

fn find_form(element: &Element, form_type: &str) -> Option<Element> {
    let mut values = element.children().flat_map(Element::children).map(Element::content);
    if element.name() == "x" && values.any(|value| value.ends_with(&format!("#{form_type}"))) {
        return Some(element.clone());
    }
    element.children().find_map(|child| find_form(child, form_type))
}

#[test]
fn every_registered_field_is_served_or_left_out_for_a_reason() {
    let table = table();
    for (form, registered) in REGISTRY {
        let all: BTreeSet<_> = table[form].served.union(&table[form].left_out).copied().collect();
        assert_eq!(all, registered.split_whitespace().collect(), "{form}");
    }
}

#[test]
fn the_forms_have_the_fields_that_are_served_and_no_others() {
    let house = House::with_node(PubSubConfig { multi_subscribe: true, ..open_config() });
    house.configure(&[("pubsub#access_model", &["authorize"])]);
    let request = |verb: &str| house.request(FRANCISCO, "set", verb).pop().unwrap();
    let asked = request(&format!("<subscribe node='{NODE}' jid='{FRANCISCO}'/>"));
    let info = format!(
        "<iq type='get' from='{FRANCISCO}' to='pubsub.shakespeare.lit' id='1'>\
         <query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}'/></iq>"
    );
    let configure = format!("<configure node='{NODE}'/>");
    for (form, stanza) in [
        ("node_config", house.owner_request(HAMLET, "get", &configure).remove(0)),
        ("meta-data", house.send(&info).remove(0)),
        ("subscribe_options", house.request(FRANCISCO, "get", &format!("<default node='{NODE}'/>")).remove(0)),
        ("subscribe_authorization", asked),
    ] {
        let served: BTreeSet<String> = table()[form].served.iter().map(|field| (*field).to_owned()).collect();
        assert_eq!(shown(&stanza, form), served, "{form}");
    }
}

/// Section 5.4: what those may know of a node who may subscribe to it.
#[test]
fn the_metadata_say_what_is_configured_and_who_made_the_node() {
    let house = House::with_node(open_config());
    house.configure(&[
        ("pubsub#title", &["Princely Musings (Atom)"]),
        ("pubsub#description", &["Updates for Hamlet's Princely Musings weblog."]),
        ("pubsub#language", &["en"]),
        ("pubsub#type", &["http://www.w3.org/2005/Atom"]),
        ("pubsub#contact", &["bard@shakespeare.lit", "horatio@denmark.lit"]),
        ("pubsub#max_items", &["7"]),
        ("pubsub#publish_model", &["subscribers"]),
    ]);
    house.affiliate("bernardo@denmark.lit", "publisher");
    house.affiliate("horatio@denmark.lit", "owner");
    house.subscribe(FRANCISCO);
    let info = house.send(&format!(
        "<iq type='get' from='{FRANCISCO}' to='pubsub.shakespeare.lit' id='1'>\
         <query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}'/></iq>"
    ));
    for (name, expected) in [
        ("title", "Princely Musings (Atom)"),
        ("description", "Updates for Hamlet's Princely Musings weblog."),
        ("language", "en"),
        ("type", "http://www.w3.org/2005/Atom"),
        ("contact", "bard@shakespeare.lit horatio@denmark.lit"),
        ("max_items", "7"),
        ("access_model", "open"),
        ("publish_model", "subscribers"),
        ("creator", "hamlet@denmark.lit"),
        ("owner", "hamlet@denmark.lit horatio@denmark.lit"),
        ("publisher", "bernardo@denmark.lit"),
        ("num_subscribers", "1"),
    ] {
        assert_eq!(crate::support::field_values(&info[0], &format!("pubsub#{name}")), expected, "{name}");
    }
    let created = crate::support::field_values(&info[0], "pubsub#creation_date");
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
}

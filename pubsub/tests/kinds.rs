//! XEP-0060, sections 4.3, 7.1.2 to 7.1.5, 7.2.3 and 8.5: persistent and transient nodes, with and without payloads.

use convoke_pubsub::{PubSubConfig, client};
use convoke_xmpp::Stanza;

use crate::support::{House, NODE, form, item_ids, open_config, verdict};

const BLOGBOT: &str = "hamlet@denmark.lit/blogbot";
const OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
const PAYLOAD: &str = "<a xmlns='urn:a'/>";

fn of_kind(persistent: &str, payloads: &str) -> House {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#persist_items", &[persistent]), ("pubsub#deliver_payloads", &[payloads])]);
    house.subscribe("francisco@denmark.lit");
    house
}

fn publication(content: &str) -> String {
    format!("<publish node='{NODE}'>{content}</publish>")
}

/// The table of section 4.3 and the rules of section 7.1.3.7; examples 111, 112 and 113.
#[test]
fn a_node_takes_the_publications_of_its_kind() {
    let with_payload = format!("<item id='1'>{PAYLOAD}</item>");
    for (persistent, payloads, content, expected) in [
        ("1", "1", "", "bad-request/item-required"),
        ("1", "1", "<item id='1'/>", "bad-request/payload-required"),
        ("1", "1", &with_payload, "result"),
        ("1", "0", "", "bad-request/item-required"),
        ("1", "0", "<item id='1'/>", "result"),
        ("1", "0", "<item/>", "result"),
        ("1", "0", &with_payload, "result"),
        ("0", "1", "", "bad-request/item-required"),
        ("0", "1", "<item id='1'/>", "bad-request/payload-required"),
        ("0", "1", &with_payload, "result"),
        ("0", "0", "", "result"),
        ("0", "0", "<item/>", "bad-request/item-forbidden"),
        ("0", "0", &with_payload, "bad-request/item-forbidden"),
    ] {
        let answers = of_kind(persistent, payloads).request(BLOGBOT, "set", &publication(content));
        assert_eq!(verdict(&answers), expected, "persistent {persistent}, payloads {payloads}: {content}");
        assert_eq!(answers.len(), if expected == "result" { 2 } else { 1 });
    }
}

/// Example 101, and what section 4.3 says of the three other kinds.
#[test]
fn a_notification_holds_what_its_kind_of_node_tells() {
    let item = format!("<item id='1'>{PAYLOAD}</item>");
    for (persistent, payloads, content, told) in [
        ("1", "1", item.as_str(), format!("<items node='{NODE}'>{item}</items>")),
        ("1", "0", &item, format!("<items node='{NODE}'><item id='1'/></items>")),
        ("0", "1", &item, format!("<items node='{NODE}'>{item}</items>")),
        ("0", "0", "", format!("<items node='{NODE}'/>")),
    ] {
        let result = format!(
            "<iq type='result' from='pubsub.shakespeare.lit' to='{BLOGBOT}' id='p'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{NODE}'/></pubsub>
             </iq>"
        );
        let event = format!(
            "<message type='headline' from='pubsub.shakespeare.lit' to='francisco@denmark.lit'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'>{told}</event>
             </message>"
        );
        of_kind(persistent, payloads).exchange(
            &format!(
                "<iq type='set' from='{BLOGBOT}' to='pubsub.shakespeare.lit' id='p'>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'>{}</pubsub>
                 </iq>",
                publication(content)
            ),
            &[&result, &event],
        );
    }
}

/// A node that does not deliver payloads keeps them for those who ask (section 6.5.6; examples 78 and 79).
#[test]
fn the_payload_that_a_notification_leaves_out_can_be_retrieved() {
    let house = of_kind("1", "0");
    house.publish("1", PAYLOAD);
    let answers = house.request(BLOGBOT, "get", &format!("<items node='{NODE}'><item id='1'/></items>"));
    let items = convoke_pubsub::client::parse_items(&answers[0].payload().unwrap()).unwrap();
    assert!(items[0].payload.as_ref().unwrap().is("a", "urn:a"));
}

/// Examples 87, 123 and 168.
#[test]
fn a_transient_node_has_no_items_to_retrieve_to_retract_or_to_purge() {
    let unsupported = "feature-not-implemented/unsupported persistent-items";
    // The first has no items at all, the second must not give the last one to who comes later.
    let (announcing, forgetful) = (of_kind("0", "0"), of_kind("0", "1"));
    forgetful.configure(&[("pubsub#send_last_published_item", &["never"])]);
    forgetful.publish("1", PAYLOAD);
    for house in [&announcing, &forgetful] {
        assert_eq!(verdict(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), unsupported);
    }
    let house = of_kind("0", "1");
    house.publish("1", PAYLOAD);
    let retract = format!("<retract node='{NODE}'><item id='1'/></retract>");
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &retract)), unsupported);
    assert_eq!(verdict(&house.owner_request(BLOGBOT, "set", &format!("<purge node='{NODE}'/>"))), unsupported);
}

/// Example 110: a payload of another namespace than that of the node.
#[test]
fn a_node_with_a_type_takes_payloads_of_that_namespace_alone() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#type", &["urn:a"])]);
    house.publish("1", PAYLOAD);
    let wrong = publication("<item><b xmlns='urn:b'/></item>");
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &wrong)), "bad-request/invalid-payload");
}

/// Example 109, by the node's own limit.
#[test]
fn a_node_limits_its_payloads_itself() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#max_payload_size", &["20"])]);
    house.publish("1", PAYLOAD);
    let large = publication("<item><a xmlns='urn:a'>xxxxxxxx</a></item>");
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &large)), "not-acceptable/payload-too-big");
}

/// Section 7.1.2.5 and example 108; an item that is replaced needs no room.
#[test]
fn a_full_node_does_what_it_is_configured_to_do() {
    for (policy, notified, left) in [("retract-oldest", 2, ["b", "c"]), ("discard-oldest", 1, ["b", "c"])] {
        let house = full(policy);
        assert_eq!(house.publish("c", PAYLOAD).len(), notified, "{policy}");
        assert_eq!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), left);
    }
    let house = full("reject");
    let third = publication(&format!("<item id='c'>{PAYLOAD}</item>"));
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &third)), "conflict/node-full");
    assert_eq!(house.publish("a", PAYLOAD).len(), 1);
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), ["b", "a"]);
}

fn full(policy: &str) -> House {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#max_items", &["2"]), ("pubsub#publish_node_full", &[policy])]);
    house.subscribe("francisco@denmark.lit");
    house.publish("a", PAYLOAD);
    house.publish("b", PAYLOAD);
    house
}

/// Example 232: a singleton node has the newest item alone, whatever its id.
#[test]
fn a_singleton_node_keeps_the_newest_item_alone() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#max_items", &["1"])]);
    house.publish("current", PAYLOAD);
    house.publish("current", "<z xmlns='urn:z'/>");
    house.publish("other", PAYLOAD);
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), ["other"]);
}

/// Example 114 and section 7.1.5: on a node that exists, options are preconditions.
#[test]
fn publish_options_are_preconditions() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#max_items", &["10"])]);
    let publish = |fields: &[(&str, &[&str])]| {
        let options = format!("<publish-options>{}</publish-options>", form(OPTIONS, fields));
        verdict(&house.request(BLOGBOT, "set", &(publication(&format!("<item>{PAYLOAD}</item>")) + &options)))
    };
    for (fields, expected) in [
        (&[][..], "result"),
        (&[("pubsub#access_model", &["open"][..])], "result"),
        (&[("pubsub#access_model", &["open"]), ("pubsub#max_items", &["10"])], "result"),
        (&[("pubsub#persist_items", &["true"])], "result"),
        (&[("pubsub#node_type", &["leaf"])], "result"),
        (&[("pubsub#access_model", &["presence"])], "conflict/precondition-not-met"),
        (&[("pubsub#access_model", &["open"]), ("pubsub#max_items", &["max"])], "conflict/precondition-not-met"),
        (&[("pubsub#access_model", &["king"])], "conflict/precondition-not-met"),
        (&[("pubsub#unheard-of", &["1"])], "bad-request/invalid-options"),
    ] {
        assert_eq!(publish(fields), expected, "{fields:?}");
    }
    for wrong in [
        "<publish-options/>".to_owned(),
        "<publish-options><x xmlns='jabber:x:data' type='cancel'/></publish-options>".to_owned(),
        format!("<publish-options>{}</publish-options>", form("http://jabber.org/protocol/pubsub#node_config", &[])),
    ] {
        let verb = publication(&format!("<item>{PAYLOAD}</item>")) + &wrong;
        assert_eq!(verdict(&house.request(BLOGBOT, "set", &verb)), "bad-request", "{wrong}");
    }
}

/// Sections 7.1.4 and 7.1.5: a node that is created by a publication is as its options say.
#[test]
fn publishing_creates_a_node_where_the_service_says_so() {
    let house = House::with(PubSubConfig { auto_create: true, ..open_config() });
    let publish = |fields: &[(&str, &[&str])]| {
        let options = format!("<publish-options>{}</publish-options>", form(OPTIONS, fields));
        verdict(&house.request(BLOGBOT, "set", &(publication(&format!("<item id='1'>{PAYLOAD}</item>")) + &options)))
    };
    assert_eq!(publish(&[("pubsub#unheard-of", &["1"])]), "bad-request/invalid-options");
    assert_eq!(publish(&[("pubsub#access_model", &["king"])]), "not-acceptable/unsupported-access-model");
    assert_eq!(verdict(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), "item-not-found");
    assert_eq!(publish(&[("pubsub#access_model", &["whitelist"])]), "result");
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), ["1"]);
    let stranger = verdict(&house.request("francisco@denmark.lit", "get", &format!("<items node='{NODE}'/>")));
    assert_eq!(stranger, "not-allowed/closed-node");
}

#[test]
fn publishing_creates_no_node_for_who_may_create_none() {
    let house = House::with(PubSubConfig { auto_create: true, ..PubSubConfig::default() });
    let publish = publication(&format!("<item>{PAYLOAD}</item>"));
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &publish)), "item-not-found");
}

/// A publication that is refused leaves no node behind.
#[test]
fn a_publication_that_is_refused_creates_no_node() {
    let house = House::with(PubSubConfig { auto_create: true, ..open_config() });
    let publish = publication("<item/>");
    assert_eq!(verdict(&house.request(BLOGBOT, "set", &publish)), "bad-request/payload-required");
    assert_eq!(verdict(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), "item-not-found");
}

/// Examples 163 to 165: one notification, however many items there were.
#[test]
fn an_owner_purges_a_node_and_the_subscribers_are_notified_once() {
    let house = House::with_node(open_config());
    for id in ["a", "b", "c"] {
        house.publish(id, PAYLOAD);
    }
    for jid in ["bernardo@denmark.lit", "francisco@denmark.lit"] {
        house.subscribe(jid);
    }
    let purged = |to: &str| {
        format!(
            "<message type='headline' from='pubsub.shakespeare.lit' to='{to}'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'><purge node='princely_musings'/></event>
             </message>"
        )
    };
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='purge1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='princely_musings'/></pubsub>
         </iq>",
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='purge1'/>",
            &purged("bernardo@denmark.lit"),
            &purged("francisco@denmark.lit"),
        ],
    );
    assert!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))).is_empty());
    house.configure(&[("pubsub#notify_retract", &["0"])]);
    let silent = house.owner_request("hamlet@denmark.lit/elsinore", "set", "<purge node='princely_musings'/>");
    assert_eq!(silent.len(), 1);
}

/// Examples 167 and 169.
#[test]
fn only_an_owner_purges_a_node_and_only_one_that_exists() {
    let house = House::with_node(open_config());
    let purge = |from: &str, node: &str| verdict(&house.owner_request(from, "set", &format!("<purge {node}/>")));
    assert_eq!(purge("claudius@denmark.lit", "node='princely_musings'"), "forbidden");
    assert_eq!(purge(BLOGBOT, "node='nowhere'"), "item-not-found");
    assert_eq!(purge(BLOGBOT, ""), "bad-request/nodeid-required");
}

/// Section 8.2 (`pubsub#deliver_notifications`): who does not hear may still ask.
#[test]
fn a_node_that_delivers_no_notifications_keeps_items_all_the_same() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#deliver_notifications", &["0"])]);
    house.subscribe("francisco@denmark.lit");
    assert!(house.publish("1", PAYLOAD).is_empty());
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", &format!("<items node='{NODE}'/>"))), ["1"]);
    let retract = format!("<retract node='{NODE}' notify='true'><item id='1'/></retract>");
    assert!(house.done(BLOGBOT, "set", &retract).is_empty());
    assert_eq!(house.owner_request(BLOGBOT, "set", &format!("<delete node='{NODE}'/>")).len(), 2);
}

/// Whoever mirrors a node learns from the position that there was something to hear.
#[test]
fn what_a_node_did_not_deliver_is_a_gap_in_its_position() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    let sequence = |events: &[Stanza]| client::parse_position(&events[0].to_element()).unwrap().sequence;
    assert_eq!(sequence(&house.publish("1", PAYLOAD)), 1);
    house.configure(&[("pubsub#deliver_notifications", &["0"])]);
    assert!(house.publish("2", PAYLOAD).is_empty());
    house.configure(&[("pubsub#deliver_notifications", &["1"])]);
    assert_eq!(sequence(&house.publish("3", PAYLOAD)), 3);
}

/// Example 157 without redirection; `pubsub#notify_delete` says whether subscribers hear of it.
#[test]
fn a_node_that_does_not_tell_of_its_deletion_is_deleted_in_silence() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#notify_delete", &["0"])]);
    house.subscribe("francisco@denmark.lit");
    assert_eq!(house.owner_request(BLOGBOT, "set", "<delete node='princely_musings'/>").len(), 1);
}

//! What there may be too much of, and how that is told.

use convoke_pubsub::{PubSubConfig, client};
use convoke_xmpp::Stanza;

use crate::support::{House, item_ids, open_config, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const ALL: &str = "<items node='princely_musings'/>";
const RSM: &str = "http://jabber.org/protocol/rsm";

#[test]
fn a_service_has_no_more_nodes_than_allowed() {
    let house = House::with(PubSubConfig { max_nodes: 2, ..open_config() });
    for node in ["a", "b"] {
        house.done(HAMLET, "set", &format!("<create node='{node}'/>"));
    }
    for create in ["<create node='c'/>", "<create/>"] {
        assert_eq!(verdict(&house.request(HAMLET, "set", create)), "resource-constraint/max-nodes-exceeded");
    }
    assert_eq!(verdict(&house.request(HAMLET, "set", "<create node='a'/>")), "conflict");
    house.owner_request(HAMLET, "set", "<delete node='a'/>");
    house.done(HAMLET, "set", "<create node='c'/>");
}

/// Section 7.1.2.5: `retract-oldest`, the default.
#[test]
fn a_full_node_retracts_its_oldest_item_before_it_takes_another() {
    let house = House::with_node(PubSubConfig { max_items_per_node: 2, ..open_config() });
    house.subscribe("francisco@denmark.lit");
    for id in ["a", "b"] {
        house.publish(id, "<p xmlns='urn:p'/>");
    }
    assert_eq!(house.publish("a", "<p xmlns='urn:p'/>").len(), 1, "an overwritten item needs no room");
    let events: Vec<_> = house.publish("c", "<p xmlns='urn:p'/>").iter().map(changes).collect();
    assert_eq!(events, ["-b", "+c"]);
    assert_eq!(item_ids(&house.request(HAMLET, "get", ALL)), ["a", "c"]);
}

/// Section 13.21: a singleton node.
#[test]
fn a_node_of_one_item_keeps_the_last() {
    let house = House::with_node(PubSubConfig { max_items_per_node: 1, ..open_config() });
    for id in ["a", "b", "b", "c"] {
        house.publish(id, "<p xmlns='urn:p'/>");
        assert_eq!(item_ids(&house.request(HAMLET, "get", ALL)), [id]);
    }
}

#[test]
fn a_service_stores_no_more_bytes_than_allowed() {
    let house = House::with_node(PubSubConfig { max_stored_bytes: 400, ..open_config() });
    let payload = format!("<p xmlns='urn:p'>{}</p>", "x".repeat(100));
    for id in ["a", "b", "a"] {
        house.publish(id, &payload);
    }
    let publish = format!("<publish node='princely_musings'><item id='c'>{payload}</item></publish>");
    house.publish("c", "<p xmlns='urn:p'/>");
    assert_eq!(verdict(&house.request(HAMLET, "set", &publish)), "resource-constraint");
    assert_eq!(item_ids(&house.request(HAMLET, "get", ALL)), ["b", "a", "c"]);
    house.done(HAMLET, "set", "<retract node='princely_musings'><item id='a'/></retract>");
    house.publish("c", &payload);
}

/// Publishes an item of that many bytes and more; gives the verdict.
fn attempt(house: &House, from: &str, node: &str, id: &str, bytes: usize) -> String {
    let payload = format!("<p xmlns='urn:p'>{}</p>", "x".repeat(bytes));
    let publish = format!("<publish node='{node}'><item id='{id}'>{payload}</item></publish>");
    verdict(&house.request(from, "set", &publish))
}

#[test]
fn a_node_takes_no_more_bytes_than_allowed() {
    let house = House::with_node(PubSubConfig { max_bytes_per_node: 400, ..open_config() });
    house.done(HAMLET, "set", "<create node='another'/>");
    for (node, id, expected) in [
        ("princely_musings", "a", "result"),
        ("princely_musings", "b", "result"),
        ("princely_musings", "c", "resource-constraint"),
        // In place of another there is room, and in other nodes.
        ("princely_musings", "b", "result"),
        ("another", "c", "result"),
    ] {
        assert_eq!(attempt(&house, HAMLET, node, id, 120), expected, "{node} {id}");
    }
    house.done(HAMLET, "set", "<retract node='princely_musings'><item id='a'/></retract>");
    assert_eq!(attempt(&house, HAMLET, "princely_musings", "c", 120), "result");
}

/// Whoever fills its quota, in however many nodes, takes nothing from others.
#[test]
fn a_publisher_stores_no_more_items_or_bytes_than_allowed() {
    for config in [
        PubSubConfig { max_items_per_publisher: 2, ..open_config() },
        PubSubConfig { max_bytes_per_publisher: 400, ..open_config() },
    ] {
        let house = House::with_node(config);
        house.done(HAMLET, "set", "<create node='another'/>");
        house.affiliate("horatio@denmark.lit", "publisher");
        for (from, node, id, expected) in [
            (HAMLET, "princely_musings", "a", "result"),
            ("hamlet@denmark.lit/other", "another", "b", "result"),
            (HAMLET, "princely_musings", "c", "resource-constraint"),
            ("horatio@denmark.lit", "princely_musings", "c", "result"),
            // What one publisher overwrites is another's from then on.
            (HAMLET, "princely_musings", "c", "resource-constraint"),
            ("horatio@denmark.lit", "princely_musings", "a", "result"),
            (HAMLET, "princely_musings", "d", "result"),
        ] {
            assert_eq!(attempt(&house, from, node, id, 120), expected, "{from} {node} {id}");
        }
    }
}

#[test]
fn a_service_stores_no_more_items_than_allowed() {
    let house = House::with_node(PubSubConfig { max_stored_items: 2, ..open_config() });
    house.done(HAMLET, "set", "<create node='another'/>");
    for (node, id, expected) in [
        ("princely_musings", "a", "result"),
        ("another", "a", "result"),
        ("another", "b", "resource-constraint"),
        ("another", "a", "result"),
    ] {
        assert_eq!(attempt(&house, HAMLET, node, id, 1), expected, "{node} {id}");
    }
    house.owner_request(HAMLET, "set", "<delete node='princely_musings'/>");
    assert_eq!(attempt(&house, HAMLET, "another", "b", 1), "result");
}

/// Example 38.
#[test]
fn a_node_has_no_more_subscriptions_than_allowed() {
    let house = House::with_node(PubSubConfig { max_subscriptions_per_node: 1, ..open_config() });
    house.subscribe("bernardo@denmark.lit");
    house.subscribe("bernardo@denmark.lit");
    let subscribe = "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>";
    house.exchange(
        subscribe,
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <error type='wait'>
               <policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <too-many-subscriptions xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
    house.done("bernardo@denmark.lit", "set", "<unsubscribe node='princely_musings' jid='bernardo@denmark.lit'/>");
    house.subscribe("francisco@denmark.lit");
}

#[test]
fn a_node_has_no_more_affiliations_than_allowed() {
    let house = House::with_node(PubSubConfig { max_affiliations_per_node: 2, ..open_config() });
    house.affiliate("a.example", "member");
    let change =
        "<affiliations node='princely_musings'><affiliation jid='b.example' affiliation='member'/></affiliations>";
    assert_eq!(verdict(&house.owner_request(HAMLET, "set", change)), "not-acceptable");
    house.affiliate("a.example", "publisher");
}

/// Example 76: the list is cut and says so.
#[test]
fn an_answer_holds_no_more_bytes_than_allowed() {
    let house = House::with_node(PubSubConfig { max_answer_bytes: 600, ..open_config() });
    let payload = format!("<p xmlns='urn:p'>{}</p>", "x".repeat(100));
    for number in 0..10 {
        house.publish(&number.to_string(), &payload);
    }
    let answers = house.request(HAMLET, "get", ALL);
    assert_eq!(item_ids(&answers), ["7", "8", "9"]);
    let pubsub = answers[0].payload().unwrap();
    assert!(pubsub.find("items", convoke_xmpp::namespace::PUBSUB).unwrap().to_string().len() < 600 + 100);
    let set = pubsub.find("set", RSM).unwrap();
    let first = set.find("first", RSM).unwrap();
    assert_eq!((first.attribute("index"), first.content().as_str()), (Some("7"), "7"));
    assert_eq!(set.find("last", RSM).unwrap().content(), "9");
    assert_eq!(set.find("count", RSM).unwrap().content(), "10");
    let whole = house.request(HAMLET, "get", "<items node='princely_musings' max_items='3'/>");
    assert!(whole[0].payload().unwrap().find("set", RSM).is_none());
}

#[test]
fn an_item_larger_than_an_answer_is_still_returned() {
    let house = House::with_node(PubSubConfig { max_answer_bytes: 10, ..open_config() });
    house.publish("a", "<p xmlns='urn:p'/>");
    assert_eq!(item_ids(&house.request(HAMLET, "get", ALL)), ["a"]);
}

#[test]
fn a_list_of_nodes_is_cut_like_one_of_items() {
    let house = House::with(PubSubConfig { max_answer_bytes: 300, ..open_config() });
    for number in 0..10 {
        house.done(HAMLET, "set", &format!("<create node='{number}'/>"));
    }
    let answers = house.send(
        "<iq type='get' from='a.example' to='pubsub.shakespeare.lit' id='1'>\
         <query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    );
    let query = answers[0].payload().unwrap();
    let nodes: Vec<_> = query.children().filter_map(|item| item.attribute("node")).collect();
    assert_eq!(nodes, ["6", "7", "8", "9"]);
    assert_eq!(query.find("set", RSM).unwrap().find("count", RSM).unwrap().content(), "10");
}

fn changes(event: &Stanza) -> String {
    let Some(client::Event::Items { changes, .. }) = client::parse_event(event) else { panic!("{event:?}") };
    let signed = changes.into_iter().map(|change| match change {
        client::Change::Published(item) => format!("+{}", item.id),
        client::Change::Retracted(id) => format!("-{id}"),
        other => panic!("{other:?}"),
    });
    signed.collect()
}

//! Result Set Management (XEP-0059) of items and lists (XEP-0060, section 6.5.4).

use convoke_pubsub::PubSubConfig;
use convoke_xmpp::Stanza;

use crate::support::{House, item_ids, open_config, verdict};

const BARRACKS: &str = "francisco@denmark.lit/barracks";
const RSM: &str = "http://jabber.org/protocol/rsm";

fn with_items(config: PubSubConfig) -> House {
    let house = House::with_node(config);
    for id in ["a", "b", "c", "d", "e"] {
        house.publish(
            id,
            "<p xmlns='urn:p'>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</p>",
        );
    }
    house
}

fn page(house: &House, set: &str) -> Vec<Stanza> {
    house.request(BARRACKS, "get", &format!("<items node='princely_musings'/><set xmlns='{RSM}'>{set}</set>"))
}

/// The note of an answer: first and its index, last, count.
fn note(answers: &[Stanza]) -> String {
    let payload = answers[0].payload().unwrap();
    let Some(set) = payload.find("set", RSM) else { return "none".to_owned() };
    let part = |name: &str| set.find(name, RSM).map(convoke_xmpp::Element::content).unwrap_or_default();
    let index = set.find("first", RSM).and_then(|first| first.attribute("index")).unwrap_or_default();
    format!("{}[{index}] {} {}", part("first"), part("last"), part("count"))
}

/// XEP-0059, sections 2.1 to 2.7; XEP-0060, example 76.
#[test]
fn items_are_returned_page_by_page() {
    let house = with_items(open_config());
    for (set, ids, expected) in [
        ("<max>2</max>", "ab", "a[0] b 5"),
        ("<max>2</max><after>b</after>", "cd", "c[2] d 5"),
        ("<max>2</max><after>d</after>", "e", "e[4] e 5"),
        ("<after>b</after>", "cde", "c[2] e 5"),
        ("<max>2</max><after>e</after>", "", "[]  5"),
        ("<max>2</max><before>d</before>", "bc", "b[1] c 5"),
        ("<max>2</max><before/>", "de", "d[3] e 5"),
        ("<max>2</max><index>1</index>", "bc", "b[1] c 5"),
        ("<max>2</max><index>9</index>", "", "[]  5"),
        ("<max>0</max>", "", "[]  5"),
        ("", "abcde", "a[0] e 5"),
    ] {
        let answers = page(&house, set);
        assert_eq!((item_ids(&answers).concat().as_str(), note(&answers).as_str()), (ids, expected), "{set}");
    }
}

/// XEP-0059, section 2.4: nobody knows where an item was that is gone.
#[test]
fn a_page_beside_an_item_that_is_gone_is_not_found() {
    let house = with_items(open_config());
    house.done("hamlet@denmark.lit", "set", "<retract node='princely_musings'><item id='c'/></retract>");
    for (set, expected) in [
        ("<max>2</max><after>c</after>", "item-not-found"),
        ("<max>2</max><before>c</before>", "item-not-found"),
        ("<max>many</max>", "bad-request"),
        ("<index>-1</index>", "bad-request"),
        ("<after>a</after><before>d</before>", "bad-request"),
    ] {
        assert_eq!(verdict(&page(&house, set)), expected, "{set}");
    }
}

/// An item that is published again moves to the end: who pages on meets it there (section 13.1).
#[test]
fn an_item_that_was_published_again_is_behind_all_others() {
    let house = with_items(open_config());
    house.publish("a", "<p xmlns='urn:p'/>");
    assert_eq!(item_ids(&page(&house, "<max>9</max><after>e</after>")), ["a"]);
}

/// A page is cut like every answer, and from the end that is asked for last.
#[test]
fn a_page_holds_no_more_bytes_than_allowed() {
    let house = with_items(PubSubConfig { max_answer_bytes: 320, ..open_config() });
    for (set, ids, expected) in [
        ("<max>4</max>", "ab", "a[0] b 5"),
        ("<max>4</max><after>b</after>", "cd", "c[2] d 5"),
        ("<max>4</max><before/>", "de", "d[3] e 5"),
        ("<max>4</max><before>d</before>", "bc", "b[1] c 5"),
    ] {
        let answers = page(&house, set);
        assert_eq!((item_ids(&answers).concat().as_str(), note(&answers).as_str()), (ids, expected), "{set}");
    }
}

/// A node without items has nothing to page through (XEP-0059, section 2.2).
#[test]
fn an_empty_node_gives_an_empty_list_without_a_note() {
    let house = House::with_node(open_config());
    let answers = page(&house, "<max>2</max>");
    assert!(item_ids(&answers).is_empty());
    assert_eq!(note(&answers), "none");
}

#[test]
fn lists_of_nodes_and_of_items_are_paged_too() {
    let house = with_items(open_config());
    for node in ["one", "two"] {
        house.done("hamlet@denmark.lit", "set", &format!("<create node='{node}'/>"));
    }
    let query = |node: &str, set: &str| {
        house.send(&format!(
            "<iq type='get' from='{BARRACKS}' to='pubsub.shakespeare.lit' id='d'>\
             <query xmlns='http://jabber.org/protocol/disco#items'{node}><set xmlns='{RSM}'>{set}</set></query></iq>"
        ))
    };
    assert_eq!(note(&query("", "<max>2</max>")), "one[0] princely_musings 3");
    assert_eq!(note(&query("", "<max>2</max><after>princely_musings</after>")), "two[2] two 3");
    assert_eq!(note(&query(" node='princely_musings'", "<max>2</max><before/>")), "d[3] e 5");
    assert_eq!(verdict(&query("", "<after>three</after>")), "item-not-found");
}

#[test]
fn what_owners_manage_is_paged_too() {
    let house = House::with_node(open_config());
    for jid in ["a@b.example", "c@d.example", "e@f.example"] {
        house.subscribe(jid);
        house.affiliate(jid, "member");
    }
    for (list, expected) in
        [("subscriptions", "a@b.example[0] c@d.example 3"), ("affiliations", "a@b.example[0] c@d.example 4")]
    {
        let request = format!("<{list} node='princely_musings'/><set xmlns='{RSM}'><max>2</max></set>");
        assert_eq!(note(&house.owner_request("hamlet@denmark.lit/x", "get", &request)), expected);
    }
}

/// The position as of which a snapshot is true: the next change has the next number.
#[test]
fn a_list_of_items_tells_the_position_of_the_node() {
    let house = with_items(open_config());
    house.subscribe(BARRACKS);
    let position = |stanza: &Stanza| {
        let tree = stanza.to_element();
        let within = tree.find("pubsub", "http://jabber.org/protocol/pubsub").unwrap_or(&tree);
        let position = within.find("position", "urn:convoke:pubsub:0").unwrap().clone();
        let sequence = position.attribute("seq").unwrap().parse::<u64>().unwrap();
        (position.attribute("inc").unwrap().to_owned(), sequence)
    };
    let snapshot = position(&page(&house, "<max>1</max>")[0]);
    assert_eq!(snapshot.1, 5);
    assert_eq!(position(&house.publish("f", "<p xmlns='urn:p'/>")[0]), (snapshot.0.clone(), 6));
    house.owner_request("hamlet@denmark.lit/x", "set", "<delete node='princely_musings'/>");
    house.done("hamlet@denmark.lit/x", "set", "<create node='princely_musings'/>");
    let renewed = position(&page(&house, "<max>1</max>")[0]);
    assert_eq!(renewed.1, 0);
    assert_ne!(renewed.0, snapshot.0, "it is another node of the same name");
}

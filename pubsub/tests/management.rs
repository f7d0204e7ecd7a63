//! XEP-0060, sections 5.6, 5.7 and 8.8: subscriptions and affiliations, seen by their holders and by owners.

use crate::support::{House, NODE, open_config, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const BARRACKS: &str = "francisco@denmark.lit/barracks";

fn ask(house: &House, verb: &str, expected: &str) {
    house.exchange(
        &format!(
            "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub>
             </iq>"
        ),
        &[&format!(
            "<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>{expected}</pubsub>
             </iq>"
        )],
    );
}

fn subscription_event(to: &str, jid: &str, state: &str) -> String {
    format!(
        "<message type='headline' from='pubsub.shakespeare.lit' to='{to}'>
           <event xmlns='http://jabber.org/protocol/pubsub#event'>
             <subscription node='princely_musings' jid='{jid}' subscription='{state}'/>
           </event>
         </message>"
    )
}

/// Examples 16, 17, 20 and 21: of all addresses with the bare address of who asks.
#[test]
fn an_entity_retrieves_its_subscriptions() {
    let house = House::new();
    for node in ["node1", "node2", "node3"] {
        house.done("hamlet@denmark.lit", "set", &format!("<create node='{node}'/>"));
    }
    for (node, jid) in
        [("node1", "francisco@denmark.lit"), ("node2", BARRACKS), ("node2", "francisco@denmark.lit/watch")]
    {
        house.done(BARRACKS, "set", &format!("<subscribe node='{node}' jid='{jid}'/>"));
    }
    house.done("bernardo@denmark.lit", "set", "<subscribe node='node1' jid='bernardo@denmark.lit'/>");
    let second = "<subscription node='node2' jid='francisco@denmark.lit/barracks' subscription='subscribed'/>
                  <subscription node='node2' jid='francisco@denmark.lit/watch' subscription='subscribed'/>";
    ask(
        &house,
        "<subscriptions/>",
        &format!(
            "<subscriptions>
               <subscription node='node1' jid='francisco@denmark.lit' subscription='subscribed'/>{second}
             </subscriptions>"
        ),
    );
    ask(&house, "<subscriptions node='node2'/>", &format!("<subscriptions node='node2'>{second}</subscriptions>"));
    assert_eq!(verdict(&house.request(BARRACKS, "get", "<subscriptions node='nowhere'/>")), "item-not-found");
}

/// Examples 22, 23, 26 and 27; the attribute `node` of the list is that of the request, as with subscriptions.
#[test]
fn an_entity_retrieves_its_affiliations() {
    let house = House::new();
    house.done("francisco@denmark.lit", "set", "<create node='node1'/>");
    house.done("hamlet@denmark.lit", "set", "<create node='node2'/>");
    house.done("hamlet@denmark.lit", "set", "<create node='princely_musings'/>");
    house.affiliate("francisco@denmark.lit", "publisher");
    ask(
        &house,
        "<affiliations/>",
        "<affiliations>
           <affiliation node='node1' affiliation='owner'/>
           <affiliation node='princely_musings' affiliation='publisher'/>
         </affiliations>",
    );
    ask(
        &house,
        "<affiliations node='node1'/>",
        "<affiliations node='node1'><affiliation node='node1' affiliation='owner'/></affiliations>",
    );
}

/// Examples 18 and 24.
#[test]
fn who_has_neither_subscriptions_nor_affiliations_is_given_empty_lists() {
    let house = House::with_node(open_config());
    ask(&house, "<subscriptions/>", "<subscriptions/>");
    ask(&house, "<affiliations/>", "<affiliations/>");
}

/// Examples 184 and 185.
#[test]
fn an_owner_retrieves_the_subscriptions() {
    let house = House::with_node(open_config());
    house.subscribe("bernardo@denmark.lit/post");
    house.subscribe("hamlet@denmark.lit");
    house.exchange(
        "<iq type='get' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='subman1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><subscriptions node='princely_musings'/></pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='subman1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
               <subscriptions node='princely_musings'>
                 <subscription jid='bernardo@denmark.lit/post' subscription='subscribed'/>
                 <subscription jid='hamlet@denmark.lit' subscription='subscribed'/>
               </subscriptions>
             </pubsub>
           </iq>"],
    );
}

/// Examples 189, 190 and 196.
#[test]
fn an_owner_changes_subscriptions_and_those_concerned_hear_of_it() {
    let house = House::with_node(open_config());
    house.subscribe("polonius@denmark.lit");
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='subman2'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <subscriptions node='princely_musings'>
               <subscription jid='polonius@denmark.lit' subscription='none'/>
               <subscription jid='bard@shakespeare.lit' subscription='subscribed'/>
               <subscription jid='laertes@denmark.lit'/>
             </subscriptions>
           </pubsub>
         </iq>",
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='subman2'/>",
            &subscription_event("polonius@denmark.lit", "polonius@denmark.lit", "none"),
            &subscription_event("bard@shakespeare.lit", "bard@shakespeare.lit", "subscribed"),
        ],
    );
    let events = house.publish("1", "<a xmlns='urn:a'/>");
    assert_eq!(events.iter().map(|event| event.to().unwrap().as_str()).collect::<Vec<_>>(), ["bard@shakespeare.lit"]);
}

/// Examples 194 and 195: what cannot be is told as it is, and all else is changed (section 8.8.2.4).
#[test]
fn an_invalid_change_of_subscriptions_is_told_and_the_others_are_made() {
    let house = House::with_node(open_config());
    house.affiliate("claudius@denmark.lit", "outcast");
    house.subscribe("polonius@denmark.lit");
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='subman3'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <subscriptions node='princely_musings'>
               <subscription jid='polonius@denmark.lit' subscription='unconfigured'/>
               <subscription jid='claudius@denmark.lit' subscription='subscribed'/>
               <subscription jid='bard@shakespeare.lit' subscription='subscribed'/>
             </subscriptions>
           </pubsub>
         </iq>",
        &[
            "<iq type='error' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='subman3'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
                 <subscriptions node='princely_musings'>
                   <subscription jid='polonius@denmark.lit' subscription='subscribed'/>
                   <subscription jid='claudius@denmark.lit' subscription='none'/>
                 </subscriptions>
               </pubsub>
               <error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
             </iq>",
            &subscription_event("bard@shakespeare.lit", "bard@shakespeare.lit", "subscribed"),
        ],
    );
}

/// Examples 187, 188, 192 and 193, and what section 8.8 says without an example.
#[test]
fn a_wrong_change_of_subscriptions_is_refused_with_its_own_condition() {
    let house = House::with_node(open_config());
    let set = |entries: &str| format!("<subscriptions node='{NODE}'>{entries}</subscriptions>");
    let one = "<subscription jid='a.example' subscription='subscribed'/>";
    for (from, kind, verb, expected) in [
        (BARRACKS, "get", "<subscriptions node='princely_musings'/>".to_owned(), "forbidden"),
        (BARRACKS, "set", set(one), "forbidden"),
        (HAMLET, "get", "<subscriptions node='nowhere'/>".to_owned(), "item-not-found"),
        (HAMLET, "set", "<subscriptions node='nowhere'/>".to_owned(), "item-not-found"),
        (HAMLET, "get", "<subscriptions/>".to_owned(), "bad-request/nodeid-required"),
        (HAMLET, "set", set("<subscription subscription='none'/>"), "bad-request/jid-required"),
        (HAMLET, "set", set("<subscription jid='@' subscription='none'/>"), "bad-request/invalid-jid"),
        (HAMLET, "set", set("<subscription jid='a.example' subscription='king'/>"), "bad-request"),
        (HAMLET, "set", set(&format!("{one}{one}")), "bad-request"),
        (HAMLET, "set", set("<subscription jid='a.example' subscription='none'/>"), "result"),
    ] {
        assert_eq!(verdict(&house.owner_request(from, kind, &verb)), expected, "{verb}");
    }
}

/// Section 8.2 (`pubsub#notify_sub`).
#[test]
fn owners_hear_who_comes_and_goes_where_the_node_says_so() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#notify_sub", &["1"])]);
    for (verb, state) in [("subscribe", "subscribed"), ("unsubscribe", "none")] {
        let request = format!("<{verb} node='princely_musings' jid='bard@shakespeare.lit'/>");
        let sent = house.done("bard@shakespeare.lit/globe", "set", &request);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].to().unwrap().as_str(), "hamlet@denmark.lit");
        assert!(sent[0].text().contains(&format!("subscription='{state}'")), "{sent:?}");
    }
}

/// Section 4.1: the state chart of affiliations.
#[test]
fn an_affiliation_changes_only_as_the_state_chart_allows() {
    let all = ["owner", "publisher", "publish-only", "member", "none", "outcast"];
    for before in all {
        for after in all {
            let house = House::with_node(open_config());
            house.affiliate("bard@shakespeare.lit", before);
            let change = format!(
                "<affiliations node='{NODE}'><affiliation jid='bard@shakespeare.lit' affiliation='{after}'/></affiliations>"
            );
            let expected = match (before, after) {
                ("owner", "publisher" | "publish-only" | "member" | "outcast") => "not-acceptable",
                ("publisher", "member") => "not-acceptable",
                _ => "result",
            };
            assert_eq!(verdict(&house.owner_request(HAMLET, "set", &change)), expected, "{before} -> {after}");
        }
    }
}

#[test]
fn an_owner_resigns_in_favour_of_another_in_one_request() {
    let house = House::with_node(open_config());
    let change = "<affiliations node='princely_musings'>
                    <affiliation jid='hamlet@denmark.lit' affiliation='none'/>
                    <affiliation jid='horatio@denmark.lit' affiliation='owner'/>
                  </affiliations>";
    assert_eq!(verdict(&house.owner_request(HAMLET, "set", change)), "result");
    let list = "<affiliations node='princely_musings'/>";
    assert_eq!(verdict(&house.owner_request(HAMLET, "get", list)), "forbidden");
    assert_eq!(verdict(&house.owner_request("horatio@denmark.lit", "get", list)), "result");
}

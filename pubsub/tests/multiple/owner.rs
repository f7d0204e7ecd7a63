//! Sections 8.6 and 8.8: what an owner sees and changes of them.

use convoke_pubsub::client;
use convoke_xmpp::{Element, MessageType, Stanza};

use super::scene::*;
use crate::support::{House, NODE, field_values, verdict};

/// Section 8.6: the request names the SubID, and so do the answer to it and the word to the subscriber.
#[test]
fn an_owner_approves_one_of_several_subscriptions() {
    let house = House::with_node(multiple());
    house.configure(&[("pubsub#access_model", &["authorize"])]);
    let verb = format!("<subscribe node='{NODE}' jid='{FRANCISCO}'/>");
    let request = || house.request(BARRACKS, "set", &verb);
    let decide = |asked: &client::Authorization, is_allowed: bool| {
        let answer = asked.answer(is_allowed);
        house.send(&format!("<message from='{HAMLET}' to='pubsub.shakespeare.lit' id='a'>{}</message>", xml(&answer)))
    };
    let mut given = Vec::new();
    for round in 0..2 {
        let asked = request();
        let subid = field_values(&asked[1], "pubsub#subid");
        assert_eq!(verdict(&request()), "not-authorized/pending-subscription", "one at a time");
        let authorization = client::parse_authorization(&asked[1]).unwrap();
        assert_eq!(authorization.subid.as_ref(), Some(&subid));
        let other = given.first().cloned().unwrap_or_else(|| "123-abc".to_owned());
        let mut wrong = authorization.clone();
        wrong.subid = Some(other);
        assert!(decide(&wrong, false).is_empty(), "that one does not wait");
        let told = decide(&authorization, true);
        let Some(client::Event::Subscription { subscription, .. }) = client::parse_event(&told[0]) else {
            panic!("{told:?}")
        };
        assert_eq!((subscription.state.as_str(), subscription.subid.as_ref()), ("subscribed", Some(&subid)));
        given.push(subid);
        let expected = ["", "ab"][round];
        assert_eq!(named(&house.publish("1", PAYLOAD), &given.iter().collect::<Vec<_>>()), [expected]);
    }
}

fn xml(element: &Element) -> String {
    let message = Stanza::message(MessageType::Normal).with_payload(element.clone());
    let text = message.text().into_owned();
    let start = text.find('>').unwrap() + 1;
    text[start..text.rfind("</").unwrap()].to_owned()
}

/// Section 8.8.1.
#[test]
fn an_owner_sees_each_subscription_with_its_subid_and_page_by_page() {
    let scene = Scene::new();
    scene.house.subscribe("bernardo@denmark.lit");
    let list = |set: &str| {
        let verb = format!("<subscriptions node='{NODE}'/><set xmlns='http://jabber.org/protocol/rsm'>{set}</set>");
        scene.house.owner_request(HAMLET, "get", &verb)[0].payload().unwrap()
    };
    let subids = |list: &Element| -> Vec<_> {
        let entries = client::parse_subscriptions(list).unwrap();
        entries.into_iter().filter(|entry| entry.jid.as_str() == FRANCISCO).filter_map(|entry| entry.subid).collect()
    };
    let whole = list("");
    assert_eq!(client::parse_subscriptions(&whole).unwrap().len(), 3);
    assert_eq!(subids(&whole), scene.subids);
    // Bernardo is the first, and each of Francisco's has a place of its own.
    let first = list("<max>2</max>");
    assert_eq!(subids(&first), scene.subids[..1]);
    let last = client::parse_page(&first).unwrap().ends.unwrap().1;
    assert_eq!(subids(&list(&format!("<max>2</max><after>{last}</after>"))), scene.subids[1..]);
}

/// Section 8.8.2.4: each of several is changed by its SubID.
#[test]
fn an_owner_changes_one_of_several_subscriptions() {
    let scene = Scene::new();
    let change = |entries: &str| {
        format!(
            "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
                 <subscriptions node='princely_musings'>{entries}</subscriptions>
               </pubsub>
             </iq>"
        )
    };
    let refused = |entries: &str| {
        format!(
            "<iq type='error' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
                 <subscriptions node='princely_musings'>{entries}</subscriptions>
               </pubsub>
               <error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
             </iq>"
        )
    };
    let one =
        |subid: &str, state: &str| format!("<subscription jid='francisco@denmark.lit'{subid} subscription='{state}'/>");
    let both = one(" subid='123-abc'", "subscribed") + &one(" subid='004-yyy'", "subscribed");
    // Which of them is meant, nobody knows; and SubIDs are the service's to make.
    scene.exchange(&change(&one("", "none")), &[&refused(&both)]);
    scene.exchange(&change(&one(" subid='other'", "subscribed")), &[&refused(&one("", "none"))]);
    let twice = one(" subid='123-abc'", "none") + &one(" subid='123-abc'", "subscribed");
    assert_eq!(verdict(&scene.house.send(&scene.named(&change(&twice)))), "bad-request");
    scene.exchange(
        &change(&(one(" subid='123-abc'", "none") + &one(" subid='004-yyy'", "subscribed"))),
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='x'/>",
            "<message type='headline' from='pubsub.shakespeare.lit' to='francisco@denmark.lit'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'>
                 <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='none' subid='123-abc'/>
               </event>
             </message>",
        ],
    );
    assert_eq!(subids(&scene.house), scene.subids[1..]);
}

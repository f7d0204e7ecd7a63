//! The builders of requests and the readers of what comes back, against the service.

use convoke_pubsub::client::{self, Change, Event};
use convoke_xmpp::{Element, IqType, Jid, MessageType, Stanza};

use crate::support::{House, domain};
use convoke_xmpp::{Origin, Service};

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn ask(house: &House, kind: IqType, payload: Element) -> Vec<Stanza> {
    let iq = Stanza::iq(kind, "1").with_from(&jid("alice@b.example/desk")).with_to(house.service.address());
    house.service.handle(iq.with_payload(payload), &Origin::Remote(domain("b.example")), &house.router);
    let answers = house.router.take();
    assert_eq!(answers[0].error(), None);
    answers
}

/// A node's whole life as its owner and subscriber writes and reads it.
#[test]
fn what_the_builders_write_the_service_understands() {
    let house = House::new();
    let alice = jid("alice@b.example/desk");
    let payload = Element::new("lease", "urn:convoke:lease:0").attr("epoch", 9041);

    let created = ask(&house, IqType::Set, client::create("urn:convoke:leases"))[0].payload().unwrap();
    assert_eq!(client::created_node(&created), Some("urn:convoke:leases"));
    ask(&house, IqType::Set, client::subscribe("urn:convoke:leases", &alice));

    let publish = client::publish("urn:convoke:leases", Some("lz-81c2"), payload.clone());
    let answers = ask(&house, IqType::Set, publish);
    assert_eq!(client::published_id(&answers[0].payload().unwrap()), None);
    let Some(Event::Items { node, changes }) = client::parse_event(&answers[1]) else { panic!("{answers:?}") };
    let [Change::Published(item)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((node.as_str(), item.id.as_str(), &item.payload), ("urn:convoke:leases", "lz-81c2", &Some(payload)));

    for payload in [
        client::items("urn:convoke:leases"),
        client::newest_items("urn:convoke:leases", 1),
        client::items_by_id("urn:convoke:leases", ["lz-81c2"]),
    ] {
        let items = client::parse_items(&ask(&house, IqType::Get, payload)[0].payload().unwrap());
        assert_eq!(items, Some(vec![item.clone()]));
    }

    let retracted = ask(&house, IqType::Set, client::retract("urn:convoke:leases", "lz-81c2"));
    let changes = vec![Change::Retracted("lz-81c2".to_owned())];
    assert_eq!(client::parse_event(&retracted[1]), Some(Event::Items { node, changes }));

    ask(&house, IqType::Set, client::unsubscribe("urn:convoke:leases", &alice));
    ask(&house, IqType::Set, client::subscribe("urn:convoke:leases", &jid("alice@b.example")));
    let deleted = ask(&house, IqType::Set, client::delete("urn:convoke:leases"));
    assert_eq!(deleted[1].to().unwrap().as_str(), "alice@b.example");
    let event = Event::Deleted { node: "urn:convoke:leases".to_owned(), redirect: None };
    assert_eq!(client::parse_event(&deleted[1]), Some(event));

    let instant = ask(&house, IqType::Set, client::create_instant())[0].payload().unwrap();
    let node = client::created_node(&instant).unwrap();
    let published = ask(&house, IqType::Set, client::publish(node, None, Element::new("x", "urn:x")));
    assert!(client::published_id(&published[0].payload().unwrap()).is_some());
}

#[test]
fn only_a_notification_is_an_event() {
    let event = |content: &str| {
        Element::parse(&format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{content}</event>")).unwrap()
    };
    let purge = event("<purge node='n'/>");
    let message = |kind, payload: &Element| client::parse_event(&Stanza::message(kind).with_payload(payload.clone()));
    assert_eq!(message(MessageType::Headline, &purge), Some(Event::Purged { node: "n".to_owned() }));
    assert_eq!(message(MessageType::Normal, &purge), Some(Event::Purged { node: "n".to_owned() }));
    assert_eq!(message(MessageType::Error, &purge), None);
    for other in ["", "<purge/>", "<unknown node='n'/>", "<purge xmlns='urn:other' node='n'/>"] {
        assert_eq!(message(MessageType::Headline, &event(other)), None, "{other}");
    }
    assert_eq!(client::parse_event(&Stanza::iq(IqType::Set, "1").with_payload(purge)), None);
    assert_eq!(client::parse_event(&Stanza::message(MessageType::Chat)), None);
}

/// Example 101.
#[test]
fn an_item_of_a_node_without_payloads_has_none() {
    let message = Stanza::parse(
        "<message from='pubsub.shakespeare.lit' to='francisco@denmark.lit' id='foo'>\
         <event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <items node='princely_musings'><item id='ae890ac52d0df67ed7cfdf51b644e901'/></items></event></message>",
    );
    let Some(Event::Items { changes, .. }) = client::parse_event(&message.unwrap()) else { panic!("no items") };
    let [Change::Published(item)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&item.payload, &item.publisher), (&None, &None));
}

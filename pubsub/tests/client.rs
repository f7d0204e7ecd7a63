//! The builders of requests and the readers of what comes back, against the service.

use convoke_pubsub::PubSubConfig;
use convoke_pubsub::client::{self, Change, Event};
use convoke_xmpp::{Element, IqType, Jid, MessageType, Stanza};

use crate::support::{House, domain, open_config};
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

/// Configuration, options and publish-options as an owner writes and reads them.
#[test]
fn forms_go_both_ways() {
    let house = House::new();
    let alice = jid("alice@b.example/desk");
    let node = "urn:convoke:health";
    let fields = [("pubsub#max_items", "1"), ("pubsub#contact", "a@b.example"), ("pubsub#contact", "c@b.example")];
    ask(&house, IqType::Set, client::create_configured(node, &fields));
    let form = |answers: &[Stanza]| client::parse_form(&answers[0].payload().unwrap()).unwrap();
    let configuration = form(&ask(&house, IqType::Get, client::configuration(node)));
    assert_eq!(configuration["pubsub#max_items"], ["1"]);
    assert_eq!(configuration["pubsub#contact"], ["a@b.example", "c@b.example"]);
    ask(&house, IqType::Set, client::configure(node, &[("pubsub#title", "Health"), ("pubsub#notify_config", "1")]));
    assert_eq!(form(&ask(&house, IqType::Get, client::configuration(node)))["pubsub#title"], ["Health"]);
    assert_eq!(form(&ask(&house, IqType::Get, client::default_configuration()))["pubsub#max_items"], ["max"]);

    let subscribed = ask(&house, IqType::Set, client::subscribe_with_options(node, &alice, &[("pubsub#deliver", "0")]));
    let subscription = client::parse_subscription(&subscribed[0].payload().unwrap()).unwrap();
    assert_eq!((&subscription.jid, subscription.state.as_str()), (&alice, "subscribed"));
    assert_eq!(form(&ask(&house, IqType::Get, client::options(node, &alice)))["pubsub#deliver"], ["0"]);
    ask(&house, IqType::Set, client::set_options(node, &alice, &[("pubsub#deliver", "1")]));
    assert_eq!(form(&ask(&house, IqType::Get, client::options(node, &alice)))["pubsub#deliver"], ["1"]);
    assert_eq!(form(&ask(&house, IqType::Get, client::default_options(Some(node))))["pubsub#digest"], ["0"]);

    let told = ask(&house, IqType::Set, client::configure(node, &[("pubsub#title", "Better")]));
    let Some(Event::Configured { fields: Some(fields), .. }) = client::parse_event(&told[1]) else {
        panic!("{told:?}")
    };
    assert_eq!(fields["pubsub#title"], ["Better"]);
    let payload = || Element::new("x", "urn:x");
    let published = client::publish_with_options(node, Some("current"), payload(), &[("pubsub#max_items", "1")]);
    assert_eq!(ask(&house, IqType::Set, published).len(), 2);
    ask(&house, IqType::Set, client::purge(node));
    ask(
        &house,
        IqType::Set,
        client::configure(node, &[("pubsub#persist_items", "0"), ("pubsub#deliver_payloads", "0")]),
    );
    let signalled = ask(&house, IqType::Set, client::signal(node));
    let nothing = Event::Items { node: node.to_owned(), changes: Vec::new() };
    assert_eq!(client::parse_event(&signalled[1]), Some(nothing));
}

/// What owners manage, and what everybody may ask of its own.
#[test]
fn subscriptions_and_affiliations_go_both_ways() {
    let house = House::new();
    let (alice, bob) = (jid("alice@b.example"), jid("bob@b.example"));
    ask(&house, IqType::Set, client::create("n"));
    ask(&house, IqType::Set, client::set_affiliations("n", [(&bob, "publisher")]));
    let told = ask(&house, IqType::Set, client::set_subscriptions("n", [(&bob, "subscribed")]));
    let Some(Event::Subscription { subscription, .. }) = client::parse_event(&told[1]) else { panic!("{told:?}") };
    assert_eq!((&subscription.jid, subscription.state.as_str()), (&bob, "subscribed"));
    ask(&house, IqType::Set, client::subscribe("n", &alice));

    let subscriptions = |payload| client::parse_subscriptions(&ask(&house, IqType::Get, payload)[0].payload().unwrap());
    let of_node = subscriptions(client::subscriptions("n")).unwrap();
    assert_eq!(of_node.iter().map(|entry| &entry.jid).collect::<Vec<_>>(), [&alice, &bob]);
    let own = subscriptions(client::own_subscriptions(None)).unwrap();
    assert_eq!(own.iter().map(|entry| entry.node.as_deref().unwrap()).collect::<Vec<_>>(), ["n"]);

    let affiliations = |payload| client::parse_affiliations(&ask(&house, IqType::Get, payload)[0].payload().unwrap());
    let of_node = affiliations(client::affiliations("n")).unwrap();
    let of_node: Vec<_> =
        of_node.iter().map(|entry| (entry.jid.as_ref().unwrap(), entry.affiliation.as_str())).collect();
    assert_eq!(of_node, [(&alice, "owner"), (&bob, "publisher")]);
    let own = affiliations(client::own_affiliations(Some("n"))).unwrap();
    assert_eq!(own.iter().map(|entry| entry.affiliation.as_str()).collect::<Vec<_>>(), ["owner"]);

    let deleted = ask(&house, IqType::Set, client::delete_with_redirect("n", "xmpp:b.example?;node=m"));
    let redirect = Some("xmpp:b.example?;node=m".to_owned());
    let expected = Event::Deleted { node: "n".to_owned(), redirect };
    assert_eq!(client::parse_event(&deleted[1]), Some(expected));
}

/// Each builder of a request about a subscription names one of several.
#[test]
fn subids_go_both_ways() {
    let house = House::with(PubSubConfig { multi_subscribe: true, ..open_config() });
    let alice = jid("alice@b.example");
    ask(&house, IqType::Set, client::create("n"));
    let subscribe = || {
        let answer = ask(&house, IqType::Set, client::subscribe("n", &alice))[0].payload().unwrap();
        client::parse_subscription(&answer).unwrap().subid.unwrap()
    };
    let (one, other) = (subscribe(), subscribe());
    let set_options = client::set_options("n", &alice, &[("pubsub#deliver", "0")]);
    ask(&house, IqType::Set, client::with_subid(set_options, &one));
    let options = ask(&house, IqType::Get, client::with_subid(client::options("n", &alice), &one));
    assert_eq!(client::parse_form(&options[0].payload().unwrap()).unwrap()["pubsub#deliver"], ["0"]);
    let told = ask(&house, IqType::Set, client::publish("n", Some("i"), Element::new("x", "urn:x")));
    assert_eq!(client::parse_subids(&told[1]), [&*other]);

    let page = client::with_subid(client::items_page("n", client::Page::Last, 1), &one);
    let page = ask(&house, IqType::Get, page)[0].payload().unwrap();
    assert_eq!((client::parse_items(&page).unwrap().len(), client::parse_page(&page).unwrap().count), (1, Some(1)));

    ask(&house, IqType::Set, client::set_subscriptions_by_subid("n", [(&alice, one.as_str(), "none")]));
    ask(&house, IqType::Set, client::with_subid(client::unsubscribe("n", &alice), &other));
    let own = ask(&house, IqType::Get, client::own_subscriptions(None))[0].payload().unwrap();
    assert_eq!(client::parse_subscriptions(&own), Some(Vec::new()));
}

/// A request for approval as an owner reads it, and the answer that the service understands.
#[test]
fn an_approval_goes_both_ways() {
    let house = House::new();
    let bob = jid("bob@c.example");
    ask(&house, IqType::Set, client::create_configured("n", &[("pubsub#access_model", "authorize")]));
    let sent = house.request("bob@c.example/x", "set", "<subscribe node='n' jid='bob@c.example'/>");
    let request = client::parse_authorization(&sent[1]).unwrap();
    assert_eq!((request.node.as_str(), &request.subscriber), ("n", &bob));
    assert_eq!(client::parse_authorization(&sent[0]), None);
    let answer = Stanza::message(MessageType::Normal).with_from(&jid("alice@b.example/desk"));
    let answer = answer.with_to(house.service.address()).with_payload(request.answer(true));
    let told = house.send(&answer.text());
    let Some(Event::Subscription { subscription, .. }) = client::parse_event(&told[0]) else { panic!("{told:?}") };
    assert_eq!(subscription.state, "subscribed");
}

/// Pages, positions and delays.
#[test]
fn a_client_reads_where_it_is() {
    let house = House::new();
    ask(&house, IqType::Set, client::create("n"));
    for id in ["a", "b", "c"] {
        ask(&house, IqType::Set, client::publish("n", Some(id), Element::new("x", "urn:x")));
    }
    let page = |page| {
        let result = ask(&house, IqType::Get, client::items_page("n", page, 2))[0].payload().unwrap();
        let ids: String = client::parse_items(&result).unwrap().into_iter().map(|item| item.id).collect();
        let note = client::parse_page(&result).unwrap();
        assert_eq!(note.count, Some(3));
        (ids, note.index, client::parse_position(&result).unwrap().sequence)
    };
    use client::Page;
    for (asked, ids, index) in [
        (Page::First, "ab", 0),
        (Page::After("b"), "c", 2),
        (Page::Before("c"), "ab", 0),
        (Page::Last, "bc", 1),
        (Page::Index(1), "bc", 1),
    ] {
        assert_eq!(page(asked), (ids.to_owned(), Some(index), 3), "{asked:?}");
    }
    let last = &ask(&house, IqType::Set, client::subscribe("n", &jid("alice@b.example")))[1];
    assert!(client::parse_delay(last).is_some());
    assert_eq!(client::parse_position(&last.to_element()).unwrap().sequence, 3);
    let told = ask(&house, IqType::Set, client::retract("n", "a"));
    assert_eq!(client::parse_delay(&told[1]), None);
    let position = client::parse_position(&told[1].to_element()).unwrap();
    assert_eq!((position.first, position.sequence), (4, 4));
}

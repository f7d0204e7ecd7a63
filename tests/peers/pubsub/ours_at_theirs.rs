//! Our components at Prosody's and ejabberd's publish-subscribe services.

use convoke::pubsub::client::{
    create, delete, items as all_items, newest_items, publish, retract, subscribe, unsubscribe,
};
use convoke::xmpp::Jid;
use convoke_dev::peers::{Service, Software};

use super::{create_with, figure, items, refused, set, told};
use crate::peers::neighbours::{Neighbours, Site, THEIRS, jid, next_of};
use crate::support::DEADLINE;
use crate::support::client::{Client, attribute, child};

/// Prosody lets nobody else create a node.
const PUBLISHER: &str = "publisher@volunteers.lan";

with_each_peer!(
    our_component_subscribes_and_hears_what_another_of_ours_publishes_retracts_and_deletes,
    our_component_and_an_account_of_the_peer_hear_the_same_in_the_same_order,
    our_component_is_refused_by_the_conditions_of_the_standard,
);

async fn with_a_service(software: Software) -> (Neighbours, Jid) {
    let site = Site::new(Service::StartTls).await;
    let ours = site.domain().await;
    let peer = site.peer(software, THEIRS).pubsub([PUBLISHER]).start(&site.dns).await.unwrap();
    let service = jid(&peer.pubsub());
    (Neighbours { site, ours, peer }, service)
}

async fn our_component_subscribes_and_hears_what_another_of_ours_publishes_retracts_and_deletes(software: Software) {
    let (neighbours, service) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    let mut reader = neighbours.ours.component("reader").unwrap();
    // Prosody tells of a deletion unasked, ejabberd does not.
    set(&publisher, &service, create_with("load", &[("notify_delete", "1"), ("notify_retract", "1")])).await;
    set(&reader, &service, subscribe("load", reader.jid())).await;
    for (id, value) in [("one", "1"), ("one", "2"), ("two", "3")] {
        set(&publisher, &service, publish("load", Some(id), figure(value))).await;
        assert_eq!(told(&mut reader, &service).await, format!("load +{id}={value}"));
    }
    let mut all = items(&reader, &service, all_items("load")).await;
    all.sort();
    assert_eq!(all, ["one=2", "two=3"]);
    assert_eq!(items(&reader, &service, newest_items("load", 1)).await, ["two=3"]);
    set(&publisher, &service, retract("load", "two")).await;
    assert_eq!(told(&mut reader, &service).await, "load -two");
    set(&publisher, &service, delete("load")).await;
    assert_eq!(told(&mut reader, &service).await, "load deleted");
}

async fn our_component_and_an_account_of_the_peer_hear_the_same_in_the_same_order(software: Software) {
    const COUNT: usize = 200;
    let (neighbours, service) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    let mut reader = neighbours.ours.component("reader").unwrap();
    let mut juliet = neighbours.juliet().await;
    set(&publisher, &service, create("load")).await;
    set(&reader, &service, subscribe("load", reader.jid())).await;
    subscribe_account(&mut juliet, &service).await;
    for number in 0..COUNT {
        set(&publisher, &service, publish("load", Some("current"), figure(&number.to_string()))).await;
    }
    for number in 0..COUNT {
        assert_eq!(told(&mut reader, &service).await, format!("load +current={number}"));
        let message = next_of(&mut juliet).await;
        assert!(message.contains(&format!(">{number}</figure>")), "{message} instead of {number}");
    }
}

async fn subscribe_account(account: &mut Client, service: &Jid) {
    let subscribe = format!("<subscribe node='load' jid='{}'/>", account.jid());
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{subscribe}</pubsub>");
    let answer = account.request("set", Some(service.as_str()), &pubsub).await;
    let subscription = child(&answer, "subscription").unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(attribute(subscription, "subscription"), Some("subscribed"), "{answer}");
}

async fn our_component_is_refused_by_the_conditions_of_the_standard(software: Software) {
    let (neighbours, service) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    let reader = neighbours.ours.component("reader").unwrap();
    set(&publisher, &service, create("load")).await;
    let refusals = [
        (subscribe("nothing", reader.jid()), "cancel item-not-found"),
        (publish("load", Some("one"), figure("1")), "auth forbidden"),
        (delete("load"), "auth forbidden"),
        (create("load"), "cancel conflict"),
    ];
    for (request, expected) in refusals {
        // Whether somebody may create is told before whether the node is there.
        let entity = if expected == "cancel conflict" { &publisher } else { &reader };
        assert_eq!(refused(entity.set(&service, request.clone(), DEADLINE)).await, expected, "{request:?}");
    }
    let not_subscribed = refused(reader.set(&service, unsubscribe("load", reader.jid()), DEADLINE)).await;
    assert!(not_subscribed.ends_with("unexpected-request"), "{not_subscribed}");
}

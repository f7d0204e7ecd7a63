//! slixmpp at our service: it is logged in to a peer, whose streams to us and from us carry everything.

use convoke::pubsub::client::{create, publish, subscribe};
use convoke::xmpp::Jid;
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::{figure, serve, set, told};
use crate::peers::neighbours::{JULIET, Neighbours, OURS, THEIRS};
use crate::support::slixmpp::Slixmpp;

with_each_peer!(
    slixmpp_creates_subscribes_publishes_reads_retracts_and_deletes,
    slixmpp_and_our_component_hear_each_other,
    slixmpp_reads_why_it_is_refused,
);

/// One of the accounts in the hands of slixmpp, and our service, where both domains may create nodes.
pub(super) async fn at_ours(software: Software) -> (Neighbours, Slixmpp, Jid) {
    let neighbours = Neighbours::new(software).await;
    let service = serve(&neighbours.ours, [OURS, THEIRS]);
    let slixmpp = Slixmpp::login(&neighbours.peer, "juliet").await;
    (neighbours, slixmpp, service)
}

/// A payload as slixmpp is given it, and as it tells it.
pub(super) fn given(value: &str) -> String {
    format!("<figure xmlns='urn:example:figure'>{value}</figure>")
}

pub(super) fn shown(value: &str) -> Value {
    json!({ "name": "{urn:example:figure}figure", "text": value })
}

async fn slixmpp_creates_subscribes_publishes_reads_retracts_and_deletes(software: Software) {
    let (_neighbours, mut juliet, service) = at_ours(software).await;
    let event = |what: &str, told: Value| {
        let mut event = json!({ "from": service.as_str(), "node": "load" });
        event[what] = told;
        event
    };
    let node = json!({ "service": service.as_str(), "node": "load" });
    assert_eq!(juliet.ask("create", node.clone()).await, "load");
    assert_eq!(juliet.ask("nodes", json!({ "service": service.as_str() })).await, json!(["load"]));
    let subscribed = json!({ "jid": JULIET, "subscription": "subscribed" });
    assert_eq!(juliet.ask("subscribe", node.clone()).await, subscribed);

    let with = |more: Value| {
        let mut with = node.clone();
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    };
    assert_eq!(juliet.ask("publish", with(json!({ "id": "one", "payload": given("1") }))).await, "one");
    assert_eq!(juliet.event().await, event("items", json!([{ "published": "one", "payload": shown("1") }])));
    let chosen = juliet.ask("publish", with(json!({ "payload": given("2") }))).await;
    assert_eq!(juliet.event().await, event("items", json!([{ "published": chosen, "payload": shown("2") }])));
    let both = json!([{ "id": "one", "payload": shown("1") }, { "id": chosen, "payload": shown("2") }]);
    assert_eq!(juliet.ask("items", node.clone()).await, both);
    assert_eq!(juliet.ask("items", with(json!({ "newest": 1 }))).await, json!([both[1]]));
    assert_eq!(juliet.ask("items", with(json!({ "ids": ["one"] }))).await, json!([both[0]]));

    juliet.ask("retract", with(json!({ "id": "one" }))).await;
    assert_eq!(juliet.event().await, event("items", json!([{ "retracted": "one" }])));
    juliet.ask("delete", node.clone()).await;
    assert_eq!(juliet.event().await, event("deleted", json!(true)));
    assert_eq!(juliet.refused("items", node).await, "cancel item-not-found");
}

async fn slixmpp_and_our_component_hear_each_other(software: Software) {
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let mut member = neighbours.ours.component("member").unwrap();
    let at = |node: &str| json!({ "service": service.as_str(), "node": node });
    set(&member, &service, create("ours")).await;
    juliet.ask("create", at("theirs")).await;
    juliet.ask("subscribe", at("ours")).await;
    set(&member, &service, subscribe("theirs", member.jid())).await;
    for value in ["1", "2", "3"] {
        set(&member, &service, publish("ours", Some("a"), figure(value))).await;
        let items = json!([{ "published": "a", "payload": shown(value) }]);
        assert_eq!(juliet.event().await, json!({ "from": service.as_str(), "node": "ours", "items": items }));
        let mut item = at("theirs");
        item["id"] = json!("b");
        item["payload"] = json!(given(value));
        juliet.ask("publish", item).await;
        assert_eq!(told(&mut member, &service).await, format!("theirs +b={value}"));
    }
    juliet.ask("unsubscribe", at("ours")).await;
    assert_eq!(juliet.refused("unsubscribe", at("ours")).await, "cancel unexpected-request not-subscribed");
}

async fn slixmpp_reads_why_it_is_refused(software: Software) {
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let member = neighbours.ours.component("member").unwrap();
    set(&member, &service, create("ours")).await;
    let at = |node: &str| json!({ "service": service.as_str(), "node": node });
    let publish = json!({ "service": service.as_str(), "node": "ours", "id": "a", "payload": given("1") });
    let empty = json!({ "service": service.as_str(), "node": "ours", "id": "a" });
    let refusals = [
        ("create", at("ours"), "cancel conflict"),
        ("subscribe", at("nothing"), "cancel item-not-found"),
        ("publish", publish, "auth forbidden"),
        ("delete", at("ours"), "auth forbidden"),
        ("unsubscribe", at("ours"), "cancel unexpected-request not-subscribed"),
        ("items", at("nothing"), "cancel item-not-found"),
        ("members", at("ours"), "auth forbidden"),
    ];
    for (what, with, expected) in refusals {
        assert_eq!(juliet.refused(what, with).await, expected, "{what}");
    }
    juliet.ask("create", at("theirs")).await;
    let mut empty = empty;
    empty["node"] = json!("theirs");
    assert_eq!(juliet.refused("publish", empty).await, "modify bad-request payload-required");
}

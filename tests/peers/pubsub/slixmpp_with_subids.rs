//! slixmpp with several subscriptions of one address to a node of ours, told apart by their SubIDs (XEP-0060, section 6.1.6).

use std::collections::BTreeSet;

use convoke::pubsub::{Creators, PubSubConfig};
use convoke::xmpp::Domainpart;
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::slixmpp_at_ours::{given, shown};
use crate::peers::neighbours::{JULIET, Neighbours, THEIRS};
use crate::support::slixmpp::Slixmpp;

with_each_peer!(slixmpp_names_its_subscriptions_and_reads_which_is_meant);

async fn slixmpp_names_its_subscriptions_and_reads_which_is_meant(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let creators = Creators::Domains(BTreeSet::from([Domainpart::new(THEIRS).unwrap()]));
    let config = PubSubConfig { creators, multi_subscribe: true, ..PubSubConfig::default() };
    let service = neighbours.ours.serve_pubsub(config).unwrap();
    let mut juliet = Slixmpp::login(&neighbours.peer, "juliet").await;

    let node = json!({ "service": service.as_str(), "node": "load" });
    let with = |more: Value| {
        let mut with = node.clone();
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    };
    juliet.ask("create", node.clone()).await;
    let silent = juliet.ask("subscribe", with(json!({ "options": { "pubsub#deliver": "0" } }))).await;
    let heard = juliet.ask("subscribe", node.clone()).await;
    assert_eq!((&silent["jid"], &heard["subscription"]), (&json!(JULIET), &json!("subscribed")));
    assert!(silent["subid"].is_string() && heard["subid"].is_string() && silent["subid"] != heard["subid"]);

    juliet.ask("publish", with(json!({ "id": "one", "payload": given("1") }))).await;
    let items = json!([{ "published": "one", "payload": shown("1") }]);
    let event = json!({ "from": service.as_str(), "node": "load", "items": items, "subid": heard["subid"] });
    assert_eq!(juliet.event().await, event);

    assert_eq!(juliet.refused("unsubscribe", node.clone()).await, "modify bad-request subid-required");
    assert_eq!(juliet.refused("items", node.clone()).await, "modify bad-request subid-required");
    let wrong = with(json!({ "subid": "none-of-its-own" }));
    assert_eq!(juliet.refused("unsubscribe", wrong).await, "modify not-acceptable invalid-subid");
    juliet.ask("unsubscribe", with(json!({ "subid": silent["subid"] }))).await;
    let left = json!([{ "node": "load", "jid": JULIET, "subscription": "subscribed", "subid": heard["subid"] }]);
    assert_eq!(juliet.ask("subscriptions", node.clone()).await, left);

    // There is but one, which needs no name.
    juliet.ask("publish", with(json!({ "id": "two", "payload": given("2") }))).await;
    let items = json!([{ "published": "two", "payload": shown("2") }]);
    assert_eq!(juliet.event().await, json!({ "from": service.as_str(), "node": "load", "items": items }));
    juliet.ask("unsubscribe", node.clone()).await;
    assert_eq!(juliet.refused("unsubscribe", node).await, "cancel unexpected-request not-subscribed");
}

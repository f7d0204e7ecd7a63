//! slixmpp asks our accounts about their nodes and subscribes by request, without its capabilities having any part in it: who
//! sees the presence of the account may, and others are told why not (XEP-0060, sections 5, 6 and 7; XEP-0163, section 6).

use convoke::pubsub::client::{publish, publish_with_options};
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::figure;
use super::personal::{ACCOUNT, Acquaintance, at_node};
use super::slixmpp_at_ours::{given, shown};
use crate::peers::neighbours::JULIET;

with_each_peer!(
    slixmpp_is_refused_the_nodes_of_an_account_whose_presence_it_does_not_see,
    slixmpp_discovers_the_nodes_of_an_account_and_subscribes_by_request,
    slixmpp_subscribes_to_an_open_node_of_an_account_whose_presence_it_does_not_see,
);

const LOAD: &str = "load";

fn item(node: &str) -> Value {
    json!({ "service": ACCOUNT, "node": node, "id": "a", "payload": given("forged") })
}

async fn slixmpp_is_refused_the_nodes_of_an_account_whose_presence_it_does_not_see(software: Software) {
    const UNSEEN: &str = "auth not-authorized presence-subscription-required";
    let mut met = Acquaintance::begin(software).await;
    met.publish(publish(LOAD, Some("a"), figure("1"))).await;
    let account = json!({ "service": ACCOUNT });
    let refusals = [
        ("about", account.clone(), "cancel service-unavailable"),
        ("items", at_node(LOAD), UNSEEN),
        ("subscribe", at_node(LOAD), UNSEEN),
        ("unsubscribe", at_node(LOAD), "cancel unexpected-request not-subscribed"),
        ("publish", item(LOAD), "auth forbidden"),
        ("publish", item("other"), "cancel item-not-found"),
        ("create", at_node("other"), "auth forbidden"),
        ("delete", at_node(LOAD), "auth forbidden"),
        ("configuration", at_node(LOAD), "auth forbidden"),
        ("items", at_node("other"), "cancel item-not-found"),
    ];
    for (what, with, expected) in refusals {
        assert_eq!(met.juliet.refused(what, with.clone()).await, expected, "{what} {with}");
    }
    // Whoever has no account here has no nodes either.
    let nobody = json!({ "service": "nobody@volunteers.lan", "node": LOAD });
    assert_eq!(met.juliet.refused("items", nobody).await, "cancel service-unavailable");
}

async fn slixmpp_discovers_the_nodes_of_an_account_and_subscribes_by_request(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    met.publish(publish(LOAD, Some("a"), figure("1"))).await;
    met.befriend().await;
    let told = met.juliet.ask("about", json!({ "service": ACCOUNT })).await;
    let identities = told["identities"].as_array().unwrap();
    for identity in [json!(["pubsub", "pep"]), json!(["account", "registered"])] {
        assert!(identities.contains(&identity), "{told}");
    }
    assert_eq!(met.juliet.ask("nodes", json!({ "service": ACCOUNT })).await, json!([LOAD]));
    let told = met.juliet.ask("about", at_node(LOAD)).await;
    assert_eq!(told["identities"], json!([["pubsub", "leaf"]]));
    let kept = json!([{ "id": "a", "payload": shown("1") }]);
    assert_eq!(met.juliet.ask("items", at_node(LOAD)).await, kept);

    let subscribed = json!({ "jid": JULIET, "subscription": "subscribed" });
    assert_eq!(met.juliet.ask("subscribe", at_node(LOAD)).await, subscribed);
    let heard = |value: &str| json!({ "from": ACCOUNT, "node": LOAD, "items": [{ "published": "a", "payload": shown(value) }] });
    assert_eq!(met.juliet.event().await, heard("1"), "the last item, for the new subscriber");
    met.publish(publish(LOAD, Some("a"), figure("2"))).await;
    assert_eq!(met.juliet.event().await, heard("2"));
    assert_eq!(met.juliet.refused("publish", item(LOAD)).await, "auth forbidden");
    met.juliet.ask("unsubscribe", at_node(LOAD)).await;
    assert_eq!(met.juliet.refused("unsubscribe", at_node(LOAD)).await, "cancel unexpected-request not-subscribed");
}

async fn slixmpp_subscribes_to_an_open_node_of_an_account_whose_presence_it_does_not_see(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    let open = [("pubsub#access_model", "open")];
    met.publish(publish_with_options("open", Some("a"), figure("1"), &open)).await;
    met.juliet.ask("subscribe", at_node("open")).await;
    let heard = |value: &str| json!({ "from": ACCOUNT, "node": "open", "items": [{ "published": "a", "payload": shown(value) }] });
    assert_eq!(met.juliet.event().await, heard("1"));
    met.publish(publish("open", Some("a"), figure("2"))).await;
    assert_eq!(met.juliet.event().await, heard("2"));
}

//! slixmpp as a contact of an account of ours: by its capabilities it hears of the nodes that it wants, as long as it sees the
//! presence of the account (XEP-0163, sections 3 and 4).

use convoke::pubsub::client::{publish, publish_with_options, retract, set_affiliations};
use convoke::xmpp::{Element, PresenceType};
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::figure;
use super::personal::{ACCOUNT, Acquaintance, at_node};
use super::slixmpp_at_ours::shown;
use crate::peers::neighbours::{JULIET, jid};

with_each_peer!(
    slixmpp_is_sent_the_last_item_and_then_each_change_of_what_it_wants_and_nothing_else,
    slixmpp_hears_no_more_of_what_it_wants_no_more,
    slixmpp_is_sent_nothing_while_it_is_away_and_the_last_item_when_it_is_back,
    slixmpp_hears_of_an_open_node_alone_while_it_does_not_see_the_presence,
    slixmpp_hears_of_a_node_for_a_whitelist_or_a_group_once_it_is_in_it,
    slixmpp_understands_a_tune_a_nick_and_an_avatar_of_our_account,
);

const LOAD: &str = "urn:example:load";
const HEALTH: &str = "urn:example:health";

/// What slixmpp tells of an item that it has heard of.
fn heard(node: &str, id: &str, value: &str) -> Value {
    json!({ "from": ACCOUNT, "node": node, "items": [{ "published": id, "payload": shown(value) }] })
}

async fn slixmpp_is_sent_the_last_item_and_then_each_change_of_what_it_wants_and_nothing_else(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    for value in ["1", "2"] {
        met.publish(publish(LOAD, Some("a"), figure(value))).await;
    }
    met.want(LOAD).await;
    met.befriend().await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "2"));
    met.publish(publish(HEALTH, Some("a"), figure("unwanted"))).await;
    met.publish(publish(LOAD, Some("b"), figure("3"))).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "b", "3"));
    met.publish(retract(LOAD, "b")).await;
    assert_eq!(met.juliet.event().await, json!({ "from": ACCOUNT, "node": LOAD, "items": [{ "retracted": "b" }] }));
    met.publish(publish(LOAD, Some("b"), figure("4"))).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "b", "4"));
}

async fn slixmpp_hears_no_more_of_what_it_wants_no_more(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    met.publish(publish(LOAD, Some("a"), figure("1"))).await;
    met.want(LOAD).await;
    met.want(HEALTH).await;
    met.befriend().await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "1"));
    met.want_no_more(LOAD).await;
    met.publish(publish(LOAD, Some("a"), figure("2"))).await;
    met.publish(publish(HEALTH, Some("a"), figure("wanted"))).await;
    assert_eq!(met.juliet.event().await, heard(HEALTH, "a", "wanted"));
    // The node is new to it again.
    met.want(LOAD).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "2"));
}

async fn slixmpp_is_sent_nothing_while_it_is_away_and_the_last_item_when_it_is_back(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    met.want(LOAD).await;
    met.befriend().await;
    met.publish(publish(LOAD, Some("a"), figure("1"))).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "1"));
    met.juliet.ask("leave", json!({})).await;
    met.hears(PresenceType::Unavailable).await;
    let before = met.neighbours.ours.statistics().remote;
    // What the second item would have to say is on its way before the third is acknowledged.
    met.publish(publish(LOAD, Some("a"), figure("2"))).await;
    met.publish(publish(LOAD, Some("a"), figure("3"))).await;
    assert_eq!(met.neighbours.ours.statistics().remote, before, "nothing has left our domain");
    met.juliet.ask("appear", json!({})).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "3"));
    met.publish(publish(LOAD, Some("a"), figure("4"))).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "4"));
}

async fn slixmpp_hears_of_an_open_node_alone_while_it_does_not_see_the_presence(software: Software) {
    const OPEN: &str = "urn:example:open";
    let mut met = Acquaintance::begin(software).await;
    met.want(LOAD).await;
    met.want(OPEN).await;
    met.see_her_presence().await;
    let open = [("pubsub#access_model", "open")];
    met.publish(publish(LOAD, Some("a"), figure("1"))).await;
    met.publish(publish_with_options(OPEN, Some("a"), figure("1"), &open)).await;
    assert_eq!(met.juliet.event().await, heard(OPEN, "a", "1"));
    met.let_her_see_ours().await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "1"), "the last item, now that it is let in");
    met.publish(publish(LOAD, Some("a"), figure("2"))).await;
    assert_eq!(met.juliet.event().await, heard(LOAD, "a", "2"));
    met.alice.presence(PresenceType::Unsubscribed, &jid(JULIET));
    met.publish(publish(LOAD, Some("a"), figure("3"))).await;
    met.publish(publish(OPEN, Some("a"), figure("2"))).await;
    assert_eq!(met.juliet.event().await, heard(OPEN, "a", "2"));
}

async fn slixmpp_hears_of_a_node_for_a_whitelist_or_a_group_once_it_is_in_it(software: Software) {
    let mut met = Acquaintance::begin(software).await;
    for node in [LOAD, "whitelist", "roster"] {
        met.want(node).await;
    }
    met.befriend().await;
    let models =
        [("whitelist", "cancel not-allowed closed-node"), ("roster", "auth not-authorized not-in-roster-group")];
    for (model, condition) in models {
        let options = [("pubsub#access_model", model), ("pubsub#roster_groups_allowed", "Friends")];
        met.publish(publish_with_options(model, Some("a"), figure("1"), &options)).await;
        met.publish(publish(LOAD, Some(model), figure("1"))).await;
        assert_eq!(met.juliet.event().await, heard(LOAD, model, "1"), "and nothing of the node that is closed to it");
        assert_eq!(met.juliet.refused("items", at_node(model)).await, condition);
    }
    met.publish(set_affiliations("whitelist", [(&jid(JULIET), "member")])).await;
    assert_eq!(met.juliet.event().await, heard("whitelist", "a", "1"), "the last item, now that it is let in");
    assert!(met.alice.set_groups(&jid(JULIET), ["Friends".to_owned()]));
    assert_eq!(met.juliet.event().await, heard("roster", "a", "1"), "the same");
    for (model, _) in models {
        met.publish(publish(model, Some("a"), figure("2"))).await;
        assert_eq!(met.juliet.event().await, heard(model, "a", "2"));
    }
    let kept = json!([{ "id": "a", "payload": shown("2") }]);
    assert_eq!(met.juliet.ask("items", at_node("roster")).await, kept);
    // XEP-0060, section 6.5.1: of a whitelist, only subscribers are given the items.
    assert_eq!(met.juliet.refused("items", at_node("whitelist")).await, "auth not-authorized not-subscribed");
    met.juliet.ask("subscribe", at_node("whitelist")).await;
    assert_eq!(met.juliet.event().await, heard("whitelist", "a", "2"), "the last item, for the new subscriber");
    assert_eq!(met.juliet.ask("items", at_node("whitelist")).await, kept);
    // By its subscription and by its capabilities it hears of each change once.
    for value in ["3", "4"] {
        met.publish(publish("whitelist", Some("a"), figure(value))).await;
        assert_eq!(met.juliet.event().await, heard("whitelist", "a", value));
    }
}

/// By the plugins that build on personal eventing: XEP-0118, XEP-0172 and XEP-0084.
async fn slixmpp_understands_a_tune_a_nick_and_an_avatar_of_our_account(software: Software) {
    let told = [
        (
            "http://jabber.org/protocol/tune",
            "<tune xmlns='http://jabber.org/protocol/tune'><artist>Yes</artist><title>Roundabout</title></tune>",
            json!({ "from": ACCOUNT, "tune": { "artist": "Yes", "title": "Roundabout" } }),
        ),
        (
            "http://jabber.org/protocol/nick",
            "<nick xmlns='http://jabber.org/protocol/nick'>Ally</nick>",
            json!({ "from": ACCOUNT, "nick": "Ally" }),
        ),
        (
            "urn:xmpp:avatar:metadata",
            "<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='123' id='abc' type='image/png'/></metadata>",
            json!({ "from": ACCOUNT, "avatar": [{ "id": "abc", "type": "image/png", "bytes": 123 }] }),
        ),
    ];
    let mut met = Acquaintance::begin(software).await;
    met.befriend().await;
    for (node, payload, expected) in told {
        met.publish(publish(node, Some("current"), Element::parse(payload).unwrap())).await;
        // One is what the plugin has made of the item, the other one the item itself.
        let events = [met.juliet.event().await, met.juliet.event().await];
        assert!(events.contains(&expected) && events.iter().any(|event| event["node"] == node), "{events:?}");
    }
}

//! Several changes in one message.

use std::time::Duration;

use convoke_pubsub::DeliveryConfig;
use convoke_xmpp::Stanza;

use super::stage::*;
use crate::support::{NODE, form, item_ids, open_config, request};

fn digest(stage: &Stage, jid: &str, frequency: u64) {
    assert_eq!(subscribe_with_digest(stage, jid, frequency)[0].error(), None);
}

/// Subscribes with a digest for so many milliseconds.
pub(super) fn subscribe_with_digest(stage: &Stage, jid: &str, frequency: u64) -> Vec<Stanza> {
    let field = |name: &str, value: &str| format!("<field var='pubsub#{name}'><value>{value}</value></field>");
    let form = format!(
        "<subscribe node='{NODE}' jid='{jid}'/><options><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_options</value></field>\
         {}{}</x></options>",
        field("digest", "true"),
        field("digest_frequency", &frequency.to_string())
    );
    stage.ask(jid, &form)
}

#[test]
fn a_digest_tells_of_several_changes_by_one_message() {
    let stage = Stage::new(open_config(), &[A]);
    digest(&stage, B, 60_000);
    assert_eq!(stage.publish(2), ["a: +1 @1", "a: +2 @2"]);
    assert_eq!(stage.pause(), Some(60 * SECOND));
    stage.pass(10 * SECOND);
    let retract = format!("<retract node='{NODE}' notify='true'><item id='1'/></retract>");
    stage.ask("hamlet@denmark.lit/x", &retract);
    assert!(stage.pass(49 * SECOND).is_empty());
    assert_eq!(stage.pass(SECOND), ["b: +1 +2 -1 @1..=3"]);
    assert_eq!(stage.pause(), None);
    stage.publish(1);
    assert_eq!(stage.pass(60 * SECOND), ["b: +3 @4"]);
}

#[test]
fn the_digest_of_a_state_tells_of_the_newest_alone() {
    let stage = Stage::new(state_config(), &[]);
    digest(&stage, B, 1_000);
    stage.publish(1);
    assert_eq!(stage.pass(SECOND), ["b: +1 @1"]);
    stage.publish(5);
    assert_eq!(stage.pass(SECOND), ["b: -1 -5 +6 @2..=11"]);
}

/// Who asks for the items while its digest is being collected has one that it was not told of.
#[test]
fn the_digest_of_a_state_takes_back_what_was_there_when_it_was_asked_for() {
    let stage = Stage::new(state_config(), &[]);
    digest(&stage, B, 1_000);
    stage.publish(1);
    assert_eq!(stage.pass(SECOND), ["b: +1 @1"]);
    stage.publish(1);
    stage.hand_in(&request(B, "get", PUBSUB, &format!("<items node='{NODE}'/>")));
    let items = std::mem::take(&mut *stage.ways.routed.lock().unwrap());
    assert_eq!(item_ids(&items), ["2"]);
    stage.publish(1);
    assert_eq!(stage.pass(SECOND), ["b: -1 -2 +3 @2..=5"]);
    // One item that comes and goes is taken back once.
    let item = "<item id='3'><a xmlns='urn:a'/></item>";
    for verb in ["retract", "publish", "retract"] {
        stage.ask("hamlet@denmark.lit/x", &format!("<{verb} node='{NODE}' notify='true'>{item}</{verb}>"));
    }
    stage.publish(1);
    assert_eq!(stage.pass(SECOND), ["b: -3 +4 @6..=9"]);
}

#[test]
fn a_digest_that_is_full_and_one_before_an_event_of_the_node_leave_early() {
    let stage = Stage::new(config(DeliveryConfig { max_digest_changes: 3, ..DeliveryConfig::default() }), &[]);
    digest(&stage, B, 60_000);
    assert_eq!(stage.publish(4), ["b: +1 +2 +3 @1..=3"]);
    stage.hand_in(&request("hamlet@denmark.lit/x", "set", PUBSUB_OWNER, &format!("<purge node='{NODE}'/>")));
    assert_eq!(stage.pass(Duration::ZERO), ["b: +4 @4", "b: @5"]);
    assert_eq!(stage.pause(), None);
}

/// What a subscriber has more items of than one is no state yet.
#[test]
fn a_digest_tells_of_every_item_that_goes_when_a_node_becomes_a_state() {
    let stage = Stage::new(open_config(), &[]);
    digest(&stage, B, 1_000);
    stage.publish(3);
    assert_eq!(stage.pass(SECOND), ["b: +1 +2 +3 @1..=3"]);
    stage.publish(1);
    let form = form("http://jabber.org/protocol/pubsub#node_config", &[("pubsub#max_items", &["1"])]);
    let configure = format!("<configure node='{NODE}'>{form}</configure>");
    stage.hand_in(&request("hamlet@denmark.lit/x", "set", PUBSUB_OWNER, &configure));
    assert_eq!(stage.pass(SECOND), ["b: +4 -1 -2 -3 @4..=7"]);
}

/// The order of a node's events is that of its changes, whatever its subscriber chooses meanwhile.
#[test]
fn what_was_collected_leaves_first_when_a_subscriber_wants_no_digests_any_more() {
    let stage = Stage::new(open_config(), &[]);
    digest(&stage, B, 60_000);
    stage.publish(1);
    let form = form("http://jabber.org/protocol/pubsub#subscribe_options", &[("pubsub#digest", &["0"])]);
    stage.ask(B, &format!("<options node='{NODE}' jid='{B}'>{form}</options>"));
    assert_eq!(stage.publish(1), ["b: +1 @1", "b: +2 @2"]);
    assert_eq!(stage.pause(), None);
}

#[test]
fn the_time_of_a_digest_has_bounds() {
    for (frequency, expected) in [(100, SECOND), (86_400_000, 24 * HOUR)] {
        let stage = Stage::new(open_config(), &[]);
        digest(&stage, B, frequency);
        stage.publish(1);
        assert_eq!(stage.pause(), Some(expected));
    }
}

#[test]
fn what_was_collected_for_a_subscription_ends_with_it() {
    let stage = Stage::new(open_config(), &[]);
    digest(&stage, B, 1_000);
    stage.publish(1);
    assert!(stage.is_subscribed(B));
    assert!(stage.pass(SECOND).is_empty());
}

#[test]
fn a_service_that_closes_sends_its_digests_before_their_time() {
    let stage = Stage::new(open_config(), &[]);
    digest(&stage, B, 60_000);
    stage.publish(2);
    stage.service.close(&stage.ways);
    assert_eq!(notifications(&stage.ways.routed.lock().unwrap()), ["b: +1 +2 @1..=2"]);
}

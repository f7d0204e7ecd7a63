//! What a full way gives back waits, in order and within bounds.

use std::sync::atomic::Ordering;

use convoke_pubsub::DeliveryConfig;
use convoke_xmpp::Condition;

use super::stage::*;
use crate::support::{NODE, open_config, request};

#[test]
fn a_notification_says_where_the_history_of_its_node_stands() {
    let stage = Stage::new(open_config(), &[A]);
    assert_eq!(stage.publish(2), ["a: +1 @1", "a: +2 @2"]);
    let retract = format!("<retract node='{NODE}' notify='true'><item id='1'/></retract>");
    assert_eq!(notifications(&stage.ask("hamlet@denmark.lit/x", &retract)), ["a: -1 @3"]);
}

#[test]
fn recipients_of_one_domain_are_told_one_after_the_other() {
    let stage = Stage::new(open_config(), &["a@b.example", "a@a.example", "b@b.example", "b@a.example"]);
    let verb = format!("<publish node='{NODE}'><item id='1'><a xmlns='urn:a'/></item></publish>");
    let stanzas = stage.ask("hamlet@denmark.lit/x", &verb);
    let recipients: Vec<_> = stanzas[1..].iter().map(|stanza| stanza.to().unwrap().as_str()).collect();
    assert_eq!(recipients, ["a@a.example", "b@a.example", "a@b.example", "b@b.example"]);
}

#[test]
fn what_a_full_way_gives_back_waits_and_nothing_overtakes_it() {
    let stage = Stage::new(open_config(), &[A, B]);
    stage.close(A, Condition::ResourceConstraint);
    assert_eq!(stage.publish(2), ["b: +1 @1", "b: +2 @2"]);
    stage.open(A);
    assert_eq!(stage.publish(1), ["b: +3 @3"], "a's third waits behind its second");
    assert_eq!(stage.pause(), Some(DeliveryConfig::default().first_retry));
    assert_eq!(stage.pass(SECOND), ["a: +1 @1", "a: +2 @2", "a: +3 @3"]);
    assert_eq!((stage.pause(), stage.publish(1)), (None, vec!["a: +4 @4".to_owned(), "b: +4 @4".to_owned()]));
    assert_eq!((stage.statistics().deferred, stage.statistics().given_up), (1, 0));
}

#[test]
fn a_full_way_is_tried_again_ever_less_often() {
    let stage = Stage::new(open_config(), &[A]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(1);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let pause = stage.pause().unwrap();
        pauses.push(pause.as_millis());
        assert!(stage.pass(pause).is_empty());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    stage.open(A);
    assert_eq!(stage.pass(10 * SECOND), ["a: +1 @1"]);
}

#[test]
fn what_finds_no_room_is_given_up_and_the_subscriber_sees_the_gap() {
    let stage = Stage::new(config(DeliveryConfig { max_waiting: 2, ..DeliveryConfig::default() }), &[A]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(5);
    stage.open(A);
    assert_eq!(stage.pass(SECOND), ["a: +1 @1", "a: +2 @2"]);
    assert_eq!(stage.publish(1), ["a: +6 @6"]);
    assert_eq!(stage.statistics().given_up, 3);
}

#[test]
fn the_bytes_that_wait_are_bounded_for_one_and_for_all() {
    let one = stage_bytes();
    let for_one = DeliveryConfig { max_waiting_bytes: 2 * one, ..DeliveryConfig::default() };
    let for_all = DeliveryConfig { max_waiting_bytes_together: 3 * one, ..DeliveryConfig::default() };
    for (delivery, waits) in [(for_one, 4), (for_all, 3)] {
        let stage = Stage::new(config(delivery), &[A, B]);
        stage.close(A, Condition::ResourceConstraint);
        stage.close(B, Condition::ResourceConstraint);
        stage.publish(3);
        stage.open(A);
        stage.open(B);
        assert_eq!(stage.pass(SECOND).len(), waits);
        assert_eq!(stage.statistics().given_up, 6 - waits as u64);
    }
}

/// Rather more than the bytes of one notification without its head.
fn stage_bytes() -> usize {
    let stage = Stage::new(open_config(), &[A]);
    stage.notification(A).size()
}

#[test]
fn of_a_node_that_is_a_state_only_the_newest_waits() {
    let stage = Stage::new(state_config(), &[A]);
    assert_eq!(stage.publish(1), ["a: +1 @1"]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(40);
    stage.open(A);
    // The item that the subscriber has is retracted, and the newest is there: the 80 changes in one.
    assert_eq!(stage.pass(SECOND), ["a: -1 -40 +41 @2..=81"]);
    let statistics = stage.statistics();
    assert_eq!((statistics.replaced, statistics.given_up), (79, 0));
}

#[test]
fn an_event_of_the_node_itself_keeps_its_place_among_the_states_that_wait() {
    let stage = Stage::new(state_config(), &[A]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(2);
    let delete = request(
        "hamlet@denmark.lit/x",
        "set",
        "http://jabber.org/protocol/pubsub#owner",
        &format!("<delete node='{NODE}'/>"),
    );
    stage.hand_in(&delete);
    stage.open(A);
    assert_eq!(stage.pass(SECOND), ["a: -1 +2 @1..=3", "a: @4"]);
}

#[test]
fn what_waits_for_a_subscription_ends_with_it() {
    let stage = Stage::new(open_config(), &[A]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(2);
    stage.open(A);
    assert!(stage.is_subscribed(A));
    assert!(stage.pass(SECOND).is_empty());
}

#[test]
fn a_domain_whose_link_is_full_is_tried_once_for_all_its_subscribers() {
    let far = ["a@far.example", "b@far.example", "c@far.example"];
    let stage = Stage::new(open_config(), &far);
    far.iter().for_each(|jid| stage.close(jid, Condition::ResourceConstraint));
    assert!(stage.publish(1).is_empty());
    assert!(stage.pass(SECOND).is_empty());
    assert_eq!(stage.ways.refused.load(Ordering::Relaxed), 2);
    far.iter().for_each(|jid| stage.open(jid));
    assert_eq!(stage.pass(SECOND), ["a: +1 @1", "b: +1 @1", "c: +1 @1"]);
}

#[test]
fn a_neighbour_whose_mailbox_is_full_hinders_nobody_else() {
    let (full, other) = ("a@shakespeare.lit", "b@pubsub.shakespeare.lit");
    let stage = Stage::new(open_config(), &[full, "c@pubsub.shakespeare.lit", other]);
    stage.close("c@pubsub.shakespeare.lit", Condition::ResourceConstraint);
    stage.close(full, Condition::ResourceConstraint);
    assert_eq!(stage.publish(1), ["b: +1 @1"]);
    stage.close(other, Condition::ResourceConstraint);
    assert!(stage.publish(1).is_empty());
}

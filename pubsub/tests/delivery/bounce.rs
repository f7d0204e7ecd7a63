//! What becomes of a subscriber whose notifications come back (XEP-0060, section 12.4).

use std::time::Duration;

use convoke_xmpp::Condition;

use super::stage::*;
use crate::support::open_config;

#[test]
fn a_subscriber_whose_notifications_come_back_is_left_alone_and_then_tried_with_one() {
    let stage = Stage::new(open_config(), &[A, B]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::ServiceUnavailable);
    assert_eq!(stage.publish(2), ["b: +1 @2", "b: +2 @3"]);
    assert_eq!(stage.pause(), Some(5 * SECOND));
    assert_eq!(stage.pass(5 * SECOND), ["a: +x @1"], "one on trial");
    assert_eq!(stage.pause(), Some(120 * SECOND));
    // It did not come back.
    assert_eq!(stage.pass(120 * SECOND), ["a: +1 @2", "a: +2 @3"]);
    assert_eq!((stage.pause(), stage.statistics().bounced), (None, 1));
}

#[test]
fn a_subscriber_in_trouble_whom_nobody_tells_anything_costs_no_timer_and_the_next_notification_is_the_trial() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::NotAcceptable);
    assert!(stage.pass(5 * SECOND).is_empty());
    assert_eq!(stage.pause(), None);
    assert_eq!(stage.publish(2), ["a: +1 @2"]);
    assert_eq!(stage.pass(120 * SECOND), ["a: +2 @3"]);
}

#[test]
fn a_subscriber_that_sends_something_is_told_at_once_what_waited() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::ServiceUnavailable);
    assert!(stage.publish(2).is_empty());
    let answers = stage.ask("a@a.example/desk", "<nothing/>");
    assert_eq!(notifications(&answers), ["a: +x @1", "a: +1 @2", "a: +2 @3"]);
}

#[test]
fn a_subscription_ends_after_so_many_notifications_in_a_row_came_back_for_good() {
    let stage = Stage::new(open_config(), &[A, B]);
    stage.close(A, Condition::RemoteServerNotFound);
    let (mut bounces, mut passed) = (0, Duration::ZERO);
    while stage.statistics().ended_subscribers == 0 {
        stage.publish(1);
        let pause = stage.pause().unwrap_or_default();
        passed += pause;
        stage.pass(pause);
        bounces += 1;
        assert!(bounces < 100);
    }
    assert_eq!(stage.statistics().bounced, 16);
    assert!(passed > 6 * HOUR, "{passed:?}");
    stage.open(A);
    assert!(!stage.is_subscribed(A) && stage.is_subscribed(B));
}

#[test]
fn one_notification_that_arrives_makes_all_that_came_back_before_count_no_more() {
    let stage = Stage::new(open_config(), &[A]);
    for _ in 0..5 {
        stage.close(A, Condition::RemoteServerNotFound);
        for _ in 0..14 {
            stage.publish(1);
            stage.pass(HOUR);
        }
        stage.open(A);
        stage.publish(1);
        stage.pass(HOUR);
        stage.pass(HOUR);
    }
    assert!(stage.is_subscribed(A));
}

#[test]
fn a_subscriber_that_is_gone_for_good_is_believed_at_once() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::Gone);
    assert!(stage.publish(1).is_empty());
    assert!(!stage.is_subscribed(A));
    assert_eq!(stage.statistics().ended_subscribers, 1);
}

#[test]
fn a_subscriber_out_of_reach_for_a_while_keeps_its_subscription_for_a_week() {
    let stage = Stage::new(open_config(), &[A]);
    stage.close(A, Condition::RemoteServerTimeout);
    let hours_until_end = (0..400).find(|_| {
        stage.publish(1);
        stage.pass(HOUR);
        stage.statistics().ended_subscribers > 0
    });
    let week = 7 * 24;
    assert!(hours_until_end.is_some_and(|hours| (week - 2..=week + 4).contains(&hours)), "{hours_until_end:?}");
}

#[test]
fn nobody_can_make_up_what_came_back() {
    let stage = Stage::new(open_config(), &[A, B]);
    let notification = stage.notification(A);
    let id = notification.id().unwrap();
    for (from, id) in [(B, id), ("a@a.example/desk", id), (A, "1-0123456789abcdef"), (A, "")] {
        stage.hand_in(&format!(
            "<message type='error' from='{from}' to='pubsub.shakespeare.lit' id='{id}'>\
             <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
    }
    assert_eq!(stage.publish(1), ["a: +1 @2", "b: +1 @2"]);
    assert_eq!(stage.statistics().bounced, 0);
}

#[test]
fn what_the_router_itself_could_not_deliver_is_sent_when_the_subscriber_is_back() {
    let stage = Stage::new(state_config(), &[A]);
    stage.close(A, Condition::RemoteServerTimeout);
    stage.publish(2);
    assert!(stage.pass(HOUR).is_empty());
    stage.open(A);
    // Nothing more is published: the subscriber learns the state all the same.
    assert_eq!(stage.pass(HOUR), ["a: -1 +2 @1..=3"]);
    assert_eq!(stage.statistics().given_up, 0);
}

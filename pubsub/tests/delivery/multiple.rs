//! Notifications for an address that has several subscriptions.

use convoke_pubsub::{PubSubConfig, client};
use convoke_xmpp::{Condition, Kind, Stanza};

use super::digest::subscribe_with_digest;
use super::stage::*;
use crate::support::{NODE, open_config};

fn several() -> PubSubConfig {
    PubSubConfig { multi_subscribe: true, ..open_config() }
}

fn subid(answers: &[Stanza]) -> String {
    client::parse_subscription(&answers[0].payload().unwrap()).unwrap().subid.unwrap()
}

fn subscribe(stage: &Stage) -> String {
    subid(&stage.ask(A, &format!("<subscribe node='{NODE}' jid='{A}'/>")))
}

fn unsubscribe(stage: &Stage, subid: &str) {
    let answers = stage.ask(A, &format!("<unsubscribe node='{NODE}' jid='{A}' subid='{subid}'/>"));
    assert_eq!(answers[0].error(), None);
}

/// Lets time pass; gives each notification with the places of its SubIDs among these.
fn pass(stage: &Stage, seconds: u32, subids: &[&String]) -> Vec<String> {
    stage.clock.pass(SECOND * seconds);
    stage.service.advance(&stage.ways);
    named(&std::mem::take(&mut *stage.ways.routed.lock().unwrap()), subids)
}

fn named(stanzas: &[Stanza], subids: &[&String]) -> Vec<String> {
    let place = |subid: String| subids.iter().position(|known| **known == subid).unwrap().to_string();
    let messages = stanzas.iter().filter(|stanza| matches!(stanza.kind(), Kind::Message(_)));
    let named = |message: &Stanza| client::parse_subids(message).into_iter().map(place).collect::<String>();
    messages.map(|message| format!("{} {}", told(&message.to_element()), named(message))).collect()
}

fn publish(stage: &Stage, id: u32, subids: &[&String]) -> Vec<String> {
    let verb = format!("<publish node='{NODE}'><item id='{id}'><a xmlns='urn:a'/></item></publish>");
    named(&stage.ask("hamlet@denmark.lit/x", &verb), subids)
}

/// Each digest has its own time; those that collect nothing share one message.
#[test]
fn each_subscription_collects_for_itself() {
    let stage = Stage::new(several(), &[]);
    let slow = subid(&subscribe_with_digest(&stage, A, 60_000));
    let fast = subid(&subscribe_with_digest(&stage, A, 10_000));
    let (one, other) = (subscribe(&stage), subscribe(&stage));
    let all = [&slow, &fast, &one, &other];
    assert_eq!(publish(&stage, 1, &all), ["+1 @1 23"]);
    assert_eq!(publish(&stage, 2, &all), ["+2 @2 23"]);
    assert_eq!(pass(&stage, 10, &all), ["+1 +2 @1..=2 1"]);
    assert_eq!(publish(&stage, 3, &all), ["+3 @3 23"]);
    assert_eq!(pass(&stage, 10, &all), ["+3 @3 1"]);
    assert_eq!(pass(&stage, 40, &all), ["+1 +2 +3 @1..=3 0"]);
}

/// What is told of the node is told once, behind all digests.
#[test]
fn an_event_of_the_node_is_told_once_and_behind_the_digests_of_all_subscriptions() {
    let stage = Stage::new(several(), &[]);
    let all: Vec<_> = (0..2).map(|_| subid(&subscribe_with_digest(&stage, A, 60_000))).collect();
    let always = subscribe(&stage);
    publish(&stage, 1, &[&always]);
    let purge = format!("<purge node='{NODE}'/>");
    stage.hand_in(&crate::support::request("hamlet@denmark.lit/x", "set", PUBSUB_OWNER, &purge));
    let told = pass(&stage, 0, &all.iter().collect::<Vec<_>>());
    let mut digests = told[..2].to_vec();
    digests.sort();
    assert_eq!((digests, &told[2..]), (vec!["+1 @1 0".to_owned(), "+1 @1 1".to_owned()], &["@2 ".to_owned()][..]));
    assert_eq!(stage.pause(), None);
}

#[test]
fn the_last_item_for_a_new_subscription_leaves_the_digests_of_others_alone() {
    let stage = Stage::new(several(), &[]);
    let digest = subid(&subscribe_with_digest(&stage, A, 60_000));
    stage.publish(1);
    let answers = stage.ask(A, &format!("<subscribe node='{NODE}' jid='{A}'/>"));
    let new = subid(&answers);
    assert_eq!(named(&answers, &[&digest, &new]), ["+1 @1 1"]);
    // It was collected when there was but one subscription, which needs no name.
    assert_eq!(pass(&stage, 60, &[]), ["+1 @1 "]);
}

#[test]
fn what_was_collected_for_a_subscription_ends_with_it_alone() {
    let stage = Stage::new(several(), &[]);
    let subids: Vec<_> = (0..2).map(|_| subid(&subscribe_with_digest(&stage, A, 1_000))).collect();
    stage.publish(1);
    unsubscribe(&stage, &subids[0]);
    assert_eq!(pass(&stage, 1, &[&subids[1]]), ["+1 @1 0"]);
}

#[test]
fn what_waits_names_no_subscription_that_has_ended() {
    let stage = Stage::new(several(), &[]);
    let subids: Vec<_> = (0..3).map(|_| subscribe(&stage)).collect();
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(2);
    stage.open(A);
    for ended in [&subids[0], &subids[2]] {
        unsubscribe(&stage, ended);
    }
    assert_eq!(pass(&stage, 1, &[&subids[1]]), ["+1 @1 0", "+2 @2 0"]);
}

#[test]
fn what_waits_for_the_last_subscription_ends_with_it() {
    let stage = Stage::new(several(), &[]);
    let subids: Vec<_> = (0..2).map(|_| subscribe(&stage)).collect();
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(2);
    stage.open(A);
    subids.iter().for_each(|ended| unsubscribe(&stage, ended));
    assert!(pass(&stage, 1, &[]).is_empty());
}

/// An older state is not told as the newest of a subscription that does not want that.
#[test]
fn a_state_replaces_only_what_the_same_subscriptions_wait_for() {
    let stage = Stage::new(PubSubConfig { multi_subscribe: true, ..state_config() }, &[]);
    let (one, other) = (subscribe(&stage), subscribe(&stage));
    let all = [&one, &other];
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(2);
    let silent = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
                  <value>http://jabber.org/protocol/pubsub#subscribe_options</value></field>\
                  <field var='pubsub#deliver'><value>0</value></field></x>";
    let options = format!("<options node='{NODE}' jid='{A}' subid='{one}'>{silent}</options>");
    stage.hand_in(&crate::support::request("a@a.example/x", "set", PUBSUB, &options));
    stage.publish(2);
    stage.open(A);
    assert_eq!(pass(&stage, 60, &all), ["-1 +2 @1..=3 01", "-2 -3 +4 @4..=7 1"]);
}

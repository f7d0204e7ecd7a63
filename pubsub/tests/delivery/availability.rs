//! Who is told depends on who is there; and what time ends.

use convoke_pubsub::{NodeConfig, PubSubConfig};
use convoke_xmpp::{Origin, Service, Stanza};

use super::stage::*;
use crate::support::{NODE, domain, item_ids, open_config, request};

/// A node that notifies those alone who are available.
fn presence_config() -> PubSubConfig {
    let node = NodeConfig { presence_based_delivery: true, ..open_config().node };
    PubSubConfig { node, ..open_config() }
}

impl Stage {
    fn presence(&self, attributes: &str, children: &str) -> Vec<String> {
        self.hand_in(&format!("<presence to='pubsub.shakespeare.lit' {attributes}>{children}</presence>"));
        notifications(&std::mem::take(&mut *self.ways.routed.lock().unwrap()))
    }
}

#[test]
fn who_is_away_is_not_told_and_resumes_from_what_it_saw_last() {
    let stage = Stage::new(presence_config(), &[A]);
    assert!(stage.publish(1).is_empty());
    stage.presence("from='a@a.example/desk'", "");
    assert_eq!(stage.publish(1), ["a: +2 @2"]);
    stage.presence("from='a@a.example/desk' type='unavailable'", "");
    assert!(stage.publish(2).is_empty());
    stage.presence("from='a@a.example/desk'", "");
    // It sees the gap, and asks for what follows the last item that it saw (XEP-0059).
    assert_eq!(stage.publish(1), ["a: +5 @5"]);
    let items =
        format!("<items node='{NODE}'/><set xmlns='http://jabber.org/protocol/rsm'><after>2</after><max>9</max></set>");
    stage.hand_in(&request(A, "get", PUBSUB, &items));
    let answers = std::mem::take(&mut *stage.ways.routed.lock().unwrap());
    assert_eq!(item_ids(&answers), ["3", "4", "5"]);
}

#[test]
fn who_says_how_long_it_was_away_is_sent_what_it_missed() {
    let stage = Stage::new(presence_config(), &[A]);
    stage.pass(100 * SECOND);
    stage.publish(1);
    stage.pass(50 * SECOND);
    stage.publish(2);
    stage.pass(10 * SECOND);
    let missed = stage.presence("from='a@a.example/desk'", "<ago xmlns='urn:xmpp:ago:0' secs='30'/>");
    assert_eq!(missed, ["a: +2 @3", "a: +3 @3"]);
}

#[test]
fn who_is_only_out_of_reach_keeps_a_subscription_for_the_time_of_its_presence() {
    let node = NodeConfig { temporary_subscriptions: true, ..open_config().node };
    let stage = Stage::new(PubSubConfig { node, ..open_config() }, &[A, B]);
    stage.presence("from='a@a.example/desk'", "");
    stage.presence("from='b@b.example/desk'", "");
    let lost =
        Stanza::parse("<presence from='a@a.example/desk' to='pubsub.shakespeare.lit' type='unavailable'/>").unwrap();
    stage.service.handle(lost, &Origin::RouteLost(domain("a.example")), &stage.ways);
    stage.presence("from='b@b.example/desk' type='unavailable'", "");
    assert!(stage.is_subscribed(A) && !stage.is_subscribed(B));
}

#[test]
fn items_end_when_their_time_is_over_and_subscribers_are_told() {
    let node = NodeConfig { item_expire: Some(60), notify_retract: true, ..open_config().node };
    let stage = Stage::new(PubSubConfig { node, ..open_config() }, &[A]);
    stage.publish(1);
    stage.pass(30 * SECOND);
    stage.publish(1);
    assert_eq!(stage.pause(), Some(30 * SECOND));
    assert_eq!(stage.pass(30 * SECOND), ["a: -1 @3"]);
    assert_eq!((stage.pause(), stage.pass(30 * SECOND)), (Some(30 * SECOND), vec!["a: -2 @4".to_owned()]));
    assert_eq!(stage.pause(), None);
}

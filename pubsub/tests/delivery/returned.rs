//! What was sent and came back is sent again, where that may help, and in its place (XEP-0060, section 12.4).

use convoke_pubsub::{DeliveryConfig, PubSubConfig};
use convoke_xmpp::{Condition, ErrorType, Stanza, StanzaError};

use super::stage::*;
use crate::support::{NODE, open_config, request};

impl Stage {
    /// Publishes once, and gives what one subscriber is sent as it is.
    fn sent_to(&self, jid: &str) -> Stanza {
        let mut published = self.published.lock().unwrap();
        *published += 1;
        let verb = format!("<publish node='{NODE}'><item id='{published}'><a xmlns='urn:a'/></item></publish>");
        let stanzas = self.ask("hamlet@denmark.lit/x", &verb);
        stanzas.into_iter().find(|stanza| stanza.to().unwrap().as_str() == jid).unwrap()
    }

    /// Lets so much time pass that whoever is held back and does not send anything back is trusted again.
    fn recovers(&self) -> Vec<String> {
        let mut told = self.pass(5 * SECOND);
        told.extend(self.pass(120 * SECOND));
        told
    }
}

#[test]
fn all_that_came_back_from_a_lost_way_is_sent_again_in_its_order_before_what_follows() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = [stage.sent_to(A), stage.sent_to(A), stage.sent_to(A)];
    stage.bounce(&lost[0], Condition::RemoteServerTimeout);
    assert!(stage.publish(1).is_empty());
    // The rest comes back later, and not in order.
    stage.bounce(&lost[2], Condition::RemoteServerTimeout);
    stage.bounce(&lost[1], Condition::RemoteServerTimeout);
    assert_eq!(stage.statistics().waiting, 4);
    assert_eq!(stage.recovers(), ["a: +1 @1", "a: +2 @2", "a: +3 @3", "a: +4 @4"]);
    let statistics = stage.statistics();
    assert_eq!((statistics.bounced, statistics.given_up, statistics.waiting), (3, 0, 0));
}

#[test]
fn what_comes_back_is_kept_or_given_up_by_its_error() {
    for (condition, kind, is_kept) in [
        (Condition::RemoteServerTimeout, ErrorType::Wait, true),
        (Condition::ResourceConstraint, ErrorType::Wait, true),
        (Condition::RecipientUnavailable, ErrorType::Wait, true),
        (Condition::ServiceUnavailable, ErrorType::Cancel, true),
        (Condition::ItemNotFound, ErrorType::Cancel, true),
        (Condition::RegistrationRequired, ErrorType::Auth, true),
        (Condition::NotAcceptable, ErrorType::Modify, false),
        (Condition::BadRequest, ErrorType::Modify, false),
        (Condition::PolicyViolation, ErrorType::Modify, false),
        (Condition::Gone, ErrorType::Cancel, false),
    ] {
        let stage = Stage::new(open_config(), &[A]);
        let lost = stage.sent_to(A);
        let bounced = lost.bounce(&StanzaError::new(condition).with_type(kind)).unwrap();
        stage.hand_in(&bounced.text());
        let expected: &[&str] = if is_kept { &["a: +1 @1"] } else { &[] };
        assert_eq!(stage.recovers(), expected, "{condition:?}");
        assert_eq!(stage.statistics().given_up, u64::from(!is_kept), "{condition:?}");
    }
}

#[test]
fn nothing_is_sent_again_behind_a_later_change_that_arrived() {
    let stage = Stage::new(open_config(), &[A]);
    let (lost, _arrived, lost_too) = (stage.sent_to(A), stage.sent_to(A), stage.sent_to(A));
    stage.bounce(&lost, Condition::ServiceUnavailable);
    stage.bounce(&lost_too, Condition::ServiceUnavailable);
    // The subscriber sees by the position that the first is missing.
    assert_eq!(stage.recovers(), ["a: +3 @3"]);
    assert_eq!(stage.statistics().given_up, 1);
}

#[test]
fn of_a_state_that_came_back_the_newest_is_sent_again() {
    let stage = Stage::new(state_config(), &[A]);
    let verb = |id| format!("<publish node='{NODE}'><item id='{id}'><a xmlns='urn:a'/></item></publish>");
    let sent: Vec<_> = (1..=3)
        .flat_map(|id| stage.ask("hamlet@denmark.lit/x", &verb(id)))
        .filter(|stanza| stanza.to().unwrap().as_str() == A)
        .collect();
    assert_eq!(sent.len(), 5, "each state but the first retracts the one before");
    sent.iter().for_each(|stanza| stage.bounce(stanza, Condition::RemoteServerTimeout));
    assert_eq!(stage.recovers(), ["a: -1 -2 +3 @1..=5"]);
}

#[test]
fn a_state_that_came_back_gives_way_to_one_that_waits() {
    let stage = Stage::new(state_config(), &[A]);
    let (first, second) = (stage.sent_to(A), stage.sent_to(A));
    stage.bounce(&second, Condition::RemoteServerTimeout);
    stage.publish(1);
    stage.bounce(&first, Condition::RemoteServerTimeout);
    let told = stage.recovers();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("a: ") && told[0].contains("+3 @"), "{told:?}");
}

#[test]
fn what_comes_back_twice_is_sent_again_once() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.sent_to(A);
    (0..3).for_each(|_| stage.bounce(&lost, Condition::RemoteServerTimeout));
    assert_eq!(stage.recovers(), ["a: +1 @1"]);
}

#[test]
fn what_comes_back_after_the_end_of_a_subscription_is_not_sent_again() {
    let stage = Stage::new(open_config(), &[A, B]);
    let lost = stage.sent_to(A);
    assert!(stage.is_subscribed(A));
    stage.bounce(&lost, Condition::RemoteServerTimeout);
    assert!(stage.recovers().is_empty());
    // Whoever subscribes anew is another subscriber.
    stage.ask(A, &format!("<subscribe node='{NODE}' jid='{A}'/>"));
    let lost = stage.sent_to(A);
    stage.bounce(&lost, Condition::RemoteServerTimeout);
    assert_eq!(stage.recovers(), ["a: +2 @2"]);
}

#[test]
fn what_came_back_waits_within_the_same_bounds_as_everything() {
    let stage = Stage::new(config(DeliveryConfig { max_waiting: 2, ..DeliveryConfig::default() }), &[A]);
    let lost = [stage.sent_to(A), stage.sent_to(A), stage.sent_to(A)];
    lost.iter().for_each(|stanza| stage.bounce(stanza, Condition::RemoteServerTimeout));
    assert_eq!(stage.statistics().waiting, 2);
    assert_eq!(stage.recovers(), ["a: +2 @2", "a: +3 @3"], "the newest are worth most");
    assert_eq!(stage.statistics().given_up, 1);
}

#[test]
fn what_is_remembered_is_bounded_in_number_and_bytes() {
    let bytes = stage_bytes();
    for delivery in [
        DeliveryConfig { max_remembered: 2, ..DeliveryConfig::default() },
        DeliveryConfig { max_remembered_bytes: 3 * bytes - 1, ..DeliveryConfig::default() },
    ] {
        let stage = Stage::new(config(delivery), &[A]);
        let lost = [stage.sent_to(A), stage.sent_to(A), stage.sent_to(A)];
        lost.iter().for_each(|stanza| stage.bounce(stanza, Condition::RemoteServerTimeout));
        assert_eq!(stage.recovers(), ["a: +2 @2", "a: +3 @3"]);
        assert_eq!(stage.statistics().given_up, 1);
    }
}

/// The bytes that a notification counts for.
fn stage_bytes() -> usize {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.sent_to(A);
    stage.bounce(&lost, Condition::RemoteServerTimeout);
    usize::try_from(stage.statistics().waiting_bytes).unwrap()
}

#[test]
fn what_is_sent_again_and_comes_back_again_keeps_its_place() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = [stage.sent_to(A), stage.sent_to(A)];
    lost.iter().for_each(|stanza| stage.bounce(stanza, Condition::ServiceUnavailable));
    stage.clock.pass(5 * SECOND);
    stage.advance_and_bounce(Condition::ServiceUnavailable);
    assert_eq!(stage.pass(10 * SECOND), ["a: +1 @1"]);
    assert_eq!(stage.pass(120 * SECOND), ["a: +2 @2"]);
}

impl Stage {
    /// Sends what is due, and sends all of it back.
    fn advance_and_bounce(&self, condition: Condition) {
        self.service.advance(&self.ways);
        let routed = std::mem::take(&mut *self.ways.routed.lock().unwrap());
        routed.iter().for_each(|stanza| self.bounce(stanza, condition));
    }
}

#[test]
fn the_digest_that_came_back_is_sent_again_before_the_next() {
    let stage = Stage::new(open_config(), &[]);
    let options = "<options><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_options</value></field>\
        <field var='pubsub#digest'><value>true</value></field></x></options>";
    stage.ask(A, &format!("<subscribe node='{NODE}' jid='{A}'/>{options}"));
    stage.publish(2);
    stage.clock.pass(24 * HOUR);
    stage.advance_and_bounce(Condition::RemoteServerTimeout);
    stage.publish(1);
    assert_eq!(stage.recovers(), ["a: +1 +2 @1..=2", "a: +3 @3"]);
}

/// Section 12.4 with 6.1.6: by which subscriptions an address has it is not forgotten.
#[test]
fn what_came_back_names_the_subscriptions_that_are_left() {
    let stage = Stage::new(PubSubConfig { multi_subscribe: true, ..open_config() }, &[A, A]);
    let lost = stage.sent_to(A);
    let [first, second] = &subids(&lost)[..] else { panic!("{lost:?}") };
    stage.bounce(&lost, Condition::RemoteServerTimeout);
    let end = format!("<subscription jid='{A}' subscription='none' subid='{first}'/>");
    let end = format!("<subscriptions node='{NODE}'>{end}</subscriptions>");
    stage.hand_in(&request("hamlet@denmark.lit/x", "set", PUBSUB_OWNER, &end));
    stage.clock.pass(5 * SECOND);
    stage.service.advance(&stage.ways);
    let again = stage.ways.routed.lock().unwrap().pop().unwrap();
    assert_eq!(&subids(&again)[..], std::slice::from_ref(second));
}

fn subids(stanza: &Stanza) -> Vec<String> {
    let message = stanza.to_element();
    let headers = message.find("headers", "http://jabber.org/protocol/shim").unwrap();
    headers.children().map(|header| header.content()).collect()
}

/// XEP-0203: what waited says since when, and who kept it; what leaves at once does not.
#[test]
fn a_notification_that_waited_is_stamped_with_the_time_of_the_change() {
    let stage = Stage::new(open_config(), &[A, B]);
    let at_once = stage.sent_to(B);
    assert_eq!(delay(&at_once), None);
    stage.close(A, Condition::ResourceConstraint);
    stage.clock.pass(10 * SECOND);
    stage.publish(1);
    stage.hand_in(&request("hamlet@denmark.lit/x", "set", PUBSUB_OWNER, &format!("<purge node='{NODE}'/>")));
    stage.ways.routed.lock().unwrap().clear();
    stage.open(A);
    stage.clock.pass(20 * SECOND);
    stage.service.advance(&stage.ways);
    let late: Vec<_> = stage.ways.routed.lock().unwrap().iter().map(delay).collect();
    let stamp = Some("pubsub.shakespeare.lit 1970-01-01T00:00:10Z".to_owned());
    assert_eq!(late, [stamp.clone(), stamp]);
}

#[test]
fn what_is_told_in_one_message_is_stamped_with_the_time_of_its_last_change() {
    let stage = Stage::new(state_config(), &[A]);
    stage.close(A, Condition::ResourceConstraint);
    for _ in 0..3 {
        stage.clock.pass(SECOND);
        stage.publish(1);
    }
    stage.open(A);
    stage.clock.pass(20 * SECOND);
    stage.service.advance(&stage.ways);
    let late: Vec<_> = stage.ways.routed.lock().unwrap().iter().map(delay).collect();
    assert_eq!(late, [Some("pubsub.shakespeare.lit 1970-01-01T00:00:03Z".to_owned())]);
}

/// XEP-0060, section 6.1.7: so is the last item, which was told of before and is no change.
#[test]
fn the_last_item_that_is_sent_again_is_stamped_once_and_marked() {
    let stage = Stage::new(open_config(), &[]);
    stage.clock.pass(10 * SECOND);
    stage.publish(1);
    stage.clock.pass(10 * SECOND);
    let answers = stage.ask(A, &format!("<subscribe node='{NODE}' jid='{A}'/>"));
    assert_eq!(delay(&answers[1]).as_deref(), Some("pubsub.shakespeare.lit 1970-01-01T00:00:10Z"));
    let position = answers[1].to_element().find("position", "urn:convoke:pubsub:0").unwrap().clone();
    assert_eq!(position.attribute("recalled"), Some("true"));
}

/// Who kept the message and since when; there is one such element at most.
fn delay(stanza: &Stanza) -> Option<String> {
    let message = stanza.to_element();
    let mut delays = message.children().filter(|child| child.is("delay", "urn:xmpp:delay"));
    let delay = delays.next()?;
    assert!(delays.next().is_none());
    Some(format!("{} {}", delay.attribute("from").unwrap(), delay.attribute("stamp").unwrap()))
}

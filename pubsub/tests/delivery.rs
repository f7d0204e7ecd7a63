//! How notifications reach those who cannot take them at once, and what becomes of those who never can.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use convoke_counting_allocator::measure;
use convoke_pubsub::{Clock, DeliveryConfig, NodeConfig, PubSubConfig, PubSubService, PubSubStatistics};
use convoke_xmpp::{Condition, Element, Jid, Kind, Origin, Router, Service, Stanza, StanzaError, Undelivered};

use crate::support::{NODE, domain, item_ids, open_config, request};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A clock that the test moves on.
struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.passed.lock().unwrap()
    }
}

/// A router on which the way to an address can be closed; it lets messages of type error pass to nobody.
#[derive(Default)]
struct Ways {
    closed: Mutex<BTreeMap<String, Condition>>,
    routed: Mutex<Vec<Stanza>>,
    refused: AtomicUsize,
}

impl Router for Ways {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        let to = stanza.to().unwrap().as_str().to_owned();
        if let Some(condition) = self.closed.lock().unwrap().get(&to) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Undelivered::new(stanza, *condition));
        }
        self.routed.lock().unwrap().push(stanza);
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        panic!("a notification is the service's own affair: {undelivered}");
    }
}

struct Stage {
    service: PubSubService,
    clock: Arc<ManualClock>,
    ways: Ways,
    published: Mutex<u32>,
}

impl Stage {
    /// A service with the node of the examples and these subscribers.
    fn new(config: PubSubConfig, subscribers: &[&str]) -> Self {
        let clock = Arc::new(ManualClock { start: Instant::now(), passed: Mutex::default() });
        let service = PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), config);
        let service = service.with_clock(clock.clone());
        let stage = Self { service, clock, ways: Ways::default(), published: Mutex::default() };
        stage.ask("hamlet@denmark.lit/x", &format!("<create node='{NODE}'/>"));
        for jid in subscribers {
            stage.ask(jid, &format!("<subscribe node='{NODE}' jid='{jid}'/>"));
        }
        stage
    }

    fn ask(&self, from: &str, verb: &str) -> Vec<Stanza> {
        self.hand_in(&request(from, "set", PUBSUB, verb));
        std::mem::take(&mut *self.ways.routed.lock().unwrap())
    }

    fn hand_in(&self, text: &str) {
        let stanza = Stanza::parse(text).unwrap();
        let origin = Origin::Remote(domain(stanza.from().unwrap().domain()));
        self.service.handle(stanza, &origin, &self.ways);
    }

    /// Publishes so many items `1`, `2`, … in turn; gives the notifications that came out.
    fn publish(&self, count: u32) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..count {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            let verb = format!("<publish node='{NODE}'><item id='{published}'><a xmlns='urn:a'/></item></publish>");
            told.extend(notifications(&self.ask("hamlet@denmark.lit/x", &verb)));
        }
        told
    }

    fn close(&self, jid: &str, condition: Condition) {
        self.ways.closed.lock().unwrap().insert(jid.to_owned(), condition);
    }

    fn open(&self, jid: &str) {
        self.ways.closed.lock().unwrap().remove(jid);
    }

    /// Lets time pass and advances the service; gives the notifications that came out.
    fn pass(&self, time: Duration) -> Vec<String> {
        *self.clock.passed.lock().unwrap() += time;
        self.service.advance(&self.ways);
        notifications(&std::mem::take(&mut *self.ways.routed.lock().unwrap()))
    }

    /// How long until the service wants to be called.
    fn pause(&self) -> Option<Duration> {
        self.service.next_deadline().map(|deadline| deadline.saturating_duration_since(self.clock.now()))
    }

    /// Publishes one item and gives the notification to this subscriber as it is.
    fn notification(&self, jid: &str) -> Stanza {
        let verb = format!("<publish node='{NODE}'><item id='x'><a xmlns='urn:a'/></item></publish>");
        let stanzas = self.ask("hamlet@denmark.lit/x", &verb);
        stanzas.into_iter().find(|stanza| stanza.to().unwrap().as_str() == jid).unwrap()
    }

    /// Has the subscriber's side send a notification back.
    fn bounce(&self, notification: &Stanza, condition: Condition) {
        let bounced = notification.bounce(&StanzaError::new(condition)).unwrap();
        self.hand_in(bounced.as_str());
    }

    /// Whether the address is still subscribed: `unsubscribe` says so.
    fn is_subscribed(&self, jid: &str) -> bool {
        let answers = self.ask(jid, &format!("<unsubscribe node='{NODE}' jid='{jid}'/>"));
        answers[0].error().is_none()
    }

    fn statistics(&self) -> PubSubStatistics {
        self.service.statistics()
    }
}

/// Each notification as `recipient: changes position`.
fn notifications(stanzas: &[Stanza]) -> Vec<String> {
    let messages = stanzas.iter().filter(|stanza| matches!(stanza.kind(), Kind::Message(_)));
    messages
        .map(|stanza| format!("{}: {}", stanza.to().unwrap().local().unwrap(), told(&stanza.to_element())))
        .collect()
}

fn told(message: &Element) -> String {
    let event = message.find("event", "http://jabber.org/protocol/pubsub#event").unwrap();
    let content = event.children().next().unwrap();
    let changes = content.children().map(|change| match change.name() {
        "retract" => format!("-{} ", change.attribute("id").unwrap()),
        _ => format!("+{} ", change.attribute("id").unwrap()),
    });
    let Some(position) = message.find("position", "urn:convoke:pubsub:0") else { return content.name().to_owned() };
    assert_eq!(position.attribute("inc").map(str::len), Some(32));
    let first = position.attribute("first").map(|first| format!("{first}..=")).unwrap_or_default();
    format!("{}@{first}{}", changes.collect::<String>(), position.attribute("seq").unwrap())
}

fn config(delivery: DeliveryConfig) -> PubSubConfig {
    PubSubConfig { delivery, ..open_config() }
}

fn state_config() -> PubSubConfig {
    PubSubConfig { node: NodeConfig { max_items: Some(1), ..open_config().node }, ..open_config() }
}

const A: &str = "a@a.example";
const B: &str = "b@b.example";

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
    stage.notification(A).bytes().len()
}

#[test]
fn of_a_node_that_is_a_state_only_the_newest_waits() {
    let stage = Stage::new(state_config(), &[A]);
    assert_eq!(stage.publish(1), ["a: +1 @1"]);
    stage.close(A, Condition::ResourceConstraint);
    stage.publish(40);
    stage.open(A);
    // The item that the subscriber has is retracted, and the newest is there: the 80 changes in one.
    assert_eq!(stage.pass(SECOND), ["a: -1 +41 @2..=81"]);
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
fn a_subscriber_whose_notifications_come_back_is_left_alone_and_then_tried_with_one() {
    let stage = Stage::new(open_config(), &[A, B]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::ServiceUnavailable);
    assert_eq!(stage.publish(3), ["b: +1 @2", "b: +2 @3", "b: +3 @4"]);
    assert_eq!(stage.pause(), Some(5 * SECOND));
    assert_eq!(stage.pass(5 * SECOND), ["a: +1 @2"], "one on trial");
    assert_eq!(stage.pause(), Some(120 * SECOND));
    // It did not come back.
    assert_eq!(stage.pass(120 * SECOND), ["a: +2 @3", "a: +3 @4"]);
    assert_eq!((stage.pause(), stage.statistics().bounced), (None, 1));
}

#[test]
fn a_subscriber_in_trouble_whom_nobody_tells_anything_costs_no_timer_and_the_next_notification_is_the_trial() {
    let stage = Stage::new(open_config(), &[A]);
    let lost = stage.notification(A);
    stage.bounce(&lost, Condition::ServiceUnavailable);
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
    assert_eq!(notifications(&answers), ["a: +1 @2", "a: +2 @3"]);
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
        for _ in 0..15 {
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

/// Subscribes with a digest for so many milliseconds.
fn digest(stage: &Stage, jid: &str, frequency: u64) {
    let field = |name: &str, value: &str| format!("<field var='pubsub#{name}'><value>{value}</value></field>");
    let form = format!(
        "<subscribe node='{NODE}' jid='{jid}'/><options><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_options</value></field>\
         {}{}</x></options>",
        field("digest", "true"),
        field("digest_frequency", &frequency.to_string())
    );
    assert_eq!(stage.ask(jid, &form)[0].error(), None);
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
    assert_eq!(stage.pass(SECOND), ["b: -1 +6 @2..=11"]);
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

/// What a notification costs does not depend on its payload: a head, and a copy.
#[test]
fn a_recipient_costs_one_message_and_nothing_else() {
    const RECIPIENTS: usize = 1_000;
    let stage = Stage::new(open_config(), &[]);
    for n in 0..RECIPIENTS {
        let jid = format!("u{n}@d{}.example", n % 7);
        stage.ask(&jid, &format!("<subscribe node='{NODE}' jid='{jid}'/>"));
    }
    let payload = "<x/>".repeat(1_000);
    let verb = |id| format!("<publish node='{NODE}'><item id='{id}'><a xmlns='urn:a'>{payload}</a></item></publish>");
    let publication = |id| Stanza::parse(&request("hamlet@denmark.lit/x", "set", PUBSUB, &verb(id))).unwrap();
    let sink = Sink::default();
    stage.service.handle(publication(1), &Origin::Local, &sink);
    let second = publication(2);
    let (_, used) = measure(|| stage.service.handle(second, &Origin::Local, &sink));
    assert_eq!(sink.taken.load(Ordering::Relaxed), 2 * (RECIPIENTS + 1));
    // Trees of request, event and answer are made once: some thousands of small pieces, whoever listens.
    let alone = Stage::new(open_config(), &[A]);
    alone.service.handle(publication(1), &Origin::Local, &sink);
    let second = publication(2);
    let (_, without) = measure(|| alone.service.handle(second, &Origin::Local, &sink));
    let per_recipient = (used.allocations - without.allocations) as f64 / (RECIPIENTS - 1) as f64;
    assert!(per_recipient < 1.1, "{per_recipient} allocations for each recipient");
    assert!(used.peak < 2 * without.peak + 1_000 * 64, "{} bytes at once", used.peak);
}

/// Drops what it takes.
#[derive(Default)]
struct Sink {
    taken: AtomicUsize,
}

impl Router for Sink {
    fn route(&self, _: Stanza, _: &Origin) -> Result<(), Undelivered> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn undelivered(&self, _: Undelivered) {}
}

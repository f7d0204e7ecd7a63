//! A service, its clock, and a router whose ways the test closes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_pubsub::{Clock, DeliveryConfig, NodeConfig, PubSubConfig, PubSubService, PubSubStatistics};
use convoke_xmpp::{Condition, Element, Jid, Kind, Origin, Router, Service, Stanza, StanzaError, Undelivered};

use crate::support::{ManualClock, NODE, domain, open_config, request};

pub(super) const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
pub(super) const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A router on which the way to an address can be closed; it lets messages of type error pass to nobody.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) closed: Mutex<BTreeMap<String, Condition>>,
    pub(super) routed: Mutex<Vec<Stanza>>,
    pub(super) refused: AtomicUsize,
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

pub(super) struct Stage {
    pub(super) service: PubSubService,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ways: Ways,
    pub(super) published: Mutex<u32>,
}

impl Stage {
    /// A service with the node of the examples and these subscribers.
    pub(super) fn new(config: PubSubConfig, subscribers: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::new());
        let service = PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), config);
        let service = service.with_clock(clock.clone());
        let stage = Self { service, clock, ways: Ways::default(), published: Mutex::default() };
        stage.ask("hamlet@denmark.lit/x", &format!("<create node='{NODE}'/>"));
        for jid in subscribers {
            stage.ask(jid, &format!("<subscribe node='{NODE}' jid='{jid}'/>"));
        }
        stage
    }

    pub(super) fn ask(&self, from: &str, verb: &str) -> Vec<Stanza> {
        self.hand_in(&request(from, "set", PUBSUB, verb));
        std::mem::take(&mut *self.ways.routed.lock().unwrap())
    }

    pub(super) fn hand_in(&self, text: &str) {
        let stanza = Stanza::parse(text).unwrap();
        let origin = Origin::Remote(domain(stanza.from().unwrap().domain()));
        self.service.handle(stanza, &origin, &self.ways);
    }

    /// Publishes so many items `1`, `2`, … in turn; gives the notifications that came out.
    pub(super) fn publish(&self, count: u32) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..count {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            let verb = format!("<publish node='{NODE}'><item id='{published}'><a xmlns='urn:a'/></item></publish>");
            told.extend(notifications(&self.ask("hamlet@denmark.lit/x", &verb)));
        }
        told
    }

    pub(super) fn close(&self, jid: &str, condition: Condition) {
        self.ways.closed.lock().unwrap().insert(jid.to_owned(), condition);
    }

    pub(super) fn open(&self, jid: &str) {
        self.ways.closed.lock().unwrap().remove(jid);
    }

    /// Lets time pass and advances the service; gives the notifications that came out.
    pub(super) fn pass(&self, time: Duration) -> Vec<String> {
        self.clock.pass(time);
        self.service.advance(&self.ways);
        notifications(&std::mem::take(&mut *self.ways.routed.lock().unwrap()))
    }

    /// How long until the service wants to be called.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.service.next_deadline().map(|deadline| deadline.saturating_duration_since(self.clock.now()))
    }

    /// Publishes one item and gives the notification to this subscriber as it is.
    pub(super) fn notification(&self, jid: &str) -> Stanza {
        let verb = format!("<publish node='{NODE}'><item id='x'><a xmlns='urn:a'/></item></publish>");
        let stanzas = self.ask("hamlet@denmark.lit/x", &verb);
        stanzas.into_iter().find(|stanza| stanza.to().unwrap().as_str() == jid).unwrap()
    }

    /// Has the subscriber's side send a notification back.
    pub(super) fn bounce(&self, notification: &Stanza, condition: Condition) {
        let bounced = notification.bounce(&StanzaError::new(condition)).unwrap();
        self.hand_in(&bounced.text());
    }

    /// Whether the address is still subscribed: `unsubscribe` says so.
    pub(super) fn is_subscribed(&self, jid: &str) -> bool {
        let answers = self.ask(jid, &format!("<unsubscribe node='{NODE}' jid='{jid}'/>"));
        answers[0].error().is_none()
    }

    pub(super) fn statistics(&self) -> PubSubStatistics {
        self.service.statistics()
    }
}

/// Each notification as `recipient: changes position`.
pub(super) fn notifications(stanzas: &[Stanza]) -> Vec<String> {
    let messages = stanzas.iter().filter(|stanza| matches!(stanza.kind(), Kind::Message(_)));
    messages
        .map(|stanza| format!("{}: {}", stanza.to().unwrap().local().unwrap(), told(&stanza.to_element())))
        .collect()
}

pub(super) fn told(message: &Element) -> String {
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

pub(super) fn config(delivery: DeliveryConfig) -> PubSubConfig {
    PubSubConfig { delivery, ..open_config() }
}

pub(super) fn state_config() -> PubSubConfig {
    PubSubConfig { node: NodeConfig { max_items: Some(1), ..open_config().node }, ..open_config() }
}

pub(super) const A: &str = "a@a.example";
pub(super) const B: &str = "b@b.example";

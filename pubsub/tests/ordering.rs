//! In which order things leave the service, whoever else is at it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use convoke_pubsub::{PubSubConfig, PubSubService, client};
use convoke_xmpp::{Condition, Element, IqType, Jid, Kind, Origin, Router, Service, Stanza, Undelivered};

use crate::support::{House, Recorder, domain, open_config, published, request, verdict};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

fn publication(id: &str) -> Stanza {
    let publish = format!("<publish node='princely_musings'><item id='{id}'><a xmlns='urn:a'/></item></publish>");
    Stanza::parse(&request("hamlet@denmark.lit/x", "set", PUBSUB, &publish)).unwrap()
}

/// Four threads publish at once: every subscriber sees one and the same order, and it is that of the stored items.
#[test]
fn every_subscriber_sees_the_changes_of_a_node_in_their_order() {
    let house = House::with_node(open_config());
    for jid in ["a@a.example", "b@b.example", "c@c.example"] {
        house.subscribe(jid);
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let house = &house;
            scope.spawn(move || {
                for number in 0..50 {
                    let stanza = publication(&format!("{thread}-{number}"));
                    house.service.handle(stanza, &Origin::Local, &house.router);
                }
            });
        }
    });
    let mut seen = HashMap::<String, Vec<String>>::new();
    for stanza in house.router.take() {
        if let Some(id) = published(&stanza) {
            seen.entry(stanza.to().unwrap().as_str().to_owned()).or_default().push(id);
        }
    }
    let answers = house.request("a@a.example", "get", "<items node='princely_musings'/>");
    let stored = client::parse_items(&answers[0].payload().unwrap()).unwrap();
    let stored: Vec<_> = stored.into_iter().map(|item| item.id).collect();
    assert_eq!((stored.len(), seen.len()), (200, 3));
    assert!(seen.values().all(|ids| *ids == stored));
}

/// A router that calls the service back from within, as one that delivers to services in place does.
#[derive(Default)]
struct Echo {
    service: OnceLock<Arc<PubSubService>>,
    record: Recorder,
    has_published: AtomicBool,
}

impl Router for Echo {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let is_event = published(&stanza).is_some();
        self.record.route(stanza, origin)?;
        if is_event && !self.has_published.swap(true, Ordering::SeqCst) {
            self.service.get().unwrap().handle(publication("second"), &Origin::Local, self);
        }
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        self.record.undelivered(undelivered);
    }
}

#[test]
fn a_publication_from_within_a_notification_follows_all_of_it() {
    let service = Arc::new(PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), open_config()));
    let router = Echo::default();
    router.service.get_or_init(|| service.clone());
    let send = |stanza: Stanza| service.handle(stanza, &Origin::Local, &router);
    let parse = |from, verb: &str| Stanza::parse(&request(from, "set", PUBSUB, verb)).unwrap();
    send(parse("hamlet@denmark.lit/x", "<create node='princely_musings'/>"));
    for jid in ["a@a.example", "b@b.example"] {
        send(parse(jid, &format!("<subscribe node='princely_musings' jid='{jid}'/>")));
    }
    send(publication("first"));
    let events = router.record.take().into_iter().filter_map(|stanza| Some((published(&stanza)?, stanza)));
    let events: Vec<_> = events.map(|(id, stanza)| format!("{id} {}", stanza.to().unwrap().local().unwrap())).collect();
    assert_eq!(events, ["first a", "first b", "second a", "second b"]);
}

/// A router that is in the middle of something: the first stanza does not come back before the test lets it.
struct Stalled {
    record: Recorder,
    gate: Mutex<()>,
    entered: AtomicUsize,
}

impl Router for Stalled {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let is_busy = stanza.error().is_some_and(|error| error.condition == Condition::ResourceConstraint);
        self.record.route(stanza, origin)?;
        if !is_busy && self.entered.fetch_add(1, Ordering::SeqCst) == 0 {
            drop(self.gate.lock());
        }
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        self.record.undelivered(undelivered);
    }
}

#[test]
fn requests_are_refused_while_too_much_waits_for_the_router() {
    let config = PubSubConfig { max_waiting: 3, ..open_config() };
    let service = PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), config);
    let router = Stalled { record: Recorder::default(), gate: Mutex::default(), entered: AtomicUsize::new(0) };
    let ping = |id: &str| {
        let ping = Stanza::iq(IqType::Get, id).with_payload(Element::new("ping", "urn:xmpp:ping"));
        ping.with_from(&Jid::new("a.example").unwrap()).with_to(service.address())
    };
    let send = |id: &str| service.handle(ping(id), &Origin::Local, &router);
    std::thread::scope(|scope| {
        let gate = router.gate.lock().unwrap();
        scope.spawn(|| send("stalled"));
        while router.entered.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        for id in ["1", "2", "3", "refused"] {
            send(id);
        }
        let answers = router.record.take();
        assert_eq!(answers[0].id(), Some("stalled"));
        assert_eq!((answers[1].id(), verdict(&answers[1..]).as_str()), (Some("refused"), "resource-constraint"));
        assert_eq!(answers.len(), 2);
        drop(gate);
    });
    let late = router.record.take();
    assert_eq!(late.iter().map(|answer| answer.id().unwrap()).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(late.iter().all(|answer| answer.kind() == Kind::Iq(IqType::Result)));
    send("later");
    assert_eq!(verdict(&router.record.take()), "result");
}

#[test]
fn a_subscriber_of_another_domain_is_notified_like_any_other() {
    let house = House::with_node(open_config());
    let subscribe = "<subscribe node='princely_musings' jid='alice@far.example'/>";
    let stanza = Stanza::parse(&request("alice@far.example/desk", "set", PUBSUB, subscribe)).unwrap();
    house.service.handle(stanza, &Origin::Remote(domain("far.example")), &house.router);
    assert_eq!(verdict(&house.router.take()), "result");
    let events = house.publish("1", "<a xmlns='urn:a'/>");
    assert_eq!(events.iter().map(|event| event.to().unwrap().as_str()).collect::<Vec<_>>(), ["alice@far.example"]);
}

#[test]
fn what_cannot_be_routed_is_given_back_and_hinders_nobody_else() {
    let house = House::with_node(open_config());
    for jid in ["a@unreachable.example", "b@reachable.example"] {
        let subscribe = format!("<subscribe node='princely_musings' jid='{jid}'/>");
        house.request(jid, "set", &subscribe);
    }
    let events = house.publish("1", "<a xmlns='urn:a'/>");
    assert_eq!(events.len(), 1);
    let undelivered = house.router.undelivered.lock().unwrap();
    assert_eq!(undelivered.len(), 1, "the answer to the subscription");
    let statistics = house.service.statistics();
    assert_eq!((statistics.sent, statistics.bounced, statistics.given_up), (1, 1, 0));
}

//! What a notification costs.

use std::sync::Mutex;

use convoke_counting_allocator::measure;
use convoke_pubsub::PubSubConfig;
use convoke_xmpp::{Origin, Router, Service, Stanza, Undelivered};

use super::stage::*;
use crate::support::{NODE, open_config, request};

/// What a notification costs does not depend on its payload, not even while all of them wait: a head.
#[test]
fn a_recipient_costs_a_head_and_shares_the_payload() {
    costs_a_head(&open_config());
}

/// Only who has several subscriptions is told by which.
#[test]
fn a_recipient_that_might_have_several_subscriptions_and_has_one_costs_no_more() {
    costs_a_head(&PubSubConfig { multi_subscribe: true, ..open_config() });
}

fn costs_a_head(config: &PubSubConfig) {
    const RECIPIENTS: usize = 1_000;
    let stage = Stage::new(config.clone(), &[]);
    for n in 0..RECIPIENTS {
        let jid = format!("u{n}@d{}.example", n % 7);
        stage.ask(&jid, &format!("<subscribe node='{NODE}' jid='{jid}'/>"));
    }
    let payload = "<x/>".repeat(1_000);
    let verb = |id| format!("<publish node='{NODE}'><item id='{id}'><a xmlns='urn:a'>{payload}</a></item></publish>");
    let publication = |id| Stanza::parse(&request("hamlet@denmark.lit/x", "set", PUBSUB, &verb(id))).unwrap();
    let sink = Sink(Mutex::new(Vec::with_capacity(2 * (RECIPIENTS + 1))));
    stage.service.handle(publication(1), &Origin::Local, &sink);
    let second = publication(2);
    let (_, used) = measure(|| stage.service.handle(second, &Origin::Local, &sink));
    assert_eq!(sink.0.lock().unwrap().len(), 2 * (RECIPIENTS + 1));
    // Trees of request, event and answer are made once: some thousands of small pieces, whoever listens.
    let alone = Stage::new(config.clone(), &[A]);
    let other = Sink(Mutex::new(Vec::with_capacity(4)));
    alone.service.handle(publication(1), &Origin::Local, &other);
    let second = publication(2);
    let (_, without) = measure(|| alone.service.handle(second, &Origin::Local, &other));
    let per_recipient = |of_all: u64, of_one: u64| (of_all - of_one) as f64 / (RECIPIENTS - 1) as f64;
    let allocations = per_recipient(used.allocations, without.allocations);
    assert!(allocations < 1.1, "{allocations} allocations for each recipient");
    let bytes = per_recipient(used.allocated, without.allocated);
    assert!(bytes < 200.0 && payload.len() > 10 * 200, "{bytes} bytes for each recipient");
}

/// Keeps what it takes, as a queue does that nobody empties.
struct Sink(Mutex<Vec<Stanza>>);

impl Router for Sink {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        self.0.lock().unwrap().push(stanza);
        Ok(())
    }

    fn undelivered(&self, _: Undelivered) {}
}

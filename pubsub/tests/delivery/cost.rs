//! What a notification costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use convoke_counting_allocator::measure;
use convoke_xmpp::{Origin, Router, Service, Stanza, Undelivered};

use super::stage::*;
use crate::support::{NODE, open_config, request};

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

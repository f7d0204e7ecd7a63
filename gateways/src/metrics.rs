//! Counters, in the text format of Prometheus (version 0.0.4).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use convoke_xmpp::Kind;

use crate::gateway::Inner;

type Source = Box<dyn Fn(&mut String) + Send + Sync>;

/// What the gateway counts.
#[derive(Default)]
pub(crate) struct Metrics {
    responses: [AtomicU64; 5],
    received: [AtomicU64; 3],
    sent: [AtomicU64; 3],
    ignored: AtomicU64,
    calls_answered: AtomicU64,
    calls_failed: AtomicU64,
    readers_cut: AtomicU64,
    sources: Mutex<Vec<Source>>,
}

impl Metrics {
    pub(crate) fn response(&self, status: u16) {
        if let Some(counter) = self.responses.get(usize::from(status / 100).wrapping_sub(1)) {
            add(counter);
        }
    }

    pub(crate) fn received(&self, kind: Kind) {
        add(&self.received[index(kind)]);
    }

    pub(crate) fn sent(&self, kind: Kind) {
        add(&self.sent[index(kind)]);
    }

    pub(crate) fn ignored(&self) {
        add(&self.ignored);
    }

    pub(crate) fn call(&self, answered: bool) {
        add(if answered { &self.calls_answered } else { &self.calls_failed });
    }

    pub(crate) fn reader_cut(&self) {
        add(&self.readers_cut);
    }

    pub(crate) fn add_source(&self, source: Source) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const KINDS: [&str; 3] = ["message", "presence", "iq"];

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Message(_) => 0,
        Kind::Presence(_) => 1,
        Kind::Iq(_) => 2,
    }
}

/// The whole of `/metrics`.
pub(crate) fn write(inner: &Inner) -> String {
    let metrics = &inner.metrics;
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let mut out = String::new();
    let help = "HTTP answers by class of status.";
    family(&mut out, "http_responses_total", "counter", help, &labelled("class", classes, &metrics.responses));
    let help = "Stanzas addressed to the gateway, its clients and its services.";
    family(&mut out, "stanzas_received_total", "counter", help, &labelled("kind", KINDS, &metrics.received));
    let help = "Stanzas that clients sent.";
    family(&mut out, "stanzas_sent_total", "counter", help, &labelled("kind", KINDS, &metrics.sent));
    let help = "Answers that nobody asked for, and presence that nobody reads.";
    family(&mut out, "stanzas_ignored_total", "counter", help, &[plain(&metrics.ignored)]);
    let calls = labelled("outcome", ["answered", "failed"], [&metrics.calls_answered, &metrics.calls_failed]);
    family(&mut out, "calls_total", "counter", "HTTP requests to services.", &calls);
    let help = "Event streams that ended because their reader was too slow.";
    family(&mut out, "readers_cut_total", "counter", help, &[plain(&metrics.readers_cut)]);
    let readers = inner.clients.values().map(|client| client.mailbox.readers() as u64).sum();
    family(&mut out, "event_readers", "gauge", "Open event streams.", &[(String::new(), readers)]);
    let services = inner.services.len() as u64;
    family(&mut out, "services", "gauge", "Registered services.", &[(String::new(), services)]);
    for source in metrics.sources.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        source(&mut out);
    }
    out
}

type Sample = (String, u64);

fn plain(counter: &AtomicU64) -> Sample {
    (String::new(), counter.load(Ordering::Relaxed))
}

fn labelled<'a>(
    label: &str,
    values: impl IntoIterator<Item = &'a str>,
    counters: impl IntoIterator<Item = &'a AtomicU64>,
) -> Vec<Sample> {
    let sample =
        |(value, counter): (&str, &AtomicU64)| (format!("{{{label}=\"{value}\"}}"), counter.load(Ordering::Relaxed));
    values.into_iter().zip(counters).map(sample).collect()
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[Sample]) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP convoke_gateway_{name} {help}\n# TYPE convoke_gateway_{name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "convoke_gateway_{name}{labels} {value}");
    }
}

//! What the router, the links and publish-subscribe count, in the text format of Prometheus.

mod pubsub;

use std::fmt::Write as _;
use std::time::SystemTime;

use convoke::s2s::{DialbackStatistics, EvidenceStatistics, Federation, LinkState, LinkStatistics};
use convoke::{Domain, RouterStatistics};

/// Appends the counters of a domain and its siblings, which share one router and one federation.
pub(super) fn write(out: &mut String, domain: &Domain) {
    router(out, domain.statistics());
    domain.federation().into_iter().for_each(|federation| self::federation(out, federation));
    pubsub::write(out, &domain.pubsub_statistics());
}

fn federation(out: &mut String, federation: &Federation) {
    links(out, &federation.statistics());
    let help = "Incoming connections that were turned away because their address had too many.";
    single(out, "s2s_turned_away_total", "counter", help, federation.turned_away());
    evidence(out, &federation.evidence_statistics());
    dialback(out, federation.dialback_statistics());
}

fn router(out: &mut String, counted: RouterStatistics) {
    let help = "Stanzas by the way they took: to an entity here, to another domain, or back with an error.";
    let ways = [("local", counted.local), ("remote", counted.remote), ("bounced", counted.bounced)];
    family(out, "router_stanzas_total", "counter", help, &ways.map(|(way, count)| (label("way", way), count)));
}

/// Sums over all links: the names of other domains are of others' choosing, and so is their number, so that a label for
/// each would let them fill the collector.
fn links(out: &mut String, links: &[LinkStatistics]) {
    let sum = |count: fn(&LinkStatistics) -> u64| links.iter().map(count).sum::<u64>();
    let help = "Pairs of domains by the state of the outgoing stream.";
    family(out, "s2s_links", "gauge", help, &states(links));
    let help = "Streams that other domains have opened.";
    single(out, "s2s_incoming_streams", "gauge", help, sum(|link| link.incoming_streams as u64));
    single(out, "s2s_queued_stanzas", "gauge", "Stanzas that wait to be sent.", sum(|link| link.queued as u64));
    let directions = |sent, received| [(label("direction", "out"), sent), (label("direction", "in"), received)];
    let stanzas = directions(sum(|link| link.stanzas_out), sum(|link| link.stanzas_in));
    family(out, "s2s_stanzas_total", "counter", "Stanzas on streams with other domains.", &stanzas);
    let bytes = directions(sum(|link| link.bytes_out), sum(|link| link.bytes_in));
    family(out, "s2s_bytes_total", "counter", "Bytes of these stanzas, before TLS.", &bytes);
    let help = "Stanzas that were sent and that the other domain has not acknowledged yet (XEP-0198).";
    single(out, "s2s_unacknowledged_stanzas", "gauge", help, sum(|link| link.unacknowledged as u64));
    let help = "Stanzas that other domains have acknowledged (XEP-0198).";
    single(out, "s2s_acknowledged_stanzas_total", "counter", help, sum(|link| link.acknowledged));
    let help = "Lost sessions that were resumed, and those that could not be (XEP-0198).";
    let outcomes = [("yes", sum(|link| link.resumed)), ("no", sum(|link| link.not_resumed))];
    family(
        out,
        "s2s_resumptions_total",
        "counter",
        help,
        &outcomes.map(|(word, count)| (label("resumed", word), count)),
    );
    single(out, "s2s_dials_total", "counter", "Attempts to open a stream.", sum(|link| link.dials));
    single(out, "s2s_dial_failures_total", "counter", "Those that failed.", sum(|link| link.failures));
}

/// The names of the domains are in the log, for the same reason.
fn evidence(out: &mut String, known: &EvidenceStatistics) {
    let help = "Domains that vouch for their certificates, by TLSA records or by a POSH document.";
    let kinds = [("dane", known.dane), ("posh", known.posh)];
    family(out, "s2s_evidence_domains", "gauge", help, &kinds.map(|(kind, count)| (label("kind", kind), count as u64)));
    let help = "How often it was looked up what a domain vouches for.";
    single(out, "s2s_evidence_refreshes_total", "counter", help, known.refreshes);
    single(out, "s2s_evidence_failures_total", "counter", "How often that failed.", known.failures);
    if let Some(expiry) = known.next_expiry {
        let help = "When the first evidence ends, if it is not renewed.";
        single(out, "s2s_evidence_next_expiry_timestamp_seconds", "gauge", help, since_epoch(expiry));
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn dialback(out: &mut String, counted: DialbackStatistics) {
    let help = "Claims of peers without a certificate that counts, by what dialback has made of them (XEP-0220).";
    let verdicts = [("confirmed", counted.confirmed), ("denied", counted.denied), ("unanswered", counted.unanswered)];
    let samples = verdicts.map(|(verdict, count)| (label("verdict", verdict), count));
    family(out, "s2s_dialback_claims_total", "counter", help, &samples);
}

fn states(links: &[LinkStatistics]) -> [(String, u64); 4] {
    let states = [
        ("idle", LinkState::Idle),
        ("dialing", LinkState::Dialing),
        ("open", LinkState::Open),
        ("waiting", LinkState::Waiting),
    ];
    states.map(|(name, state)| (label("state", name), links.iter().filter(|link| link.state == state).count() as u64))
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    family(out, name, kind, help, &[(String::new(), value)]);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP convoke_{name} {help}\n# TYPE convoke_{name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "convoke_{name}{labels} {value}");
    }
}

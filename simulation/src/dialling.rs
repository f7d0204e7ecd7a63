//! A domain of two targets, the first of which does something wrong: the second is reached exactly once, and soon.
//!
//! From the answer of DNS to the final features everything is real but the network and the clock: how long something
//! takes is virtual time, and exact.

mod host;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use convoke_net::Credentials;
use convoke_net::tcp::TcpListener;
use convoke_s2s::resolver::Family;
use convoke_s2s::target::{Service, SrvRecord};
use convoke_s2s::{
    Federation, FederationConfig, LinkStatistics, LocalDomain, ResolveError, Resolver, Timeouts, TrustAnchors,
};
use convoke_xmpp::{Domainpart, Origin, Outbound, Router, Stanza, Undelivered};
use tokio::sync::Notify;
use tokio::time::sleep;
use turmoil::{Builder, Sim};

use self::host::Fault::{self, *};
use self::host::Host;
use crate::certificates::{authority, certified};
use crate::names::{domainpart, now};
use crate::random;
use crate::world::PORT;

const DIALS: &str = "a.example";
const DIALLED: &str = "b.example";
/// The hosts of the targets, in order.
const FIRST: &str = "first.b.example";
const SECOND: &str = "second.b.example";

/// Within which the second target is to be reached, from the stanza that wants it.
const SOON: Duration = Duration::from_secs(2);

/// How long a first target may be silent: what is left of [`SOON`] is the rest of the way, to the last answer of the first
/// target and then all of it to the second.
const PATIENCE: Duration = Duration::from_secs(1);

/// One answer of DNS, and one way of a segment.
const DNS: Duration = Duration::from_millis(20);
const LATENCY: Duration = Duration::from_millis(10);

/// How long is looked whether something happens a second time: longer than any patience.
const AFTERWARDS: Duration = Duration::from_secs(12);

/// Each fault with the code that it is told by; the silent ones last.
const FAULTS: &[(Fault, &str)] = &[
    (NobodyListens, "tcp-refused"),
    (BreaksOff, "disconnected"),
    (SaysNonsense, "peer-malformed"),
    (DoesNotServeTheDomain, "stream-host-unknown"),
    (RefusesTls, "tls-refused"),
    (AnswersTlsWithHttp, "tls-handshake"),
    (BreaksOffInTls, "tls-handshake"),
    (RefusesOurCertificateByAlert, "tls-alert"),
    (ShowsAnotherName, "certificate-wrong-name"),
    (ShowsACertificateOfANamesake, "certificate-signature"),
    (GoesDown, "stream-system-shutdown"),
    (OffersNoExternal, "sasl-no-external"),
    (RefusesToAuthenticate, "sasl-not-authorized"),
    (HasTooMuchToDo, "stream-resource-constraint"),
    (BreaksOffAtLast, "disconnected"),
    (NeverAnswers, "tcp-timeout"),
    (SaysNothing, "silence"),
    (IsSilentInTls, "silence"),
    (IsSilentAtLast, "silence"),
];

#[test]
fn whatever_the_first_target_does_wrong_the_second_is_reached_exactly_once_within_two_seconds() {
    for (fault, code) in FAULTS {
        let seen = see(*fault);
        let [first, second] = &seen.dialling.last_report.as_ref().unwrap().attempts[..] else { panic!("{seen:#?}") };
        assert_eq!(first.fault.as_ref().unwrap().code.to_string(), *code, "{fault:?}: {seen:#?}");
        assert_eq!((first.target.host.as_str(), second.target.host.as_str()), (FIRST, SECOND), "{fault:?}");
        assert_eq!(second.fault, None, "{fault:?}: {seen:#?}");
        // One dial that found both, one stream, one stanza; and the first target has seen us once.
        assert_eq!((seen.dialling.dials, seen.dialling.failures, seen.routed), (1, 0, 1), "{fault:?}: {seen:#?}");
        let dialled = &seen.dialled;
        assert_eq!((dialled.incoming_streams, dialled.stanzas_in), (1, 1), "{fault:?}: {seen:#?}");
        assert_eq!(seen.visits, fault.visits(), "{fault:?}");
        assert!(seen.took < SOON, "{fault:?} took {:?}", seen.took);
        println!("{fault:?}: {code}, second target after {:?}", seen.took);
    }
}

/// The patience that is configured is all that a silent target costs: with the default it is ten seconds.
#[test]
fn a_silent_target_costs_its_patience_and_nothing_else() {
    let open = see(BreaksOff).took;
    let silent = see(SaysNothing).took;
    // Give or take the way of a segment, there and back.
    assert!(silent.abs_diff(open + PATIENCE) <= 2 * LATENCY, "{open:?}, {silent:?}");
    assert_eq!(Timeouts::default().answer, Duration::from_secs(10));
}

/// What came of a dial.
#[derive(Debug)]
struct Seen {
    /// From the stanza to its arrival.
    took: Duration,
    /// How often it arrived, to the end.
    routed: usize,
    /// How often the first target was connected to.
    visits: usize,
    dialling: LinkStatistics,
    dialled: LinkStatistics,
}

/// What the hosts of one simulation share.
#[derive(Default)]
struct Shared {
    routed: AtomicUsize,
    arrived: Notify,
    visits: Arc<AtomicUsize>,
    second: Mutex<Option<Federation>>,
    seen: Mutex<Option<Seen>>,
}

/// Counts what arrives.
struct Counter(Arc<Shared>);

impl Router for Counter {
    fn route(&self, _: Stanza, _: &Origin) -> Result<(), Undelivered> {
        self.0.routed.fetch_add(1, Ordering::Relaxed);
        self.0.arrived.notify_one();
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        panic!("{undelivered}");
    }
}

/// Both targets, the first one of the higher priority.
struct Names;

#[async_trait]
impl Resolver for Names {
    async fn services(&self, service: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        sleep(DNS).await;
        let record = |priority, host: &str| SrvRecord { priority, weight: 0, port: PORT, target: host.to_owned() };
        let is_there = service == Service::StartTls && domain.as_str() == DIALLED;
        Ok(if is_there { vec![record(2, SECOND), record(1, FIRST)] } else { Vec::new() })
    }

    async fn addresses(&self, family: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        sleep(DNS).await;
        Ok(if family == Family::V4 { vec![turmoil::lookup(host)] } else { Vec::new() })
    }
}

/// Dials the domain whose first target does this.
fn see(fault: Fault) -> Seen {
    random::seed(1);
    let shared = Arc::new(Shared::default());
    let (root, issuer) = authority();
    let config = |name| {
        let (certificate, key) = certified(&issuer, name);
        let credentials = Credentials::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap();
        let local = LocalDomain { name: domainpart(name), credentials };
        let trust = TrustAnchors::new(vec![root.clone()], Vec::new()).unwrap();
        FederationConfig::new(vec![local], trust, Arc::new(Names))
    };
    let mut dialling = config(DIALS);
    if fault.is_silence() {
        (dialling.timeouts.connect, dialling.timeouts.answer) = (PATIENCE, PATIENCE);
    }
    let mut sim = network();
    let first = Host::new(fault, &issuer, &root, Arc::clone(&shared.visits));
    sim.host(FIRST, move || first.clone().serve());
    sim.client(SECOND, serve(config(DIALLED), Arc::clone(&shared)));
    sim.client(DIALS, dial(dialling, Arc::clone(&shared)));
    if matches!(fault, NeverAnswers) {
        sim.hold(DIALS, FIRST);
    }
    sim.run().unwrap();
    let seen = shared.seen.lock().unwrap().take();
    seen.unwrap()
}

fn network() -> Sim<'static> {
    Builder::new()
        .rng_seed(1)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(2 * AFTERWARDS)
        .min_message_latency(LATENCY)
        .max_message_latency(LATENCY)
        .build()
}

/// The second target: a well-made domain.
async fn serve(config: FederationConfig, shared: Arc<Shared>) -> turmoil::Result {
    let federation = Federation::new(config, Arc::new(Counter(Arc::clone(&shared))))?;
    federation.serve(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?);
    *shared.second.lock().unwrap() = Some(federation);
    sleep(AFTERWARDS + 2 * SOON).await;
    Ok(())
}

async fn dial(config: FederationConfig, shared: Arc<Shared>) -> turmoil::Result {
    let federation = Federation::new(config, Arc::new(Counter(Arc::clone(&shared))))?;
    let began = now();
    let stanza = Stanza::parse(&format!("<message from='{DIALS}' to='{DIALLED}' id='1'><body>hello</body></message>"))?;
    federation.send(stanza)?;
    shared.arrived.notified().await;
    let took = now() - began;
    // By then whatever was to happen a second time has happened.
    sleep(AFTERWARDS).await;
    let link = |federation: &Federation| federation.statistics().pop().unwrap();
    let second = shared.second.lock().unwrap().take().unwrap();
    let seen = Seen {
        took,
        routed: shared.routed.load(Ordering::Relaxed),
        visits: shared.visits.load(Ordering::Relaxed),
        dialling: link(&federation),
        dialled: link(&second),
    };
    *shared.seen.lock().unwrap() = Some(seen);
    Ok(())
}

//! What the hosts of one simulation share: the plan, the witness, and a DNS that can be made to lie.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use convoke_s2s::resolver::Family;
use convoke_s2s::target::{Service, SrvRecord};
use convoke_s2s::{Backoff, FederationConfig, LocalDomain, ResolveError, Resolver, Timeouts};
use convoke_xmpp::Domainpart;
use tokio::sync::Notify;

use crate::certificates::Certificates;
use crate::ledger::Ledger;
use crate::names::{DOMAINS, Index, MALLORY, domainpart, index, now};
use crate::plan::Plan;

/// The port of streams that begin in the clear.
pub(crate) const PORT: u16 = 5269;

/// The port of streams that begin with TLS.
pub(crate) const DIRECT_PORT: u16 = 5270;

/// What the hosts share.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) certificates: Arc<Certificates>,
    /// The domains about which DNS lies at present.
    hijacked: Mutex<[bool; DOMAINS.len()]>,
    crashes: [Notify; DOMAINS.len()],
    ledger: Mutex<Ledger>,
}

impl World {
    pub(crate) fn new(plan: Plan, certificates: Arc<Certificates>) -> Arc<Self> {
        Arc::new(Self {
            plan,
            certificates,
            hijacked: Mutex::default(),
            crashes: Default::default(),
            ledger: Mutex::default(),
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn hijack(&self, domain: Index, lies: bool) {
        self.hijacked.lock().unwrap()[domain] = lies;
    }

    /// Ends what runs on this host: with its federation every task ends at once, and every connection is closed.
    ///
    /// turmoil would drop the runtime instead, and tokio its tasks in an order that depends on what else has run in this
    /// process: no course could be taken again.
    pub(crate) fn crash(&self, host: Index) {
        self.crashes[host].notify_one();
    }

    /// Waits for the end of what runs on this host.
    pub(crate) async fn crashed(&self, host: Index) {
        self.crashes[host].notified().await;
    }

    /// How a host federates that calls itself `name` and shows the certificate of `shows`.
    pub(crate) fn config(self: &Arc<Self>, name: &str, shows: &str) -> FederationConfig {
        let local = LocalDomain { name: domainpart(name), credentials: self.certificates.of(shows) };
        let resolver = Arc::new(Names { world: Arc::clone(self), asks: index(shows) });
        let mut config = FederationConfig::new(vec![local], self.certificates.trust(), resolver);
        // Seconds instead of minutes, so that a simulation of minutes sees the end of everything.
        config.timeouts = Timeouts {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(4),
            dial: Duration::from_secs(15),
            negotiation: Duration::from_secs(10),
            write: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            close: Duration::from_secs(2),
            // Every dial that fails counts for the back-off.
            patience: Duration::ZERO,
            acknowledgement: Duration::from_secs(5),
            resume: self.plan.resume,
            peer_return: Duration::from_secs(5),
            ..Timeouts::default()
        };
        // `ledger::most_dials` reckons with these.
        config.backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(20) };
        config
    }
}

/// DNS: every domain has one host, and it has the same name.
struct Names {
    world: Arc<World>,
    /// `None` for the attacker, whose dials nobody counts.
    asks: Option<Index>,
}

#[async_trait]
impl Resolver for Names {
    async fn services(&self, service: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        let Some(wanted) = index(domain.as_str()) else { return Ok(Vec::new()) };
        let port = match service {
            Service::DirectTls if !self.world.plan.direct[wanted] => return Ok(Vec::new()),
            Service::DirectTls => DIRECT_PORT,
            Service::StartTls => PORT,
        };
        // Each dial asks for either service, once.
        if let Some(asks) = self.asks.filter(|_| service == Service::StartTls) {
            self.world.ledger().dial(now(), asks, wanted);
        }
        let lies = self.world.hijacked.lock().unwrap()[wanted];
        let target = if lies { MALLORY } else { DOMAINS[wanted] };
        Ok(vec![SrvRecord { priority: 0, weight: 0, port, target: target.to_owned() }])
    }

    async fn addresses(&self, family: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        Ok(if family == Family::V4 { vec![turmoil::lookup(host)] } else { Vec::new() })
    }
}

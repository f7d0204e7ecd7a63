//! Three domains on loopback, each with its own listener and certificate, found through a DNS server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::cloud::{
    Allowance, LeaseTimes, Monitor, MonitorConfig, ResourceManager, ResourceManagerConfig, Scheduler, SchedulerConfig,
    Volunteer,
};
use convoke::gateways::{Gateway, GatewayConfig, Scope, Tokens};
use convoke::net::Credentials;
use convoke::pubsub::{PubSubConfig, client as pubsub};
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LinkStatistics, LocalDomain, TrustAnchors};
use convoke::store::RedbStore;
use convoke::xmpp::{Domainpart, Jid};
use convoke::{About, Component, Domain};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::primes::Primes;
use super::{DemoError, LIMIT};

/// The domain that has work and no nodes.
pub(super) const CLIENT: &str = "client.example";
/// The domains that have nodes.
pub(super) const LENDERS: [&str; 2] = ["north.example", "south.example"];
/// Volunteers of each lender.
pub(super) const VOLUNTEERS: usize = 30;

/// The demonstration's own short times; everything else is as in a real domain.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// Silence after which a node is pinged.
pub(super) const PING_AFTER: Duration = Duration::from_millis(500);
/// How long a node may take to answer a ping.
pub(super) const PING_TIMEOUT: Duration = Duration::from_millis(500);

/// The longest pause before a domain that could not be reached is dialled again.
const REDIAL: Duration = Duration::from_millis(200);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that runs.
pub(super) struct House {
    pub(super) scheduler: Scheduler,
    /// `http://127.0.0.1:PORT` of the gateway.
    pub(super) gateway: String,
    pub(super) token: String,
    pub(super) volunteers: Vec<Volunteer>,
    client: Domain,
    lenders: Vec<Domain>,
    console: JoinHandle<u64>,
    http: JoinHandle<()>,
    stop_http: CancellationToken,
    verdicts: tokio::sync::watch::Receiver<u64>,
    _dns: LoopbackDns,
    _directory: tempfile::TempDir,
}

/// What all domains share while they are being set up.
struct Site {
    authority: CertificateAuthority,
    dns: LoopbackDns,
    directory: tempfile::TempDir,
}

impl House {
    pub(super) async fn start() -> Result<Self, DemoError> {
        let site = Site::new().await?;
        let client = site.domain(CLIENT).await?;
        let mut lenders = Vec::new();
        for name in LENDERS {
            lenders.push(site.lender(name).await?);
        }
        let volunteers = join_volunteers(&lenders)?;
        let (console, verdicts) = start_console(&client).await?;
        let scheduler = start_scheduler(&client)?;
        let stop_http = CancellationToken::new();
        let (gateway, token, http) = site.start_gateway(&client, stop_http.clone()).await?;
        Ok(Self {
            scheduler,
            gateway,
            token,
            volunteers,
            client,
            lenders,
            console,
            http,
            stop_http,
            verdicts,
            _dns: site.dns,
            _directory: site.directory,
        })
    }

    /// How many volunteers take part now.
    pub(super) fn volunteers(&self) -> usize {
        self.volunteers.len()
    }

    /// Breaks the connections between the client's domain and the first lender's, as a failing network would.
    pub(super) fn cut_link(&self) {
        if let Some(federation) = self.client.federation() {
            federation.cut(self.client.name(), self.lenders[0].name());
        }
    }

    /// All links of all domains.
    pub(super) fn federation(&self) -> Federation {
        let domains = self.lenders.iter().chain([&self.client]);
        let links = domains.filter_map(Domain::federation).flat_map(|federation| federation.statistics()).collect();
        Federation { links, verdicts: *self.verdicts.borrow() }
    }

    /// The state of the links, for an error message.
    pub(super) fn describe(&self) -> String {
        let links = self.federation().links;
        let link = |l: &LinkStatistics| format!("{} to {}: {:?}, {} queued", l.local, l.remote, l.state, l.queued);
        links.iter().map(link).collect::<Vec<_>>().join("; ")
    }

    pub(super) async fn shutdown(self) {
        drop(self.volunteers);
        self.stop_http.cancel();
        let _ended = tokio::time::timeout(PATIENCE, self.http).await;
        for domain in std::iter::once(&self.client).chain(&self.lenders) {
            domain.shutdown(PATIENCE).await;
        }
        self.console.abort();
    }
}

/// What went over the links.
pub(crate) struct Federation {
    /// Each direction of each pair, as its sender counted it.
    pub(crate) links: Vec<LinkStatistics>,
    /// Verdicts of the lenders' monitors that came by publish-subscribe.
    pub(crate) verdicts: u64,
}

impl Site {
    async fn new() -> Result<Self, DemoError> {
        Ok(Self {
            authority: CertificateAuthority::new("Convoke demonstration").map_err(DemoError::start("the authority"))?,
            dns: LoopbackDns::start(LOOPBACK).await.map_err(DemoError::start("the DNS server"))?,
            directory: tempfile::tempdir().map_err(DemoError::start("a temporary directory"))?,
        })
    }

    /// A domain with its listener, its certificate and its records.
    async fn domain(&self, name: &str) -> Result<Domain, DemoError> {
        let listener = TcpListener::bind(LOOPBACK).await.map_err(DemoError::start("a listener"))?;
        let port = listener.local_addr().map_err(DemoError::start("a listener"))?.port();
        let host = format!("xmpp.{name}");
        self.dns.srv(name, "_xmpp-server._tcp", 0, 0, port, &host).map_err(DemoError::start("a DNS record"))?;
        self.dns.a(&host, Ipv4Addr::LOCALHOST).map_err(DemoError::start("a DNS record"))?;
        let builder = Domain::builder(name).federation(self.federation(name)?);
        let domain = builder.start().await.map_err(DemoError::start("a domain"))?;
        domain.listen(listener);
        Ok(domain)
    }

    fn federation(&self, name: &str) -> Result<FederationConfig, DemoError> {
        let issued = self.authority.issue(&Subject::domain(name)).map_err(DemoError::start("a certificate"))?;
        let credentials =
            Credentials::from_pem(&issued.chain_pem, &issued.key_pem).map_err(DemoError::start("a certificate"))?;
        let root = self.authority.certificate_pem().as_bytes();
        let roots = convoke::net::pem::certificates_in(root, "the authority".as_ref());
        let roots = roots.map_err(DemoError::start("the authority"))?.iter().map(|root| root.to_vec()).collect();
        let trust = TrustAnchors::new(roots, Vec::new()).map_err(DemoError::start("the authority"))?;
        let resolver = DnsResolver::new(&[self.dns.address()]).map_err(DemoError::start("the resolver"))?;
        let local = LocalDomain { name: domainpart(name)?, credentials };
        let backoff = Backoff { first: REDIAL, longest: REDIAL };
        Ok(FederationConfig { backoff, ..FederationConfig::new(vec![local], trust, Arc::new(resolver)) })
    }

    /// A domain with nodes: publish-subscribe, resource manager and monitor.
    async fn lender(&self, name: &str) -> Result<Domain, DemoError> {
        let domain = self.domain(name).await?;
        let pubsub = domain.serve_pubsub(PubSubConfig::default()).map_err(DemoError::start("publish-subscribe"))?;
        let watchers = vec![domainpart(CLIENT)?];
        let config =
            MonitorConfig { ping_after: PING_AFTER, ping_timeout: PING_TIMEOUT, watchers, publish_to: Some(pubsub) };
        Monitor::start(&domain, config).map_err(DemoError::start("a monitor"))?;
        let store = RedbStore::open(self.directory.path().join(name)).map_err(DemoError::start("a store"))?;
        let nodes = u32::try_from(VOLUNTEERS).unwrap_or(u32::MAX);
        let config = ResourceManagerConfig {
            store: Arc::new(store),
            allow: vec![Allowance { domain: domainpart(CLIENT)?, nodes }],
            times: LeaseTimes { default: LEASE, shortest: Duration::from_secs(1), longest: LEASE },
            publish_to: None,
        };
        ResourceManager::start(&domain, config).await.map_err(DemoError::start("a resource manager"))?;
        Ok(domain)
    }

    /// The gateway of the client's domain, with one token.
    async fn start_gateway(
        &self,
        domain: &Domain,
        stop: CancellationToken,
    ) -> Result<(String, String, JoinHandle<()>), DemoError> {
        let file = self.directory.path().join("gateway-tokens.toml");
        let scopes = [Scope::StanzaSend, Scope::EventsRead];
        let token = Tokens::add(&file, "notebook", &scopes).map_err(DemoError::start("a token"))?;
        let tokens = Tokens::load(&file).map_err(DemoError::start("a token"))?;
        let config = GatewayConfig::new(domain.address("gateway").map_err(DemoError::start("the gateway"))?, tokens);
        let gateway = Arc::new(Gateway::new(config, domain.router()).map_err(DemoError::start("the gateway"))?);
        let about = About::new("gateway", "http", "HTTP gateway");
        domain.serve("gateway", about, gateway.clone()).map_err(DemoError::start("the gateway"))?;
        let listener = TcpListener::bind(LOOPBACK).await.map_err(DemoError::start("the gateway"))?;
        let address = listener.local_addr().map_err(DemoError::start("the gateway"))?;
        let http = tokio::spawn(async move {
            if let Err(error) = gateway.serve(listener, stop).await {
                tracing::error!(%error, "the gateway has ended");
            }
        });
        Ok((format!("http://{address}"), token, http))
    }
}

/// Volunteers of different pace join by presence.
fn join_volunteers(lenders: &[Domain]) -> Result<Vec<Volunteer>, DemoError> {
    let primes = Primes::new(LIMIT);
    let mut volunteers = Vec::new();
    for number in 0..VOLUNTEERS {
        for lender in lenders {
            let pace = Duration::from_millis(40 + 2 * number as u64);
            let builder = Volunteer::builder(lender, &format!("volunteer{number}"), "desk");
            let builder = builder.worker("primes", primes.paced(pace));
            volunteers.push(builder.join().map_err(DemoError::start("a volunteer"))?);
        }
    }
    Ok(volunteers)
}

fn start_scheduler(client: &Domain) -> Result<Scheduler, DemoError> {
    let manager = |lender: &&str| jid(&format!("resources@{lender}"));
    let managers = LENDERS.iter().map(manager).collect::<Result<_, _>>()?;
    let nodes = u32::try_from(VOLUNTEERS).unwrap_or(u32::MAX);
    let config = SchedulerConfig { managers, nodes, ttl: Some(LEASE), ..SchedulerConfig::default() };
    Scheduler::start(client, config).map_err(DemoError::start("the scheduler"))
}

/// An entity of the client's domain that reads the verdicts of the lenders' monitors by publish-subscribe.
async fn start_console(client: &Domain) -> Result<(JoinHandle<u64>, tokio::sync::watch::Receiver<u64>), DemoError> {
    let mut console = client.component("console").map_err(DemoError::start("the console"))?;
    let (handle, me) = (console.handle(), console.jid().clone());
    let (count, verdicts) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move { read_verdicts(&mut console, &count).await });
    for lender in LENDERS {
        let service = jid(&format!("pubsub@{lender}"))?;
        let subscribe = pubsub::subscribe("urn:convoke:health", &me);
        handle.set(&service, subscribe, PATIENCE).await.map_err(DemoError::start("the console's subscription"))?;
    }
    Ok((reading, verdicts))
}

async fn read_verdicts(console: &mut Component, count: &tokio::sync::watch::Sender<u64>) -> u64 {
    let mut seen = 0;
    while let Some((stanza, _)) = console.receive().await {
        if let Some(pubsub::Event::Items { changes, .. }) = pubsub::parse_event(&stanza) {
            seen += changes.len() as u64;
            let _nobody_reads = count.send(seen);
        }
    }
    seen
}

fn jid(text: &str) -> Result<Jid, DemoError> {
    Jid::new(text).map_err(DemoError::start("an address"))
}

fn domainpart(text: &str) -> Result<Domainpart, DemoError> {
    Domainpart::new(text).map_err(DemoError::start("an address"))
}

//! A small internet: one authority, one DNS server, and domains that find each other through them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convoke_dev::{CertificateAuthority, Issued, LoopbackDns, Subject};
use convoke_net::session::{SessionSettings, Stop, run};
use convoke_net::{Connection, Credentials, End, Outbox, SessionHandler, TlsContext, negotiate, pem};
use convoke_s2s::{
    Backoff, DnsResolver, Federation, FederationConfig, IdentityVerifier, Initiating, InitiatingConfig, LinkStatistics,
    LocalDomain, NegotiationFailure, Receiving, ReceivingConfig, TrustAnchors,
};
use convoke_xmpp::negotiation::Negotiator;
use convoke_xmpp::stream::StreamError;
use convoke_xmpp::{Condition, Domainpart, Limits, Origin, RouteChange, Router, Stanza, Undelivered};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

/// Nothing in these tests takes as long.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) const SERVICE: &str = "_xmpp-server._tcp";

pub(crate) struct World {
    pub(crate) authority: CertificateAuthority,
    pub(crate) dns: LoopbackDns,
    pairs: AtomicUsize,
}

/// A domain with its federation, and everything that its router is told.
pub(crate) struct Node {
    pub(crate) name: Domainpart,
    pub(crate) federation: Federation,
    pub(crate) address: SocketAddr,
    routed: tokio::sync::Mutex<UnboundedReceiver<(Stanza, Origin)>>,
    undelivered: tokio::sync::Mutex<UnboundedReceiver<Undelivered>>,
    changes: tokio::sync::Mutex<UnboundedReceiver<(Domainpart, RouteChange)>>,
}

/// Passes on what it is given; a stanza to `nobody` is given back.
struct Record {
    routed: UnboundedSender<(Stanza, Origin)>,
    undelivered: UnboundedSender<Undelivered>,
    changes: UnboundedSender<(Domainpart, RouteChange)>,
}

impl Router for Record {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        if stanza.to().and_then(|to| to.local()) == Some("nobody") {
            return Err(Undelivered::new(stanza, Condition::ItemNotFound));
        }
        self.routed.send((stanza, origin.clone())).unwrap();
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        // A test that has dropped its node does not look any more.
        let _ = self.undelivered.send(undelivered);
    }

    fn route_changed(&self, _: &Domainpart, remote: &Domainpart, change: RouteChange) {
        let _ = self.changes.send((remote.clone(), change));
    }
}

pub(crate) fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

pub(crate) fn message(from: &str, to: &str, id: &str) -> Stanza {
    Stanza::parse(&format!("<message from='{from}' to='{to}' id='{id}'><body>hello</body></message>")).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            authority: CertificateAuthority::new("Test CA").unwrap(),
            pairs: AtomicUsize::new(0),
            dns: LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap(),
        }
    }

    pub(crate) fn trust(&self) -> TrustAnchors {
        let pem = self.authority.certificate_pem().as_bytes();
        let roots = pem::certificates_in(pem, "ca.pem".as_ref()).unwrap();
        TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new()).unwrap()
    }

    /// A well-made domain that is found by SRV.
    pub(crate) async fn node(&self, name: &str) -> Node {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        self.node_with(name, &issued, |_| {}).await
    }

    /// A well-made domain that is found by SRV, with another configuration.
    pub(crate) async fn node_as(&self, name: &str, change: impl FnOnce(&mut FederationConfig)) -> Node {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        self.node_with(name, &issued, change).await
    }

    /// Two domains of this configuration; others at each call.
    pub(crate) async fn pair(&self, change: impl Fn(&mut FederationConfig)) -> (Node, Node) {
        let number = self.pairs.fetch_add(1, Ordering::Relaxed);
        let near = self.node_as(&format!("a{number}.example"), &change).await;
        (near, self.node_as(&format!("b{number}.example"), &change).await)
    }

    /// A domain that is found by SRV and shows this certificate.
    pub(crate) async fn node_with(
        &self,
        name: &str,
        issued: &Issued,
        change: impl FnOnce(&mut FederationConfig),
    ) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.found_by_srv(name, 0, listener.local_addr().unwrap().port());
        self.node_on(listener, name, issued, change)
    }

    /// A domain behind this listener, not in DNS.
    pub(crate) fn node_on(
        &self,
        listener: TcpListener,
        name: &str,
        issued: &Issued,
        change: impl FnOnce(&mut FederationConfig),
    ) -> Node {
        let resolver = Arc::new(DnsResolver::new(&[self.dns.address()]).unwrap());
        let local = LocalDomain { name: domain(name), credentials: credentials(issued) };
        let mut config = FederationConfig::new(vec![local], self.trust(), resolver);
        // Long enough to be seen by every test that looks for it.
        config.backoff = Backoff { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };
        config.timeouts.close = Duration::from_secs(1);
        config.timeouts.patience = Duration::ZERO;
        change(&mut config);
        let (routed, routed_here) = unbounded_channel();
        let (undelivered, undelivered_here) = unbounded_channel();
        let (changes, changes_here) = unbounded_channel();
        let federation = Federation::new(config, Arc::new(Record { routed, undelivered, changes })).unwrap();
        let address = listener.local_addr().unwrap();
        federation.serve(listener);
        Node {
            name: domain(name),
            federation,
            address,
            routed: routed_here.into(),
            undelivered: undelivered_here.into(),
            changes: changes_here.into(),
        }
    }

    /// Listens where somebody else has just ceased to.
    pub(crate) async fn listen_again(&self, address: SocketAddr) -> TcpListener {
        let listening = async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(SOON, listening).await.unwrap()
    }

    /// Adds a target on this machine.
    pub(crate) fn found_by_srv(&self, name: &str, priority: u16, port: u16) {
        let target = format!("xmpp{priority}.{name}");
        self.dns.srv(name, SERVICE, priority, 0, port, &target).unwrap();
        self.dns.a(&target, Ipv4Addr::LOCALHOST).unwrap();
    }

    /// Negotiates as `name`, with a good certificate, and then belongs to the test.
    pub(crate) async fn intruder(&self, name: &str, victim: &Node) -> Intruder {
        let config = InitiatingConfig::new(domain(name), victim.name.clone());
        let socket = TcpStream::connect(victim.address).await.unwrap();
        self.intruder_on(name, socket, config).await
    }

    /// Negotiates like this as `name`, with a good certificate, on a connection of the test's.
    pub(crate) async fn intruder_on(&self, name: &str, socket: TcpStream, config: InitiatingConfig) -> Intruder {
        self.negotiate(name, Initiating::new(config, self.verifier(), Instant::now()), socket).await
    }

    /// Negotiates as `name` on a connection that it has accepted, and then belongs to the test.
    pub(crate) async fn host(&self, name: &str, socket: TcpStream) -> Intruder {
        self.host_with(name, socket, ReceivingConfig::new([domain(name)].into(), 10_000)).await
    }

    /// The same, negotiating like this.
    pub(crate) async fn host_with(&self, name: &str, socket: TcpStream, config: ReceivingConfig) -> Intruder {
        self.negotiate(name, Receiving::new(config, self.verifier(), Instant::now()), socket).await
    }

    async fn negotiate<N>(&self, name: &str, negotiator: N, socket: TcpStream) -> Intruder
    where
        N: Negotiator<Error = NegotiationFailure>,
    {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        let tls = TlsContext::new([(domain(name), credentials(&issued))]).unwrap();
        let negotiated = negotiate(negotiator, socket, &tls, Limits::before_authentication()).await.unwrap();
        Intruder { connection: negotiated.connection }
    }

    fn verifier(&self) -> Arc<IdentityVerifier> {
        Arc::new(IdentityVerifier::with_default_algorithms(self.trust()))
    }
}

pub(crate) fn credentials(issued: &Issued) -> Credentials {
    Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap()
}

impl Node {
    pub(crate) fn send(&self, stanza: Stanza) {
        use convoke_xmpp::Outbound;
        self.federation.send(stanza).unwrap();
    }

    /// The next stanza that was routed here.
    pub(crate) async fn routed(&self) -> (Stanza, Origin) {
        let routed = timeout(SOON, async { self.routed.lock().await.recv().await.unwrap() }).await;
        routed.unwrap_or_else(|_| panic!("nothing was routed: {:?}", self.federation.statistics()))
    }

    /// The next stanza that was given back.
    pub(crate) async fn undelivered(&self) -> Undelivered {
        timeout(SOON, async { self.undelivered.lock().await.recv().await.unwrap() }).await.unwrap()
    }

    /// The next change of a route that the router was told of.
    pub(crate) async fn change(&self) -> (Domainpart, RouteChange) {
        let change = timeout(SOON, async { self.changes.lock().await.recv().await.unwrap() }).await;
        change.unwrap_or_else(|_| panic!("no route has changed: {:?}", self.federation.statistics()))
    }

    pub(crate) async fn has_seen_no_change(&self) -> bool {
        self.changes.lock().await.try_recv().is_err()
    }

    /// What was given back and has not been looked at.
    pub(crate) async fn all_undelivered(&self) -> Vec<Undelivered> {
        let mut undelivered = self.undelivered.lock().await;
        std::iter::from_fn(|| undelivered.try_recv().ok()).collect()
    }

    /// What was routed and has not been looked at.
    pub(crate) async fn all_routed(&self) -> Vec<Stanza> {
        let mut routed = self.routed.lock().await;
        std::iter::from_fn(|| routed.try_recv().ok()).map(|(stanza, _)| stanza).collect()
    }

    pub(crate) async fn has_routed_nothing(&self) -> bool {
        self.routed.lock().await.try_recv().is_err()
    }

    pub(crate) async fn has_given_nothing_back(&self) -> bool {
        self.undelivered.lock().await.try_recv().is_err()
    }

    pub(crate) fn link(&self, remote: &str) -> Option<LinkStatistics> {
        self.federation.statistics().into_iter().find(|link| link.remote.as_str() == remote)
    }

    /// Waits until the link to this domain is as wanted.
    pub(crate) async fn link_until(&self, remote: &str, wanted: impl Fn(&LinkStatistics) -> bool) -> LinkStatistics {
        let looking = async {
            loop {
                match self.link(remote) {
                    Some(link) if wanted(&link) => return link,
                    _ => sleep(Duration::from_millis(2)).await,
                }
            }
        };
        timeout(SOON, looking).await.unwrap_or_else(|_| panic!("{:?}", self.link(remote)))
    }
}

/// A negotiated outgoing stream in the hands of the test.
pub(crate) struct Intruder {
    pub(crate) connection: Connection,
}

impl Intruder {
    /// Sends stanzas as they are and waits for the end of the stream.
    pub(crate) async fn send_and_wait(self, stanzas: impl IntoIterator<Item = Stanza>) -> End {
        let outbox = Outbox::default();
        stanzas.into_iter().for_each(|stanza| outbox.push(stanza).unwrap());
        let session =
            async { run(self.connection, &outbox, &mut Ignore, SessionSettings::default(), &Stop::default()).await };
        timeout(SOON, session).await.unwrap()
    }
}

struct Ignore;

impl SessionHandler for Ignore {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Ok(())
    }
}

//! Two domains lose sight of each other and find each other again, over real sockets that are taken away and given back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::Domain;
use convoke::cloud::{Departure, Monitor, MonitorConfig, MonitorEvent};
use convoke::net::Credentials;
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LocalDomain, Trust};
use convoke::xmpp::{Domainpart, Jid};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::support::within_deadline;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Of everything that would else be waited for.
const SHORT: Duration = Duration::from_millis(100);

/// The network before a domain: while there is none, nobody reaches it, and whoever had is cut off.
struct Network {
    address: SocketAddr,
    domain: SocketAddr,
    up: Option<AbortOnDropHandle<()>>,
}

impl Network {
    async fn before(domain: SocketAddr) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, domain, up: Some(forward(listener, domain)) }
    }

    fn down(&mut self) {
        self.up = None;
    }

    async fn up_again(&mut self) {
        // Until the end of the last task has freed the port.
        let listener = within_deadline("the port is free", async {
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(crate::support::GLANCE).await,
                }
            }
        })
        .await;
        self.up = Some(forward(listener, self.domain));
    }
}

/// Ends with its handle, and all connections with it.
fn forward(listener: TcpListener, domain: SocketAddr) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut far = TcpStream::connect(domain).await?;
                copy_bidirectional(&mut near, &mut far).await
            });
        }
    }))
}

/// A domain that is found by way of its network.
async fn domain(name: &str, authority: &CertificateAuthority, dns: &LoopbackDns) -> (Domain, Network) {
    let issued = authority.issue(&Subject::domain(name)).unwrap();
    let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
    let local = LocalDomain { name: Domainpart::new(name).unwrap(), credentials };
    let resolver = Arc::new(DnsResolver::new(&[dns.address()]).unwrap());
    let trust = Trust::from_pem(authority.certificate_pem()).unwrap();
    let mut federation = FederationConfig::new(vec![local], trust, resolver);
    federation.backoff = Backoff { first: SHORT, longest: SHORT };
    (federation.timeouts.patience, federation.timeouts.peer_return) = (SHORT, SHORT);
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let network = Network::before(listener.local_addr().unwrap()).await;
    let host = format!("xmpp.{name}");
    dns.srv(name, "_xmpp-server._tcp", 0, 0, network.address.port(), &host).unwrap();
    dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
    let domain = Domain::builder(name).federation(federation).start().await.unwrap();
    domain.listen(listener);
    (domain, network)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_out_of_reach_is_suspect_and_recovers_by_one_probe_when_the_way_is_there_again() {
    let dns = LoopbackDns::start(LOOPBACK).await.unwrap();
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let (watching, mut before_watching) = domain("a.lan", &authority, &dns).await;
    let (working, mut before_working) = domain("b.lan", &authority, &dns).await;
    let monitor = Monitor::start(&watching, MonitorConfig::default()).unwrap();
    let mut events = monitor.watch();
    let mut next = async || within_deadline("an event of the monitor", events.recv()).await.unwrap();
    let alice = working.session("alice", "desk").unwrap();
    alice.available_to(monitor.jid(), []);
    let who: Jid = alice.jid().clone();
    assert_eq!(next().await, MonitorEvent::Presence { who: who.clone(), available: true });
    for _ in 0..2 {
        before_watching.down();
        before_working.down();
        assert_eq!(next().await, MonitorEvent::Suspect { node: who.clone(), why: Departure::RouteLost });
        before_watching.up_again().await;
        before_working.up_again().await;
        // Alice has said nothing since: she was asked.
        assert_eq!(next().await, MonitorEvent::Recovered { node: who.clone() });
        assert_eq!(next().await, MonitorEvent::Presence { who: who.clone(), available: true });
    }
    alice.unavailable([]);
    assert_eq!(next().await, MonitorEvent::Presence { who, available: false });
}

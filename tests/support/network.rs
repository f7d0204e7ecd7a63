//! Domains of ours with a network before each that can be taken away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::Domain;
use convoke::net::Credentials;
use convoke::pubsub::PubSubConfig;
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LocalDomain, Trust};
use convoke::xmpp::Domainpart;
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::within_deadline;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Of everything that would else be waited for.
const SHORT: Duration = Duration::from_millis(100);

/// What the domains share: an authority that they trust, and the DNS.
pub(crate) struct Site {
    authority: CertificateAuthority,
    dns: LoopbackDns,
}

/// The network before a domain: while there is none, nobody reaches it, and whoever had is cut off.
pub(crate) struct Network {
    address: SocketAddr,
    domain: SocketAddr,
    up: Option<AbortOnDropHandle<()>>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let dns = LoopbackDns::start(LOOPBACK).await.unwrap();
        Self { authority: CertificateAuthority::new("Test CA").unwrap(), dns }
    }

    /// A domain that is found by way of its network.
    pub(crate) async fn domain(&self, name: &str) -> (Domain, Network) {
        let (domain, address) = self.start(name).await;
        let network = Network::before(address).await;
        let host = format!("xmpp.{name}");
        self.dns.srv(name, "_xmpp-server._tcp", 0, 0, network.address.port(), &host).unwrap();
        self.dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
        (domain, network)
    }

    /// A domain that has ended begins anew behind the same network, and knows nothing of before.
    pub(crate) async fn restart(&self, name: &str, network: &mut Network) -> Domain {
        network.down();
        let (domain, address) = self.start(name).await;
        network.domain = address;
        network.up_again().await;
        domain
    }

    async fn start(&self, name: &str) -> (Domain, SocketAddr) {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        let local = LocalDomain { name: Domainpart::new(name).unwrap(), credentials };
        let resolver = Arc::new(DnsResolver::new(&[self.dns.address()]).unwrap());
        let trust = Trust::from_pem(self.authority.certificate_pem()).unwrap();
        let mut federation = FederationConfig::new(vec![local], trust, resolver);
        federation.backoff = Backoff { first: SHORT, longest: SHORT };
        (federation.timeouts.patience, federation.timeouts.peer_return) = (SHORT, SHORT);
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let builder = Domain::builder(name).federation(federation).personal_eventing(PubSubConfig::personal(), None);
        let domain = builder.start().await.unwrap();
        domain.listen(listener);
        (domain, address)
    }
}

impl Network {
    async fn before(domain: SocketAddr) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, domain, up: Some(forward(listener, domain)) }
    }

    pub(crate) fn down(&mut self) {
        self.up = None;
    }

    pub(crate) async fn up_again(&mut self) {
        // Until the end of the last task has freed the port.
        let listener = within_deadline("the port is free", async {
            loop {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::time::sleep(super::GLANCE).await,
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

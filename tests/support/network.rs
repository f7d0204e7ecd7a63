//! Domains of ours with a network before each that can be taken away.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke::Domain;
use convoke::net::Credentials;
use convoke::pubsub::PubSubConfig;
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LocalDomain, Trust};
use convoke::xmpp::Domainpart;
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::within_deadline;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Where nobody listens.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Of everything that would else be waited for.
const SHORT: Duration = Duration::from_millis(100);

/// What the domains share: an authority that they trust, and the DNS.
pub(crate) struct Site {
    authority: CertificateAuthority,
    dns: LoopbackDns,
}

/// What makes a process a domain: whom it trusts, who it is, and who tells it where others are.
pub(crate) struct Papers {
    authority: String,
    chain: String,
    key: String,
    dns: SocketAddr,
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
        let (domain, address) = self.papers(name).start(name).await;
        let network = Network::before(address).await;
        self.register(name, &network);
        (domain, network)
    }

    /// A domain that has ended begins anew behind the same network, and knows nothing of before.
    pub(crate) async fn restart(&self, name: &str, network: &mut Network) -> Domain {
        network.down();
        let (domain, address) = self.papers(name).start(name).await;
        network.leads_to(address).await;
        domain
    }

    /// What a process needs that is to be this domain; it is reached by way of the network, once [`Network::leads_to`] says
    /// where it is.
    pub(crate) async fn process(&self, name: &str) -> (Papers, Network) {
        let network = Network::before(NOWHERE).await;
        self.register(name, &network);
        (self.papers(name), network)
    }

    fn papers(&self, name: &str) -> Papers {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        let authority = self.authority.certificate_pem().to_owned();
        Papers { authority, chain: issued.chain_pem, key: issued.key_pem, dns: self.dns.address() }
    }

    fn register(&self, name: &str, network: &Network) {
        let host = format!("xmpp.{name}");
        self.dns.srv(name, "_xmpp-server._tcp", 0, 0, network.address.port(), &host).unwrap();
        self.dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
    }
}

impl Papers {
    /// Starts the domain that they are for; gives where it listens.
    pub(crate) async fn start(&self, name: &str) -> (Domain, SocketAddr) {
        let credentials = Credentials::from_pem(&self.chain, &self.key).unwrap();
        let local = LocalDomain { name: Domainpart::new(name).unwrap(), credentials };
        let resolver = Arc::new(DnsResolver::new(&[self.dns]).unwrap());
        let trust = Trust::from_pem(&self.authority).unwrap();
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

    pub(crate) fn write(&self, file: &Path) {
        let Self { authority, chain, key, dns } = self;
        std::fs::write(file, json!([authority, chain, key, dns.to_string()]).to_string()).unwrap();
    }

    pub(crate) fn read(file: &Path) -> Self {
        let papers = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let [authority, chain, key, dns]: [String; 4] = papers;
        Self { authority, chain, key, dns: dns.parse().unwrap() }
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

    /// The domain behind it is somewhere else from now on.
    pub(crate) async fn leads_to(&mut self, domain: SocketAddr) {
        self.down();
        self.domain = domain;
        self.up_again().await;
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

//! One of our domains and a peer on one machine, with the DNS server and the authority that they share.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::net::{Credentials, pem};
use convoke::pubsub::PubSubConfig;
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LinkStatistics, LocalDomain, TrustAnchors};
use convoke::xmpp::{Domainpart, Element, Jid, MessageType, Stanza, namespace};
use convoke::{Component, Domain, DomainBuilder};
use convoke_dev::peers::{Peer, PeerBuilder, Service, Software};
use convoke_dev::{CertificateAuthority, Issued, LoopbackDns, Subject};
use tokio::net::TcpListener;

use crate::support::client::{Client, attribute, name};
use crate::support::within_deadline;

/// Our domain.
pub(super) const OURS: &str = "volunteers.lan";
/// The peer's domain.
pub(super) const THEIRS: &str = "peer.lan";
/// Its account, as a bare JID.
pub(super) const JULIET: &str = "juliet@peer.lan";

/// Short, so that a test sees the end of a pause.
const REDIAL: Duration = Duration::from_millis(100);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What domains share that are to find and to trust each other, and the service by which they find each other.
pub(super) struct Site {
    pub(super) dns: LoopbackDns,
    pub(super) authority: CertificateAuthority,
    service: Service,
}

impl Site {
    pub(super) async fn new(service: Service) -> Self {
        let dns = LoopbackDns::start(LOOPBACK).await.unwrap();
        Self { dns, authority: CertificateAuthority::new("Test CA").unwrap(), service }
    }

    /// A good certificate of the authority.
    pub(super) fn issue(&self, domain: &str) -> Issued {
        self.authority.issue(&Subject::domain(domain)).unwrap()
    }

    /// A peer with the account `juliet`.
    pub(super) fn peer(&self, software: Software, domain: &str) -> PeerBuilder {
        let builder = Peer::builder(software, domain, &self.authority).unwrap();
        builder.accounts(["juliet"]).services([self.service])
    }

    /// Our domain, with a good certificate.
    pub(super) async fn domain(&self) -> Domain {
        self.domain_named(OURS).await
    }

    /// A domain of ours with this name and a good certificate.
    pub(super) async fn domain_named(&self, name: &str) -> Domain {
        self.start(Domain::builder(name), name, self.federation_of(name, &self.issue(name), &self.authority)).await
    }

    /// Our domain with personal eventing, and a good certificate.
    pub(super) async fn eventing_domain(&self) -> Domain {
        let builder = Domain::builder(OURS).personal_eventing(PubSubConfig::personal(), None);
        self.start(builder, OURS, self.federation(&self.issue(OURS), &self.authority)).await
    }

    /// Our domain with this configuration, its listener and its records.
    pub(super) async fn domain_of(&self, federation: FederationConfig) -> Domain {
        self.start(Domain::builder(OURS), OURS, federation).await
    }

    async fn start(&self, builder: DomainBuilder, name: &str, federation: FederationConfig) -> Domain {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (host, port) = (format!("xmpp.{name}"), listener.local_addr().unwrap().port());
        self.dns.srv(name, self.service.labels(), 0, 0, port, &host).unwrap();
        self.dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
        let domain = builder.federation(federation).start().await.unwrap();
        match self.service {
            Service::StartTls => domain.listen(listener),
            Service::DirectTls => domain.federation().unwrap().serve_direct(listener),
        }
        domain
    }

    /// How our domain federates that shows this certificate and trusts this authority.
    pub(super) fn federation(&self, issued: &Issued, trusted: &CertificateAuthority) -> FederationConfig {
        self.federation_of(OURS, issued, trusted)
    }

    fn federation_of(&self, name: &str, issued: &Issued, trusted: &CertificateAuthority) -> FederationConfig {
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        let roots = pem::certificates_in(trusted.certificate_pem().as_bytes(), "the authority".as_ref()).unwrap();
        let trust = TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new()).unwrap();
        let resolver = DnsResolver::new(&[self.dns.address()]).unwrap();
        let local = LocalDomain { name: Domainpart::new(name).unwrap(), credentials };
        let backoff = Backoff { first: REDIAL, longest: REDIAL };
        let mut config = FederationConfig::new(vec![local], trust, Arc::new(resolver));
        config.backoff = backoff;
        // These tests look at what is given back at once while a peer is away.
        config.timeouts.patience = Duration::ZERO;
        config
    }
}

/// Both, running.
pub(super) struct Neighbours {
    pub(super) site: Site,
    pub(super) ours: Domain,
    pub(super) peer: Peer,
}

impl Neighbours {
    /// Found by STARTTLS.
    pub(super) async fn new(software: Software) -> Self {
        Self::by(software, Service::StartTls).await
    }

    /// Found by this service.
    pub(super) async fn by(software: Software, service: Service) -> Self {
        let site = Site::new(service).await;
        let ours = site.domain().await;
        let peer = site.peer(software, THEIRS).start(&site.dns).await.unwrap();
        Self { site, ours, peer }
    }

    /// Both with personal eventing (XEP-0163).
    pub(super) async fn eventing(software: Software) -> Self {
        let site = Site::new(Service::StartTls).await;
        let ours = site.eventing_domain().await;
        let peer = site.peer(software, THEIRS).personal_eventing().start(&site.dns).await.unwrap();
        Self { site, ours, peer }
    }

    /// Logs the account in.
    pub(super) async fn juliet(&self) -> Client {
        Client::login(&self.peer, "juliet").await
    }

    /// Logs the account in, with streams to and from our domain already there.
    pub(super) async fn acquainted_juliet(&self) -> Client {
        let mut juliet = self.juliet().await;
        self.acquaint(&mut juliet).await;
        juliet
    }

    /// Lets the account ask our domain something, so that there are streams in both directions.
    pub(super) async fn acquaint(&self, juliet: &mut Client) {
        let pong = juliet.request("get", Some(OURS), "<ping xmlns='urn:xmpp:ping'/>").await;
        assert_eq!(attribute(&pong, "type"), Some("result"), "{pong}");
    }

    /// What our side says of the link to the peer; there is none before the first stanza.
    pub(super) fn link(&self) -> LinkStatistics {
        self.ours.federation().unwrap().statistics().pop().unwrap()
    }
}

pub(super) fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

/// A chat message with this body.
pub(super) fn message(to: &str, id: &str, body: &str) -> Stanza {
    let message = Stanza::message(MessageType::Chat).with_to(&jid(to)).with_id(id);
    message.with_payload(Element::new("body", namespace::CLIENT).text(body))
}

/// The stanza that the component gets next.
pub(super) async fn next(component: &mut Component) -> Stanza {
    within_deadline("a stanza for the component", component.receive()).await.unwrap().0
}

/// The message that the account gets next.
pub(super) async fn next_of(account: &mut Client) -> String {
    account.wait_for("a message for the account", |element| name(element) == "message").await
}

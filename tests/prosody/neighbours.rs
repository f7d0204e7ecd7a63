//! One of our domains and a Prosody on one machine, with the DNS server and the authority that they share.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::Domain;
use convoke::net::{Credentials, pem};
use convoke::s2s::{Backoff, DnsResolver, FederationConfig, LinkStatistics, LocalDomain, TrustAnchors};
use convoke::xmpp::{Domainpart, Jid};
use convoke_dev::peers::{Peer, Software};
use convoke_dev::{CertificateAuthority, Issued, LoopbackDns, Subject};
use tokio::net::TcpListener;

use crate::support::client::{Client, attribute};

/// Our domain.
pub(super) const OURS: &str = "volunteers.lan";
/// Prosody's domain.
pub(super) const THEIRS: &str = "prosody.lan";
/// Its account, as a bare JID.
pub(super) const JULIET: &str = "juliet@prosody.lan";

/// Short, so that a test sees the end of a pause.
const REDIAL: Duration = Duration::from_millis(100);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What domains share that are to find and to trust each other.
pub(super) struct Site {
    pub(super) dns: LoopbackDns,
    pub(super) authority: CertificateAuthority,
}

impl Site {
    pub(super) async fn new() -> Self {
        let dns = LoopbackDns::start(LOOPBACK).await.unwrap();
        Self { dns, authority: CertificateAuthority::new("Test CA").unwrap() }
    }

    /// A Prosody with the account `juliet`.
    pub(super) async fn prosody(&self, domain: &str) -> Peer {
        let builder = Peer::builder(Software::Prosody, domain, &self.authority).unwrap();
        builder.accounts(["juliet"]).start(&self.dns).await.unwrap()
    }

    /// Our domain, with a good certificate.
    pub(super) async fn domain(&self) -> Domain {
        self.domain_with(&self.authority.issue(&Subject::domain(OURS)).unwrap()).await
    }

    /// Our domain with this certificate, its listener and its records.
    pub(super) async fn domain_with(&self, issued: &Issued) -> Domain {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (host, port) = (format!("xmpp.{OURS}"), listener.local_addr().unwrap().port());
        self.dns.srv(OURS, "_xmpp-server._tcp", 0, 0, port, &host).unwrap();
        self.dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
        let domain = Domain::builder(OURS).federation(self.federation(issued)).start().await.unwrap();
        domain.listen(listener);
        domain
    }

    fn federation(&self, issued: &Issued) -> FederationConfig {
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        let roots =
            pem::certificates_in(self.authority.certificate_pem().as_bytes(), "the authority".as_ref()).unwrap();
        let trust = TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new()).unwrap();
        let resolver = DnsResolver::new(&[self.dns.address()]).unwrap();
        let local = LocalDomain { name: Domainpart::new(OURS).unwrap(), credentials };
        let backoff = Backoff { first: REDIAL, longest: REDIAL };
        FederationConfig { backoff, ..FederationConfig::new(vec![local], trust, Arc::new(resolver)) }
    }
}

/// Both, running.
pub(super) struct Neighbours {
    pub(super) site: Site,
    pub(super) ours: Domain,
    pub(super) prosody: Peer,
}

impl Neighbours {
    pub(super) async fn new() -> Self {
        let site = Site::new().await;
        let (ours, prosody) = (site.domain().await, site.prosody(THEIRS).await);
        Self { site, ours, prosody }
    }

    /// Logs the account in.
    pub(super) async fn juliet(&self) -> Client {
        Client::login(&self.prosody, "juliet").await
    }

    /// Logs the account in, with streams to and from our domain already there.
    pub(super) async fn acquainted_juliet(&self) -> Client {
        let mut juliet = self.juliet().await;
        let pong = juliet.request("get", Some(OURS), "<ping xmlns='urn:xmpp:ping'/>").await;
        assert_eq!(attribute(&pong, "type"), Some("result"), "{pong}");
        juliet
    }

    /// What our side says of the link to Prosody; there is none before the first stanza.
    pub(super) fn link(&self) -> LinkStatistics {
        self.ours.federation().unwrap().statistics().pop().unwrap()
    }
}

pub(super) fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

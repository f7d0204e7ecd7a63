//! What a peer is to be like.

use std::net::SocketAddr;

use super::addresses::{Addresses, Service};
use super::{Peer, PeerError, Software};
use crate::{CertificateAuthority, Issued, LoopbackDns, Subject};

/// Collects what a peer is to be like, then starts it.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct PeerBuilder {
    software: Software,
    domain: String,
    issued: Option<Issued>,
    trusted_pem: String,
    accounts: Vec<String>,
    services: Vec<Service>,
    pubsub: Option<PubSub>,
    eventing: bool,
    quiet: bool,
    extended: bool,
    dialback: bool,
}

/// What the configuration of a peer is written from.
pub(super) struct Plan {
    pub(super) domain: String,
    pub(super) issued: Option<Issued>,
    pub(super) trusted_pem: String,
    pub(super) accounts: Vec<String>,
    pub(super) pubsub: Option<PubSub>,
    pub(super) eventing: bool,
    pub(super) quiet: bool,
    pub(super) extended: bool,
    pub(super) dialback: bool,
    pub(super) addresses: Addresses,
    pub(super) dns: SocketAddr,
}

/// The publish-subscribe service of a peer.
#[derive(Debug)]
pub(super) struct PubSub {
    /// Its address: a domain of its own.
    pub(super) domain: String,
    /// Who administers it.
    pub(super) owners: Vec<String>,
}

impl PeerBuilder {
    pub(super) fn new(software: Software, domain: &str, authority: &CertificateAuthority) -> Result<Self, PeerError> {
        Ok(Self {
            software,
            domain: domain.to_owned(),
            issued: Some(authority.issue(&Subject::domain(domain).dns_names([domain, &pubsub_domain(domain)]))?),
            trusted_pem: authority.certificate_pem().to_owned(),
            accounts: Vec::new(),
            services: vec![Service::StartTls],
            pubsub: None,
            eventing: false,
            quiet: false,
            extended: false,
            dialback: false,
        })
    }

    /// Shows this certificate, of any kind, instead of a good one of the authority.
    pub fn certificate(mut self, issued: Issued) -> Self {
        self.issued = Some(issued);
        self
    }

    /// Has no certificate at all: it can ask for TLS, but neither offer it nor prove its domain.
    pub fn without_certificate(mut self) -> Self {
        self.issued = None;
        self
    }

    /// Trusts this authority instead of the one that issued its certificate.
    pub fn trust(mut self, authority: &CertificateAuthority) -> Self {
        authority.certificate_pem().clone_into(&mut self.trusted_pem);
        self
    }

    /// Has these accounts, given as localparts, each with the password that [`password`](super::password) gives.
    pub fn accounts<N: Into<String>>(mut self, accounts: impl IntoIterator<Item = N>) -> Self {
        self.accounts = accounts.into_iter().map(Into::into).collect();
        self
    }

    /// Announces these services in DNS (default: STARTTLS alone); it listens for both in any case.
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.services = services.into_iter().collect();
        self
    }

    /// Runs the publish-subscribe service that comes with the server (XEP-0060), at [`Peer::pubsub`].
    ///
    /// Only these, given as bare JIDs of any domain, make nodes at Prosody, and own every node there; at ejabberd
    /// everybody makes nodes.
    pub fn pubsub<N: Into<String>>(mut self, owners: impl IntoIterator<Item = N>) -> Self {
        let owners = owners.into_iter().map(Into::into).collect();
        self.pubsub = Some(PubSub { domain: pubsub_domain(&self.domain), owners });
        self
    }

    /// Has personal eventing for its accounts (XEP-0163; default: not).
    pub fn personal_eventing(mut self) -> Self {
        self.eventing = true;
        self
    }

    /// Logs warnings and errors alone (default: all that helps, which for Prosody is every stanza).
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Speaks what its maker has between servers beyond the standard set: for Prosody XEP-0288 and XEP-0198 (default: not,
    /// as it comes).
    pub fn extended(mut self) -> Self {
        self.extended = true;
        self
    }

    /// Takes server dialback (XEP-0220), over TLS, where a certificate proves nothing (default: never).
    pub fn dialback(mut self) -> Self {
        self.dialback = true;
        self
    }

    /// Starts it, announces it in the DNS server, which is the only one that it asks, and waits until it is ready.
    ///
    /// Must be called within a tokio runtime with I/O and time. Fails with any [`PeerError`].
    pub async fn start(self, dns: &LoopbackDns) -> Result<Peer, PeerError> {
        let plan = Plan {
            domain: self.domain,
            issued: self.issued,
            trusted_pem: self.trusted_pem,
            accounts: self.accounts,
            pubsub: self.pubsub,
            eventing: self.eventing,
            quiet: self.quiet,
            extended: self.extended,
            dialback: self.dialback,
            addresses: Addresses::free()?,
            dns: dns.address(),
        };
        let peer = Peer::start(self.software, &plan, dns).await?;
        let pubsub = plan.pubsub.as_ref().map(|pubsub| pubsub.domain.as_str());
        for domain in [plan.domain.as_str()].into_iter().chain(pubsub) {
            plan.addresses.announce(dns, domain, &self.services)?;
        }
        Ok(peer)
    }
}

/// Where the publish-subscribe service of a domain is: both servers have it under this name.
pub(super) fn pubsub_domain(domain: &str) -> String {
    format!("pubsub.{domain}")
}

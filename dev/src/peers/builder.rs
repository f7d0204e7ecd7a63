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
    quiet: bool,
}

/// What the configuration of a peer is written from.
pub(super) struct Plan {
    pub(super) domain: String,
    pub(super) issued: Option<Issued>,
    pub(super) trusted_pem: String,
    pub(super) accounts: Vec<String>,
    pub(super) quiet: bool,
    pub(super) addresses: Addresses,
    pub(super) dns: SocketAddr,
}

impl PeerBuilder {
    pub(super) fn new(software: Software, domain: &str, authority: &CertificateAuthority) -> Result<Self, PeerError> {
        Ok(Self {
            software,
            domain: domain.to_owned(),
            issued: Some(authority.issue(&Subject::domain(domain))?),
            trusted_pem: authority.certificate_pem().to_owned(),
            accounts: Vec::new(),
            services: vec![Service::StartTls],
            quiet: false,
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

    /// Logs warnings and errors alone (default: all that helps, which for Prosody is every stanza).
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
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
            quiet: self.quiet,
            addresses: Addresses::free()?,
            dns: dns.address(),
        };
        let peer = Peer::start(self.software, &plan, dns).await?;
        plan.addresses.announce(dns, &plan.domain, &self.services)?;
        Ok(peer)
    }
}

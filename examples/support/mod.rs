//! What the federated examples share: domains on this machine that find and trust each other.
//!
//! Two things differ from production: the authority that issues the certificates is made afresh, and the SRV records are
//! served by a DNS server of our own on loopback. All that follows is the real thing: DNS, TCP, STARTTLS with
//! certificates on both sides, SASL EXTERNAL.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke::Domain;
use convoke::cloud::{Allowance, LeaseTimes, ResourceManager, ResourceManagerConfig};
use convoke::net::{Credentials, pem};
use convoke::s2s::{DnsResolver, FederationConfig, LocalDomain, TrustAnchors};
use convoke::store::RedbStore;
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::net::TcpListener;

/// A failure of an example is for its reader alone.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Port 0: the system chooses a free one.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A rehearsed internet: an authority that everybody trusts, a DNS, and a directory for what must be kept.
pub(crate) struct Site {
    authority: CertificateAuthority,
    dns: LoopbackDns,
    #[allow(dead_code)] // Not every example keeps anything.
    directory: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn new() -> Result<Self> {
        let authority = CertificateAuthority::new("Convoke examples")?;
        Ok(Self { authority, dns: LoopbackDns::start(LOOPBACK).await?, directory: tempfile::tempdir()? })
    }

    /// A domain that federates: it has a certificate, listens on a port, and can be found there.
    pub(crate) async fn domain(&self, name: &str) -> Result<Domain> {
        let listener = TcpListener::bind(LOOPBACK).await?;
        let host = format!("xmpp.{name}");
        self.dns.srv(name, "_xmpp-server._tcp", 0, 0, listener.local_addr()?.port(), &host)?;
        self.dns.a(&host, Ipv4Addr::LOCALHOST)?;
        let domain = Domain::builder(name).federation(self.federation(name)?).start().await?;
        domain.listen(listener);
        Ok(domain)
    }

    /// A domain that federates and lends its volunteers to `borrower`, and to nobody else.
    #[allow(dead_code)] // Not every example lends.
    pub(crate) async fn lender(&self, name: &str, borrower: &str) -> Result<Domain> {
        let domain = self.domain(name).await?;
        // Leases carry epochs, and an epoch must never come twice, not even after a crash: hence the store on disk.
        let store = Arc::new(RedbStore::open(self.directory.path().join(name))?);
        let allow = vec![Allowance { domain: borrower.parse()?, nodes: 100 }];
        let times = LeaseTimes::default();
        ResourceManager::start(&domain, ResourceManagerConfig { store, allow, times, publish_to: None }).await?;
        Ok(domain)
    }

    /// Who we are, whom we believe, and how we find others.
    fn federation(&self, name: &str) -> Result<FederationConfig> {
        let issued = self.authority.issue(&Subject::domain(name))?;
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem)?;
        let root = pem::certificates_in(self.authority.certificate_pem().as_bytes(), "the authority".as_ref())?;
        let trust = TrustAnchors::new(root.iter().map(|root| root.to_vec()).collect(), Vec::new())?;
        let resolver = Arc::new(DnsResolver::new(&[self.dns.address()])?);
        Ok(FederationConfig::new(vec![LocalDomain { name: name.parse()?, credentials }], trust, resolver))
    }
}

//! Two federated domains in this process, found without DNS.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use convoke::Domain;
use convoke_dev::{CertificateAuthority, Subject};
use convoke_net::{Credentials, pem};
use convoke_s2s::{Family, FederationConfig, LocalDomain, ResolveError, Resolver, Service, SrvRecord, TrustAnchors};
use convoke_xmpp::Domainpart;
use tokio::net::TcpListener;

use crate::Error;

/// Domains that trust one authority and find each other on this machine.
pub struct World {
    authority: CertificateAuthority,
    listeners: HashMap<String, TcpListener>,
    ports: Arc<HashMap<String, u16>>,
}

impl World {
    /// Opens a listener for each domain.
    pub async fn new(domains: &[&str]) -> Result<Self, Error> {
        let mut listeners = HashMap::new();
        let mut ports = HashMap::new();
        for domain in domains {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            ports.insert((*domain).to_owned(), listener.local_addr()?.port());
            listeners.insert((*domain).to_owned(), listener);
        }
        Ok(Self { authority: CertificateAuthority::new("Benchmark CA")?, listeners, ports: Arc::new(ports) })
    }

    /// Starts a domain on its listener.
    pub async fn start(&mut self, name: &str) -> Result<Domain, Error> {
        let local = LocalDomain { name: Domainpart::new(name)?, credentials: self.credentials(name)? };
        let resolver = Arc::new(Loopback(self.ports.clone()));
        let config = FederationConfig::new(vec![local], self.trust()?, resolver);
        let domain = Domain::builder(name).federation(config).start().await?;
        if let Some(listener) = self.listeners.remove(name) {
            domain.listen(listener);
        }
        Ok(domain)
    }

    /// The port of a domain.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.ports.get(name).copied()
    }

    /// A certificate for a domain, and its key.
    pub fn credentials(&self, name: &str) -> Result<Credentials, Error> {
        let issued = self.authority.issue(&Subject::domain(name))?;
        Ok(Credentials::from_pem(&issued.chain_pem, &issued.key_pem)?)
    }

    /// Who is trusted by all.
    pub fn trust(&self) -> Result<TrustAnchors, Error> {
        let roots = pem::certificates_in(self.authority.certificate_pem().as_bytes(), "ca.pem".as_ref())?;
        Ok(TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new())?)
    }
}

/// Knows where the domains of a world are.
struct Loopback(Arc<HashMap<String, u16>>);

#[async_trait]
impl Resolver for Loopback {
    async fn services(&self, service: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        let port = self.0.get(domain.as_str()).filter(|_| service == Service::StartTls);
        let record =
            port.map(|port| SrvRecord { priority: 0, weight: 0, port: *port, target: Ipv4Addr::LOCALHOST.to_string() });
        Ok(record.into_iter().collect())
    }

    async fn addresses(&self, _: Family, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
        Ok(Vec::new())
    }
}

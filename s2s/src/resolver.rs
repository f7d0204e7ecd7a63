//! Where a domain's server is: SRV records, or the domain itself (RFC 6120, section 3.2.1).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use convoke_xmpp::Domainpart;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use thiserror::Error;

use crate::target::{SrvRecord, is_declined, order};

/// The port of server-to-server streams where no SRV record names another (RFC 6120, section 3.2.2).
pub const DEFAULT_PORT: u16 = 5269;

/// One host and port to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host name, with A-labels, or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a domain or host cannot be resolved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The domain says that it offers no such service: its SRV target is `.` (RFC 2782).
    #[error("{domain} says in DNS that it takes no server-to-server streams")]
    NoService {
        /// The domain.
        domain: Domainpart,
    },
    /// The host does not exist or has no address.
    #[error("{host} has no address in DNS")]
    NoAddress {
        /// The host, with A-labels.
        host: String,
    },
    /// DNS gave no answer.
    #[error("DNS gave no answer about {name}: {cause}")]
    Lookup {
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DNS gave no answer in time.
    #[error("DNS gave no answer about {name} in time")]
    TimedOut {
        /// The name that was asked for.
        name: String,
    },
}

/// Finds the servers of domains.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The targets of a domain, in the order in which they are to be tried; never empty.
    async fn resolve(&self, domain: &Domainpart) -> Result<Vec<Target>, ResolveError>;

    /// The addresses of a target's host; never empty.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// Resolves by DNS.
pub struct DnsResolver {
    dns: TokioResolver,
}

/// Why a resolver cannot be made.
#[derive(Debug, Error)]
#[error("DNS cannot be used: {cause}; name the nameservers in the configuration, or mend the system's")]
pub struct DnsSetupError {
    #[source]
    cause: NetError,
}

impl DnsResolver {
    /// Asks these nameservers, by UDP and by TCP on the same port, and nobody else.
    pub fn new(nameservers: &[SocketAddr]) -> Result<Self, DnsSetupError> {
        let servers = nameservers.iter().map(|address| nameserver(*address)).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Self { dns: builder.build().map_err(|cause| DnsSetupError { cause })? })
    }

    /// Asks the nameservers of the operating system.
    pub fn system() -> Result<Self, DnsSetupError> {
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Ok(Self { dns: built.map_err(|cause| DnsSetupError { cause })? })
    }

    async fn srv(&self, domain: &Domainpart) -> Result<Vec<SrvRecord>, NetError> {
        let found = self.dns.srv_lookup(format!("_xmpp-server._tcp.{}.", domain.to_ascii())).await?;
        // The answer may hold the aliases that led to it too.
        Ok(found.answers().iter().filter_map(|record| srv_record(&record.data)).collect())
    }
}

#[async_trait]
impl Resolver for DnsResolver {
    async fn resolve(&self, domain: &Domainpart) -> Result<Vec<Target>, ResolveError> {
        if let Some(address) = literal(domain.as_str()) {
            return Ok(vec![Target { host: address.to_string(), port: DEFAULT_PORT }]);
        }
        // Without any SRV answer, be it "no such name" or silence, the domain itself is tried; with one, never
        // (RFC 6120, section 3.2.1, rules 8 and 9).
        match self.srv(domain).await {
            Ok(records) if !records.is_empty() => targets(domain, records),
            _ => Ok(vec![Target { host: domain.to_ascii(), port: DEFAULT_PORT }]),
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Some(address) = literal(host) {
            return Ok(vec![address]);
        }
        // With the final dot no search domain is appended.
        let addresses: Vec<_> = match self.dns.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await {
            Ok(found) => found.iter().collect(),
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(cause) => return Err(ResolveError::Lookup { name: host.to_owned(), cause: Box::new(cause) }),
        };
        if addresses.is_empty() { Err(ResolveError::NoAddress { host: host.to_owned() }) } else { Ok(addresses) }
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver").finish_non_exhaustive()
    }
}

fn nameserver(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

fn srv_record(data: &RData) -> Option<SrvRecord> {
    let RData::SRV(srv) = data else { return None };
    let target = srv.target.to_ascii();
    Some(SrvRecord { priority: srv.priority, weight: srv.weight, port: srv.port, target })
}

fn targets(domain: &Domainpart, records: Vec<SrvRecord>) -> Result<Vec<Target>, ResolveError> {
    let no_service = || ResolveError::NoService { domain: domain.clone() };
    if is_declined(&records) {
        return Err(no_service());
    }
    // Without random numbers the order is merely less fair.
    let ordered = order(records, &mut || getrandom::u32().unwrap_or_default());
    let targets: Vec<_> = ordered.into_iter().filter(|record| !record.declines()).map(target).collect();
    if targets.is_empty() { Err(no_service()) } else { Ok(targets) }
}

fn target(record: SrvRecord) -> Target {
    Target { host: record.target.trim_end_matches('.').to_owned(), port: record.port }
}

/// The address that a domainpart or host is, if it is one; IPv6 in brackets or without.
fn literal(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

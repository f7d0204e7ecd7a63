//! What DNS says: SRV records of domains and addresses of hosts (RFC 6120, section 3.2).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use convoke_xmpp::Domainpart;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use thiserror::Error;

use crate::target::{Service, SrvRecord};

/// How many records of one answer are read: DNS answers are under the control of others.
const MAX_RECORDS: usize = 64;

/// How many aliases are followed from the name of a service to its records.
const MAX_ALIASES: usize = 4;

/// The two families of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv6, AAAA records.
    V6,
    /// IPv4, A records.
    V4,
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

/// Asks DNS, or whatever stands for it. What follows from the answers is decided by the dialer alone.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The SRV records of this service of a domain, in any order; none if DNS says that there are none.
    async fn services(&self, service: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError>;

    /// The addresses of this family of a host (with A-labels, never an IP address), in the order of preference; none if
    /// DNS says that there are none.
    async fn addresses(&self, family: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// Resolves by DNS.
pub struct DnsResolver {
    dns: TokioResolver,
}

/// What DNS has of a name.
struct Found<T> {
    records: Vec<T>,
    /// Whether the name exists, or what it stands for may: only then it is worth asking for an alias.
    may_be_alias: bool,
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
        let builder =
            TokioResolver::builder_with_config(self::nameservers(nameservers), TokioRuntimeProvider::default());
        Ok(Self { dns: builder.build().map_err(|cause| DnsSetupError { cause })? })
    }

    /// Asks the nameservers of the operating system.
    pub fn system() -> Result<Self, DnsSetupError> {
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Ok(Self { dns: built.map_err(|cause| DnsSetupError { cause })? })
    }

    /// What `read` makes of the records of this name and kind.
    ///
    /// Records of other kinds are passed over: the answer may hold the aliases (CNAME) that led to it too.
    async fn lookup<T>(
        &self,
        name: String,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Found<T>, ResolveError> {
        // With the final dot no search domain is appended.
        match self.dns.lookup(format!("{name}."), kind).await {
            Ok(found) => {
                let records = found.answers().iter().filter_map(|record| read(&record.data));
                Ok(Found { records: records.take(MAX_RECORDS).collect(), may_be_alias: true })
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                Ok(Found { records: Vec::new(), may_be_alias: !is_no_name(&none, &name) })
            }
            Err(cause) => Err(ResolveError::Lookup { name, cause: Box::new(cause) }),
        }
    }
}

#[async_trait]
impl Resolver for DnsResolver {
    async fn services(&self, service: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        let mut name = format!("{}.{}", service.label(), domain.to_ascii());
        // The library loses SRV records behind an alias: it takes their targets for the next name of the chain.
        for _ in 0..=MAX_ALIASES {
            let found = self.lookup(name.clone(), RecordType::SRV, srv_record).await?;
            if !found.records.is_empty() || !found.may_be_alias {
                return Ok(found.records);
            }
            match self.lookup(name, RecordType::CNAME, alias).await?.records.pop() {
                Some(canonical) => name = canonical,
                None => break,
            }
        }
        Ok(Vec::new())
    }

    async fn addresses(&self, family: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let kind = match family {
            Family::V6 => RecordType::AAAA,
            Family::V4 => RecordType::A,
        };
        Ok(self.lookup(host.trim_end_matches('.').to_owned(), kind, RData::ip_addr).await?.records)
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver").finish_non_exhaustive()
    }
}

/// These nameservers, by UDP and TCP, and no search domains.
pub(crate) fn nameservers(addresses: &[SocketAddr]) -> ResolverConfig {
    let servers = addresses.iter().map(|address| nameserver(*address)).collect();
    ResolverConfig::from_parts(None, Vec::new(), servers)
}

fn nameserver(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

/// Whether there is nothing of this very name, aliases included (RFC 8020).
fn is_no_name(none: &NoRecords, name: &str) -> bool {
    let asked = none.query.name().to_ascii();
    none.response_code == ResponseCode::NXDomain && asked.trim_end_matches('.').eq_ignore_ascii_case(name)
}

fn srv_record(data: &RData) -> Option<SrvRecord> {
    let RData::SRV(srv) = data else { return None };
    let target = srv.target.to_ascii();
    Some(SrvRecord { priority: srv.priority, weight: srv.weight, port: srv.port, target })
}

fn alias(data: &RData) -> Option<String> {
    let RData::CNAME(canonical) = data else { return None };
    Some(canonical.to_ascii().trim_end_matches('.').to_owned())
}

/// The address that a domainpart or host is, if it is one; IPv6 in brackets or without.
pub(crate) fn literal(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

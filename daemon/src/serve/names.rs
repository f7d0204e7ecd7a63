//! Names of hosts: those of other domains' servers and those of registered services, by the same nameservers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use convoke::gateways;
use convoke::s2s::resolver::{DnsSetupError, Resolver as _};
use convoke::s2s::{DnsResolver, Family};

/// The resolver for other domains: the named nameservers, or else the system's.
pub(super) fn resolver(nameservers: Option<&[SocketAddr]>) -> Result<Arc<DnsResolver>, DnsSetupError> {
    nameservers.map_or_else(DnsResolver::system, DnsResolver::new).map(Arc::new)
}

/// The same resolver, for the gateway.
#[derive(Debug)]
pub(super) struct HostNames(pub(super) Arc<DnsResolver>);

#[async_trait]
impl gateways::Resolver for HostNames {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match tokio::join!(self.0.addresses(Family::V6, host), self.0.addresses(Family::V4, host)) {
            (Err(error), Err(_)) => Err(io::Error::other(error)),
            (v6, v4) => Ok([v6, v4].into_iter().flatten().flatten().collect()),
        }
    }
}

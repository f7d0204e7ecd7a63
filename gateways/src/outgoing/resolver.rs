//! From host names to addresses, and the guard that stands between a service's name and the inside.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use super::address::is_public;

/// Turns a host name into addresses.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of a host; the caller sets the deadline.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A host name that leads where services may not live.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{host} has the special-purpose address {address} (RFC 6890)")]
pub(crate) struct SpecialAddress {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
}

/// The resolver of the HTTP client.
///
/// The client connects to exactly the addresses that come from here, so a name cannot be checked with one answer and
/// connected to with another (DNS rebinding).
pub(super) struct Guarded {
    pub(super) resolver: Arc<dyn Resolver>,
    /// Whether addresses of special purpose are refused; off for the targets that the configuration names.
    pub(super) only_public: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, only_public) = (Arc::clone(&self.resolver), self.only_public);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            if only_public {
                check_public(name.as_str(), &addresses)?;
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Refuses a host if any of its addresses is of special purpose.
pub(crate) fn check_public(host: &str, addresses: &[IpAddr]) -> Result<(), SpecialAddress> {
    match addresses.iter().find(|address| !is_public(**address)) {
        Some(address) => Err(SpecialAddress { host: host.to_owned(), address: *address }),
        None => Ok(()),
    }
}

//! Why the daemon does not serve although its configuration is right.

use std::io;
use std::net::SocketAddr;

use convoke::DomainError;
use convoke::cloud::{ResourceManagerError, SchedulerError};
use convoke::gateways::GatewayError;
use convoke::s2s::DaneError;
use convoke::s2s::resolver::DnsSetupError;
use convoke::store::StoreError;
use thiserror::Error;

/// What the environment did not allow.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// A socket cannot be opened.
    #[error("cannot listen on {address} ({key}): {cause}; stop whoever uses it, or configure another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's nameservers cannot be found out.
    #[error("{0}; name nameservers under [dns]")]
    Dns(#[from] DnsSetupError),
    /// DNS cannot be asked for TLSA records.
    #[error("{0}; name nameservers under [dns]")]
    Dane(#[from] DaneError),
    /// A domain cannot be started.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A resource manager cannot be started.
    #[error(transparent)]
    ResourceManager(#[from] ResourceManagerError),
    /// A scheduler cannot be started.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The gateway cannot be started.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The gateway ended by itself.
    #[error("the gateway's listener failed: {0}; start the daemon again")]
    Http(#[source] io::Error),
    /// Threads cannot be started.
    #[error("cannot start threads: {0}; raise the limit of processes or of memory")]
    Runtime(#[source] io::Error),
    /// Signals cannot be taken over.
    #[error("cannot take signals: {0}; raise the limit of open files")]
    Signals(#[source] io::Error),
    /// A second signal came during the shutdown.
    #[error("a second signal ({signal}) ended the shutdown; streams were not closed in order")]
    SecondSignal {
        /// Its name.
        signal: &'static str,
    },
    /// The outcome of a check cannot be told.
    #[error("cannot write to the standard output: {0}")]
    Output(#[source] io::Error),
}

//! Why a check could not be made, or what it found.

use std::io;
use std::net::SocketAddr;

use convoke::s2s::resolver::DnsSetupError;
use convoke_conformance::{AuthorityError, RunError, TargetError};
use thiserror::Error;

use crate::caller::CallerError;

/// Why a check did not end well.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CheckError {
    /// There is nobody to check as.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The authority is of no use.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// DNS cannot be used.
    #[error(transparent)]
    Dns(#[from] DnsSetupError),
    /// The server under test cannot be found.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The address of the server under test is none.
    #[error("cannot find {address}: {cause}; give HOST:PORT")]
    Address {
        /// The address as it was given.
        address: String,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The checker cannot listen.
    #[error("cannot listen on {address}: {cause}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// Nothing was checked.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The runtime cannot start.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The report cannot be written as JSON.
    #[error("cannot write the report as JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The report cannot be told.
    #[error("cannot write to the standard output: {0}")]
    Output(#[source] io::Error),
    /// The server breaks rules that MUST be kept.
    #[error("{domain} breaks {rules} rule{plural} that MUST be kept", plural = if *rules == 1 { "" } else { "s" })]
    RulesBroken {
        /// The domain under test.
        domain: String,
        /// How many.
        rules: usize,
    },
}

impl CheckError {
    /// Whether the command line or what it names is at fault.
    pub(crate) fn is_wrong_input(&self) -> bool {
        match self {
            Self::Caller(_) | Self::Authority(_) | Self::Address { .. } | Self::Run(RunError::NoCases) => true,
            Self::Dns(_)
            | Self::Target(_)
            | Self::Listen { .. }
            | Self::Run(_)
            | Self::Runtime(_)
            | Self::Json(_)
            | Self::Output(_)
            | Self::RulesBroken { .. } => false,
        }
    }
}

//! `convoke dial`: dials a domain once and tells everything that happened.

mod table;

use std::io::{self, Write as _};
use std::sync::Arc;

use convoke::s2s::resolver::DnsSetupError;
use convoke::s2s::{DaneError, DialReport, Federation, FederationConfig, FederationError};
use convoke::xmpp::{Domainpart, Origin, Router, Stanza, Undelivered};
use thiserror::Error;
use tokio::runtime::Builder;

use crate::caller::{Caller, CallerError};
use crate::cli::DialArguments;

use table::Table;

/// Why a domain was not dialled, or not reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DialError {
    /// There is nobody to dial as.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The domain to dial is the one to dial as.
    #[error("{0} would dial itself; name the domain of another server")]
    Itself(Domainpart),
    /// DNS cannot be used.
    #[error(transparent)]
    Dns(#[from] DnsSetupError),
    /// DNSSEC cannot be used.
    #[error(transparent)]
    Dane(#[from] DaneError),
    /// TLS cannot be used.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The runtime cannot start.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The report cannot be written.
    #[error("cannot write to the standard output: {0}")]
    Output(#[source] io::Error),
    /// The domain could not be reached; the report has been written.
    #[error("{remote} cannot be reached ({code})")]
    NotReached {
        /// The domain.
        remote: Domainpart,
        /// The code of the fault.
        code: String,
    },
}

impl DialError {
    /// Whether the command line or what it names is wrong.
    pub(crate) fn is_wrong_input(&self) -> bool {
        !matches!(self, Self::Dns(_) | Self::Dane(_) | Self::Runtime(_) | Self::Output(_) | Self::NotReached { .. })
    }
}

/// Dials and prints the report; fails unless a stream was established.
pub(crate) fn run(arguments: &DialArguments) -> Result<(), DialError> {
    let caller = Caller::read(&arguments.caller, "dials")?;
    let (local, remote) = (caller.local.name.clone(), &arguments.domain);
    if local == *remote {
        return Err(DialError::Itself(local));
    }
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(DialError::Runtime)?;
    let report = runtime.block_on(async {
        let resolver = Arc::new(caller.resolver()?);
        let evidence = caller.evidence(&resolver)?;
        let config = FederationConfig { evidence, ..FederationConfig::new(vec![caller.local], caller.trust, resolver) };
        let federation = Federation::new(config, Arc::new(Nobody))?;
        Ok::<_, DialError>(federation.dial(&local, remote).await)
    })?;
    runtime.shutdown_background();
    print(&report, arguments.json).map_err(DialError::Output)?;
    match &report.fault {
        None => Ok(()),
        Some(fault) => Err(DialError::NotReached { remote: remote.clone(), code: fault.code.to_string() }),
    }
}

fn print(report: &DialReport, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        return writeln!(out);
    }
    write!(out, "{}", Table(report))
}

/// Takes no stanza: who only dials has nobody to deliver to.
struct Nobody;

impl Router for Nobody {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        Err(Undelivered::new(stanza, convoke::xmpp::Condition::ServiceUnavailable))
    }

    fn undelivered(&self, _: Undelivered) {}
}

//! `convoke dial`: dials a domain once and tells everything that happened.

mod table;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convoke::net::{Credentials, CredentialsError, PemError, pem};
use convoke::s2s::resolver::DnsSetupError;
use convoke::s2s::{
    DialReport, DnsResolver, Federation, FederationConfig, FederationError, LocalDomain, Trust, TrustAnchors,
    TrustError,
};
use convoke::xmpp::{Domainpart, Origin, Router, Stanza, Undelivered};
use thiserror::Error;
use tokio::runtime::Builder;

use crate::cli::DialArguments;
use crate::config::{Config, Problem, system_roots};
use crate::failure::Failure;

use table::Table;

/// Why a domain was not dialled, or not reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DialError {
    /// The domain to dial as is not one of the configuration's.
    #[error("{from} is no domain of {}; use one of {}", .config.display(), .known.join(", "))]
    UnknownDomain {
        /// What was asked for.
        from: Domainpart,
        /// The configuration.
        config: PathBuf,
        /// Its domains.
        known: Vec<String>,
    },
    /// The domain to dial is the one to dial as.
    #[error("{0} would dial itself; name the domain of another server")]
    Itself(Domainpart),
    /// Nothing says as whom to dial.
    #[error("name a configuration by --config, or --from, --certificate and --key")]
    Nobody,
    /// Certificate and key cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A file of roots cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The roots cannot be used.
    #[error("the roots cannot be used: {0}")]
    Trust(#[from] TrustError),
    /// The system's roots cannot be used.
    #[error(transparent)]
    SystemRoots(Box<Problem>),
    /// DNS cannot be used.
    #[error(transparent)]
    Dns(#[from] DnsSetupError),
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
        !matches!(self, Self::Dns(_) | Self::Runtime(_) | Self::Output(_) | Self::NotReached { .. })
    }
}

/// As whom to dial, whom to believe and whom to ask.
struct Caller {
    local: LocalDomain,
    trust: Trust,
    nameservers: Option<Vec<std::net::SocketAddr>>,
}

/// Dials and prints the report; fails unless a stream was established.
pub(crate) fn run(arguments: &DialArguments) -> Result<(), Failure> {
    let caller = match &arguments.config {
        Some(file) => configured(file, arguments.from.as_ref())?,
        None => named(arguments)?,
    };
    Ok(dial(caller, arguments)?)
}

fn configured(file: &Path, from: Option<&Domainpart>) -> Result<Caller, Failure> {
    let config = Config::load(file)?;
    let known = || config.domains.iter().map(|domain| domain.name.to_string()).collect();
    let unknown =
        |from: &Domainpart| DialError::UnknownDomain { from: from.clone(), config: file.into(), known: known() };
    let domain = match from {
        Some(from) => config.domains.iter().find(|domain| domain.name == *from).ok_or_else(|| unknown(from))?,
        // A configuration without a domain was refused.
        None => &config.domains[0],
    };
    let local = LocalDomain { name: domain.name.clone(), credentials: domain.credentials.clone() };
    Ok(Caller { local, trust: config.trust, nameservers: config.nameservers })
}

fn named(arguments: &DialArguments) -> Result<Caller, DialError> {
    let (Some(name), Some(certificate), Some(key)) = (&arguments.from, &arguments.certificate, &arguments.key) else {
        return Err(DialError::Nobody);
    };
    let credentials = Credentials::from_files(certificate, key)?;
    let nameservers = Some(arguments.nameservers.clone()).filter(|named| !named.is_empty());
    let local = LocalDomain { name: name.clone(), credentials };
    Ok(Caller { local, trust: trust(&arguments.trust)?.into(), nameservers })
}

/// The roots of these files, or the system's.
fn trust(files: &[PathBuf]) -> Result<TrustAnchors, DialError> {
    let mut roots = Vec::new();
    for file in files {
        roots.extend(pem::certificates(file)?.iter().map(|root| root.to_vec()));
    }
    if files.is_empty() {
        roots = system_roots().map_err(|problem| DialError::SystemRoots(Box::new(problem)))?;
    }
    Ok(TrustAnchors::new(roots, Vec::new())?)
}

fn dial(caller: Caller, arguments: &DialArguments) -> Result<(), DialError> {
    let (local, remote) = (caller.local.name.clone(), &arguments.domain);
    if local == *remote {
        return Err(DialError::Itself(local));
    }
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(DialError::Runtime)?;
    let report = runtime.block_on(async {
        let resolver = caller.nameservers.as_deref().map_or_else(DnsResolver::system, DnsResolver::new)?;
        let config = FederationConfig::new(vec![caller.local], caller.trust, Arc::new(resolver));
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

//! As whom a command turns to another server: a domain of a configuration, or one described on the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convoke::net::{Credentials, CredentialsError, PemError, pem};
use convoke::s2s::resolver::DnsSetupError;
use convoke::s2s::{DaneError, DnsResolver, EvidenceRule, LocalDomain, Trust, TrustAnchors, TrustError};
use convoke::xmpp::Domainpart;
use thiserror::Error;

use crate::cli::CallerArguments;
use crate::config::{Config, ConfigError, EvidenceConfig, Problem, system_roots};
use crate::evidence;

/// As whom to turn to another server, whom to believe and whom to ask.
pub(crate) struct Caller {
    /// The domain, and what it proves itself by.
    pub(crate) local: LocalDomain,
    /// By what the other server is judged.
    pub(crate) trust: Trust,
    /// Which domains may vouch for themselves; none on the command line.
    evidence: EvidenceConfig,
    /// `None` for the system's.
    nameservers: Option<Vec<SocketAddr>>,
}

impl Caller {
    /// Reads all that the arguments name; `does` is what the caller is going to do, for the message that there is none.
    pub(crate) fn read(arguments: &CallerArguments, does: &'static str) -> Result<Self, CallerError> {
        let CallerArguments { config, from, certificate, key, trust, nameservers } = arguments;
        match (config, from, certificate, key) {
            (Some(file), from, ..) => configured(file, from.as_ref()),
            (None, Some(name), Some(certificate), Some(key)) => {
                let credentials = Credentials::from_files(certificate, key)?;
                let local = LocalDomain { name: name.clone(), credentials };
                let nameservers = Some(nameservers.clone()).filter(|named| !named.is_empty());
                Ok(Self { local, trust: anchors(trust)?.into(), evidence: EvidenceConfig::default(), nameservers })
            }
            _ => Err(CallerError::Nobody { does }),
        }
    }

    /// Asks the nameservers of the caller.
    pub(crate) fn resolver(&self) -> Result<DnsResolver, DnsSetupError> {
        self.nameservers.as_deref().map_or_else(DnsResolver::system, DnsResolver::new)
    }

    /// Whom the caller asks what other domains vouch for.
    pub(crate) fn evidence(&self, resolver: &Arc<DnsResolver>) -> Result<Vec<EvidenceRule>, DaneError> {
        evidence::rules(&self.evidence, self.nameservers.as_deref(), resolver)
    }
}

/// A domain of a configuration: the first one, unless another is named.
fn configured(file: &Path, from: Option<&Domainpart>) -> Result<Caller, CallerError> {
    let Config { domains, trust, evidence, nameservers, .. } = Config::load(file)?;
    // A configuration without a domain was refused.
    let from = from.unwrap_or(&domains[0].name);
    let Some(domain) = domains.iter().find(|domain| domain.name == *from) else {
        let known = domains.iter().map(|domain| domain.name.to_string()).collect();
        return Err(CallerError::UnknownDomain { from: from.clone(), config: file.into(), known });
    };
    let local = LocalDomain { name: domain.name.clone(), credentials: domain.credentials.clone() };
    Ok(Caller { local, trust, evidence, nameservers })
}

/// The roots of these files, or the system's.
fn anchors(files: &[PathBuf]) -> Result<TrustAnchors, CallerError> {
    let mut roots = Vec::new();
    for file in files {
        roots.extend(pem::certificates(file)?.iter().map(|root| root.to_vec()));
    }
    if files.is_empty() {
        roots = system_roots().map_err(|problem| CallerError::SystemRoots(Box::new(problem)))?;
    }
    Ok(TrustAnchors::new(roots, Vec::new())?)
}

/// Why there is nobody to turn to another server; it is always the input that is wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CallerError {
    /// It is not said who it is.
    #[error("say who {does}: --config FILE, or --from DOMAIN with --certificate FILE and --key FILE")]
    Nobody {
        /// What is to be done.
        does: &'static str,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The domain is not one of the configuration's.
    #[error("{from} is no domain of {}; use one of {}", .config.display(), .known.join(", "))]
    UnknownDomain {
        /// What was asked for.
        from: Domainpart,
        /// The configuration.
        config: PathBuf,
        /// Its domains.
        known: Vec<String>,
    },
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
}

//! The configuration: read, and wholly checked before any socket opens.
//!
//! [`Config::load`] parses the file (the model is in [`file`]) and everything that it names: certificates, keys, trust
//! anchors, revocation lists, tokens. A [`Config`] therefore holds no path that might be missing and no text that might
//! be malformed; what can still go wrong at run time is the environment's doing (a port in use, a full disk).

mod addresses;
mod check;
mod credentials;
mod error;
mod evidence;
mod file;
mod gateway;
mod named;
mod names;
mod roles;
mod s2s;
mod source;
mod trust;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use convoke::gateways::{Target, Tokens};
use convoke::net::Credentials;
use convoke::s2s::Trust;
use convoke::xmpp::{Domainpart, Jid};
use tracing_subscriber::EnvFilter;

pub(crate) use credentials::Certified;
pub(crate) use error::{ConfigError, Problem};
pub(crate) use evidence::EvidenceConfig;
pub(crate) use file::LogFormat;
pub(crate) use named::{Named, Part, Read, Trusted};
pub(crate) use roles::Role;
pub(crate) use s2s::S2sConfig;
pub(crate) use trust::system_roots;

use source::Source;

/// A configuration in which everything has been found, read and matched.
#[derive(Debug)]
pub(crate) struct Config {
    /// The domains, at least one; the first one is that of the gateway.
    pub(crate) domains: Vec<DomainConfig>,
    /// Whom to believe about other domains.
    pub(crate) trust: Trust,
    /// Which domains may vouch for themselves.
    pub(crate) evidence: EvidenceConfig,
    /// Where certificates and trust are kept, to be read again.
    pub(crate) named: Named,
    /// How to federate.
    pub(crate) s2s: S2sConfig,
    /// Which components run, and what they are told.
    pub(crate) roles: RolesConfig,
    /// The HTTP side; there if and only if the role is run.
    pub(crate) gateway: Option<GatewayConfig>,
    /// Where to resolve names; `None` for the system's nameservers.
    pub(crate) nameservers: Option<Vec<SocketAddr>>,
    /// The directory of the durable store; `None` for memory.
    pub(crate) store: Option<PathBuf>,
    /// What to log, and how.
    pub(crate) log: LogConfig,
    /// What is configured but not used, in words.
    pub(crate) unused: Vec<&'static str>,
}

/// One domain with what it proves itself by.
#[derive(Debug)]
pub(crate) struct DomainConfig {
    pub(crate) name: Domainpart,
    pub(crate) credentials: Credentials,
}

/// The components that run in each domain.
#[derive(Debug)]
pub(crate) struct RolesConfig {
    /// Which, in the order of [`Role::ALL`].
    pub(crate) run: Vec<Role>,
    /// The resource managers that schedulers ask.
    pub(crate) managers: Vec<Jid>,
    /// Who may lease how much.
    pub(crate) allow: Vec<AllowConfig>,
}

impl RolesConfig {
    /// Whether a component runs here.
    pub(crate) fn runs(&self, role: Role) -> bool {
        self.run.contains(&role)
    }
}

/// How many nodes a domain may lease.
#[derive(Debug)]
pub(crate) struct AllowConfig {
    pub(crate) domain: Domainpart,
    /// At least 1.
    pub(crate) nodes: u32,
}

/// The HTTP side.
#[derive(Debug)]
pub(crate) struct GatewayConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) tokens: Tokens,
    pub(crate) targets: Vec<Target>,
}

/// What to log, and how.
#[derive(Debug)]
pub(crate) struct LogConfig {
    pub(crate) filter: EnvFilter,
    pub(crate) format: LogFormat,
}

impl Config {
    /// Reads and checks a configuration file and everything that it names.
    ///
    /// Fails at the first fault, with an error of one line that names the file, the place, the key and the remedy.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::of_file(path, Problem::File(cause)))?;
        check::config(&Source::new(path, &text))
    }
}

#[cfg(test)]
mod tests;

//! What can be wrong with a configuration, each with its remedy.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use convoke::gateways::{TargetError, TokenError};
use convoke::net::{CredentialsError, PemError, roots::RootsError};
use convoke::s2s::{DnssecAnchorsError, IdentityError, PinError, TrustError};
use convoke::xmpp::{AddressError, Domainpart};
use thiserror::Error;
use tracing_subscriber::filter::ParseError;

/// A fault of the configuration: `FILE:LINE:COLUMN: KEY: what is wrong; what to do`.
#[derive(Debug, Error)]
#[error("{file}:{place} {problem}", file = file.display(), place = Written(place))]
pub(crate) struct ConfigError {
    /// The configuration file.
    pub(super) file: PathBuf,
    /// The place of the fault; `None` when it is the file as a whole.
    pub(super) place: Option<Place>,
    /// The fault.
    #[source]
    pub(super) problem: Box<Problem>,
}

impl ConfigError {
    /// A fault of the file as a whole.
    pub(super) fn of_file(file: &Path, problem: Problem) -> Self {
        Self { file: file.to_owned(), place: None, problem: Box::new(problem) }
    }
}

/// Where in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Both counted from 1.
    pub(super) line_and_column: (usize, usize),
    /// The dotted key, where there is one.
    pub(super) key: Option<String>,
}

struct Written<'a>(&'a Option<Place>);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Place { line_and_column: (line, column), key }) = self.0 else { return Ok(()) };
        write!(f, "{line}:{column}:")?;
        key.iter().try_for_each(|key| write!(f, " {key}:"))
    }
}

/// What is wrong, and the remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Problem {
    /// The configuration file itself cannot be read.
    #[error("cannot read the configuration: {0}; name an existing TOML file that this user may read")]
    File(#[source] io::Error),
    /// It is not TOML, or a value is of the wrong type.
    #[error("{}; correct the value", .0.message().trim_end())]
    Toml(#[source] Box<toml::de::Error>),
    /// A key is not known.
    #[error("unknown key {key:?}; {remedy}")]
    UnknownKey {
        /// The key.
        key: String,
        /// What may be meant.
        remedy: Remedy,
    },
    /// A key is missing.
    #[error("the key {key:?} is missing; add it to this table")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// There is no `[[domain]]`.
    #[error("there is no [[domain]]; add one with name, certificate and private_key")]
    NoDomain,
    /// A domain's name is no domain name.
    #[error("{name:?} is no domain name: {cause}; use one such as volunteers.example")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        cause: AddressError,
    },
    /// A resource manager's address is none.
    #[error("{address:?} is no address: {cause}; use one such as resources@volunteers.example")]
    Manager {
        /// The address.
        address: String,
        /// What is wrong with it.
        #[source]
        cause: AddressError,
    },
    /// Two tables have the same domain.
    #[error("{name} was named before; remove one of the two tables")]
    NameTwice {
        /// The domain.
        name: Domainpart,
    },
    /// A PEM file cannot be used.
    #[error(transparent)]
    Pem(PemError),
    /// The chain and the key are no credentials.
    #[error("{file}: {cause}", file = file.display())]
    Credentials {
        /// The file of the key.
        file: PathBuf,
        /// What is wrong.
        #[source]
        cause: CredentialsError,
    },
    /// The certificate cannot be read.
    #[error("{file}: the first certificate is not X.509; export it again", file = file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
    },
    /// The certificate is good for another domain.
    #[error("{file} does not name {domain} but {}; name the certificate of {domain}, or make one with `convoke certs`", listed(found), file = file.display())]
    OtherDomain {
        /// The file.
        file: PathBuf,
        /// The domain it was to name.
        domain: Domainpart,
        /// The names that it has, the first few.
        found: Vec<String>,
    },
    /// The certificate is of no use to a server.
    #[error("{file}: {cause}; name one that is issued for servers, or make one with `convoke certs`", file = file.display())]
    NoServer {
        /// The file.
        file: PathBuf,
        /// What peers would find.
        #[source]
        cause: IdentityError,
    },
    /// The certificate is out of date.
    #[error("{file} {}; renew it, or check the clock of this machine", if *.expired { "has expired" } else { "is not valid yet" }, file = file.display())]
    OutOfDate {
        /// The file.
        file: PathBuf,
        /// Whether it has expired; otherwise it is not valid yet.
        expired: bool,
    },
    /// A list that must not be empty is.
    #[error("the list is empty; {remedy}")]
    EmptyList {
        /// What to do.
        remedy: &'static str,
    },
    /// The system trusts nobody.
    #[error("without trust.roots the system's authorities are used: {0}")]
    SystemRoots(#[source] RootsError),
    /// A root or a revocation list cannot be used.
    #[error("{file}: {cause}; replace the file", file = file.display())]
    Trust {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: TrustError,
    },
    /// A pinned key is malformed.
    #[error("{text:?} is no pin: {cause}")]
    Pin {
        /// What is written.
        text: String,
        /// What a pin is.
        #[source]
        cause: PinError,
    },
    /// The roots and lists, each good for itself, cannot be used together.
    #[error("the trusted authorities cannot be used: {0}; name others under trust.roots")]
    Anchors(#[source] TrustError),
    /// No socket address.
    #[error("{text:?} is no socket address; use an IP address and a port, such as {example:?}")]
    SocketAddress {
        /// What is written.
        text: String,
        /// What it could be.
        example: &'static str,
    },
    /// No nameserver's address.
    #[error("{text:?} is no nameserver; use an IP address, with a port if it is not 53, such as \"127.0.0.1:5353\"")]
    Nameserver {
        /// What is written.
        text: String,
    },
    /// Two keys listen at one address.
    #[error("{address} is listened on by another entry already; choose another port")]
    ListenTwice {
        /// The address.
        address: SocketAddr,
    },
    /// A rate of nothing.
    #[error("0 bytes a second let nothing through; give at least 1, or name the domains under s2s.block")]
    NoRate,
    /// A pattern of domains is none.
    #[error("{text:?} is no domain: {cause}; use one such as b.example, or *.b.example for all below it")]
    Pattern {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: AddressError,
    },
    /// An address is to vouch for itself.
    #[error("{text:?} is an address, which vouches for nothing; use a domain such as b.example")]
    AddressVouches {
        /// What is written.
        text: String,
    },
    /// The file of DNSSEC keys cannot be read.
    #[error("cannot read {file}: {cause}; name a file with DNSKEY records", file = file.display())]
    DnssecAnchorsFile {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The file of DNSSEC keys holds something else.
    #[error("{file}: {cause}; name a file with DNSKEY records", file = file.display())]
    DnssecAnchors {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: DnssecAnchorsError,
    },
    /// The file of the dialback secret cannot be read.
    #[error("cannot read {file}: {cause}; make it with `openssl rand -base64 48 -out {file}`", file = file.display())]
    DialbackSecretFile {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The dialback secret can be guessed.
    #[error("{file} holds {bytes} bytes, and a secret has {least} at least; make it with `openssl rand -base64 48 -out {file}`", file = file.display())]
    DialbackSecretTooShort {
        /// The file.
        file: PathBuf,
        /// How long it is.
        bytes: usize,
        /// How long it has to be.
        least: usize,
    },
    /// There is no such role.
    #[error("there is no role {name:?}; {remedy}")]
    UnknownRole {
        /// What is written.
        name: String,
        /// What may be meant.
        remedy: Remedy,
    },
    /// A role is named twice.
    #[error("the role {name:?} was named before; remove one of the two")]
    RoleTwice {
        /// The role.
        name: &'static str,
    },
    /// The resource manager has nowhere durable to keep its epochs.
    #[error(
        "the role \"resources\" needs a durable store: a lease must outlive a restart; add [store] with path = \"data/\""
    )]
    ResourcesWithoutStore,
    /// There is no `[gateway]`.
    #[error("the role \"gateway\" needs a [gateway] table; add it with listen and tokens, or remove the role")]
    GatewayWithoutTable,
    /// An allowance of nothing.
    #[error("0 nodes allow nothing; give at least 1, or remove the table")]
    NoNodes,
    /// The token file cannot be used.
    #[error("{}", tokens(.0))]
    Tokens(#[source] TokenError),
    /// A target is malformed.
    #[error(transparent)]
    Target(TargetError),
    /// The store's path is not a directory.
    #[error("{path} is not a directory; name a directory, which is made if it is not there", path = path.display())]
    StorePath {
        /// The path.
        path: PathBuf,
    },
    /// The log filter is malformed.
    #[error("{text:?} is no log filter: {cause}; use one such as \"info\" or \"convoke=debug,warn\"")]
    LogFilter {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: ParseError,
    },
}

/// What may have been meant by a word that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The known word that is nearest, if one is near.
    pub(super) meant: Option<String>,
    /// All known words.
    pub(super) known: Vec<String>,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.meant, self.known.is_empty()) {
            (Some(word), _) => write!(f, "did you mean {word:?}?"),
            (None, false) => write!(f, "use one of {}", self.known.join(", ")),
            (None, true) => f.write_str("remove it"),
        }
    }
}

/// The names of a certificate.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "no domain at all".to_owned() } else { names.join(", ") }
}

/// A malformed file's own message would be several lines.
fn tokens(error: &TokenError) -> String {
    match error {
        TokenError::Read { path, cause } if cause.kind() == io::ErrorKind::NotFound => {
            let path = path.display();
            format!(
                "there is no token file {path}; make one with `convoke token add NAME --scope SCOPE --tokens {path}`"
            )
        }
        TokenError::Format { path, cause } => {
            format!(
                "{} is no token file: {}; restore it, or make a new one with `convoke token add`",
                path.display(),
                cause.message()
            )
        }
        other => other.to_string(),
    }
}

//! What of a configuration is read again while the daemon runs.

use std::fs;
use std::path::{Path, PathBuf};

use convoke::s2s::Trust;
use convoke::xmpp::Domainpart;

use super::credentials::{self, Certified};
use super::error::{ConfigError, Problem};
use super::evidence::{self, EvidenceConfig};
use super::file::{DnsTable, DomainTable, TrustTable};
use super::source::Source;
use super::{check, trust};

/// Where certificates and keys are kept, as the configuration said it at the start, and whom to trust, as it says now.
///
/// A fault that is found later is told as it would have been at the start, with the line that names the file.
#[derive(Debug)]
pub(crate) struct Named {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) domains: Vec<(Domainpart, DomainTable)>,
    pub(super) trust: NamedTrust,
}

/// `[trust]` and what it needs of `[dns]`, with the text in which they stand.
#[derive(Debug)]
pub(super) struct NamedTrust {
    pub(super) text: String,
    pub(super) trust: TrustTable,
    pub(super) dns: DnsTable,
}

/// Something that can be read again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The certificate and key of this domain.
    Credentials(Domainpart),
    /// Roots, revocation lists, and who may vouch for himself.
    Trust,
}

/// What was read again.
#[derive(Debug)]
pub(crate) enum Read {
    Credentials(Domainpart, Result<Certified, ConfigError>),
    Trust(Result<Trusted, ConfigError>),
}

/// Whom to believe about other domains.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) trust: Trust,
    pub(crate) evidence: EvidenceConfig,
}

impl Named {
    /// Takes `[trust]` from the configuration file as it is now. The rest of the file counts from the next start on.
    pub(crate) fn read_again(&mut self) -> Result<(), ConfigError> {
        let path = &self.path;
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::of_file(path, Problem::File(cause)))?;
        let file = check::parse(&Source::new(path, &text))?;
        self.trust = NamedTrust { text, trust: file.trust, dns: file.dns };
        Ok(())
    }

    /// Every part, with the files that it is made of.
    pub(crate) fn parts(&self) -> Vec<(Part, Vec<PathBuf>)> {
        let source = Source::new(&self.path, &self.text);
        let files_of = |table: &DomainTable| {
            [&table.certificate, &table.private_key].map(|file| source.resolve(file.get_ref())).to_vec()
        };
        let mut parts: Vec<_> =
            self.domains.iter().map(|(name, table)| (Part::Credentials(name.clone()), files_of(table))).collect();
        parts.push((Part::Trust, self.trust.files(&self.path)));
        parts
    }

    /// Reads a part as it is now; `None` for a domain that the configuration does not have.
    pub(crate) fn read(&self, part: &Part) -> Option<Read> {
        match part {
            Part::Credentials(domain) => {
                let source = Source::new(&self.path, &self.text);
                let (name, table) = self.domains.iter().find(|(name, _)| name == domain)?;
                Some(Read::Credentials(name.clone(), credentials::credentials(&source, table, name)))
            }
            Part::Trust => Some(Read::Trust(self.trust.read(&self.path))),
        }
    }
}

impl NamedTrust {
    fn files(&self, path: &Path) -> Vec<PathBuf> {
        let source = Source::new(path, &self.text);
        let anchors = self.dns.dnssec_anchors.iter().map(toml::Spanned::get_ref);
        self.trust.files().chain(anchors).map(|file| source.resolve(file)).collect()
    }

    fn read(&self, path: &Path) -> Result<Trusted, ConfigError> {
        let source = Source::new(path, &self.text);
        let evidence = evidence::evidence(&source, &self.trust, &self.dns)?;
        Ok(Trusted { trust: trust::trust(&source, &self.trust)?, evidence })
    }
}

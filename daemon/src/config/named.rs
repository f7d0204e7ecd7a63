//! The files that a configuration names, to be read again while the daemon runs.

use std::path::PathBuf;

use convoke::s2s::Trust;
use convoke::xmpp::Domainpart;

use super::credentials::{self, Certified};
use super::error::ConfigError;
use super::file::{DomainTable, TrustTable};
use super::source::Source;
use super::trust;

/// Where certificates, keys and trust are kept, as the configuration said it at the start.
///
/// A fault that is found later is told as it would have been at the start, with the line that names the file.
#[derive(Debug)]
pub(crate) struct Named {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) domains: Vec<(Domainpart, DomainTable)>,
    pub(super) trust: TrustTable,
}

/// Something that can be read again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The certificate and key of this domain.
    Credentials(Domainpart),
    /// Roots and revocation lists.
    Trust,
}

/// What was read again.
#[derive(Debug)]
pub(crate) enum Read {
    Credentials(Domainpart, Result<Certified, ConfigError>),
    Trust(Result<Trust, ConfigError>),
}

impl Named {
    /// Every part, with the files that it is made of.
    pub(crate) fn parts(&self) -> Vec<(Part, Vec<PathBuf>)> {
        let source = self.source();
        let files_of = |table: &DomainTable| {
            [&table.certificate, &table.private_key].map(|file| source.resolve(file.get_ref())).to_vec()
        };
        let mut parts: Vec<_> =
            self.domains.iter().map(|(name, table)| (Part::Credentials(name.clone()), files_of(table))).collect();
        parts.push((Part::Trust, self.trust.files().map(|file| source.resolve(file)).collect()));
        parts
    }

    /// Reads a part as it is now; `None` for a domain that the configuration does not have.
    pub(crate) fn read(&self, part: &Part) -> Option<Read> {
        let source = self.source();
        match part {
            Part::Credentials(domain) => {
                let (name, table) = self.domains.iter().find(|(name, _)| name == domain)?;
                Some(Read::Credentials(name.clone(), credentials::credentials(&source, table, name)))
            }
            Part::Trust => Some(Read::Trust(trust::trust(&source, &self.trust))),
        }
    }

    fn source(&self) -> Source<'_> {
        Source::new(&self.path, &self.text)
    }
}

//! What a domain proves itself by.

use std::time::SystemTime;

use convoke::net::{Credentials, pem};
use convoke::xmpp::Domainpart;

use super::certificate::{self, Fault};
use super::error::{ConfigError, Problem};
use super::file::DomainTable;
use super::source::Source;

/// Reads the certificate chain and the key of a domain, which must belong to each other and to it.
pub(super) fn credentials(
    source: &Source<'_>,
    table: &DomainTable,
    domain: &Domainpart,
) -> Result<Credentials, ConfigError> {
    let file = source.resolve(table.certificate.get_ref());
    let chain = pem::certificates(&file).map_err(|cause| source.at(&table.certificate, Problem::Pem(cause)))?;
    // The reader gives no empty chain.
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    certificate::check(own, domain, SystemTime::now())
        .map_err(|fault| source.at(&table.certificate, of_certificate(fault, file, domain)))?;
    let file = source.resolve(table.private_key.get_ref());
    let key = pem::private_key(&file).map_err(|cause| source.at(&table.private_key, Problem::Pem(cause)))?;
    let unusable = |cause| source.at(&table.private_key, Problem::Credentials { file, cause });
    Credentials::new(chain, key).map_err(unusable)
}

fn of_certificate(fault: Fault, file: std::path::PathBuf, domain: &Domainpart) -> Problem {
    match fault {
        Fault::Unreadable => Problem::Certificate { file },
        Fault::OutOfDate { expired } => Problem::OutOfDate { file, expired },
        Fault::OtherNames(found) => Problem::OtherDomain { file, domain: domain.clone(), found },
    }
}

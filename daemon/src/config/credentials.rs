//! What a domain proves itself by.

use std::path::PathBuf;
use std::time::SystemTime;

use convoke::net::{Credentials, pem};
use convoke::s2s::IdentityError;
use convoke::s2s::identity::check_own;
use convoke::xmpp::Domainpart;

use super::error::{ConfigError, Problem};
use super::file::DomainTable;
use super::source::Source;

/// Credentials, and how long they are good for.
#[derive(Debug)]
pub(crate) struct Certified {
    pub(crate) credentials: Credentials,
    pub(crate) not_after: SystemTime,
}

/// Reads the certificate chain and the key of a domain, which must belong to each other and to it.
pub(super) fn credentials(
    source: &Source<'_>,
    table: &DomainTable,
    domain: &Domainpart,
) -> Result<Certified, ConfigError> {
    let file = source.resolve(table.certificate.get_ref());
    let chain = pem::certificates(&file).map_err(|cause| source.at(&table.certificate, Problem::Pem(cause)))?;
    // The reader gives no empty chain.
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let not_after = check_own(own, domain, SystemTime::now())
        .map_err(|fault| source.at(&table.certificate, of_certificate(fault, file, domain)))?;
    let file = source.resolve(table.private_key.get_ref());
    let key = pem::private_key(&file).map_err(|cause| source.at(&table.private_key, Problem::Pem(cause)))?;
    let unusable = |cause| source.at(&table.private_key, Problem::Credentials { file, cause });
    Ok(Certified { credentials: Credentials::new(chain, key).map_err(unusable)?, not_after })
}

fn of_certificate(fault: IdentityError, file: PathBuf, domain: &Domainpart) -> Problem {
    match fault {
        IdentityError::Unreadable => Problem::Certificate { file },
        IdentityError::Expired => Problem::OutOfDate { file, expired: true },
        IdentityError::NotYetValid => Problem::OutOfDate { file, expired: false },
        IdentityError::WrongName { found, .. } => Problem::OtherDomain { file, domain: domain.clone(), found },
        cause => Problem::NoServer { file, cause },
    }
}

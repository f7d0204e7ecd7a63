//! `convoke certs`: an authority and certificates for a federation on one machine.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use convoke::xmpp::Domainpart;
use convoke_dev::{AUTHORITY_CERTIFICATE_FILE, AUTHORITY_KEY_FILE, CertificateAuthority, CertificateError, Subject};
use thiserror::Error;

use crate::cli::CertsArguments;

/// The subject of the authority: whoever meets it in a trust store shall know what it is.
const AUTHORITY_NAME: &str = "Convoke development CA";

/// Why certificates could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CertsError {
    /// Making, reading or writing one failed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// What was written cannot be told.
    #[error("cannot write to the standard output: {0}")]
    Output(#[source] io::Error),
}

/// Makes the certificates and prints what was written.
pub(crate) fn run(arguments: &CertsArguments) -> Result<(), CertsError> {
    let written = make(&arguments.out, &arguments.names, arguments.xmpp_addr)?;
    io::stdout().write_all(written.as_bytes()).map_err(CertsError::Output)
}

/// Makes the certificates and says, a line each, what was written or kept.
fn make(directory: &Path, names: &[Domainpart], xmpp_addr: bool) -> Result<String, CertificateError> {
    let certificate = directory.join(AUTHORITY_CERTIFICATE_FILE);
    let done = if certificate.exists() { "kept" } else { "wrote" };
    let authority = CertificateAuthority::load_or_create(directory, AUTHORITY_NAME)?;
    let key = directory.join(AUTHORITY_KEY_FILE);
    let mut report = format!("{done} {} and {} (the authority)\n", certificate.display(), key.display());
    for name in names {
        let issued = authority.issue(&Subject::domain(name.as_str()).xmpp_addr(xmpp_addr))?;
        let (chain, key) = issued.write_to(directory, name.as_str())?;
        // Writing to a String cannot fail.
        let _ = writeln!(report, "wrote {} and {}", chain.display(), key.display());
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(names: &[&str]) -> Vec<Domainpart> {
        names.iter().map(|name| Domainpart::new(name).unwrap()).collect()
    }

    #[test]
    fn a_second_run_keeps_the_authority_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let first = make(directory.path(), &names(&["a.example", "b.example"]), false).unwrap();
        let authority = fs::read(directory.path().join("ca.pem")).unwrap();
        let second = make(directory.path(), &names(&["c.example"]), false).unwrap();
        assert_eq!(fs::read(directory.path().join("ca.pem")).unwrap(), authority);
        assert!(first.starts_with("wrote ") && first.lines().count() == 3, "{first}");
        assert!(second.starts_with("kept ") && second.lines().count() == 2, "{second}");
        for name in ["a.example", "b.example", "c.example"] {
            assert!(directory.path().join(format!("{name}.pem")).is_file(), "{name}");
            assert!(directory.path().join(format!("{name}.key")).is_file(), "{name}");
        }
    }
}

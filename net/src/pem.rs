//! Certificates, keys and revocation lists from PEM (RFC 7468).
//!
//! The only file that uses `rustls-pemfile`. That crate is no longer maintained (it is a thin layer over
//! `rustls-pki-types`, whose `PemObject` is its successor), so it is kept where it can be replaced in one place.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Why a PEM file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}; check that the file exists and that this user may read it", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The file is not PEM.
    #[error("{path} is not valid PEM: {cause}; export it again as PEM (\"-----BEGIN ...\")", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        cause: io::Error,
    },
    /// The file holds nothing of the kind that was wanted.
    #[error("{path} holds no {wanted}; name a PEM file with one", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What was wanted.
        wanted: &'static str,
    },
}

/// Reads all certificates of a file, in order: a chain, or a set of roots. Fails if there is none.
pub fn certificates(path: impl AsRef<Path>) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let path = path.as_ref();
    certificates_in(&read(path)?, path)
}

/// Reads the first private key of a file: PKCS #8, PKCS #1 or SEC 1. Fails if there is none.
pub fn private_key(path: impl AsRef<Path>) -> Result<PrivateKeyDer<'static>, PemError> {
    let path = path.as_ref();
    private_key_in(&read(path)?, path)
}

/// Reads all certificate revocation lists of a file. Fails if there is none.
pub fn revocation_lists(path: impl AsRef<Path>) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let path = path.as_ref();
    let content = read(path)?;
    at_least_one(rustls_pemfile::crls(&mut &*content).collect(), path, "certificate revocation list")
}

/// Reads all certificates of a text; `origin` is what errors name in place of a file.
pub fn certificates_in(pem: &[u8], origin: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    at_least_one(rustls_pemfile::certs(&mut &*pem).collect(), origin, "certificate")
}

/// Reads the first private key of a text; `origin` is what errors name in place of a file.
pub fn private_key_in(pem: &[u8], origin: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    rustls_pemfile::private_key(&mut &*pem)
        .map_err(|cause| PemError::Malformed { path: origin.to_owned(), cause })?
        .ok_or_else(|| PemError::Missing { path: origin.to_owned(), wanted: "private key (unencrypted)" })
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|cause| PemError::Read { path: path.to_owned(), cause })
}

fn at_least_one<T>(found: Result<Vec<T>, io::Error>, origin: &Path, wanted: &'static str) -> Result<Vec<T>, PemError> {
    let found = found.map_err(|cause| PemError::Malformed { path: origin.to_owned(), cause })?;
    if found.is_empty() {
        return Err(PemError::Missing { path: origin.to_owned(), wanted });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "some.pem";

    #[test]
    fn names_the_file_and_what_is_missing_from_it() {
        let error = certificates_in(b"nothing here", Path::new(ORIGIN)).unwrap_err();
        assert_eq!(error.to_string(), "some.pem holds no certificate; name a PEM file with one");
        let error = private_key_in(b"", Path::new(ORIGIN)).unwrap_err();
        assert!(error.to_string().starts_with("some.pem holds no private key"), "{error}");
    }

    #[test]
    fn names_a_file_that_cannot_be_read() {
        let error = revocation_lists("/nonexistent/list.crl").unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nonexistent/list.crl: "), "{error}");
    }

    #[test]
    fn refuses_broken_pem() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(certificates_in(broken, Path::new(ORIGIN)), Err(PemError::Malformed { .. })));
    }
}

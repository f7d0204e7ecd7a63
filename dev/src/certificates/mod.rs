//! A development certificate authority and the certificates it issues.

mod authority;
mod der;
mod files;
mod subject;

use std::io;
use std::path::PathBuf;

pub use authority::{AUTHORITY_CERTIFICATE_FILE, AUTHORITY_KEY_FILE, CertificateAuthority, Issued};
pub use subject::{Eku, Subject};

/// Why a certificate could not be issued, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A name has no form that a certificate can carry.
    #[error("{name:?} is not a domain name that a certificate can carry; use one like \"volunteers.example\"")]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// Making a key or signing failed.
    #[error("cannot issue a certificate for {name:?}: {cause}")]
    Issue {
        /// Whose certificate it was to be.
        name: String,
        /// What the generator said.
        #[source]
        cause: rcgen::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// A file or its directory could not be written.
    #[error("cannot write {path}: {cause}", path = path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// A file does not hold what its name says.
    #[error("{path} is not {expected}; restore it, or move the whole directory away to start a new authority", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The key of the authority is not the one that its certificate names.
    #[error("{key} does not belong to {certificate}; restore the right one, or move both away to start a new authority", key = key.display(), certificate = certificate.display())]
    KeyMismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
    },
}

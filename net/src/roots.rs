//! The authorities that the operating system trusts.

use thiserror::Error;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// Why the system's authorities cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The system has no usable list of authorities.
    #[error("the system has no trusted authorities ({reasons}); install ca-certificates or name root files")]
    None {
        /// What went wrong on the way, joined.
        reasons: String,
    },
}

/// The certificates of the authorities that the operating system trusts.
///
/// Certificates that cannot be read are left out; fails only if none is left.
pub fn system() -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(RootsError::None { reasons: reasons.join("; ") });
    }
    Ok(found.certs)
}

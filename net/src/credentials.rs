//! What a domain proves itself with: a certificate chain and its private key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::pem::{self, PemError};
use crate::provider::provider;

/// The certificate chain of one domain and the key that belongs to it. Cheap to clone; the key is never shown.
#[derive(Clone)]
pub struct Credentials(Arc<CertifiedKey>);

/// Why a chain and a key are no credentials.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate; name the key that the certificate was issued for")]
    KeyMismatch,
    /// The key or the certificate is of a kind that the crypto provider does not know.
    #[error("the certificate or its key cannot be used: {cause}; use an ECDSA P-256, Ed25519 or RSA key in PKCS #8")]
    Unusable {
        /// What the TLS library said.
        #[source]
        cause: rustls::Error,
    },
}

impl Credentials {
    /// Takes a chain, its own certificate first, and the key of that certificate; checks that they belong together.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, CredentialsError> {
        // `from_der` compares the public keys; a provider that cannot is no reason to refuse.
        match CertifiedKey::from_der(chain, key, &provider()) {
            Ok(key) => Ok(Self(Arc::new(key))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CredentialsError::KeyMismatch),
            Err(cause) => Err(CredentialsError::Unusable { cause }),
        }
    }

    /// Reads them from two PEM files.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, CredentialsError> {
        Self::new(pem::certificates(chain)?, pem::private_key(key)?)
    }

    /// Reads them from two PEM texts.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CredentialsError> {
        let chain = pem::certificates_in(chain.as_bytes(), Path::new("the given certificate chain"))?;
        Self::new(chain, pem::private_key_in(key.as_bytes(), Path::new("the given private key"))?)
    }

    /// The chain as it is shown to peers, the domain's own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// The chain and the key as the TLS library takes them, for handshakes that [`TlsContext`](crate::TlsContext) does not make.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

/// The private key stays out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("certificates", &self.chain().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use convoke_dev::{CertificateAuthority, Subject};

    use super::*;

    #[test]
    fn refuses_a_key_that_belongs_to_another_certificate() {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let a = authority.issue(&Subject::domain("a.example")).unwrap();
        let b = authority.issue(&Subject::domain("b.example")).unwrap();
        assert!(Credentials::from_pem(&a.chain_pem, &a.key_pem).is_ok());
        assert!(matches!(Credentials::from_pem(&a.chain_pem, &b.key_pem), Err(CredentialsError::KeyMismatch)));
    }

    #[test]
    fn does_not_show_the_key() {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let issued = authority.issue(&Subject::domain("a.example")).unwrap();
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials { certificates: 1, .. }");
    }
}

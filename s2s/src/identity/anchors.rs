//! Whom to trust: root certificates and revocation lists.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use thiserror::Error;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy, anchor_from_trusted_cert,
};

/// Root certificates, and the certificate revocation lists that apply below them.
///
/// A revocation list speaks for its own issuer only: certificates of an issuer without one are not thereby refused.
/// A list that has expired proves nothing, so certificates of its issuer are refused until there is a newer one.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct TrustAnchors(Arc<Anchors>);

struct Anchors {
    roots: Vec<TrustAnchor<'static>>,
    revocation_lists: Vec<CertRevocationList<'static>>,
}

/// Why something configured cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no root certificate, so nobody could ever be verified.
    #[error("there is no root certificate")]
    NoRoots,
    /// A text is not PEM (RFC 7468).
    #[error("it is not valid PEM; export it again as PEM (\"-----BEGIN ...\")")]
    Pem,
    /// A root is no X.509 certificate.
    #[error("root certificate number {number} is no X.509 certificate in DER")]
    Root {
        /// Which one, counted from 1.
        number: usize,
    },
    /// A revocation list cannot be used.
    #[error("revocation list number {number} is no complete X.509 v2 CRL in DER")]
    RevocationList {
        /// Which one, counted from 1.
        number: usize,
    },
}

impl TrustAnchors {
    /// Reads roots and revocation lists, each as DER.
    pub fn new(roots: Vec<Vec<u8>>, revocation_lists: Vec<Vec<u8>>) -> Result<Self, TrustError> {
        if roots.is_empty() {
            return Err(TrustError::NoRoots);
        }
        let numbered = |list: Vec<Vec<u8>>| list.into_iter().zip(1..);
        Ok(Self(Arc::new(Anchors {
            roots: numbered(roots).map(|(der, number)| read_root(der, number)).collect::<Result<_, _>>()?,
            revocation_lists: numbered(revocation_lists)
                .map(|(der, number)| read_revocation_list(&der, number))
                .collect::<Result<_, _>>()?,
        })))
    }

    /// Reads a PEM text (RFC 7468): every certificate in it is a root, and every CRL a revocation list.
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        let (mut roots, mut revocation_lists) = (Vec::new(), Vec::new());
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            match section.map_err(|_| TrustError::Pem)? {
                (SectionKind::Certificate, der) => roots.push(der),
                (SectionKind::Crl, der) => revocation_lists.push(der),
                _ => {}
            }
        }
        Self::new(roots, revocation_lists)
    }

    pub(super) fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.0.roots
    }

    pub(super) fn revocation_lists(&self) -> Vec<&CertRevocationList<'static>> {
        self.0.revocation_lists.iter().collect()
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustAnchors")
            .field("roots", &self.0.roots.len())
            .field("revocation_lists", &self.0.revocation_lists.len())
            .finish()
    }
}

/// The whole path is checked, and by lists that are in force. `None` without any list.
pub(super) fn revocation<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    // webpki's own default would ignore that a list has expired.
    let options = options.with_expiration_policy(ExpirationPolicy::Enforce);
    Some(options.with_status_policy(UnknownStatusPolicy::Allow).build())
}

fn read_root(der: Vec<u8>, number: usize) -> Result<TrustAnchor<'static>, TrustError> {
    let certificate = CertificateDer::from(der);
    let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| TrustError::Root { number })?;
    Ok(anchor.to_owned())
}

fn read_revocation_list(der: &[u8], number: usize) -> Result<CertRevocationList<'static>, TrustError> {
    let list = OwnedCertRevocationList::from_der(der).map_err(|_| TrustError::RevocationList { number })?;
    Ok(list.into())
}

//! Why a certificate proves nothing.

use convoke_xmpp::Domainpart;
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use super::{MAX_CHAIN_LENGTH, names, parse};

/// Why the certificates of a peer do not prove that it is the domain in question.
///
/// The text names what was found; it goes into logs and, as the text of the stream error, to the peer, whose operator
/// can mend it only if told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The peer showed no certificate.
    #[error("no certificate was shown for {0}")]
    NoCertificate(Domainpart),
    /// The peer showed more certificates than any proper chain has.
    #[error("{certificates} certificates were shown, and {MAX_CHAIN_LENGTH} are the limit")]
    ChainTooLong {
        /// How many.
        certificates: usize,
    },
    /// A certificate is not X.509 as RFC 5280 profiles it.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// No configured root has issued it.
    #[error("the certificate was issued by {issuer}, which is not trusted")]
    UnknownIssuer {
        /// The issuer that the certificate names.
        issuer: String,
    },
    /// A certificate of the path is no longer valid.
    #[error("the certificate has expired")]
    Expired,
    /// A certificate of the path is not valid yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate is that of a certification authority, not that of a server.
    #[error("the certificate is that of a certification authority")]
    CertificationAuthority,
    /// The extended key usage does not include `serverAuth`.
    #[error("the extended key usage of the certificate does not include serverAuth")]
    Usage,
    /// A certificate of the path was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// The revocation list that would say whether it was revoked has expired.
    #[error("the revocation list of the certificate's issuer has expired")]
    RevocationListExpired,
    /// A signature of the path is wrong.
    #[error("a signature of the certificate's path is wrong")]
    Signature,
    /// A name constraint of an authority on the path forbids the certificate.
    #[error("a name constraint of the certificate's issuer forbids it")]
    NameConstraint,
    /// A certificate of the path is signed by an algorithm that is not accepted, such as one with SHA-1.
    #[error("a certificate of the path is signed by an algorithm that is not accepted")]
    Algorithm,
    /// A certificate of the path was issued by one that may not issue any.
    #[error("an issuer of the path is no certification authority")]
    IssuerIsNoAuthority,
    /// The path is longer than an authority on it allows (RFC 5280, section 4.2.1.9).
    #[error("the path is longer than an authority on it allows")]
    PathLength,
    /// A revocation list of an issuer on the path cannot be believed.
    #[error("the revocation list of the certificate's issuer cannot be believed: {0}")]
    RevocationList(webpki::Error),
    /// Another rule of RFC 5280 is broken.
    #[error("no valid path leads to the certificate: {0}")]
    Path(webpki::Error),
    /// It is a good certificate of somebody else.
    #[error("the certificate does not name {expected} but {}", names::listed(found))]
    WrongName {
        /// The domain that it should name.
        expected: Domainpart,
        /// The names that it has, the first few, escaped.
        found: Vec<String>,
    },
    /// It is a good certificate of the domain, but for none of the keys that are pinned.
    #[error("no key of the certificate's path is among those pinned for {0}")]
    NotPinned(Domainpart),
    /// The domain says in its DNS which certificates are its own, and this is none of them.
    #[error("no TLSA record of {0} vouches for the certificate")]
    NotVouched(Domainpart),
}

impl IdentityError {
    /// The fault as a word of lower-case letters and hyphens, for reports and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoCertificate(_) => "no-certificate",
            Self::ChainTooLong { .. } => "chain-too-long",
            Self::Unreadable => "unreadable",
            Self::UnknownIssuer { .. } => "unknown-issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::CertificationAuthority => "certification-authority",
            Self::Usage => "usage",
            Self::Revoked => "revoked",
            Self::RevocationListExpired => "revocation-list-expired",
            Self::Signature => "signature",
            Self::NameConstraint => "name-constraint",
            Self::Algorithm => "algorithm",
            Self::IssuerIsNoAuthority => "issuer-is-no-authority",
            Self::PathLength => "path-length",
            Self::RevocationList(_) => "revocation-list",
            Self::Path(_) => "path",
            Self::WrongName { .. } => "wrong-name",
            Self::NotPinned(_) => "not-pinned",
            Self::NotVouched(_) => "not-vouched",
        }
    }

    pub(super) fn path(error: webpki::Error, leaf: &CertificateDer<'_>) -> Self {
        use webpki::Error;
        match error {
            Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => Self::Unreadable,
            Error::UnknownIssuer => Self::UnknownIssuer { issuer: issuer_of(leaf) },
            Error::CertExpired { .. } => Self::Expired,
            Error::CertNotValidYet { .. } => Self::NotYetValid,
            Error::CaUsedAsEndEntity => Self::CertificationAuthority,
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Self::Usage,
            Error::CertRevoked => Self::Revoked,
            Error::CrlExpired { .. } => Self::RevocationListExpired,
            Error::InvalidSignatureForPublicKey => Self::Signature,
            Error::NameConstraintViolation => Self::NameConstraint,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Self::Algorithm,
            Error::EndEntityUsedAsCa => Self::IssuerIsNoAuthority,
            Error::PathLenConstraintViolated => Self::PathLength,
            Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::RevocationList(error),
            other => Self::Path(other),
        }
    }
}

fn issuer_of(leaf: &CertificateDer<'_>) -> String {
    match parse(leaf) {
        Ok(certificate) => names::printable(&certificate.issuer().to_string()),
        Err(_) => "an unreadable name".to_owned(),
    }
}

//! The authority: made, kept in a directory, read back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use x509_parser::pem::parse_x509_pem;

use super::subject::CLOCK_SKEW;
use super::{CertificateError, Subject, files};

/// The name of the authority's certificate within its directory; this is the file that everybody trusts.
pub const AUTHORITY_CERTIFICATE_FILE: &str = "ca.pem";

/// The name of the authority's private key within its directory; nobody but its owner may read it.
pub const AUTHORITY_KEY_FILE: &str = "ca.key";

/// How long an authority lives (ten years): whoever rehearses with it should never have to renew it.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// A certificate authority for one machine or one test: ECDSA P-256, trusted by nobody who was not told to.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate chain to present, PEM: the certificate alone, because the authority signs directly.
    pub chain_pem: String,
    /// The private key, PEM (PKCS #8).
    pub key_pem: String,
}

impl CertificateAuthority {
    /// Makes a new authority with this subject common name (at most 64 characters; the rest is cut off).
    ///
    /// Fails with [`CertificateError::Issue`] when no key can be made.
    pub fn new(common_name: &str) -> Result<Self, CertificateError> {
        Self::generate(common_name).map_err(|cause| CertificateError::Issue { name: common_name.to_owned(), cause })
    }

    /// Reads the authority that [`write_to`](Self::write_to) left in this directory.
    ///
    /// Fails with [`CertificateError::Read`], [`CertificateError::Invalid`] or [`CertificateError::KeyMismatch`].
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, CertificateError> {
        let (certificate_path, key_path) = paths(directory.as_ref());
        let certificate_pem = files::read(&certificate_path)?;
        let key_pem = files::read(&key_path)?;
        let key = KeyPair::from_pem(&key_pem).map_err(|_| invalid(&key_path, "a private key in PEM"))?;
        if !belongs_to(&key, &certificate_pem).ok_or_else(|| invalid(&certificate_path, CERTIFICATE))? {
            return Err(CertificateError::KeyMismatch { key: key_path, certificate: certificate_path });
        }
        let issuer =
            Issuer::from_ca_cert_pem(&certificate_pem, key).map_err(|_| invalid(&certificate_path, CERTIFICATE))?;
        Ok(Self { issuer, certificate_pem })
    }

    /// Reads the authority of this directory, or makes one with this common name and keeps it there.
    ///
    /// A directory with only one of the two files is an error, lest a certificate that others trust is replaced.
    pub fn load_or_create(directory: impl AsRef<Path>, common_name: &str) -> Result<Self, CertificateError> {
        let (certificate_path, key_path) = paths(directory.as_ref());
        if certificate_path.exists() || key_path.exists() {
            return Self::load(directory);
        }
        let authority = Self::new(common_name)?;
        authority.write_to(directory)?;
        Ok(authority)
    }

    /// Issues a certificate with a fresh ECDSA P-256 key.
    ///
    /// Fails with [`CertificateError::Name`] when a name cannot be written into a certificate, or [`CertificateError::Issue`].
    pub fn issue(&self, subject: &Subject) -> Result<Issued, CertificateError> {
        let parameters = subject.parameters()?;
        self.sign(&parameters).map_err(|cause| CertificateError::Issue { name: subject.name().to_owned(), cause })
    }

    /// The authority's own certificate, PEM: what has to be trusted.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Keeps the authority in this directory, as `ca.pem` and `ca.key` (mode 0600); the directory is made if need be.
    ///
    /// Fails with [`CertificateError::Write`], also when there is a `ca.key` already: an authority is never overwritten.
    pub fn write_to(&self, directory: impl AsRef<Path>) -> Result<(), CertificateError> {
        files::create_directory(directory.as_ref())?;
        let (certificate_path, key_path) = paths(directory.as_ref());
        files::write_new_private(&key_path, &self.issuer.key().serialize_pem())?;
        files::write(&certificate_path, &self.certificate_pem)
    }

    fn generate(common_name: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let parameters = authority_parameters(common_name);
        let certificate_pem = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), certificate_pem })
    }

    fn sign(&self, parameters: &CertificateParams) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Issued { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CertificateAuthority").finish_non_exhaustive()
    }
}

impl Issued {
    /// Writes `<name>.pem` and `<name>.key` (mode 0600) into this directory and returns the two paths, in this order.
    ///
    /// Files of an earlier issue are replaced. Fails with [`CertificateError::Write`].
    pub fn write_to(&self, directory: impl AsRef<Path>, name: &str) -> Result<(PathBuf, PathBuf), CertificateError> {
        let directory = directory.as_ref();
        files::create_directory(directory)?;
        let (chain, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        files::write_private(&key, &self.key_pem)?;
        files::write(&chain, &self.chain_pem)?;
        Ok((chain, key))
    }
}

/// The private key stays out of logs.
impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

const CERTIFICATE: &str = "a certificate in PEM";

fn authority_parameters(common_name: &str) -> CertificateParams {
    let now = SystemTime::now();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = distinguished_name(common_name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = (now - CLOCK_SKEW).into();
    parameters.not_after = (now + AUTHORITY_LIFETIME).into();
    parameters
}

/// A name of its own for every certificate: with the same one for all, a self-signed certificate looks as if the authority had signed it.
pub(super) fn distinguished_name(common_name: &str) -> DistinguishedName {
    /// RFC 5280, appendix A.1, `ub-common-name`.
    const LONGEST_COMMON_NAME: usize = 64;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name.chars().take(LONGEST_COMMON_NAME).collect::<String>());
    name
}

fn paths(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join(AUTHORITY_CERTIFICATE_FILE), directory.join(AUTHORITY_KEY_FILE))
}

fn invalid(path: &Path, expected: &'static str) -> CertificateError {
    CertificateError::Invalid { path: path.to_owned(), expected }
}

/// Compares the public keys; `None` when the certificate cannot be read.
fn belongs_to(key: &KeyPair, certificate_pem: &str) -> Option<bool> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw())
}

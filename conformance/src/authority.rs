//! An authority that issues certificates of many shapes, good and bad ones.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use convoke_net::{Credentials, CredentialsError};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use thiserror::Error;

/// `subjectAltName` (RFC 5280, section 4.2.1.6).
const SUBJECT_ALTERNATIVE_NAME: [u64; 4] = [2, 5, 29, 17];
/// `id-on-xmppAddr`, 1.3.6.1.5.5.7.8.5 (RFC 6120, section 13.7.1.4).
const XMPP_ADDR: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];
/// `id-on-dnsSRV`, 1.3.6.1.5.5.7.8.7 (RFC 4985, section 2).
const DNS_SRV: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];

/// How far certificates reach into the past and the future, where nothing else is wanted.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that the server under test trusts, with its key: it signs directly, without intermediates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// Why an authority cannot be read or does not issue.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// The certificate or the key is of a kind that cannot sign here, or a certificate cannot be made.
    #[error("the authority cannot be used: {0}; it has to be a certificate and a PKCS #8 key in PEM")]
    Certificate(#[from] rcgen::Error),
    /// What was issued is of no use.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Authority {
    /// Reads an authority from the PEM of its certificate and of its key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        Ok(Self { issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)? })
    }

    /// Reads an authority from the files of its certificate and of its key.
    pub fn from_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, AuthorityError> {
        Self::from_pem(&read(certificate.as_ref())?, &read(key.as_ref())?)
    }

    /// An authority that nobody trusts, because it was made just now.
    pub(crate) fn stranger() -> Result<Self, AuthorityError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name("Nobody's CA");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { issuer: Issuer::new(parameters, key) })
    }

    pub(crate) fn issue(&self, shape: &Shape) -> Result<Credentials, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = shape.parameters().signed_by(&key, &self.issuer)?;
        Ok(Credentials::from_pem(&certificate.pem(), &key.serialize_pem())?)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    std::fs::read_to_string(path).map_err(|cause| AuthorityError::Read { path: path.to_owned(), cause })
}

/// What a certificate is like. By default: no names, both extended key usages, in force for a day.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) names: Vec<Name>,
    pub(crate) common_name: String,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) validity: (SystemTime, SystemTime),
    pub(crate) is_authority: bool,
}

/// A name within a certificate; all are ASCII but the last.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    Dns(String),
    /// Service and domain, such as `_xmpp-server.a.example`.
    Srv(String),
    XmppAddr(String),
}

impl Shape {
    /// A certificate with these names.
    pub(crate) fn new(names: Vec<Name>) -> Self {
        let now = SystemTime::now();
        Self {
            names,
            common_name: "convoke conformance".to_owned(),
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            validity: (now - DAY, now + DAY),
            is_authority: false,
        }
    }

    fn parameters(&self) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name(&self.common_name);
        parameters.custom_extensions = self.subject_alternative_name().into_iter().collect();
        (parameters.not_before, parameters.not_after) = (self.validity.0.into(), self.validity.1.into());
        parameters.extended_key_usages = self.usages.clone();
        parameters.use_authority_key_identifier_extension = true;
        (parameters.is_ca, parameters.key_usages) = if self.is_authority {
            (IsCa::Ca(BasicConstraints::Unconstrained), vec![KeyUsagePurpose::KeyCertSign])
        } else {
            (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature])
        };
        parameters
    }

    /// One extension with all names; none without any, because an empty one would be invalid.
    fn subject_alternative_name(&self) -> Option<CustomExtension> {
        let names: Vec<u8> = self.names.iter().flat_map(Name::encoded).collect();
        let extension = || CustomExtension::from_oid_content(&SUBJECT_ALTERNATIVE_NAME, der(0x30, &names));
        (!names.is_empty()).then(extension)
    }
}

impl Name {
    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Dns(name) => der(0x82, name.as_bytes()),
            Self::Srv(name) => other_name(&DNS_SRV, &der(0x16, name.as_bytes())),
            Self::XmppAddr(address) => other_name(&XMPP_ADDR, &der(0x0c, address.as_bytes())),
        }
    }
}

fn other_name(kind: &[u8], value: &[u8]) -> Vec<u8> {
    der(0xa0, &[der(0x06, kind), der(0xa0, value)].concat())
}

/// Tag, length and content (X.690, section 8.1); rcgen cannot write IA5 strings within an otherName.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[content.len().leading_zeros() as usize / 8..];
    let header = match content.len() {
        short @ 0..0x80 => vec![tag, short as u8],
        _ => [&[tag, 0x80 | significant.len() as u8], significant].concat(),
    };
    [&header, content].concat()
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

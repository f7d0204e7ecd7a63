//! Whom a certificate names and what it is good for.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::authority::distinguished_name;
use super::{CertificateError, der};
use crate::names::to_ascii;

/// How far certificates reach into the past (one hour), for peers whose clock is behind.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// How long a domain's certificate lives (90 days): as long as those of the public authorities, so that renewal is rehearsed too.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// `subjectAltName` (RFC 5280 §4.2.1.6).
const SUBJECT_ALTERNATIVE_NAME: [u64; 4] = [2, 5, 29, 17];

/// What a certificate may be used for (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eku {
    /// serverAuth and clientAuth: the one profile that every known peer accepts in both directions.
    #[default]
    Both,
    /// serverAuth alone, as the public authorities issue since 2026.
    ServerOnly,
    /// clientAuth alone.
    ClientOnly,
    /// No such extension: good for everything.
    None,
}

/// The contents of a certificate to be issued: by default those of a well-made XMPP domain, and by choice those of a wrong one.
///
/// The default profile names the domain as dNSName and as SRVName `_xmpp-server.<domain>` (RFC 6120 §13.7.1.2), carries
/// both extended key usages, and is valid from an hour ago for 90 days. It carries no `id-on-xmppAddr`, because a bare
/// domain there crashes the stream of some widely used servers.
#[derive(Clone, Debug)]
#[must_use = "a subject does nothing until a certificate is issued for it"]
pub struct Subject {
    domain: String,
    dns_names: Vec<String>,
    srv_name: bool,
    xmpp_addr: bool,
    extended_key_usage: Eku,
    validity: (SystemTime, SystemTime),
    is_ca: bool,
}

impl Subject {
    /// Starts with the default profile of this domain, given in Unicode or as A-labels.
    pub fn domain(domain: impl Into<String>) -> Self {
        let domain = domain.into();
        let now = SystemTime::now();
        Self {
            dns_names: vec![domain.clone()],
            domain,
            srv_name: true,
            xmpp_addr: false,
            extended_key_usage: Eku::default(),
            validity: (now - CLOCK_SKEW, now + LIFETIME),
            is_ca: false,
        }
    }

    /// Sets the dNSNames in place of the domain itself; none are allowed, and wildcards such as `*.example` are.
    pub fn dns_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.dns_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Says whether the SRVName `_xmpp-server.<domain>` is there (default: yes).
    pub fn srv_name(mut self, present: bool) -> Self {
        self.srv_name = present;
        self
    }

    /// Says whether the domain is there as `id-on-xmppAddr` (default: no, see above).
    pub fn xmpp_addr(mut self, present: bool) -> Self {
        self.xmpp_addr = present;
        self
    }

    /// Sets the extended key usages (default: [`Eku::Both`]).
    pub fn extended_key_usage(mut self, usage: Eku) -> Self {
        self.extended_key_usage = usage;
        self
    }

    /// Sets from when until when the certificate is valid (default: an hour ago until in 90 days); X.509 keeps whole seconds.
    pub fn validity(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        self.validity = (not_before, not_after);
        self
    }

    /// Says whether the certificate claims to be an authority itself (default: no).
    pub fn is_ca(mut self, claimed: bool) -> Self {
        self.is_ca = claimed;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.domain
    }

    pub(super) fn parameters(&self) -> Result<CertificateParams, CertificateError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = distinguished_name(&ascii(&self.domain)?);
        parameters.custom_extensions = self.subject_alternative_name()?.into_iter().collect();
        parameters.not_before = self.validity.0.into();
        parameters.not_after = self.validity.1.into();
        parameters.extended_key_usages = extended_key_usages(self.extended_key_usage);
        parameters.use_authority_key_identifier_extension = true;
        (parameters.is_ca, parameters.key_usages) = self.kind();
        Ok(parameters)
    }

    fn kind(&self) -> (IsCa, Vec<KeyUsagePurpose>) {
        if self.is_ca {
            (IsCa::Ca(BasicConstraints::Unconstrained), vec![KeyUsagePurpose::KeyCertSign])
        } else {
            (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature])
        }
    }

    /// One extension with every name, or none: an empty one would be invalid.
    fn subject_alternative_name(&self) -> Result<Option<CustomExtension>, CertificateError> {
        let names = self.encoded_names()?;
        Ok((!names.is_empty()).then(|| {
            CustomExtension::from_oid_content(&SUBJECT_ALTERNATIVE_NAME, der::subject_alternative_name(&names))
        }))
    }

    fn encoded_names(&self) -> Result<Vec<Vec<u8>>, CertificateError> {
        let mut names = Vec::new();
        for name in &self.dns_names {
            names.push(der::dns_name(&ascii(name)?));
        }
        if self.srv_name {
            names.push(der::srv_name(&format!("_xmpp-server.{}", ascii(&self.domain)?)));
        }
        if self.xmpp_addr {
            names.push(der::xmpp_addr(&idna::domain_to_unicode(&self.domain).0));
        }
        Ok(names)
    }
}

fn ascii(name: &str) -> Result<String, CertificateError> {
    to_ascii(name).ok_or_else(|| CertificateError::Name { name: name.to_owned() })
}

fn extended_key_usages(usage: Eku) -> Vec<ExtendedKeyUsagePurpose> {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    match usage {
        Eku::Both => vec![ServerAuth, ClientAuth],
        Eku::ServerOnly => vec![ServerAuth],
        Eku::ClientOnly => vec![ClientAuth],
        Eku::None => Vec::new(),
    }
}

//! Whether a certificate names a domain (RFC 6120, section 13.7.1.2; RFC 6125, section 6).

use std::fmt;
use std::net::IpAddr;

use convoke_xmpp::Domainpart;
use x509_parser::asn1_rs::{Any, Class, FromDer, Oid, Tag, oid};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::IdentityError;
use crate::printable;

/// `id-on-xmppAddr` (RFC 6120, section 13.7.1.4).
const XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
/// `id-on-dnsSRV` (RFC 4985, section 2).
const DNS_SRV: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);
/// The service of an SRVName for servers; `_xmpp-client.` names no server of a federation.
const SERVICE: &str = "_xmpp-server.";

/// How many names an error tells.
const TOLD_NAMES: usize = 8;
/// How many characters of each name an error tells.
const TOLD_CHARACTERS: usize = 128;

/// How a certificate may prove a domain: by which kind of name, or by what else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameKind {
    /// A dNSName that is the domain (RFC 6125, DNS-ID).
    Dns,
    /// A dNSName with a wildcard for the left-most label (RFC 6125, section 6.4.3).
    Wildcard,
    /// An SRVName `_xmpp-server.<domain>` (RFC 4985, SRV-ID).
    Srv,
    /// An xmppAddr that is the bare domain (RFC 6120, section 13.7.1.4).
    XmppAddr,
    /// By no name: a TLSA record of the domain vouches for the key or certificate (RFC 7671, section 5.1).
    Tlsa,
    /// By no name: the POSH document of the domain vouches for the certificate (RFC 7711).
    Posh,
    /// By no certificate at all: DNS leads there, and server dialback has no other proof (XEP-0220).
    Dialback,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dNSName",
            Self::Wildcard => "dNSName with wildcard",
            Self::Srv => "SRVName",
            Self::XmppAddr => "xmppAddr",
            Self::Tlsa => "TLSA record",
            Self::Posh => "POSH document",
            Self::Dialback => "dialback",
        })
    }
}

/// The first name of the certificate that names the domain.
///
/// `constrained`: an authority on the path has name constraints. They are checked for dNSNames, but nobody checks them
/// for the other kinds, so that these count for nothing then.
pub(super) fn matching(
    certificate: &X509Certificate<'_>,
    reference: &Domainpart,
    constrained: bool,
) -> Result<NameKind, IdentityError> {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names[..],
        Ok(None) => &[],
        Err(_) => return Err(IdentityError::Unreadable),
    };
    let reference_name = Reference::new(reference);
    let kinds = names.iter().filter_map(|name| reference_name.matches(name));
    kinds.into_iter().find(|kind| !constrained || matches!(kind, NameKind::Dns | NameKind::Wildcard)).ok_or_else(|| {
        IdentityError::WrongName {
            expected: reference.clone(),
            found: names.iter().take(TOLD_NAMES).map(described).collect(),
        }
    })
}

/// The domain that a certificate should name.
struct Reference<'a> {
    domain: &'a Domainpart,
    /// With A-labels, in lower case; `None` for an IP address, which no dNSName or SRVName can name.
    ascii: Option<String>,
}

impl<'a> Reference<'a> {
    fn new(domain: &'a Domainpart) -> Self {
        Self { domain, ascii: (!is_address(domain)).then(|| domain.to_ascii().to_ascii_lowercase()) }
    }

    fn matches(&self, name: &GeneralName<'_>) -> Option<NameKind> {
        match name {
            GeneralName::DNSName(name) => self.matches_dns(name),
            GeneralName::OtherName(kind, value) if *kind == DNS_SRV => self.matches_srv(srv_name(value)?),
            GeneralName::OtherName(kind, value) if *kind == XMPP_ADDR => self.matches_address(xmpp_addr(value)?),
            _ => None,
        }
    }

    fn matches_dns(&self, name: &str) -> Option<NameKind> {
        if self.is(name) {
            return Some(NameKind::Dns);
        }
        let (_, parent) = self.ascii.as_deref()?.split_once('.')?;
        name.strip_prefix("*.")?.eq_ignore_ascii_case(parent).then_some(NameKind::Wildcard)
    }

    fn matches_srv(&self, name: &str) -> Option<NameKind> {
        let (service, domain) = name.split_at_checked(SERVICE.len())?;
        (service.eq_ignore_ascii_case(SERVICE) && self.is(domain)).then_some(NameKind::Srv)
    }

    fn matches_address(&self, address: &str) -> Option<NameKind> {
        // Anything but a bare domain fails to parse as one, a NUL within included.
        (Domainpart::new(address).ok()? == *self.domain).then_some(NameKind::XmppAddr)
    }

    /// A name with a NUL, a trailing dot or U-labels equals no reference.
    fn is(&self, name: &str) -> bool {
        self.ascii.as_deref().is_some_and(|ascii| ascii.eq_ignore_ascii_case(name))
    }
}

/// Whether the domain is an IP address, which has no labels.
pub(super) fn is_address(domain: &Domainpart) -> bool {
    domain.as_str().starts_with('[') || domain.as_str().parse::<IpAddr>().is_ok()
}

/// `SRVName ::= IA5String` (RFC 4985, section 2).
fn srv_name(value: &[u8]) -> Option<&str> {
    explicit(value, Tag::Ia5String)
}

/// `XmppAddr ::= UTF8String` (RFC 6120, section 13.7.1.4).
fn xmpp_addr(value: &[u8]) -> Option<&str> {
    explicit(value, Tag::Utf8String)
}

/// The string within `value [0] EXPLICIT ANY`, as an otherName wraps it; x509-parser leaves it wrapped.
fn explicit(value: &[u8], tag: Tag) -> Option<&str> {
    let (rest, outer) = Any::from_der(value).ok()?;
    let (behind, inner) = Any::from_der(outer.data).ok()?;
    let wrapped = rest.is_empty() && behind.is_empty() && outer.class() == Class::ContextSpecific && outer.tag().0 == 0;
    let fits = inner.class() == Class::Universal && inner.tag() == tag;
    std::str::from_utf8(inner.data).ok().filter(|_| wrapped && fits)
}

/// A name in words, for an error.
fn described(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("dNSName {}", printable(name)),
        GeneralName::OtherName(kind, value) if *kind == DNS_SRV => {
            format!("SRVName {}", printable(srv_name(value).unwrap_or("(unreadable)")))
        }
        GeneralName::OtherName(kind, value) if *kind == XMPP_ADDR => {
            format!("xmppAddr {}", printable(xmpp_addr(value).unwrap_or("(unreadable)")))
        }
        other => printable(&other.to_string()),
    }
}

/// A text out of a certificate, as an error tells it.
pub(super) fn printable(text: &str) -> String {
    printable::printable(text, TOLD_CHARACTERS)
}

/// The names of an error in words.
pub(super) fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

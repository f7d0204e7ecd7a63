//! Whether a certificate is of use to a domain.
//!
//! This is a courtesy to the operator, not a proof of anything: peers judge the certificate by their own roots. So the
//! chain is not verified here, and the kinds of names that peers accept are all good enough.

use std::time::SystemTime;

use convoke::xmpp::Domainpart;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Oid, oid};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

/// `id-on-xmppAddr` (RFC 6120, section 13.7.1.4).
const XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
/// `id-on-dnsSRV` (RFC 4985, section 2).
const DNS_SRV: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);
/// What an SRVName for servers begins with.
const SERVICE: &str = "_xmpp-server.";

/// Why a certificate is of no use to a domain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not X.509.
    Unreadable,
    /// It has expired, or else is not valid yet.
    OutOfDate {
        /// Whether it has expired.
        expired: bool,
    },
    /// It names others, here listed.
    OtherNames(String),
}

/// Checks a certificate, given as DER: it must be in force and name the domain.
pub(super) fn check(der: &[u8], domain: &Domainpart, now: SystemTime) -> Result<(), Fault> {
    let Ok(([], certificate)) = X509Certificate::from_der(der) else { return Err(Fault::Unreadable) };
    let names = names(&certificate)?;
    if !names.iter().any(|name| is(name, domain)) {
        return Err(Fault::OtherNames(listed(&names)));
    }
    in_force(&certificate, now)
}

/// The names of servers that a certificate has; an SRVName or xmppAddr counts as the domain within.
fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, Fault> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => Ok(extension.value.general_names.iter().filter_map(name).collect()),
        Ok(None) => Ok(Vec::new()),
        Err(_) => Err(Fault::Unreadable),
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::OtherName(kind, value) if *kind == DNS_SRV => {
            text(value)?.strip_prefix(SERVICE).map(str::to_owned)
        }
        GeneralName::OtherName(kind, value) if *kind == XMPP_ADDR => text(value).map(str::to_owned),
        _ => None,
    }
}

/// The string within `value [0] EXPLICIT ANY`, as an otherName wraps it (RFC 5280, section 4.2.1.6).
fn text(value: &[u8]) -> Option<&str> {
    let (_, outer) = Any::from_der(value).ok()?;
    let (_, inner) = Any::from_der(outer.data).ok()?;
    std::str::from_utf8(inner.data).ok()
}

fn is(name: &str, domain: &Domainpart) -> bool {
    match name.strip_prefix("*.") {
        // A wildcard stands for the whole left-most label (RFC 6125, section 6.4.3).
        Some(parent) => domain.to_ascii().split_once('.').is_some_and(|(_, above)| above.eq_ignore_ascii_case(parent)),
        None => Domainpart::new(name).is_ok_and(|name| name == *domain),
    }
}

fn in_force(certificate: &X509Certificate<'_>, now: SystemTime) -> Result<(), Fault> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let now = ASN1Time::from_timestamp(seconds.try_into().unwrap_or(i64::MAX)).map_err(|_| Fault::Unreadable)?;
    if certificate.validity().is_valid_at(now) {
        return Ok(());
    }
    Err(Fault::OutOfDate { expired: now > certificate.validity().not_after })
}

fn listed(names: &[String]) -> String {
    let mut names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "no domain at all".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke::net::pem;
    use convoke_dev::{CertificateAuthority, Subject};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn checked(subject: &Subject, domain: &str, now: SystemTime) -> Result<(), Fault> {
        let issued = CertificateAuthority::new("Test CA").unwrap().issue(subject).unwrap();
        let chain = pem::certificates_in(issued.chain_pem.as_bytes(), "test.pem".as_ref()).unwrap();
        check(&chain[0], &Domainpart::new(domain).unwrap(), now)
    }

    #[test]
    fn each_kind_of_name_names_the_domain() {
        let now = SystemTime::now();
        let bare = Subject::domain("bücher.example").dns_names([""; 0]).srv_name(false);
        for subject in [
            bare.clone().dns_names(["other.example", "XN--BCHER-KVA.example"]),
            bare.clone().dns_names(["*.example"]),
            bare.clone().srv_name(true),
            bare.clone().xmpp_addr(true),
        ] {
            assert_eq!(checked(&subject, "bücher.example", now), Ok(()), "{subject:?}");
        }
    }

    #[test]
    fn tells_the_names_of_a_certificate_for_somebody_else() {
        let now = SystemTime::now();
        let other = |names: &str| Err(Fault::OtherNames(names.to_owned()));
        let subject = Subject::domain("b.example").xmpp_addr(true);
        assert_eq!(checked(&subject, "a.example", now), other("\"b.example\""));
        assert_eq!(checked(&subject, "sub.b.example", now), other("\"b.example\""));
        let wildcard = subject.clone().dns_names(["*.b.example"]).srv_name(false).xmpp_addr(false);
        assert_eq!(checked(&wildcard, "b.example", now), other("\"*.b.example\""));
        assert_eq!(checked(&wildcard, "x.y.b.example", now), other("\"*.b.example\""));
        let nobody = subject.dns_names([""; 0]).srv_name(false).xmpp_addr(false);
        assert_eq!(checked(&nobody, "b.example", now), other("no domain at all"));
    }

    #[test]
    fn a_certificate_is_of_use_while_it_is_in_force() {
        let now = SystemTime::now();
        let subject = Subject::domain("b.example");
        assert_eq!(checked(&subject, "b.example", now - DAY), Err(Fault::OutOfDate { expired: false }));
        assert_eq!(checked(&subject, "b.example", now + 365 * DAY), Err(Fault::OutOfDate { expired: true }));
        assert_eq!(check(b"no DER", &Domainpart::new("b.example").unwrap(), now), Err(Fault::Unreadable));
    }
}

//! What the table of certificates in `tests/certificates` does not show: texts, times, and what can be no certificate.

use std::time::{Duration, SystemTime};

use convoke_dev::{CertificateAuthority, Eku, Subject};
use convoke_xmpp::Domainpart;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const REFERENCE: &str = "b.example";

type Verdict = Result<NameKind, IdentityError>;

/// An authority that issues what no proper one would.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().to_vec()
    }

    /// A list of no certificate.
    fn revocation_list(&self) -> Vec<u8> {
        let params = CertificateRevocationListParams {
            this_update: (SystemTime::now() - DAY).into(),
            next_update: (SystemTime::now() + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    fn verifier(&self) -> IdentityVerifier {
        let anchors = TrustAnchors::new(vec![self.der.clone()], Vec::new()).unwrap();
        IdentityVerifier::new(anchors, webpki::ALL_VERIFICATION_ALGS)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 30 * DAY).into();
    params
}

/// The certificate of a server with these subjectAltNames, its common name `b.example`.
fn server(names: &[Vec<u8>]) -> CertificateParams {
    let mut params = named(REFERENCE);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let names = tagged(0x30, &names.concat());
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    params
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()).unwrap() {
        short if short < 0x80 => der.push(short),
        long => der.extend([0x81, long]),
    }
    der.extend(content);
    der
}

fn dns(name: &str) -> Vec<u8> {
    tagged(0x82, name.as_bytes())
}

fn ip(address: [u8; 4]) -> Vec<u8> {
    tagged(0x87, &address)
}

/// An otherName `1.3.6.1.5.5.7.8.<kind>` of a string with this tag.
fn other(kind: u8, tag: u8, name: &str) -> Vec<u8> {
    let oid = tagged(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, kind]);
    tagged(0xa0, &[oid, tagged(0xa0, &tagged(tag, name.as_bytes()))].concat())
}

fn srv(name: &str) -> Vec<u8> {
    other(7, 0x16, name)
}

fn xmpp(name: &str) -> Vec<u8> {
    other(5, 0x0c, name)
}

fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

fn judge(verifier: &IdentityVerifier, chain: &[Vec<u8>]) -> Verdict {
    Ok(verifier.verify_chain(chain, SystemTime::now(), &domain(REFERENCE))?.matched())
}

#[test]
fn an_error_names_what_was_expected_and_what_was_found() {
    let authority = Authority::new("Test CA");
    let names = [dns("evil\0.example"), srv("_xmpp-client.b.example"), xmpp("juliet@b.example"), ip([192, 0, 2, 1])];
    let error = judge(&authority.verifier(), &[authority.issue(&server(&names))]).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the certificate does not name b.example but dNSName evil\\0.example, "), "{text}");
    assert!(text.contains("SRVName _xmpp-client.b.example, xmppAddr juliet@b.example, IPAddress("), "{text}");

    let many: Vec<_> = (0..20).map(|number| dns(&number.to_string())).collect();
    let error = judge(&authority.verifier(), &[authority.issue(&server(&many))]).unwrap_err();
    assert_eq!(error.to_string().matches("dNSName").count(), 8);
}

/// Rule 56: what is no certificate, or not whole, proves nothing.
#[test]
fn refuses_what_cannot_be_read_and_names_the_issuer_that_is_not_known() {
    let (authority, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let good = server(&[dns(REFERENCE)]);
    let issuer = "CN=Other CA".to_owned();
    assert_eq!(judge(&authority.verifier(), &[other.issue(&good)]), Err(IdentityError::UnknownIssuer { issuer }));
    assert!(matches!(judge(&authority.verifier(), &[]), Err(IdentityError::NoCertificate(_))));
    for garbage in [&b""[..], b"\x30\x00", b"\x30\x82\xff\xff", b"not DER"] {
        assert_eq!(judge(&authority.verifier(), &[garbage.to_vec()]), Err(IdentityError::Unreadable));
    }
    let mut trailing = authority.issue(&good);
    trailing.push(0);
    assert_eq!(judge(&authority.verifier(), &[trailing]), Err(IdentityError::Unreadable));
}

/// Rules 56 and 58.
#[test]
fn a_path_is_in_force_as_long_as_each_of_its_certificates() {
    let root = Authority::new("Test CA");
    let mut params = authority("Intermediate");
    params.not_after = (SystemTime::now() + 10 * DAY).into();
    let intermediate = root.below(params);
    let chain = [intermediate.issue(&server(&[dns(REFERENCE)])), intermediate.der.clone()];
    let verifier = root.verifier();
    let at = |time| verifier.verify_chain(&chain, time, &domain(REFERENCE));
    let now = SystemTime::now();
    let until = at(now).unwrap().not_after();
    assert!(until <= now + 10 * DAY && until > now + 9 * DAY, "{until:?}");
    assert_eq!(at(now + 9 * DAY).map(|identity| identity.matched()), Ok(NameKind::Dns));
    assert_eq!(at(now + 11 * DAY), Err(IdentityError::Expired));
    assert_eq!(at(now - 2 * DAY), Err(IdentityError::NotYetValid));
    assert_eq!(at(SystemTime::UNIX_EPOCH - DAY), Err(IdentityError::NotYetValid));
}

#[test]
fn refuses_two_lists_of_names() {
    let authority = Authority::new("Test CA");
    let mut params = server(&[dns("a.example")]);
    params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], tagged(0x30, &dns(REFERENCE))));
    assert!(judge(&authority.verifier(), &[authority.issue(&params)]).is_err());
}

#[test]
fn anchors_that_can_prove_nothing_are_told_at_once() {
    let authority = Authority::new("Test CA");
    let (root, list) = (authority.der.clone(), authority.revocation_list());
    let error = |roots, lists| TrustAnchors::new(roots, lists).unwrap_err();
    assert_eq!(error(vec![], vec![]), TrustError::NoRoots);
    assert_eq!(error(vec![root.clone(), list.clone()], vec![]), TrustError::Root { number: 2 });
    assert_eq!(error(vec![root.clone()], vec![list, root]), TrustError::RevocationList { number: 2 });
}

/// The development authority issues what this engine accepts, and its wrong profiles are refused.
#[test]
fn judges_the_profiles_of_the_development_authority() {
    let authority = CertificateAuthority::new("Rehearsal CA").unwrap();
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let anchors = TrustAnchors::new(vec![der(authority.certificate_pem())], Vec::new()).unwrap();
    let verifier = IdentityVerifier::new(anchors, webpki::ALL_VERIFICATION_ALGS);
    let none: [&str; 0] = [];
    let good = || Subject::domain(REFERENCE);
    for (subject, accepted) in [
        (good(), true),
        (good().extended_key_usage(Eku::ServerOnly), true),
        (good().extended_key_usage(Eku::None), true),
        (good().extended_key_usage(Eku::ClientOnly), false),
        (good().dns_names(none), true),
        (good().dns_names(none).srv_name(false).xmpp_addr(true), true),
        (good().dns_names(none).srv_name(false), false),
        (good().dns_names(["*.example"]).srv_name(false), true),
        (good().is_ca(true), false),
        (Subject::domain("a.example"), false),
    ] {
        let chain = [der(&authority.issue(&subject).unwrap().chain_pem)];
        let verdict = judge(&verifier, &chain);
        assert_eq!(verdict.is_ok(), accepted, "{subject:?}: {verdict:?}");
    }
}

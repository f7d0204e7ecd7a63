//! The truth table of identities, over certificates that are made here, good and bad.

use std::time::{Duration, SystemTime};

use convoke_dev::{CertificateAuthority, Eku, Subject};
use convoke_xmpp::Domainpart;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    RevokedCertParams, SerialNumber,
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

    fn revoke(&self, serials: &[u64], next_update: SystemTime) -> Vec<u8> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (SystemTime::now() - DAY).into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: (SystemTime::now() - 30 * DAY).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    fn verifier(&self) -> IdentityVerifier {
        self.verifier_with(Vec::new())
    }

    fn verifier_with(&self, revocation_lists: Vec<Vec<u8>>) -> IdentityVerifier {
        let anchors = TrustAnchors::new(vec![self.der.clone()], revocation_lists).unwrap();
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
    params.serial_number = Some(SerialNumber::from(7));
    if !names.is_empty() {
        let names = tagged(0x30, &names.concat());
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    }
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
    judge_for(verifier, chain, REFERENCE)
}

fn judge_for(verifier: &IdentityVerifier, chain: &[Vec<u8>], reference: &str) -> Verdict {
    let identity = verifier.verify_chain(chain, SystemTime::now(), &domain(reference))?;
    assert_eq!(identity.domain(), &domain(reference));
    Ok(identity.matched())
}

/// The names of a certificate, the domain that it should name, and by which kind of name it does.
type Row<'a> = (Vec<Vec<u8>>, &'a str, Option<NameKind>);

/// Issues a certificate for each list of names and judges it for the domain beside.
fn assert_matches(table: &[Row<'_>]) {
    let authority = Authority::new("Test CA");
    let verifier = authority.verifier();
    for (names, reference, expected) in table {
        let verdict = judge_for(&verifier, &[authority.issue(&server(names))], reference);
        let described = format!("{:?} for {reference}: {verdict:?}", String::from_utf8_lossy(&names.concat()));
        match expected {
            Some(kind) => assert_eq!(verdict, Ok(*kind), "{described}"),
            None => assert!(matches!(verdict, Err(IdentityError::WrongName { .. })), "{described}"),
        }
    }
}

/// Rules 54 and 55: a common name is no name.
#[test]
fn a_dns_name_is_the_domain_or_has_a_wildcard_for_its_whole_first_label() {
    use NameKind::*;
    assert_matches(&[
        (vec![dns("b.example")], "b.example", Some(Dns)),
        (vec![dns("B.EXAMPLE")], "b.example", Some(Dns)),
        (vec![dns("a.example"), dns("b.example")], "b.example", Some(Dns)),
        (vec![dns("a.example")], "b.example", None),
        (vec![dns("b.example")], "sub.b.example", None),
        (vec![dns("sub.b.example")], "b.example", None),
        (vec![dns("bb.example")], "b.example", None),
        (vec![dns("b.example.")], "b.example", None),
        (vec![dns(" b.example")], "b.example", None),
        (vec![dns("b.example\0.evil.example")], "b.example", None),
        (vec![dns("evil.example\0b.example")], "b.example", None),
        (vec![dns("*.b.example")], "a.b.example", Some(Wildcard)),
        (vec![dns("*.b.example")], "b.example", None),
        (vec![dns("*.b.example")], "a.a.b.example", None),
        (vec![dns("a*.b.example")], "aa.b.example", None),
        (vec![dns("*a.b.example")], "aa.b.example", None),
        (vec![dns("a.*.example")], "a.b.example", None),
        (vec![dns("*.*.example")], "a.b.example", None),
        (vec![dns("*")], "b.example", None),
        (vec![dns("*.")], "b.example", None),
        // Only the common name is b.example.
        (vec![], "b.example", None),
    ]);
}

/// Rule 54.
#[test]
fn other_names_are_srv_names_of_servers_and_addresses_of_bare_domains() {
    use NameKind::*;
    assert_matches(&[
        (vec![srv("_xmpp-server.b.example")], "b.example", Some(Srv)),
        (vec![srv("_XMPP-Server.B.Example")], "b.example", Some(Srv)),
        (vec![srv("_xmpp-client.b.example")], "b.example", None),
        (vec![srv("_xmpps-server.b.example")], "b.example", None),
        (vec![srv("_xmpp-server.*.example")], "b.example", None),
        (vec![srv("_xmpp-server.a.example")], "b.example", None),
        (vec![srv("_xmpp-server._tcp.b.example")], "b.example", None),
        (vec![srv("b.example")], "b.example", None),
        (vec![srv("é")], "b.example", None),
        (vec![other(7, 0x0c, "_xmpp-server.b.example")], "b.example", None),
        (vec![xmpp("b.example")], "b.example", Some(XmppAddr)),
        (vec![xmpp("B.example")], "b.example", Some(XmppAddr)),
        (vec![xmpp("juliet@b.example")], "b.example", None),
        (vec![xmpp("b.example/r")], "b.example", None),
        (vec![xmpp("a.example")], "b.example", None),
        (vec![xmpp("b.example\0")], "b.example", None),
        (vec![xmpp("*.example")], "b.example", None),
        (vec![other(5, 0x16, "b.example")], "b.example", None),
        (vec![other(9, 0x0c, "b.example")], "b.example", None),
    ]);
}

/// Rule 9: A-labels in DNS names, U-labels in addresses. IP addresses are no DNS names.
#[test]
fn international_names_match_by_their_a_labels() {
    use NameKind::*;
    assert_matches(&[
        (vec![dns("xn--bcher-kva.example")], "bücher.example", Some(Dns)),
        (vec![srv("_xmpp-server.xn--bcher-kva.example")], "bücher.example", Some(Srv)),
        (vec![xmpp("bücher.example")], "bücher.example", Some(XmppAddr)),
        (vec![dns("*.example")], "bücher.example", Some(Wildcard)),
        (vec![dns("xn--*.example")], "bücher.example", None),
        (vec![dns("192.0.2.1")], "192.0.2.1", None),
        (vec![ip([192, 0, 2, 1])], "192.0.2.1", None),
        (vec![dns("*.0.2.1")], "192.0.2.1", None),
    ]);
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

/// Rule 56.
#[test]
fn refuses_what_no_trusted_root_has_issued() {
    let (authority, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let good = server(&[dns(REFERENCE)]);
    let issuer = "CN=Other CA".to_owned();
    assert_eq!(judge(&authority.verifier(), &[other.issue(&good)]), Err(IdentityError::UnknownIssuer { issuer }));
    // Somebody else's authority of the same name.
    let impostor = Authority::new("Test CA");
    assert_eq!(judge(&authority.verifier(), &[impostor.issue(&good)]), Err(IdentityError::Signature));
    // Bringing one's own root along does not help.
    let chain = [other.issue(&good), other.der.clone()];
    assert!(matches!(judge(&authority.verifier(), &chain), Err(IdentityError::UnknownIssuer { .. })));
    let self_signed = good.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    assert!(matches!(judge(&authority.verifier(), &[self_signed]), Err(IdentityError::UnknownIssuer { .. })));
    assert!(matches!(judge(&authority.verifier(), &[]), Err(IdentityError::NoCertificate(_))));
    for garbage in [&b""[..], b"\x30\x00", b"\x30\x82\xff\xff", b"not DER"] {
        assert_eq!(judge(&authority.verifier(), &[garbage.to_vec()]), Err(IdentityError::Unreadable));
    }
    let mut trailing = authority.issue(&good);
    trailing.push(0);
    assert_eq!(judge(&authority.verifier(), &[trailing]), Err(IdentityError::Unreadable));
    let mut flipped = authority.issue(&good);
    *flipped.last_mut().unwrap() ^= 1;
    assert!(judge(&authority.verifier(), &[flipped]).is_err());
}

/// Rule 56: an authority that takes part in a federation itself, or anybody who was lent its key.
#[test]
fn refuses_the_certificate_of_an_authority() {
    let root = Authority::new("Test CA");
    let mut params = server(&[dns(REFERENCE)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(judge(&root.verifier(), &[root.issue(&params)]), Err(IdentityError::CertificationAuthority));
    // A server's certificate issues nothing.
    let server_as_issuer = root.below(server(&[dns(REFERENCE)]));
    let chain = [server_as_issuer.issue(&server(&[dns(REFERENCE)])), server_as_issuer.der.clone()];
    assert!(judge(&root.verifier(), &chain).is_err());
}

/// Rule 59.
#[test]
fn wants_server_auth_or_no_extended_key_usage_at_all() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    let authority = Authority::new("Test CA");
    for (usages, expected) in [
        (vec![ServerAuth], Ok(NameKind::Dns)),
        (vec![ServerAuth, ClientAuth], Ok(NameKind::Dns)),
        (vec![], Ok(NameKind::Dns)),
        (vec![ClientAuth], Err(IdentityError::Usage)),
        (vec![Any], Err(IdentityError::Usage)),
    ] {
        let mut params = server(&[dns(REFERENCE)]);
        params.extended_key_usages = usages.clone();
        assert_eq!(judge(&authority.verifier(), &[authority.issue(&params)]), expected, "{usages:?}");
    }
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

/// Rule 56.
#[test]
fn refuses_what_was_revoked_and_believes_no_expired_list() {
    let (authority, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let chain = [authority.issue(&server(&[dns(REFERENCE)]))];
    let (ahead, behind) = (SystemTime::now() + DAY, SystemTime::now() - DAY);
    for (list, expected) in [
        (authority.revoke(&[], ahead), Ok(NameKind::Dns)),
        (authority.revoke(&[6, 8], ahead), Ok(NameKind::Dns)),
        (authority.revoke(&[6, 7], ahead), Err(IdentityError::Revoked)),
        (authority.revoke(&[], behind), Err(IdentityError::RevocationListExpired)),
        (other.revoke(&[7], ahead), Ok(NameKind::Dns)),
    ] {
        assert_eq!(judge(&authority.verifier_with(vec![list]), &chain), expected);
    }
    // A list in the authority's name that somebody else has signed.
    let impostor = Authority::new("Test CA").revoke(&[], ahead);
    assert!(judge(&authority.verifier_with(vec![impostor]), &chain).is_err());
}

#[test]
fn refuses_a_path_whose_intermediate_was_revoked() {
    let root = Authority::new("Test CA");
    let mut params = authority("Intermediate");
    params.serial_number = Some(SerialNumber::from(99));
    let intermediate = root.below(params);
    let chain = [intermediate.issue(&server(&[dns(REFERENCE)])), intermediate.der.clone()];
    let list = root.revoke(&[99], SystemTime::now() + DAY);
    assert_eq!(judge(&root.verifier(), &chain), Ok(NameKind::Dns));
    assert_eq!(judge(&root.verifier_with(vec![list]), &chain), Err(IdentityError::Revoked));
}

#[test]
fn bounds_the_number_of_certificates() {
    let root = Authority::new("Test CA");
    let chain = vec![root.issue(&server(&[dns(REFERENCE)])); MAX_CHAIN_LENGTH + 1];
    let error = IdentityError::ChainTooLong { certificates: MAX_CHAIN_LENGTH + 1 };
    assert_eq!(judge(&root.verifier(), &chain), Err(error));
    assert_eq!(judge(&root.verifier(), &chain[..MAX_CHAIN_LENGTH]), Ok(NameKind::Dns));
}

/// An authority for one domain only must not name others by kinds of names that its constraint does not speak of.
#[test]
fn an_authority_with_name_constraints_names_by_dns_names_only() {
    let root = Authority::new("Test CA");
    let mut params = authority("Constrained");
    let permitted_subtrees = vec![GeneralSubtree::DnsName("b.example".to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    let constrained = root.below(params);
    let verifier = root.verifier();
    let judged = |names: &[Vec<u8>], reference: &str| {
        judge_for(&verifier, &[constrained.issue(&server(names)), constrained.der.clone()], reference)
    };
    assert_eq!(judged(&[dns("b.example")], "b.example"), Ok(NameKind::Dns));
    assert_eq!(judged(&[dns("a.example")], "a.example"), Err(IdentityError::NameConstraint));
    for name in [srv("_xmpp-server.a.example"), xmpp("a.example")] {
        assert!(matches!(judged(&[name], "a.example"), Err(IdentityError::WrongName { .. })));
    }
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
    let (root, list) = (authority.der.clone(), authority.revoke(&[], SystemTime::now() + DAY));
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

//! The certificates, read by another library than the one that wrote them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use convoke_dev::{AUTHORITY_KEY_FILE, CertificateAuthority, CertificateError, Eku, Issued, Subject};
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::X509Certificate;

fn pem(text: &str) -> Pem {
    parse_x509_pem(text.as_bytes()).unwrap().1
}

fn issue(subject: &Subject) -> Pem {
    pem(&CertificateAuthority::new("Test CA").unwrap().issue(subject).unwrap().chain_pem)
}

/// The subjectAltNames in words.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Some(names) = certificate.subject_alternative_name().unwrap() else { return Vec::new() };
    names.value.general_names.iter().map(describe).collect()
}

fn describe(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("dns {name}"),
        // [0] EXPLICIT tag and length, string tag and length, string: all short here.
        GeneralName::OtherName(kind, raw) => {
            format!("{kind} {:#x} {}", raw[2], std::str::from_utf8(&raw[4..]).unwrap())
        }
        other => panic!("unexpected name {other:?}"),
    }
}

fn extended_key_usage<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a ExtendedKeyUsage<'a>> {
    certificate.extended_key_usage().unwrap().map(|extension| extension.value)
}

#[test]
fn names_a_domain_by_dns_name_and_srv_name_and_nothing_else() {
    let pem = issue(&Subject::domain("b.example"));
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(names(&certificate), ["dns b.example", "1.3.6.1.5.5.7.8.7 0x16 _xmpp-server.b.example"]);
    assert_eq!(certificate.subject().to_string(), "CN=b.example");
    assert_eq!(certificate.issuer().to_string(), "CN=Test CA");
    assert!(!certificate.is_ca());
    let usage = extended_key_usage(&certificate).unwrap();
    assert!(usage.server_auth && usage.client_auth);
}

#[test]
fn writes_international_names_as_a_labels_but_the_xmpp_address_in_unicode() {
    let pem = issue(&Subject::domain("Bücher.example").xmpp_addr(true));
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(
        names(&certificate),
        [
            "dns xn--bcher-kva.example",
            "1.3.6.1.5.5.7.8.7 0x16 _xmpp-server.xn--bcher-kva.example",
            "1.3.6.1.5.5.7.8.5 0xc bücher.example",
        ]
    );
}

#[test]
fn carries_the_names_that_were_asked_for_and_no_empty_extension() {
    let subject = Subject::domain("b.example").srv_name(false);
    let wildcards = issue(&subject.clone().dns_names(["*.example", "c.example"]));
    assert_eq!(names(&wildcards.parse_x509().unwrap()), ["dns *.example", "dns c.example"]);
    let none = issue(&subject.dns_names(Vec::<String>::new()));
    assert!(none.parse_x509().unwrap().subject_alternative_name().unwrap().is_none());
}

#[test]
fn has_the_extended_key_usages_that_were_asked_for() {
    for (usage, expected) in
        [(Eku::Both, (true, true)), (Eku::ServerOnly, (true, false)), (Eku::ClientOnly, (false, true))]
    {
        let pem = issue(&Subject::domain("b.example").extended_key_usage(usage));
        let certificate = pem.parse_x509().unwrap();
        let found = extended_key_usage(&certificate).unwrap();
        assert_eq!((found.server_auth, found.client_auth), expected);
    }
    let none = issue(&Subject::domain("b.example").extended_key_usage(Eku::None));
    assert!(extended_key_usage(&none.parse_x509().unwrap()).is_none());
}

#[test]
fn is_valid_from_an_hour_ago_for_ninety_days_or_as_asked() {
    let now = seconds(SystemTime::now());
    let pem = issue(&Subject::domain("b.example"));
    let certificate = pem.parse_x509().unwrap();
    let validity = certificate.validity();
    assert!((validity.not_before.timestamp() - (now - 3600)).abs() < 60);
    assert!((validity.not_after.timestamp() - (now + 90 * 86_400)).abs() < 60);

    let (from, until) = (UNIX_EPOCH + Duration::from_secs(1_000_000), UNIX_EPOCH + Duration::from_secs(2_000_000));
    let expired = issue(&Subject::domain("b.example").validity(from, until));
    let expired = expired.parse_x509().unwrap();
    assert_eq!(expired.validity().not_before.timestamp(), 1_000_000);
    assert_eq!(expired.validity().not_after.timestamp(), 2_000_000);
}

fn seconds(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn can_claim_to_be_an_authority() {
    assert!(issue(&Subject::domain("b.example").is_ca(true)).parse_x509().unwrap().is_ca());
}

#[test]
fn refuses_a_name_that_no_certificate_can_carry() {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    for name in ["", "xn--\u{0}"] {
        assert!(matches!(authority.issue(&Subject::domain(name)), Err(CertificateError::Name { .. })), "{name:?}");
    }
}

#[test]
fn the_authority_signs_what_it_issues_and_every_key_is_new() {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let (first, second) = (issued(&authority), issued(&authority));
    assert_signed(&authority, &first);
    assert_signed(&authority, &second);
    assert_ne!(first.key_pem, second.key_pem);
}

fn issued(authority: &CertificateAuthority) -> Issued {
    authority.issue(&Subject::domain("b.example")).unwrap()
}

fn assert_signed(authority: &CertificateAuthority, issued: &Issued) {
    let (root, leaf) = (pem(authority.certificate_pem()), pem(&issued.chain_pem));
    let (root, leaf) = (root.parse_x509().unwrap(), leaf.parse_x509().unwrap());
    assert!(root.is_ca());
    leaf.verify_signature(Some(root.public_key())).unwrap();
    assert_eq!(key_identifiers(&leaf).1, key_identifiers(&root).0, "the leaf names the key of its issuer");
}

/// The subject's and the issuer's key identifier.
fn key_identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut found = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => found.0 = Some(identifier.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                found.1 = identifier.key_identifier.as_ref().map(|identifier| identifier.0.to_vec());
            }
            _ => {}
        }
    }
    found
}

#[test]
fn an_authority_read_back_is_the_same_authority() {
    let directory = tempfile::tempdir().unwrap();
    let first = CertificateAuthority::load_or_create(directory.path(), "Test CA").unwrap();
    let again = CertificateAuthority::load_or_create(directory.path(), "another name").unwrap();
    assert_eq!(first.certificate_pem(), again.certificate_pem());
    assert_signed(&first, &issued(&again));
    let leaf = pem(&issued(&again).chain_pem);
    assert_eq!(leaf.parse_x509().unwrap().issuer().to_string(), "CN=Test CA");
}

#[test]
fn never_overwrites_an_authority() {
    let directory = tempfile::tempdir().unwrap();
    let first = CertificateAuthority::load_or_create(directory.path(), "Test CA").unwrap();
    let second = CertificateAuthority::new("Test CA").unwrap();
    assert!(matches!(second.write_to(directory.path()), Err(CertificateError::Write { .. })));
    assert_eq!(CertificateAuthority::load(directory.path()).unwrap().certificate_pem(), first.certificate_pem());
}

#[test]
fn refuses_half_an_authority_and_a_key_of_another_one() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&one, &other] {
        CertificateAuthority::load_or_create(directory.path(), "Test CA").unwrap();
    }
    let key = one.path().join(AUTHORITY_KEY_FILE);
    std::fs::copy(other.path().join(AUTHORITY_KEY_FILE), &key).unwrap();
    assert!(matches!(CertificateAuthority::load(one.path()), Err(CertificateError::KeyMismatch { .. })));
    std::fs::write(&key, "no key").unwrap();
    assert!(
        matches!(CertificateAuthority::load(one.path()), Err(CertificateError::Invalid { path, .. }) if path == key)
    );
    std::fs::remove_file(&key).unwrap();
    let half = CertificateAuthority::load_or_create(one.path(), "Test CA");
    assert!(matches!(half, Err(CertificateError::Read { path, .. }) if path == key));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_a_private_key_even_one_that_replaces_an_open_one() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::load_or_create(directory.path(), "Test CA").unwrap();
    let key = directory.path().join("b.example.key");
    std::fs::write(&key, "older").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let issued = issued(&authority);
    let written = issued.write_to(directory.path(), "b.example").unwrap();
    assert_eq!(written, (directory.path().join("b.example.pem"), key.clone()));
    assert_eq!((mode(&key), mode(&directory.path().join(AUTHORITY_KEY_FILE))), (0o600, 0o600));
    assert_eq!(std::fs::read_to_string(&key).unwrap(), issued.key_pem);
}

#[test]
fn keys_stay_out_of_debug_output() {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let shown = format!("{authority:?} {:?}", issued(&authority));
    assert!(!shown.contains("PRIVATE"), "{shown}");
}

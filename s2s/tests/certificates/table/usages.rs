//! What a certificate may be used for (RFC 5280, sections 4.2.1.3, 4.2.1.9 and 4.2.1.12).

use convoke_s2s::identity::NameKind::Dns;
use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, EmailProtection, Other, ServerAuth, TimeStamping};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyUsagePurpose};

use crate::forge::{Authority, DOMAIN, dns, usual};
use crate::judge::{Row, assert_rows};

/// Rule 59: the same in both directions, whichever role the peer plays in TLS.
#[tokio::test]
async fn server_auth_or_no_extended_key_usage_at_all() {
    let root = Authority::root("Root");
    let rows = [
        ("serverAuth", vec![ServerAuth], Ok(Dns)),
        ("serverAuth and clientAuth", vec![ServerAuth, ClientAuth], Ok(Dns)),
        ("clientAuth and serverAuth", vec![ClientAuth, ServerAuth], Ok(Dns)),
        ("no extension", vec![], Ok(Dns)),
        ("serverAuth among others", vec![CodeSigning, EmailProtection, ServerAuth], Ok(Dns)),
        ("serverAuth and an unknown one", vec![Other(vec![1, 3, 6, 1, 4, 1, 99_999, 1]), ServerAuth], Ok(Dns)),
        ("clientAuth alone", vec![ClientAuth], Err("usage")),
        ("anyExtendedKeyUsage alone", vec![Any], Err("usage")),
        ("anyExtendedKeyUsage and clientAuth", vec![Any, ClientAuth], Err("usage")),
        ("codeSigning alone", vec![CodeSigning], Err("usage")),
        ("emailProtection and timeStamping", vec![EmailProtection, TimeStamping], Err("usage")),
        ("an unknown one alone", vec![Other(vec![1, 3, 6, 1, 4, 1, 99_999, 1])], Err("usage")),
    ];
    let row = |(title, usages, expected)| {
        let params = usual(|params| params.extended_key_usages = usages);
        Row::new(title, root.issue(&params), root.trust(), expected)
    };
    assert_rows(rows.into_iter().map(row).collect()).await;
}

/// Rule 56, and what else a certificate may say of itself.
#[tokio::test]
async fn a_server_is_no_authority() {
    type Change = fn(&mut CertificateParams);
    let root = Authority::root("Root");
    let rows: [(&str, Change, _); 8] = [
        ("cA is FALSE", |params| params.is_ca = IsCa::ExplicitNoCa, Ok(Dns)),
        ("no basic constraints", |params| params.is_ca = IsCa::NoCa, Ok(Dns)),
        (
            "cA is TRUE",
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Err("certification-authority"),
        ),
        (
            "cA is TRUE with a path length of 0",
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
            Err("certification-authority"),
        ),
        ("digitalSignature", |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature], Ok(Dns)),
        (
            "digitalSignature and keyAgreement",
            |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement],
            Ok(Dns),
        ),
        ("an unknown extension", |params| params.custom_extensions.push(unknown(false)), Ok(Dns)),
        (
            "without an identifier of the authority",
            |params| params.use_authority_key_identifier_extension = false,
            Ok(Dns),
        ),
    ];
    let row = |(title, change, expected): (&str, Change, _)| {
        Row::new(title, root.issue(&usual(change)), root.trust(), expected)
    };
    let mut rows: Vec<_> = rows.into_iter().map(row).collect();
    let itself = Authority::root_with(DOMAIN, |params| {
        params.custom_extensions = usual(|_| {}).custom_extensions;
    });
    rows.push(Row::new(
        "issued by a root of the domain's own name",
        itself.issue(&crate::forge::server([dns(DOMAIN)])),
        itself.trust(),
        Ok(Dns),
    ));
    assert_rows(rows).await;
}

fn unknown(critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 2], vec![5, 0]);
    extension.set_criticality(critical);
    extension
}

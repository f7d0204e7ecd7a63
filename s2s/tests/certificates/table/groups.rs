//! Whom to believe about which domain, and pinned keys.

use convoke_s2s::identity::NameKind::Dns;
use convoke_s2s::{SpkiPin, Trust, TrustGroup};
use rcgen::KeyPair;

use crate::forge::{Authority, DOMAIN, dns, server, usual};
use crate::judge::{Row, Verdict, assert_rows};

const UNKNOWN: Verdict = Err("unknown-issuer");

/// Nobody else's root speaks for the domains of a group, and the group's for no others.
#[tokio::test]
async fn a_domain_is_judged_by_the_group_of_its_longest_suffix_alone() {
    let (public, grid, inner) = (Authority::root("Public"), Authority::root("Grid"), Authority::root("Inner"));
    let trust = || {
        public
            .trust()
            .with_group(grid.group(&["grid.example", "cloud.example"]))
            .with_group(inner.group(&["inner.grid.example", "bücher.example"]))
    };
    let row = |title: &str, issuer: &Authority, domain: &'static str, name: &str, expected| {
        Row::new(title, issuer.issue(&server([dns(name)])), trust(), expected).of(domain)
    };
    let same =
        |title: &str, issuer: &Authority, domain: &'static str, expected| row(title, issuer, domain, domain, expected);
    assert_rows(vec![
        same("a public root for the world", &public, DOMAIN, Ok(Dns)),
        same("the group's root for the suffix itself", &grid, "grid.example", Ok(Dns)),
        same("the group's root below the suffix", &grid, "a.grid.example", Ok(Dns)),
        same("the group's root far below the suffix", &grid, "c.b.a.grid.example", Ok(Dns)),
        same("the group's root for its second suffix", &grid, "a.cloud.example", Ok(Dns)),
        same("the inner group's root for the longer suffix", &inner, "a.inner.grid.example", Ok(Dns)),
        row("the inner group's root by A-labels", &inner, "a.bücher.example", "a.xn--bcher-kva.example", Ok(Dns)),
        same("a public root for the group", &public, "a.grid.example", UNKNOWN),
        same("a public root for the suffix itself", &public, "grid.example", UNKNOWN),
        same("a public root for the longer suffix", &public, "inner.grid.example", UNKNOWN),
        same("the outer group's root for the longer suffix", &grid, "inner.grid.example", UNKNOWN),
        same("the outer group's root below the longer suffix", &grid, "a.inner.grid.example", UNKNOWN),
        same("the inner group's root for the outer group", &inner, "a.grid.example", UNKNOWN),
        same("the group's root for the world", &grid, DOMAIN, UNKNOWN),
        same("the group's root for the end of a label", &grid, "mygrid.example", UNKNOWN),
        same("a public root for the end of a label", &public, "mygrid.example", Ok(Dns)),
        same("the group's root above the suffix", &grid, "example", UNKNOWN),
        row("the group's root, but another name", &grid, "a.grid.example", "b.grid.example", Err("wrong-name")),
    ])
    .await;
}

#[tokio::test]
async fn pins_narrow_what_the_roots_allow_and_never_replace_them() {
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let intermediate = root.below("Intermediate", |_| {});
    let trust = |pins: Vec<SpkiPin>| pinned(&root, pins);
    let key = KeyPair::generate().unwrap();
    let (first, renewed) = (root.issue_for(&usual(|_| {}), &key), root.issue_for(&usual(|_| {}), &key));
    let (plain, foreign) = (root.issue_usual(), other.issue_usual());
    let deep = intermediate.issue_usual().with([&intermediate]);
    let expired = root.issue_for(&usual(|params| params.not_after = params.not_before), &key);
    let misnamed = root.issue_for(&server([dns("a.example")]), &key);
    let absent = Authority::root("Absent").pin();
    assert_rows(vec![
        Row::new("the key of the certificate", first.clone(), trust(vec![first.pin()]), Ok(Dns)),
        Row::new("a renewed certificate of the same key", renewed, trust(vec![first.pin()]), Ok(Dns)),
        Row::new("one of several keys", first.clone(), trust(vec![absent, first.pin()]), Ok(Dns)),
        Row::new("the key of the root", plain.clone(), trust(vec![root.pin()]), Ok(Dns)),
        Row::new("the key of an intermediate", deep.clone(), trust(vec![intermediate.pin()]), Ok(Dns)),
        Row::new("the key of the root, far above", deep.clone(), trust(vec![root.pin()]), Ok(Dns)),
        Row::new("no pins", plain.clone(), trust(vec![]), Ok(Dns)),
        Row::new("another key", plain.clone(), trust(vec![absent]), Err("not-pinned")),
        Row::new("several other keys", plain.clone(), trust(vec![absent, first.pin()]), Err("not-pinned")),
        Row::new(
            "the key of an authority that is shown for nothing",
            plain.clone().with([&other]),
            trust(vec![other.pin()]),
            Err("not-pinned"),
        ),
        Row::new(
            "the key of a certificate that nobody trusted has issued",
            foreign.clone(),
            trust(vec![foreign.pin()]),
            UNKNOWN,
        ),
        Row::new("the pinned key, but another name", misnamed, trust(vec![first.pin()]), Err("wrong-name")),
        Row::new("the pinned key, but too late", expired, trust(vec![first.pin()]), Err("expired")),
        Row::new(
            "another domain than the pinned one",
            root.issue(&server([dns("a.example")])),
            trust(vec![absent]),
            Ok(Dns),
        )
        .of("a.example"),
    ])
    .await;
}

/// Trusts the root about every domain, and pins keys for the usual one.
fn pinned(root: &Authority, pins: Vec<SpkiPin>) -> Trust {
    root.trust().with_group(TrustGroup { pins, ..root.group(&[DOMAIN]) })
}

//! Certificates that the domain itself vouches for: DANE-EE (RFC 7671, section 5.1) and POSH (RFC 7711).

use std::time::{Duration, SystemTime};

use convoke_s2s::identity::NameKind::{Dns, Posh, Tlsa};
use convoke_s2s::identity::{Evidence, PoshDocument, TlsaRecord};
use rcgen::ExtendedKeyUsagePurpose::ClientAuth;

use crate::forge::{Authority, DAY, DOMAIN, Shown, dns, self_signed, server, usual};
use crate::judge::{Row, assert_rows, domain};

fn until(time: SystemTime) -> Evidence {
    Evidence { tlsa: Vec::new(), posh: Vec::new(), until: time }
}

/// `3 0 0`: this very certificate.
fn by_tlsa(shown: &Shown) -> Evidence {
    Evidence { tlsa: vec![TlsaRecord::new(3, 0, 0, &shown.chain[0]).unwrap()], ..until(SystemTime::now() + DAY) }
}

fn by_posh(shown: &Shown) -> Evidence {
    let json = format!(r#"{{"fingerprints":[{{"sha-256":"{}"}}],"expires":86400}}"#, shown.fingerprint());
    let PoshDocument::Fingerprints { fingerprints, expires } = PoshDocument::parse(json.as_bytes()).unwrap() else {
        panic!("{json} refers to another");
    };
    Evidence { posh: fingerprints, ..until(SystemTime::now() + expires) }
}

#[tokio::test]
async fn a_tlsa_record_proves_its_certificate_whatever_that_says_and_nothing_else_does() {
    let root = Authority::root("Root");
    let row = |title: &str, shown: &Shown, evidence, expected| {
        Row::new(title, shown.clone(), root.trust(), expected).with_evidence(evidence)
    };
    let (good, alone) = (root.issue_usual(), self_signed(&usual(|_| {})));
    let (nameless, misnamed) = (self_signed(&server([])), self_signed(&server([dns("a.example")])));
    let expired = self_signed(&usual(|params| params.not_after = params.not_before));
    let for_clients = self_signed(&usual(|params| params.extended_key_usages = vec![ClientAuth]));
    let over = Evidence { until: SystemTime::now() - Duration::from_secs(1), ..by_tlsa(&alone) };
    let over_for_another = Evidence { until: SystemTime::now() - Duration::from_secs(1), ..by_tlsa(&alone) };
    let two = Evidence { tlsa: [by_tlsa(&good).tlsa, by_tlsa(&alone).tlsa].concat(), ..by_tlsa(&good) };
    let both = Evidence { posh: by_posh(&good).posh, ..by_tlsa(&alone) };
    assert_rows(vec![
        row("self-signed", &alone, by_tlsa(&alone), Ok(Tlsa)),
        row("issued by a trusted root", &good, by_tlsa(&good), Ok(Tlsa)),
        row("of no name", &nameless, by_tlsa(&nameless), Ok(Tlsa)),
        row("of another name", &misnamed, by_tlsa(&misnamed), Ok(Tlsa)),
        row("expired", &expired, by_tlsa(&expired), Ok(Tlsa)),
        row("for clients alone", &for_clients, by_tlsa(&for_clients), Ok(Tlsa)),
        row("one of two records", &alone, two, Ok(Tlsa)),
        row("another certificate, self-signed", &alone, by_tlsa(&good), Err("not-vouched")),
        row("another certificate, of a trusted root", &good, by_tlsa(&alone), Err("not-vouched")),
        row("another certificate, though POSH vouches for it", &good, both, Err("not-vouched")),
        row("a record that is over, self-signed", &alone, over, Err("unknown-issuer")),
        row("a record that is over, of a trusted root", &good, over_for_another, Ok(Dns)),
    ])
    .await;
}

#[tokio::test]
async fn a_posh_document_proves_its_certificates_while_they_are_in_force() {
    let root = Authority::root("Root");
    let row = |title: &str, shown: &Shown, evidence, expected| {
        Row::new(title, shown.clone(), root.trust(), expected).with_evidence(evidence)
    };
    let (good, alone) = (root.issue_usual(), self_signed(&usual(|_| {})));
    let hosted = root.issue(&server([dns("hosting.example")]));
    let expired = self_signed(&usual(|params| params.not_after = params.not_before));
    let over = Evidence { until: SystemTime::now() - Duration::from_secs(1), ..by_posh(&alone) };
    assert_rows(vec![
        row("self-signed", &alone, by_posh(&alone), Ok(Posh)),
        row("of the hosting provider's name", &hosted, by_posh(&hosted), Ok(Posh)),
        row("of the domain's own name", &good, by_posh(&good), Ok(Posh)),
        row("another certificate, of a trusted root", &good, by_posh(&alone), Ok(Dns)),
        row("another certificate, self-signed", &alone, by_posh(&good), Err("unknown-issuer")),
        row("another certificate, of another name", &hosted, by_posh(&good), Err("wrong-name")),
        row("expired", &expired, by_posh(&expired), Err("expired")),
        row("a document that is over", &alone, over, Err("unknown-issuer")),
    ])
    .await;
}

/// Nothing that one domain says is about another, and pins still narrow what is believed.
#[tokio::test]
async fn evidence_is_about_its_own_domain_and_within_the_pins() {
    let root = Authority::root("Root");
    let alone = self_signed(&server([dns("a.example"), dns(DOMAIN)]));
    let pinned = |pin| {
        let group = convoke_s2s::TrustGroup { pins: vec![pin], ..root.group(&[DOMAIN]) };
        root.trust().with_group(group)
    };
    assert_rows(vec![
        Row::new("another domain", alone.clone(), root.trust(), Err("unknown-issuer"))
            .of("a.example")
            .with_evidence_of(domain(DOMAIN), by_tlsa(&alone)),
        Row::new("a sub-domain", alone.clone(), root.trust(), Err("unknown-issuer"))
            .of("sub.b.example")
            .with_evidence_of(domain(DOMAIN), by_tlsa(&alone)),
        Row::new("a pinned key", alone.clone(), pinned(alone.pin()), Ok(Tlsa)).with_evidence(by_tlsa(&alone)),
        Row::new("another key than the pinned one", alone.clone(), pinned(root.pin()), Err("not-pinned"))
            .with_evidence(by_tlsa(&alone)),
    ])
    .await;
}

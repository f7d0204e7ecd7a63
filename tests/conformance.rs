//! The checker on servers of other makers: the short set, on Debian's Prosody and ejabberd.
//!
//! What they fail is known and written down in conformance/RESULTS.md; anything else would be news, about them or about
//! the checker.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use convoke::net::Credentials;
use convoke::s2s::{DnsResolver, IdentityVerifier, Trust};
use convoke::xmpp::Domainpart;
use convoke_conformance::{Authority, Identity, Listening, Report, Section, Selection, Setup, Target, cases, run};
use convoke_dev::peers::{Peer, Software};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::net::TcpListener;

const CHECKER: &str = "checker.lan";

/// The rules of the short set that Prosody 0.12.3 breaks.
///
/// A stanza with a wrong address closes the stream, but by another error than the standard wants.
const PROSODY: &[&str] = &[
    "features/early-in-clear",
    "features/early-before-sasl",
    "stanzas/to-missing",
    "stanzas/from-missing",
    "stanzas/from-foreign",
    "stanzas/from-served",
    "stanzas/from-below",
    "dialling/no-id",
];

/// The rules of the short set that ejabberd 23.01 breaks.
const EJABBERD: &[&str] =
    &["features/early-in-clear", "sasl/authzid-other", "xml/comment", "xml/comment-clear", "closing/close-notify"];

#[tokio::test(flavor = "multi_thread")]
async fn prosody_breaks_the_rules_that_it_is_known_to_break() {
    is_known(Software::Prosody, "prosody.lan", PROSODY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ejabberd_breaks_the_rules_that_it_is_known_to_break() {
    is_known(Software::Ejabberd, "ejabberd.lan", EJABBERD).await;
}

async fn is_known(software: Software, domain: &str, known: &[&str]) {
    let report = short_set(software, domain).await;
    let broken: BTreeSet<_> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict.is_failure())
        .map(|outcome| outcome.id.as_str())
        .collect();
    assert_eq!(broken, known.iter().copied().collect(), "{report}");
    assert!(report.counts.passed > 30, "{report}");
}

async fn short_set(software: Software, domain: &str) -> Report {
    let dns = LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let peer = Peer::builder(software, domain, &authority).unwrap().start(&dns).await.unwrap();
    let setup = setup(&authority, &dns, peer.domain()).await;
    run(setup, &Selection { only: None, short: true }, |_| ()).await.unwrap()
}

async fn setup(authority: &CertificateAuthority, dns: &LoopbackDns, domain: &str) -> Setup {
    let resolver = DnsResolver::new(&[dns.address()]).unwrap();
    let target = Target::find(Domainpart::new(domain).unwrap(), &resolver).await.unwrap();
    let issued = authority.issue(&Subject::domain(CHECKER)).unwrap();
    let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
    let us = Identity { domain: Domainpart::new(CHECKER).unwrap(), credentials };
    let keys = tempfile::tempdir().unwrap();
    authority.write_to(keys.path()).unwrap();
    let mut setup = Setup::new(target, us);
    setup.authority = Some(Authority::from_files(keys.path().join("ca.pem"), keys.path().join("ca.key")).unwrap());
    setup.verifier =
        Some(IdentityVerifier::with_default_algorithms(Trust::from_pem(authority.certificate_pem()).unwrap()));
    setup.listening = Some(Listening::with_fresh_names(listener(dns).await));
    // A busy machine is no broken rule.
    setup.patience = Duration::from_secs(15);
    setup.deadline = Duration::from_secs(120);
    setup.parallel = 6;
    setup
}

/// A listener to which DNS leads for every name by which the checker is dialled.
async fn listener(dns: &LoopbackDns) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for case in cases().filter(|case| case.section == Section::Dialling) {
        let (name, host) = (format!("{}.{CHECKER}", case.key), format!("xmpp.{}.{CHECKER}", case.key));
        dns.srv(&name, "_xmpp-server._tcp", 0, 0, port, &host).unwrap();
        dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
    }
    listener
}

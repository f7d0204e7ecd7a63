//! Certificates and trust that are replaced while everything runs.

use std::sync::Arc;
use std::time::SystemTime;

use convoke_net::{TlsContext, TlsError};
use convoke_s2s::identity::NameKind::Dns;
use convoke_s2s::{IdentityVerifier, TrustGroup};

use crate::forge::{Authority, DAY, DOMAIN, SERIAL, dns, server};
use crate::judge::{Bench, Peer, Verdict, domain, verifier};

/// As client and as server of TLS, each after STARTTLS and by direct TLS.
async fn verdicts(name: &str, tls: &TlsContext, verifier: &Arc<IdentityVerifier>) -> [Verdict; 4] {
    let bench = Bench::new();
    let peer = |direct_tls| Peer {
        title: format!("{name}, direct TLS: {direct_tls}"),
        domain: domain(name),
        tls: tls.clone(),
        verifier: Arc::clone(verifier),
        direct_tls,
    };
    let (after, direct) = (peer(false), peer(true));
    [
        bench.by_listener(&after).await,
        bench.by_dialer(&after).await,
        bench.by_listener(&direct).await,
        bench.by_dialer(&direct).await,
    ]
}

#[tokio::test]
async fn new_credentials_are_shown_from_the_next_handshake_on_in_every_role() {
    const OTHER: &str = "other.example";
    let (old, new) = (Authority::root("Old"), Authority::root("New"));
    let other = old.issue(&server([dns(OTHER)])).credentials();
    let tls = TlsContext::new([(domain(DOMAIN), old.issue_usual().credentials()), (domain(OTHER), other)]).unwrap();
    let (by_old, by_new) = (verifier(old.trust()), verifier(new.trust()));
    assert_eq!(verdicts(DOMAIN, &tls, &by_old).await, [Ok(Dns); 4]);
    assert_eq!(verdicts(DOMAIN, &tls, &by_new).await, [Err("unknown-issuer"); 4]);
    // A clone is the same context: listener and dialer have one each.
    tls.clone().replace(&domain(DOMAIN), &new.issue_usual().credentials()).unwrap();
    assert_eq!(verdicts(DOMAIN, &tls, &by_old).await, [Err("unknown-issuer"); 4]);
    assert_eq!(verdicts(DOMAIN, &tls, &by_new).await, [Ok(Dns); 4]);
    assert_eq!(verdicts(OTHER, &tls, &by_old).await, [Ok(Dns); 4], "another domain keeps its own");
}

#[tokio::test]
async fn credentials_of_a_domain_that_is_not_served_replace_nothing() {
    let root = Authority::root("Root");
    let tls = TlsContext::new([(domain(DOMAIN), root.issue_usual().credentials())]).unwrap();
    let other = root.issue(&server([dns("other.example")])).credentials();
    let refused = tls.replace(&domain("other.example"), &other);
    assert!(matches!(refused, Err(TlsError::UnknownDomain(name)) if name == domain("other.example")));
    assert_eq!(verdicts(DOMAIN, &tls, &verifier(root.trust())).await, [Ok(Dns); 4]);
}

#[tokio::test]
async fn a_new_list_new_pins_and_new_roots_count_for_the_next_certificate() {
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let shown = root.issue_usual();
    let tls = TlsContext::new([(domain(DOMAIN), shown.credentials())]).unwrap();
    let verifier = verifier(root.trust());
    assert_eq!(verdicts(DOMAIN, &tls, &verifier).await, [Ok(Dns); 4]);
    verifier.replace_trust(root.anchors_with(vec![root.revoke(&[SERIAL], SystemTime::now() + DAY)]));
    assert_eq!(verdicts(DOMAIN, &tls, &verifier).await, [Err("revoked"); 4]);
    let pinned = |pin| root.trust().with_group(TrustGroup { pins: vec![pin], ..root.group(&[DOMAIN]) });
    verifier.replace_trust(pinned(other.pin()));
    assert_eq!(verdicts(DOMAIN, &tls, &verifier).await, [Err("not-pinned"); 4]);
    verifier.replace_trust(pinned(shown.pin()));
    assert_eq!(verdicts(DOMAIN, &tls, &verifier).await, [Ok(Dns); 4]);
    verifier.replace_trust(other.trust());
    assert_eq!(verdicts(DOMAIN, &tls, &verifier).await, [Err("unknown-issuer"); 4]);
}

//! Server dialback (XEP-0220), as far as the negotiation goes.

use std::sync::Arc;
use std::time::SystemTime;

use convoke_dev::{CertificateAuthority, Subject};

use super::harness::*;
use crate::dialback::{DialbackPolicy, Secret};
use crate::identity::NameKind;

fn unknown(name: &str) -> Chain {
    chain(&CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(name)).unwrap())
}

fn policy(domain: &str, secret: &Arc<Secret>) -> DialbackPolicy {
    DialbackPolicy { domains: vec![domain.parse().unwrap()], secret: Arc::clone(secret) }
}

/// XEP-0220, section 2.1.2: the claim, the question that it leads to, and the yes that makes an identity of it.
#[test]
fn a_claim_is_worth_what_the_authoritative_server_says_about_that_very_claim() {
    let secret = Arc::new(Secret::new(b"s3cr3t"));
    let (of_a, of_b) = (policy("b.example", &secret), policy("a.example", &Arc::new(Secret::new(b"other"))));
    let claimed = || {
        let a = a_dials_b_with(|config| config.secret = Some(Arc::clone(&secret)));
        let mut pair = Pair::new(a, b_listens_with(|config| config.keys = Some(of_b.clone())));
        pair.drive(&unknown("a.example"), &unknown("b.example"));
        pair.receiving.claim().clone()
    };
    let (claim, another) = (claimed(), claimed());
    assert_eq!((claim.local().as_str(), claim.remote().as_str()), ("b.example", "a.example"));
    // Our own server asks that of a.example, by a stream for nothing else.
    let mut config = crate::InitiatingConfig::new(domain("b.example"), domain("a.example"));
    (config.secret, config.question) = (Some(of_b.secret.clone()), Some(claim.question()));
    let mut listening = crate::ReceivingConfig::new([domain("a.example")].into(), 65_536);
    listening.keys = Some(of_a);
    let mut pair = Pair::new(dialing(config), answering(listening));
    pair.drive(&unknown("b.example"), &unknown("a.example"));
    let answer = pair.initiating.established();
    assert_eq!(another.vouched_for(answer, SystemTime::now()), None);
    let established = claim.vouched_for(answer, SystemTime::now()).unwrap();
    assert_eq!(established.identity.domain().as_str(), "a.example");
    assert_eq!(established.identity.matched(), NameKind::Dialback);
    // Nothing follows from it for other domains.
    assert_eq!(established.also(&domain("a.example"), SystemTime::now()), None);
}

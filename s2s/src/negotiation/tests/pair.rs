//! The two roles against each other.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use convoke_dev::Subject;
use convoke_xmpp::negotiation::TlsStart;
use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use super::harness::*;
use crate::identity::NameKind;
use crate::negotiation::{Authzid, InitiatingConfig};
use crate::{IdentityError, NegotiationFailure, Stage};

/// The sequence of RFC 6120, sections 4.3, 5.4 and 6.4, as both sides write it. Rules 10 to 15, 23 to 26, 29, 31, 38, 39.
#[test]
fn negotiates_tls_then_external_then_stanzas() {
    let mut pair = Pair::new(a_dials_b(), b_listens());
    pair.drive(&world().a, &world().b);
    let open = header("a.example", "b.example");
    let answer = response("b.example", "a.example");
    let expected = [
        ('I', open.clone()),
        ('R', format!("{answer}{TLS_FEATURES}")),
        ('I', STARTTLS.to_owned()),
        ('R', PROCEED.to_owned()),
        ('-', "TLS".to_owned()),
        ('I', open.clone()),
        ('R', format!("{answer}{SASL_FEATURES}")),
        ('I', AUTH_A.to_owned()),
        ('R', SUCCESS.to_owned()),
        ('I', open),
        ('R', format!("{answer}{LAST_FEATURES}")),
    ];
    let transcript: Vec<_> = pair.transcript.iter().map(|(who, text)| (*who, masked(text))).collect();
    assert_eq!(transcript, expected);

    let (initiated, received) = (pair.initiating.established(), pair.receiving.established());
    assert_eq!((&initiated.local, initiated.identity.domain()), (&domain("a.example"), &domain("b.example")));
    assert_eq!((&received.local, received.identity.domain()), (&domain("b.example"), &domain("a.example")));
    assert_eq!(initiated.peer_max_bytes, Some(65_536));
    assert_eq!((initiated.tls_version, initiated.resumed), ("TLSv1.3", false));
    assert_eq!(received.identity.matched(), NameKind::Dns);
    assert!(received.identity.not_after() > SystemTime::now() + Duration::from_secs(24 * 60 * 60));
}

/// Rule 14.
#[test]
fn every_stream_of_a_connection_has_its_own_identifier() {
    let mut pair = Pair::new(a_dials_b(), b_listens());
    pair.drive(&world().a, &world().b);
    let said: String = pair.transcript.iter().filter(|(who, _)| *who == 'R').map(|(_, text)| text.as_str()).collect();
    let distinct: HashSet<_> = ids(&said).into_iter().collect();
    assert_eq!(distinct.len(), 3, "{said}");
    assert!(distinct.iter().all(|id| id.len() >= 22), "128 bits at least: {distinct:?}");
}

/// Rules 9 and 37: the peer is asked for by its A-label name in SNI's stead, and shows the certificate of `to`.
#[test]
fn each_side_shows_the_certificate_of_its_own_domain() {
    let mut initiating = a_dials_b();
    let mut receiving = listening(&["c.example", "b.example"]);
    receiving.hears(&initiating.says_exactly());
    initiating.hears(&receiving.says_exactly());
    receiving.hears(&initiating.says_exactly());
    initiating.hears(&receiving.says_exactly());
    let (local, remote) = (domain("a.example"), domain("b.example"));
    assert_eq!(initiating.tls, Some(TlsStart::Initiating { local, remote: remote.clone(), alpn: None }));
    assert_eq!(receiving.tls, Some(TlsStart::Receiving { local: Some(remote), alpn: None }));
}

/// Rules 40 and 42.
#[test]
fn an_empty_authorization_identity_is_taken_from_the_certificate() {
    let mut config = InitiatingConfig::new(domain("a.example"), domain("b.example"));
    config.authzid = Authzid::Empty;
    let mut pair = Pair::new(dialing(config), b_listens());
    pair.drive(&world().a, &world().b);
    assert!(pair.transcript.iter().any(|(_, text)| text.ends_with("mechanism='EXTERNAL'>=</auth>")));
    assert_eq!(pair.receiving.established().identity.domain(), &domain("a.example"));
}

/// Rule 9.
#[test]
fn an_international_domain_is_u_labels_in_xmpp_and_a_labels_in_certificates() {
    let initiating = dialing(InitiatingConfig::new(domain("bücher.example"), domain("b.example")));
    let books = world().issue(&Subject::domain("bücher.example"));
    let mut pair = Pair::new(initiating, b_listens());
    pair.drive(&books, &world().b);
    assert_eq!(pair.receiving.established().identity.domain().as_str(), "bücher.example");
    assert!(pair.transcript[0].1.contains("from='bücher.example'"));
}

/// Rules 39, 51 and 57, and complaint 3 of the field: the error names the cause.
#[test]
fn a_receiving_entity_tells_a_peer_at_once_that_its_certificate_is_bad() {
    for (bad, cause) in [
        (&world().stranger, "was issued by CN=Other CA, which is not trusted"),
        (&world().b, "does not name a.example but dNSName b.example, SRVName _xmpp-server.b.example"),
        (&Chain::new(), "no certificate was shown for a.example"),
    ] {
        let mut pair = Pair::new(a_dials_b(), b_listens());
        pair.drive(bad, &world().b);
        assert!(matches!(pair.receiving.failure(), NegotiationFailure::Identity(_)));
        let NegotiationFailure::StreamError { stage: Stage::Secured, error } = pair.initiating.failure() else {
            panic!("{:?}", pair.initiating.outcome);
        };
        assert_eq!(error.condition, StreamCondition::PolicyViolation);
        assert!(error.text.as_ref().unwrap().contains(cause), "{error}");
        assert!(!pair.transcript.iter().any(|(_, text)| text.contains("mechanisms")));
    }
}

/// Rules 36 and 57.
#[test]
fn an_initiating_entity_says_nothing_to_a_server_with_a_bad_certificate_but_why() {
    let mut pair = Pair::new(a_dials_b(), b_listens());
    pair.drive(&world().a, &world().a);
    assert!(matches!(
        pair.initiating.failure(),
        NegotiationFailure::Identity(IdentityError::WrongName { expected, .. }) if expected.as_str() == "b.example"
    ));
    let (_, last) = pair.transcript.iter().rfind(|(who, _)| *who == 'I').unwrap();
    assert!(last.starts_with(&header("a.example", "b.example")), "{last}");
    assert!(last.contains("<stream:error><policy-violation"), "{last}");
}

/// Rule 56: every stream is judged by the clock at its handshake, resumed sessions included.
#[test]
fn a_certificate_counts_while_it_is_in_force_only() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for (at, expected) in
        [(SystemTime::now() + year, IdentityError::Expired), (SystemTime::now() - year, IdentityError::NotYetValid)]
    {
        let mut b = b_listens();
        b.hears(&header("a.example", "b.example")).hears(STARTTLS);
        b.secure_at(&world().a, at).hears(&header("a.example", "b.example"));
        assert_eq!(b.failure(), &NegotiationFailure::Identity(expected));
    }
}

/// The deadline is absolute: a peer that keeps talking gains nothing.
#[test]
fn both_sides_give_up_at_their_deadline_whatever_was_said_before() {
    let mut a = a_dials_b();
    a.pass(Duration::from_secs(29));
    assert_eq!(a.outcome, None);
    a.expire();
    assert_eq!(a.failure(), &NegotiationFailure::TimedOut { stage: Stage::Opening });
    assert!(a.says().contains("<connection-timeout"));

    let mut b = b_listens();
    b.hears("<?xml ").pass(Duration::from_secs(29)).hears(&header("a.example", "b.example")[6..]);
    b.expire();
    assert_eq!(b.failure(), &NegotiationFailure::TimedOut { stage: Stage::StartTls });
}

/// A refusal is told with its SASL condition on both sides, not as "the peer closed".
#[test]
fn both_sides_know_why_sasl_failed() {
    let mut initiating = dialing(InitiatingConfig::new(domain("a.example"), domain("b.example")));
    let mut b = b_listens();
    b.hears(&initiating.says_exactly());
    initiating.hears(&b.says_exactly());
    b.hears(&initiating.says_exactly());
    initiating.hears(&b.says_exactly());
    b.secure(&world().a);
    initiating.secure(&world().b);
    b.hears(&initiating.says_exactly());
    initiating.hears(&b.says_exactly());
    initiating.says();
    // The peer's identity is right, but what it asks for on the way is not.
    b.hears(&AUTH_A.replace("YS5leGFtcGxl", "Yi5leGFtcGxl"));
    initiating.hears(&b.says_exactly());
    let text = Some("the authorization identity is not the domain that the certificate was judged for".to_owned());
    assert_eq!(initiating.failure(), &NegotiationFailure::Sasl { failure: SaslFailure::InvalidAuthzid, text });
    b.hears(&initiating.says_exactly());
    assert_eq!(b.failure(), &NegotiationFailure::Sasl { failure: SaslFailure::InvalidAuthzid, text: None });
}

//! Direct TLS: the handshake comes first, and STARTTLS has no place (XEP-0368).

use std::time::Duration;

use convoke_xmpp::negotiation::TlsStart;
use convoke_xmpp::stream::StreamCondition;

use super::harness::*;
use crate::negotiation::{ALPN, Initiating, Receiving};
use crate::{NegotiationFailure, Stage};

fn a_dials() -> Side<Initiating> {
    a_dials_b_with(|config| config.direct_tls = true)
}

fn b_answers() -> Side<Receiving> {
    b_listens_with(|config| config.direct_tls = true)
}

/// Rule 7, XEP-0368 section 3: neither offered nor asked for within.
#[test]
fn negotiates_external_at_once_within_direct_tls() {
    let mut pair = Pair::new(a_dials(), b_answers());
    pair.drive(&world().a, &world().b);
    let open = header("a.example", "b.example");
    let answer = response("b.example", "a.example");
    let expected = [
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
    assert_eq!(pair.initiating.established().identity.domain(), &domain("b.example"));
    assert_eq!(pair.receiving.established().identity.domain(), &domain("a.example"));
}

/// Rule 7, XEP-0368 section 3: the domain by SNI and the protocol by ALPN; nothing is said before.
#[test]
fn the_handshake_is_the_first_that_either_side_wants() {
    let (mut a, mut b) = (a_dials(), b_answers());
    let (local, remote) = (domain("a.example"), domain("b.example"));
    assert_eq!(a.tls, Some(TlsStart::Initiating { local, remote, alpn: Some(ALPN) }));
    assert_eq!(b.tls, Some(TlsStart::Receiving { local: None, alpn: Some(b"xmpp-server") }));
    assert_eq!((a.says(), b.says()), (String::new(), String::new()));
}

/// Rule 7: where TLS is, STARTTLS is refused as anywhere within TLS (RFC 6120, section 5.4.2.2).
#[test]
fn starttls_is_not_accepted_within_direct_tls() {
    let mut b = b_answers();
    b.secure(&world().a).hears(&header("a.example", "b.example"));
    assert_eq!(b.says(), format!("{}{SASL_FEATURES}", response("b.example", "a.example")));
    b.hears(STARTTLS);
    assert_eq!(b.says(), format!("{TLS_FAILURE}{END}"));
    assert_eq!(b.failure(), &NegotiationFailure::TlsRefused);
}

/// Rule 7: an offer of STARTTLS within is not taken up, and is no SASL either.
#[test]
fn starttls_is_not_asked_for_within_direct_tls() {
    let mut a = a_dials();
    a.secure(&world().b).hears(&response("b.example", "a.example"));
    a.says();
    a.hears(TLS_FEATURES);
    let said = a.says();
    assert!(said.contains("<policy-violation") && !said.contains("<starttls"), "{said}");
    assert_eq!(a.failure(), &NegotiationFailure::MechanismsLacking { offered: Vec::new() });

    let both = TLS_FEATURES.replace("</stream:features>", "") + &SASL_FEATURES.replace("<stream:features>", "");
    let mut a = a_dials();
    a.secure(&world().b).hears(&response("b.example", "a.example"));
    a.says();
    a.hears(&both);
    assert_eq!(a.says(), AUTH_A);
}

/// A port that speaks in the clear where TLS was expected: there is no stream to say so on.
#[test]
fn a_failed_handshake_ends_the_connection_without_a_word() {
    let (mut a, mut b) = (a_dials(), b_answers());
    a.fail_tls();
    b.fail_tls();
    assert_eq!((a.says(), b.says()), (String::new(), String::new()));
    assert!(matches!(a.failure(), NegotiationFailure::TlsFailed(_)));
    assert!(matches!(b.failure(), NegotiationFailure::TlsFailed(_)));
}

#[test]
fn a_bad_certificate_is_told_on_a_stream_within_direct_tls() {
    let mut pair = Pair::new(a_dials(), b_answers());
    pair.drive(&world().stranger, &world().b);
    assert!(matches!(pair.receiving.failure(), NegotiationFailure::Identity(_)));
    let NegotiationFailure::StreamError { stage, error } = pair.initiating.failure() else { panic!() };
    assert_eq!((*stage, error.condition), (Stage::Secured, StreamCondition::PolicyViolation));
}

#[test]
fn the_deadline_holds_from_the_first_moment() {
    let (mut a, mut b) = (a_dials(), b_answers());
    a.pass(Duration::from_secs(29)).expire();
    b.pass(Duration::from_secs(29)).expire();
    assert_eq!(a.failure(), &NegotiationFailure::TimedOut { stage: Stage::Tls });
    assert_eq!(b.failure(), &NegotiationFailure::TimedOut { stage: Stage::Tls });
    assert_eq!((a.says(), b.says()), (String::new(), String::new()));
}

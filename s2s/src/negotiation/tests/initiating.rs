//! Peers that do not keep to the rules, as an initiating entity meets them.

use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use super::harness::*;
use crate::negotiation::Initiating;
use crate::{NegotiationFailure, Stage};

const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
const NO_FEATURES: &str = "<stream:features/>";

fn answer() -> String {
    response("b.example", "a.example")
}

/// `a.example` after it has asked for TLS.
fn asked_for_tls() -> Side<Initiating> {
    let mut a = a_dials_b();
    a.hears(&answer()).hears(TLS_FEATURES);
    assert_eq!(a.says(), format!("{}{STARTTLS}", header("a.example", "b.example")));
    a
}

/// `a.example` after TLS, with a header and no features yet.
fn secured() -> Side<Initiating> {
    let mut a = asked_for_tls();
    a.hears(PROCEED).secure(&world().b).hears(&answer());
    assert_eq!(a.says(), header("a.example", "b.example"));
    a
}

/// `a.example` after it has sent `auth`.
fn asked_for_success() -> Side<Initiating> {
    let mut a = secured();
    a.hears(SASL_FEATURES);
    assert_eq!(a.says(), AUTH_A);
    a
}

/// `a.example` before the last features.
fn authenticated() -> Side<Initiating> {
    let mut a = asked_for_success();
    a.hears(SUCCESS).hears(&answer());
    assert_eq!(a.says(), header("a.example", "b.example"));
    a
}

fn assert_error(a: &mut Side<Initiating>, condition: StreamCondition, given: &str) {
    let said = a.says();
    assert!(said.contains(&format!("<stream:error><{condition} ")), "{given}: {said}");
    assert!(said.ends_with(END), "{given}: {said}");
    assert!(a.outcome.as_ref().is_some_and(Result::is_err), "{given}");
}

/// Rule 30 (RFC 7590, section 3.1): an offer may have been stripped on the way.
#[test]
fn tries_starttls_although_it_is_not_offered() {
    for features in [NO_FEATURES, SASL_FEATURES, &SASL_FEATURES.replace("EXTERNAL", "PLAIN")] {
        let mut a = a_dials_b();
        a.hears(&answer()).hears(features);
        assert!(a.says().ends_with(STARTTLS), "{features}");
        a.hears(PROCEED);
        assert!(a.tls.is_some());
    }
}

/// Rules 25 and 30: never in the clear.
#[test]
fn never_goes_on_without_tls() {
    for refusal in [Some(TLS_FAILURE), Some(END), None] {
        let mut a = a_dials_b();
        a.hears(&answer()).hears(SASL_FEATURES);
        a.says();
        match refusal {
            Some(text) => a.hears(text),
            None => a.disconnect(),
        };
        assert!(!a.says().contains("<auth"));
        assert_eq!(a.failure(), &NegotiationFailure::TlsNotOffered);
    }
    let mut a = asked_for_tls();
    a.hears(TLS_FAILURE);
    assert_eq!(a.says(), END);
    assert_eq!(a.failure(), &NegotiationFailure::TlsRefused);
    // What a server may only say after authentication.
    let mut a = asked_for_tls();
    a.hears(SUCCESS);
    assert_error(&mut a, StreamCondition::NotAuthorized, "success in the clear");
}

/// Rule 35.
#[test]
fn nothing_is_said_after_a_failed_tls_handshake() {
    let mut a = asked_for_tls();
    a.hears(PROCEED).fail_tls();
    assert_eq!(a.says(), "");
    assert!(matches!(a.failure(), NegotiationFailure::TlsFailed(failure) if failure.reason == "bad_certificate"));
}

/// Rules 11, 16, 17, 18 and 67.
#[test]
fn a_bad_response_header_is_answered_by_an_error() {
    use StreamCondition::*;
    let good = answer();
    for (given, condition) in [
        (good.replace("jabber:server", "jabber:client"), InvalidNamespace),
        (good.replace("etherx.jabber.org/streams", "wrong.example"), InvalidNamespace),
        (good.replace(" version='1.0' xml", " xml"), UnsupportedVersion),
        (good.replace(" version='1.0' xml", " version='0.9' xml"), UnsupportedVersion),
        (good.replace(" version='1.0' xml", " version='2.0' xml"), UnsupportedVersion),
        (format!("{good}{good}"), RestrictedXml),
        (format!("{good}text"), BadFormat),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), NotWellFormed),
    ] {
        let mut a = a_dials_b();
        a.hears(&given);
        assert_error(&mut a, condition, &given);
    }
    let mut a = asked_for_tls();
    a.hears(PROCEED).secure(&world().b);
    a.says();
    a.hears(&response("c.example", "a.example"));
    assert_error(&mut a, InvalidFrom, "another server");
}

/// Section 4.9.1.3: a host that does not know the domain answers by another of its names, and the error tells more.
#[test]
fn a_name_in_the_clear_is_worth_nothing() {
    let unknown = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    let mut a = a_dials_b();
    a.hears(&response("c.example", "a.example")).hears(unknown);
    assert!(matches!(a.failure(), NegotiationFailure::StreamError { .. }));
}

/// Rules 15, 16 and 19, and RFC 6120, sections 4.7.1 and 4.7.2, interoperability notes.
#[test]
fn accepts_response_headers_that_lack_what_is_not_needed() {
    let good = answer();
    for given in [
        good.replace(" xml:lang='en'", ""),
        good.replace(" to='a.example'", ""),
        good.replace(" from='b.example'", ""),
        good.replace(" id='ID'", ""),
        good.replace(" version='1.0' xml", " version='1.10' xml"),
        "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>".to_owned(),
    ] {
        let mut a = asked_for_tls();
        a.hears(PROCEED).secure(&world().b).hears(&given);
        let features = match given.contains("stream:stream") {
            true => SASL_FEATURES.to_owned(),
            // Prefix-free, as in section 9.2 of RFC 6120.
            false => SASL_FEATURES.replace("stream:", ""),
        };
        a.hears(&features);
        assert!(a.says().ends_with(AUTH_A), "{given}");
    }
}

/// Complaint 3 of the field: "no mechanisms" is told as such, with what there was instead.
#[test]
fn features_without_external_end_the_negotiation() {
    for (features, offered, condition) in [
        (NO_FEATURES, vec![], StreamCondition::PolicyViolation),
        (LAST_FEATURES, vec![], StreamCondition::PolicyViolation),
        (&SASL_FEATURES.replace("EXTERNAL", "PLAIN")[..], vec!["PLAIN"], StreamCondition::UnsupportedFeature),
        (&SASL_FEATURES.replace("EXTERNAL", "external")[..], vec!["external"], StreamCondition::UnsupportedFeature),
    ] {
        let mut a = secured();
        a.hears(features);
        assert_error(&mut a, condition, features);
        let offered = offered.into_iter().map(str::to_owned).collect();
        assert_eq!(a.failure(), &NegotiationFailure::MechanismsLacking { offered });
    }
}

/// Rule 27, before and after authentication.
#[test]
fn an_unknown_feature_that_is_required_is_not_supported() {
    let unknown = "<stream:features><x xmlns='urn:x'><required/></x></stream:features>";
    for mut a in [secured(), authenticated()] {
        a.hears(unknown);
        assert_error(&mut a, StreamCondition::UnsupportedFeature, unknown);
        let (name, namespace) = ("x".to_owned(), "urn:x".to_owned());
        assert_eq!(a.failure(), &NegotiationFailure::UnsupportedFeature { name, namespace });
    }
}

/// Fault a of the seed listing (`<required/>` within `<mechanisms/>` is ignored), and EXTERNAL among others.
#[test]
fn takes_external_wherever_it_stands() {
    for features in [
        SASL_FEATURES.replace("</mechanisms>", "<required/></mechanisms>"),
        SASL_FEATURES.replace("<mechanism>", "<mechanism>PLAIN</mechanism><mechanism>"),
        SASL_FEATURES.replace("</stream:features>", "<dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"),
    ] {
        let mut a = secured();
        a.hears(&features);
        assert_eq!(a.says(), AUTH_A, "{features}");
    }
}

/// Rule 26.
#[test]
fn features_that_are_empty_or_voluntary_complete_the_negotiation() {
    for (features, peer_max_bytes) in [
        (NO_FEATURES, None),
        (LAST_FEATURES, Some(65_536)),
        ("<stream:features><sm xmlns='urn:xmpp:sm:3'/><c xmlns='urn:c'/></stream:features>", None),
    ] {
        let mut a = authenticated();
        a.hears(features);
        assert_eq!(a.says(), "");
        assert_eq!(a.established().peer_max_bytes, peer_max_bytes, "{features}");
    }
}

/// Rules 48 and 68, and section 6.4.5: without another mechanism the stream is closed.
#[test]
fn a_sasl_failure_closes_the_stream_and_is_told() {
    for (condition, failure) in [
        ("not-authorized", SaslFailure::NotAuthorized),
        ("invalid-authzid", SaslFailure::InvalidAuthzid),
        ("temporary-auth-failure", SaslFailure::TemporaryAuthFailure),
        ("moon-phase", SaslFailure::NotAuthorized),
    ] {
        let mut a = asked_for_success();
        a.hears(&format!("<failure {SASL}><{condition}/></failure>"));
        assert_eq!(a.says(), END);
        assert_eq!(a.failure(), &NegotiationFailure::Sasl { failure, text: None });
    }
}

/// RFC 6120, section 6.5: what the peer says to people tells an operator what has to be mended.
#[test]
fn the_words_of_a_sasl_failure_are_told_behind_its_condition() {
    let mut a = asked_for_success();
    let text = "<text xml:lang='en'>Certificate host name mismatch</text>";
    a.hears(&format!("<failure {SASL}><not-authorized/>{text}</failure>"));
    assert_eq!(a.says(), END);
    let told = a.failure().to_string();
    assert_eq!(told, "SASL EXTERNAL failed: not-authorized: Certificate host name mismatch");
}

/// Rule 43, from the other side: a peer that ignores initial responses asks again, once.
#[test]
fn a_challenge_is_answered_once_by_the_same_response() {
    let mut a = asked_for_success();
    a.hears(CHALLENGE);
    assert_eq!(a.says(), format!("<response {SASL}>YS5leGFtcGxl</response>"));
    a.hears(CHALLENGE);
    assert_error(&mut a, StreamCondition::NotAuthorized, "second challenge");
}

/// Rule 28, from the other side.
#[test]
fn a_stanza_from_the_receiving_entity_is_not_authorized() {
    for mut a in [asked_for_tls(), secured(), asked_for_success(), authenticated()] {
        a.hears("<message/>");
        assert_error(&mut a, StreamCondition::NotAuthorized, "stanza");
    }
}

/// Rules 65 and 68: at every stage the peer's reason is known.
#[test]
fn a_stream_error_instead_of_anything_else_is_told_with_its_stage() {
    let error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    let mut first = a_dials_b();
    first.hears(&answer());
    first.says();
    for (mut a, expected) in [
        (first, Stage::Opening),
        (asked_for_tls(), Stage::StartTls),
        (secured(), Stage::Secured),
        (asked_for_success(), Stage::Authentication),
        (authenticated(), Stage::Authenticated),
    ] {
        a.hears(&format!("{error}{END}"));
        assert_eq!(a.says(), END);
        let NegotiationFailure::StreamError { stage, error } = a.failure() else { panic!("{:?}", a.outcome) };
        assert_eq!((*stage, error.condition), (expected, StreamCondition::HostUnknown));
    }
}

/// Rule 69.
#[test]
fn a_bare_closing_tag_is_answered_by_one() {
    for (mut a, stage) in [
        (asked_for_tls(), Stage::StartTls),
        (secured(), Stage::Secured),
        (asked_for_success(), Stage::Authentication),
        (authenticated(), Stage::Authenticated),
    ] {
        a.hears(END);
        assert_eq!(a.says(), END);
        assert_eq!(a.failure(), &NegotiationFailure::PeerClosed { stage });
    }
}

#[test]
fn features_at_the_wrong_time_are_not_authorized() {
    for mut a in [asked_for_tls(), asked_for_success()] {
        a.hears(SASL_FEATURES);
        assert_error(&mut a, StreamCondition::NotAuthorized, "features");
    }
}

#[test]
fn says_nothing_more_after_its_end() {
    let mut a = authenticated();
    a.hears(NO_FEATURES).disconnect();
    assert!(a.outcome.as_ref().is_some_and(Result::is_ok));
    assert_eq!(a.says(), "");
}

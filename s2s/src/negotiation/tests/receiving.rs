//! Peers that do not keep to the rules, as a receiving entity meets them.

use convoke_dev::Subject;
use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use super::harness::*;
use crate::negotiation::Receiving;
use crate::{NegotiationFailure, Stage};

const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

/// `b.example` after its first features.
fn in_the_clear() -> Side<Receiving> {
    let mut b = b_listens();
    b.hears(&header("a.example", "b.example"));
    assert_eq!(b.says(), format!("{}{TLS_FEATURES}", response("b.example", "a.example")));
    b
}

/// `b.example` after TLS with `a.example`.
fn secured() -> Side<Receiving> {
    let mut b = in_the_clear();
    b.hears(STARTTLS).secure(&world().a);
    assert_eq!(b.says(), PROCEED);
    b
}

/// `b.example` after it has offered EXTERNAL.
fn offered() -> Side<Receiving> {
    let mut b = secured();
    b.hears(&header("a.example", "b.example"));
    assert_eq!(b.says(), format!("{}{SASL_FEATURES}", response("b.example", "a.example")));
    b
}

/// `b.example` after `<success/>`.
fn authenticated() -> Side<Receiving> {
    let mut b = offered();
    b.hears(AUTH_A);
    assert_eq!(b.says(), SUCCESS);
    b
}

/// The stream ended with this error, said once, on a stream that was opened first.
fn assert_error(b: &mut Side<Receiving>, condition: StreamCondition, given: &str) {
    let said = b.says();
    assert!(said.contains(&format!("<stream:error><{condition} ")), "{given}: {said}");
    assert!(said.ends_with(END), "{given}: {said}");
    assert_eq!(said.matches("<stream:error>").count(), 1, "{given}: {said}");
    assert_eq!(said.matches(END).count(), 1, "{given}: {said}");
    assert!(b.outcome.as_ref().is_some_and(Result::is_err), "{given}");
}

/// With the text for people.
fn sasl_failure(condition: SaslFailure) -> String {
    let failure = crate::sasl::failure(condition).to_stream_xml();
    assert!(failure.starts_with(&format!("<failure {SASL}><{condition}/><text xml:lang='en'>")), "{failure}");
    failure
}

/// Rules 10, 13, 16, 17, 18 and 67: our own header comes first, even where theirs is the fault.
#[test]
fn a_bad_header_is_answered_by_a_header_and_then_an_error() {
    use StreamCondition::*;
    let good = header("a.example", "b.example");
    for (given, condition) in [
        (good.replace(" to='b.example'", ""), HostUnknown),
        (good.replace("to='b.example'", "to=''"), HostUnknown),
        (good.replace("to='b.example'", "to='c.example'"), HostUnknown),
        (good.replace("to='b.example'", "to='sub.b.example'"), HostUnknown),
        (good.replace("to='b.example'", "to='juliet@b.example'"), HostUnknown),
        (good.replace("to='b.example'", "to='b.example/r'"), HostUnknown),
        (good.replace("to='b.example'", "to='@'"), ImproperAddressing),
        (good.replace("jabber:server", "jabber:client"), InvalidNamespace),
        (good.replace("jabber:server", "urn:x"), InvalidNamespace),
        (good.replace("etherx.jabber.org/streams", "wrong.example"), InvalidNamespace),
        (good.replace("xmlns:stream=", "xmlns:other="), BadNamespacePrefix),
        (good.replace(" version='1.0' xml", " xml"), UnsupportedVersion),
        (good.replace(" version='1.0' xml", " version='0.9' xml"), UnsupportedVersion),
        (good.replace("from='a", "from='a' from='a"), NotWellFormed),
        ("<!DOCTYPE stream>".to_owned(), RestrictedXml),
        ("<?xml version='1.0' encoding='latin1'?>".to_owned(), UnsupportedEncoding),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), NotWellFormed),
        ("<message/>".to_owned(), BadFormat),
    ] {
        let mut b = b_listens();
        b.hears(&given);
        let said = b.said_so_far().to_owned();
        assert!(said.starts_with("<?xml version='1.0'?><stream:stream "), "{given}: {said}");
        assert_eq!(said.matches("<stream:stream").count(), 1, "{given}: {said}");
        assert!(said.contains(" from='b.example'"), "{given}: {said}");
        assert_eq!(ids(&said).len(), 1, "{given}: {said}");
        assert_error(&mut b, condition, &given);
    }
}

/// Rule 16.
#[test]
fn answers_with_the_lower_version() {
    for (given, answered) in [
        (" version='1.0'", " version='1.0'"),
        (" version='01.0'", " version='1.0'"),
        (" version='1.10'", " version='1.0'"),
        (" version='2.0'", " version='1.0'"),
        (" version='0.9'", " version='0.9'"),
        ("", ""),
    ] {
        let mut b = b_listens();
        b.hears(&header("a.example", "b.example").replace(" version='1.0' xml", &format!("{given} xml")));
        let said = b.says();
        assert!(said.contains(&format!(" id='ID'{answered} xml:lang='en'>")), "{given}: {said}");
        assert_eq!(b.outcome.is_some(), answered != " version='1.0'", "{given}");
    }
}

/// Rules 13, 19, 20 and 22, and section 4.7.1: what a peer may do differently.
#[test]
fn accepts_headers_that_are_written_differently() {
    const STREAMS: &str = "http://etherx.jabber.org/streams";
    for given in [
        format!("<stream xmlns='{STREAMS}' to='b.example' from='a.example' version='1.0'>"),
        format!("<x:stream xmlns:x='{STREAMS}' xmlns='jabber:server' to='b.example' version='1.0'>"),
        header("a.example", "b.example").replace(" version='1.0' xml", " id='mine' version='1.0' xml"),
        header("A.Example.", "B.EXAMPLE"),
        header("a.example", "b.example").replace(" xml:lang='en'", ""),
        header("a.example", "b.example").replace("<?xml version='1.0'?>", ""),
    ] {
        let mut b = b_listens();
        b.hears(&given).hears(STARTTLS);
        let said = b.says();
        assert!(said.contains(" from='b.example'"), "{given}: {said}");
        assert!(said.ends_with(&format!("{TLS_FEATURES}{PROCEED}")), "{given}: {said}");
        assert!(!said.contains("mine"), "{given}: {said}");
    }
}

/// Rule 12.
#[test]
fn answers_to_whom_the_header_was_from() {
    let mut b = b_listens();
    b.hears(&header("romeo@a.example/r", "b.example"));
    assert!(b.says().contains(" to='a.example' "));
    let mut b = b_listens();
    b.hears(&header("a.example", "b.example").replace(" from='a.example'", ""));
    assert!(!b.says().contains(" to="));
}

/// Rule 28: at every point before the negotiation is complete.
#[test]
fn a_stanza_before_the_end_of_the_negotiation_is_not_authorized() {
    for stanza in ["<message/>", "<presence/>", "<iq/>"] {
        for mut b in [in_the_clear(), offered(), challenged()] {
            b.hears(stanza);
            assert_error(&mut b, StreamCondition::NotAuthorized, stanza);
            assert!(matches!(b.failure(), NegotiationFailure::EarlyStanza { .. }));
        }
    }
}

/// Rule 28, where a header is due: there is no stream that could hold a stanza. Fault d of the seed listing.
#[test]
fn a_stanza_instead_of_a_header_ends_the_stream() {
    for mut b in [b_listens(), secured(), authenticated()] {
        b.hears("<message to='x@b.example' from='y@a.example'><body>too early</body></message>");
        assert_error(&mut b, StreamCondition::BadFormat, "stanza");
    }
}

/// Dialback, compression, stream management: nothing but what was offered.
#[test]
fn an_element_that_was_not_offered_is_not_authorized() {
    for mut b in [in_the_clear(), offered(), challenged()] {
        b.hears("<result xmlns='jabber:server:dialback' from='a.example' to='b.example'>key</result>");
        assert_error(&mut b, StreamCondition::NotAuthorized, "dialback");
    }
}

/// Rule 32: malformed, and not offered any more.
#[test]
fn a_starttls_that_was_not_offered_is_refused_and_the_stream_closed() {
    let malformed = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><now/></starttls>";
    for (mut b, given) in [(in_the_clear(), malformed), (offered(), STARTTLS), (challenged(), STARTTLS)] {
        b.hears(given);
        assert_eq!(b.says(), format!("{TLS_FAILURE}{END}"));
        assert_eq!(b.failure(), &NegotiationFailure::TlsRefused);
        assert_eq!(b.tls, None);
    }
}

/// Rule 35.
#[test]
fn nothing_is_said_after_a_failed_tls_handshake() {
    let mut b = in_the_clear();
    b.hears(STARTTLS);
    b.says();
    b.fail_tls();
    assert_eq!(b.says(), "");
    assert!(matches!(b.failure(), NegotiationFailure::TlsFailed(_)));

    let mut b = in_the_clear();
    b.hears(STARTTLS);
    b.says();
    b.expire();
    assert_eq!(b.says(), "");
    assert_eq!(b.failure(), &NegotiationFailure::TimedOut { stage: Stage::Tls });
}

/// Rule 34: what was said in the clear is forgotten.
#[test]
fn the_name_within_tls_counts_and_not_the_one_before() {
    let mut b = b_listens();
    b.hears(&header("c.example", "b.example")).hears(STARTTLS).secure(&world().a);
    b.says();
    b.hears(&header("a.example", "b.example")).hears(AUTH_A).hears(&header("a.example", "b.example"));
    assert_eq!(b.established().identity.domain(), &domain("a.example"));

    let mut b = secured();
    b.hears(&header("c.example", "b.example"));
    assert_error(&mut b, StreamCondition::PolicyViolation, "certificate of a.example");
}

/// Rule 11: within TLS a server says who it is, and it is a domain.
#[test]
fn a_server_without_a_name_cannot_be_known() {
    for from in ["", " from=''", " from='juliet@a.example'", " from='a.example/r'"] {
        let mut b = secured();
        b.hears(&header("a.example", "b.example").replace(" from='a.example'", from));
        assert_error(&mut b, StreamCondition::ImproperAddressing, from);
    }
}

/// Rules 40, 41, 44, 45 and 47.
#[test]
fn each_faulty_auth_has_its_own_failure() {
    use SaslFailure::*;
    for (given, failure) in [
        (format!("<auth {SASL}>YS5leGFtcGxl</auth>"), InvalidMechanism),
        (format!("<auth {SASL} mechanism='PLAIN'>YS5leGFtcGxl</auth>"), InvalidMechanism),
        (format!("<auth {SASL} mechanism='external'>YS5leGFtcGxl</auth>"), InvalidMechanism),
        (AUTH_A.replace("YS5leGFtcGxl", "=AAA"), IncorrectEncoding),
        (AUTH_A.replace("YS5leGFtcGxl", "YS5leGFtcGxlLg"), IncorrectEncoding),
        (AUTH_A.replace("YS5leGFtcGxl", "YS5l eGFtcGxl"), IncorrectEncoding),
        (AUTH_A.replace("YS5leGFtcGxl", "Yi5leGFtcGxl"), InvalidAuthzid),
        // juliet@a.example and a.example/r
        (AUTH_A.replace("YS5leGFtcGxl", "anVsaWV0QGEuZXhhbXBsZQ=="), InvalidAuthzid),
        (AUTH_A.replace("YS5leGFtcGxl", "YS5leGFtcGxlL3I="), InvalidAuthzid),
        (AUTH_A.replace("YS5leGFtcGxl", "/w=="), MalformedRequest),
        (AUTH_A.replace("YS5leGFtcGxl", "<x/>"), MalformedRequest),
        (format!("<response {SASL}>=</response>"), MalformedRequest),
        (format!("<abort {SASL}/>"), Aborted),
    ] {
        let mut b = offered();
        b.hears(&given);
        assert_eq!(b.says(), sasl_failure(failure), "{given}");
        // One failure is no end: the peer may do better.
        b.hears(AUTH_A);
        assert_eq!(b.says(), SUCCESS, "{given}");
    }
}

fn challenged() -> Side<Receiving> {
    let mut b = offered();
    b.hears(&format!("<auth {SASL} mechanism='EXTERNAL'/>"));
    assert_eq!(b.says(), CHALLENGE);
    b
}

/// Rules 43, 47 and 49.
#[test]
fn an_auth_without_initial_response_is_challenged() {
    for (response, answer) in [
        (format!("<response {SASL}>=</response>"), SUCCESS.to_owned()),
        (format!("<response {SASL}/>"), SUCCESS.to_owned()),
        (format!("<response {SASL}>YS5leGFtcGxl</response>"), SUCCESS.to_owned()),
        (format!("<response {SASL}>Yi5leGFtcGxl</response>"), sasl_failure(SaslFailure::InvalidAuthzid)),
        (format!("<response {SASL}>YS5</response>"), sasl_failure(SaslFailure::IncorrectEncoding)),
        (format!("<abort {SASL}/>"), sasl_failure(SaslFailure::Aborted)),
        (AUTH_A.to_owned(), SUCCESS.to_owned()),
        (format!("<auth {SASL} mechanism='EXTERNAL'/>"), CHALLENGE.to_owned()),
    ] {
        let mut b = challenged();
        b.hears(&response);
        assert_eq!(b.says(), answer, "{response}");
    }
}

/// Rule 46.
#[test]
fn auth_before_tls_is_told_that_encryption_is_required() {
    let mut b = in_the_clear();
    b.hears(AUTH_A);
    assert_eq!(b.says(), sasl_failure(SaslFailure::EncryptionRequired));
    b.hears(STARTTLS);
    assert_eq!(b.says(), PROCEED);
}

/// Rule 48, in the clear and within TLS.
#[test]
fn the_third_failed_attempt_violates_the_policy() {
    let bad = AUTH_A.replace("YS5leGFtcGxl", "Yi5leGFtcGxl");
    for (mut b, failure) in
        [(offered(), SaslFailure::InvalidAuthzid), (in_the_clear(), SaslFailure::EncryptionRequired)]
    {
        b.hears(&bad).hears(&bad);
        assert_eq!(b.says(), sasl_failure(failure).repeat(2));
        b.hears(&bad);
        assert!(b.said_so_far().starts_with(&sasl_failure(failure)));
        assert_error(&mut b, StreamCondition::PolicyViolation, "third attempt");
        assert_eq!(b.failure(), &NegotiationFailure::TooManyAttempts { attempts: 3, last: failure });
    }
}

/// An exchange that is begun over and over is bounded too, by the deadline.
#[test]
fn challenges_that_lead_nowhere_end_at_the_limit_of_elements() {
    let mut b = challenged();
    b.hears(&format!("<auth {SASL} mechanism='EXTERNAL'/>").repeat(50));
    assert_error(&mut b, StreamCondition::PolicyViolation, "elements");
}

#[test]
fn challenges_that_lead_nowhere_end_at_the_deadline() {
    let mut b = challenged();
    b.hears(&format!("<auth {SASL} mechanism='EXTERNAL'/>").repeat(20));
    assert_eq!(b.outcome, None);
    b.expire();
    assert_error(&mut b, StreamCondition::ConnectionTimeout, "challenges");
}

/// Rules 50 and 53. Fault f of the seed listing: a.example may not go on as example.
#[test]
fn a_peer_that_changes_its_name_after_authentication_is_refused() {
    for from in ["example", "sub.a.example", "c.example", "juliet@a.example"] {
        let mut b = authenticated();
        b.hears(&header(from, "b.example"));
        assert_error(&mut b, StreamCondition::InvalidFrom, from);
    }
    let mut b = authenticated();
    b.hears(&header("a.example", "b.example").replace(" from='a.example'", ""));
    assert_eq!(b.established().identity.domain(), &domain("a.example"));
}

#[test]
fn a_peer_stays_with_the_domain_that_it_was_authenticated_to() {
    let mut b = listening(&["b.example", "c.example"]);
    b.hears(&header("a.example", "c.example")).hears(STARTTLS).secure(&world().a);
    b.hears(&header("a.example", "c.example")).hears(AUTH_A);
    b.says();
    b.hears(&header("a.example", "b.example"));
    assert_error(&mut b, StreamCondition::HostUnknown, "another domain");
}

/// Rule 68: who receives an error closes too, and says no error back.
#[test]
fn a_stream_error_is_answered_by_the_closing_tag() {
    let error = "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    for mut b in [in_the_clear(), offered(), challenged()] {
        b.hears(error);
        assert_eq!(b.says(), END);
        assert!(matches!(b.failure(), NegotiationFailure::StreamError { .. }));
    }
}

/// What a peer writes goes to logs and to the senders of stanzas.
#[test]
fn the_words_of_a_stream_error_are_told_escaped_and_bounded() {
    let condition = "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>";
    let text = |words: &str| format!("<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{words}</text>");
    for (words, told) in [("one\ntwo\u{202e}", "one\\ntwo\\u{202e}".to_owned()), (&*"x".repeat(300), "x".repeat(256))] {
        let mut b = in_the_clear();
        b.hears(&format!("<stream:error>{condition}{}</stream:error>", text(words)));
        match b.failure() {
            NegotiationFailure::StreamError { error, .. } => assert_eq!(error.text, Some(told)),
            other => panic!("{other:?}"),
        }
    }
}

/// Rule 69.
#[test]
fn a_closing_tag_is_answered_by_one() {
    for mut b in [in_the_clear(), offered(), challenged()] {
        b.hears(END);
        assert_eq!(b.says(), END);
        assert!(matches!(b.failure(), NegotiationFailure::PeerClosed { .. }));
    }
}

#[test]
fn a_broken_connection_is_told_with_its_stage() {
    for (mut b, stage) in [
        (b_listens(), Stage::Opening),
        (in_the_clear(), Stage::StartTls),
        (secured(), Stage::Secured),
        (offered(), Stage::Authentication),
        (authenticated(), Stage::Authenticated),
    ] {
        b.disconnect();
        assert_eq!(b.says(), "");
        assert_eq!(b.failure(), &NegotiationFailure::Disconnected { stage });
    }
}

/// Rule 59, through the whole negotiation.
#[test]
fn a_certificate_for_servers_alone_is_good_for_an_initiating_entity() {
    let chain = world().issue(&Subject::domain("a.example").extended_key_usage(convoke_dev::Eku::ServerOnly));
    let mut b = in_the_clear();
    b.hears(STARTTLS).secure(&chain).hears(&header("a.example", "b.example"));
    assert!(b.says().ends_with(SASL_FEATURES));
}

/// Rule 21: what the stream says of its texts is known to who routes them; what is no language tag is not believed.
#[test]
fn the_language_of_the_stream_is_known_where_it_is_another_than_ours() {
    for (lang, known) in [
        ("", None),
        (" xml:lang='en'", None),
        (" xml:lang='EN'", None),
        (" xml:lang='de-CH'", Some("de-CH")),
        (" xml:lang=''", None),
        (" xml:lang='d e'", None),
        (" xml:lang='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", None),
    ] {
        let mut b = authenticated();
        b.hears(&header("a.example", "b.example").replace(" xml:lang='en'", lang));
        assert_eq!(b.established().lang.as_deref(), known, "{lang}");
    }
}

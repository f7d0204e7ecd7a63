//! Rules 38 to 53: SASL EXTERNAL.

use convoke_dev::{Eku, Subject};
use convoke_s2s::Authzid;
use convoke_xmpp::{Condition, Origin};

use crate::dialled::{self, Dialled};
use crate::listening::{AUTHZID, Listening};
use crate::wire::{
    CHALLENGE, END, FEATURES_END, NO_FEATURES, SASL, SASL_FEATURES, SUCCESS, auth, header, sasl_failure, stream_error,
    without_texts,
};
use crate::world::domain;

/// What is answered to this once EXTERNAL is offered; one failure is no end, so the peer succeeds behind it.
async fn failure_of(here: &Listening, given: &str) -> String {
    let mut peer = here.offered().await;
    peer.say(given).await;
    let failure = peer.hear("</failure>").await;
    peer.say(auth(AUTHZID)).await;
    assert_eq!(peer.hear(">").await, SUCCESS, "{given}");
    without_texts(&failure)
}

/// Rule 38, RFC 6120 sections 6.3.1 and 6.3.2.
#[tokio::test]
async fn nothing_is_sent_to_a_host_that_offers_no_sasl() {
    for (features, condition) in [
        (NO_FEATURES, "policy-violation"),
        ("<stream:features><limits xmlns='urn:xmpp:stream-limits:0'/></stream:features>", "policy-violation"),
        (&SASL_FEATURES.replace("EXTERNAL", "PLAIN"), "unsupported-feature"),
    ] {
        let here = Dialled::new().await;
        let mut host = here.secured().await;
        host.say(features).await;
        let said = host.rest().await;
        assert_eq!(stream_error(&said), condition, "{features}");
        assert!(!said.contains("<message") && !said.contains("<auth"), "{said}");
        assert!(here.given_back().await.error.text.unwrap().contains("EXTERNAL"));
    }
}

/// Rule 38, RFC 6120 section 6.3.2: both roles begin a new stream behind success.
#[tokio::test]
async fn a_new_stream_follows_success() {
    let here = Listening::new().await;
    let mut peer = here.authenticated().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(peer.hear(FEATURES_END).await.starts_with("<?xml version='1.0'?><stream:stream "));
    let there = Dialled::new().await;
    let mut host = there.asked_for_success().await;
    host.say(SUCCESS).await;
    assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "b.example"));
}

/// Rule 39, RFC 6120 sections 6.3.4 and 6.4.1.
#[tokio::test]
async fn external_is_offered_first_within_tls_and_to_who_has_proved_its_name_alone() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(!peer.hear(FEATURES_END).await.contains("mechanism"));
    let mut peer = here.secured().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(peer.hear(FEATURES_END).await.ends_with(SASL_FEATURES));
    for from in ["c.example", "example", "sub.b.example"] {
        let mut peer = here.secured().await;
        peer.say(header(from, "a.example")).await;
        assert!(!peer.rest().await.contains("mechanism"), "{from}");
    }
}

/// Rule 40, RFC 6120 section 6.4.2, and rule 53, sections 4.3.6 and 6.3.9.
#[tokio::test]
async fn an_equals_sign_is_an_empty_authzid_and_means_the_proved_domain() {
    let here = Listening::new().await;
    let mut peer = here.offered().await;
    peer.say(auth("=")).await;
    assert_eq!(peer.hear(">").await, SUCCESS);
    peer.say(header("b.example", "a.example")).await;
    peer.hear(FEATURES_END).await;
    peer.say("<message from='b.example' to='a.example'/>").await;
    assert_eq!(here.a.routed().await.1, Origin::Remote(domain("b.example")));
}

/// Rule 41, RFC 6120 section 6.3.8: a bare domain, and the peer's own.
#[tokio::test]
async fn an_authzid_that_is_not_the_bare_domain_of_the_peer_is_invalid() {
    let here = Listening::new().await;
    for authzid in [
        // juliet@b.example, b.example/r, a.example, sub.b.example, example
        "anVsaWV0QGIuZXhhbXBsZQ==",
        "Yi5leGFtcGxlL3I=",
        "YS5leGFtcGxl",
        "c3ViLmIuZXhhbXBsZQ==",
        "ZXhhbXBsZQ==",
    ] {
        assert_eq!(failure_of(&here, &auth(authzid)).await, sasl_failure("invalid-authzid"), "{authzid}");
    }
}

/// Rule 42, RFC 6120 section 6.3.8; XEP-0178 section 3 lets us name ourselves, and some receiving entities want it.
#[tokio::test]
async fn the_initiating_entity_names_its_domain_or_on_request_nothing() {
    for (authzid, response) in [(Authzid::Domain, dialled::AUTHZID), (Authzid::Empty, "=")] {
        let here = Dialled::with(|config| config.authzid = authzid).await;
        let mut host = here.secured().await;
        host.say(SASL_FEATURES).await;
        assert_eq!(host.hear("</auth>").await, auth(response));
    }
}

/// Rule 43, RFC 6120 sections 6.3.10 and 6.4.3.
#[tokio::test]
async fn an_auth_without_initial_response_is_challenged() {
    let here = Listening::new().await;
    for response in ["=", "", AUTHZID] {
        let mut peer = here.challenged().await;
        peer.say(format!("<response {SASL}>{response}</response>")).await;
        assert_eq!(peer.hear(">").await, SUCCESS, "{response:?}");
    }
}

/// Rule 43: the other role, with a host that takes no initial response.
#[tokio::test]
async fn a_challenge_is_answered_by_the_response_that_was_sent_at_once() {
    let here = Dialled::new().await;
    let mut host = here.asked_for_success().await;
    host.say(CHALLENGE).await;
    assert_eq!(host.hear("</response>").await, format!("<response {SASL}>{}</response>", dialled::AUTHZID));
}

/// Rule 44, RFC 6120 section 13.9.1.
#[tokio::test]
async fn base64_that_is_not_to_the_letter_is_an_incorrect_encoding() {
    let here = Listening::new().await;
    for encoded in [
        "=AAA",
        "Yi5leGFt=GxlAA==",
        "Yi5l eGFtcGxl",
        "Yi5leGFtcGxl\n",
        "YS5leGFtcGxlLg",
        "YWJjZB==",
        "====",
        "Yi5leGF-cGxl",
        "é",
    ] {
        assert_eq!(failure_of(&here, &auth(encoded)).await, sasl_failure("incorrect-encoding"), "{encoded:?}");
    }
}

/// Rule 45, RFC 6120 section 6.5.7: a failure of SASL and not of the stream.
#[tokio::test]
async fn another_mechanism_or_none_is_invalid() {
    let here = Listening::new().await;
    for mechanism in ["", " mechanism='PLAIN'", " mechanism='external'", " mechanism=''", " mechanism='EXTERNAL-PLUS'"]
    {
        let given = format!("<auth {SASL}{mechanism}>{AUTHZID}</auth>");
        assert_eq!(failure_of(&here, &given).await, sasl_failure("invalid-mechanism"), "{mechanism}");
    }
}

/// Rule 46, RFC 6120 section 6.5.4.
#[tokio::test]
async fn an_auth_in_the_clear_needs_encryption_first() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(auth(AUTHZID)).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("encryption-required"));
}

/// Rule 47, RFC 6120 section 6.4.4.
#[tokio::test]
async fn an_abort_is_answered_by_aborted() {
    let here = Listening::new().await;
    assert_eq!(failure_of(&here, &format!("<abort {SASL}/>")).await, sasl_failure("aborted"));
    let mut peer = here.challenged().await;
    peer.say(format!("<abort {SASL}/>")).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("aborted"));
}

/// Rule 48, RFC 6120 section 6.4.5.
#[tokio::test]
async fn the_third_attempt_that_fails_violates_the_policy() {
    let here = Listening::new().await;
    let mut peer = here.offered().await;
    peer.say(auth("YQ==").repeat(3)).await;
    let said = peer.rest().await;
    assert!(without_texts(&said).starts_with(&sasl_failure("invalid-authzid").repeat(3)), "{said}");
    assert_eq!(stream_error(&said), "policy-violation");
}

/// Rule 48, RFC 6120 section 6.5: the other role, which has nothing else to try.
#[tokio::test]
async fn a_failure_that_is_not_known_means_not_authorized_and_ends_the_attempt() {
    for (condition, told) in [("moon-phase", "not-authorized"), ("temporary-auth-failure", "temporary-auth-failure")] {
        let here = Dialled::new().await;
        let mut host = here.asked_for_success().await;
        host.say(sasl_failure(condition)).await;
        assert_eq!(host.rest().await, END);
        let bounced = here.given_back().await;
        assert_eq!(bounced.error.condition, Condition::RemoteServerTimeout);
        assert!(bounced.error.text.as_ref().unwrap().contains(told), "{:?}", bounced.error);
    }
}

/// RFC 6120, section 6.5: the code is that of the condition, and the words of the host are told with it.
#[tokio::test]
async fn the_words_of_a_failure_reach_the_sender_and_the_report() {
    let here = Dialled::new().await;
    let mut host = here.asked_for_success().await;
    let words = "Certificate host name\u{202e} mismatch";
    let text = format!("<text xml:lang='en'>\n {words}\n</text></failure>");
    host.say(sasl_failure("not-authorized").replace("</failure>", &text)).await;
    assert_eq!(host.rest().await, END);
    let told = "SASL EXTERNAL failed: not-authorized: Certificate host name\\u{202e} mismatch";
    let bounced = here.given_back().await.error;
    assert!(bounced.text.as_ref().unwrap().contains(told), "{bounced:?}");
    assert!(bounced.application.as_ref().unwrap().is("sasl-not-authorized", "urn:convoke:errors:0"), "{bounced:?}");
    let link = here.a.link("b.example").unwrap();
    assert!(link.last_failure.unwrap().contains(told));
    assert!(link.last_report.unwrap().fault.as_ref().unwrap().text.contains(told));
}

/// Rule 49, RFC 6120 section 6.4.2.
#[tokio::test]
async fn a_second_auth_discards_the_first() {
    let here = Listening::new().await;
    let mut peer = here.challenged().await;
    peer.say(auth("YQ==")).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("invalid-authzid"));
    let mut peer = here.challenged().await;
    peer.say(auth(AUTHZID)).await;
    assert_eq!(peer.hear(">").await, SUCCESS);
}

/// Rule 50, RFC 6120 section 6.4.6, and rule 53, section 4.3.6: the peer stays what its certificate proves.
#[tokio::test]
async fn a_peer_that_changes_its_name_behind_success_is_refused() {
    let here = Listening::new().await;
    for from in ["c.example", "example", "sub.b.example", "juliet@b.example"] {
        let mut peer = here.authenticated().await;
        peer.say(header(from, "a.example")).await;
        assert_eq!(stream_error(&peer.rest().await), "invalid-from", "{from}");
    }
}

/// Rule 50: the other role.
#[tokio::test]
async fn a_host_that_changes_its_name_within_tls_is_refused() {
    let here = Dialled::new().await;
    let mut host = here.asked_for_success().await;
    host.say(SUCCESS).await;
    host.hear("xml:lang='en'>").await;
    host.say(header("c.example", "a.example")).await;
    assert_eq!(stream_error(&host.rest().await), "invalid-from");
    here.given_back().await;
}

/// Rule 51, RFC 6120 section 6.4.5: there is nothing to offer and nothing weaker is allowed, which is told at once and
/// with its cause.
#[tokio::test]
async fn a_peer_whose_certificate_proves_nothing_is_told_a_policy_violation_at_once() {
    let here = Listening::new().await;
    let other = here.world.authority.issue(&Subject::domain("c.example")).unwrap();
    let clients = Subject::domain("b.example").extended_key_usage(Eku::ClientOnly);
    let clients = here.world.authority.issue(&clients).unwrap();
    for (shown, cause) in [(&other, "c.example"), (&clients, "serverAuth")] {
        let mut peer = here.secured_with(Some(shown)).await;
        peer.say(header("b.example", "a.example")).await;
        // Nothing more is said by the peer: the answer does not wait for it.
        let said = peer.rest().await;
        assert_eq!(stream_error(&said), "policy-violation");
        assert!(said.contains(cause) && !said.contains("<stream:features"), "{said}");
    }
}

/// Rule 52, RFC 6120 section 6.3.5: ours. Theirs is of no meaning, because it cannot do harm: the data of SASL itself may
/// hold none.
#[tokio::test]
async fn no_whitespace_stands_within_an_exchange_of_sasl() {
    let here = Listening::new().await;
    let mut peer = here.offered().await;
    for (given, end, answer) in [
        (format!("<auth {SASL} mechanism='EXTERNAL'/>"), ">", CHALLENGE.to_owned()),
        (format!("<abort {SASL}/>"), "</failure>", sasl_failure("aborted")),
        (auth("YQ=="), "</failure>", sasl_failure("invalid-authzid")),
        (auth("="), ">", SUCCESS.to_owned()),
        (header("b.example", "a.example"), ">", "<?xml version='1.0'?>".to_owned()),
    ] {
        peer.say(&given).await;
        assert_eq!(without_texts(&peer.hear(end).await), answer, "{given}");
    }
    let there = Dialled::new().await;
    let mut host = there.secured().await;
    host.say(SASL_FEATURES).await;
    assert_eq!(host.hear("</auth>").await, auth(dialled::AUTHZID));
    host.say(CHALLENGE).await;
    assert_eq!(host.hear("</response>").await, format!("<response {SASL}>{}</response>", dialled::AUTHZID));
    host.say(SUCCESS).await;
    assert_eq!(host.hear(">").await, "<?xml version='1.0'?>");
}

/// Rule 53, RFC 6120 section 4.3.6, and rule 37: the peer was authenticated to one of our domains and stays with it.
#[tokio::test]
async fn a_peer_stays_with_the_domain_to_which_it_was_authenticated() {
    let here = Listening::new().await;
    let mut peer = here.authenticated().await;
    peer.say(header("b.example", "c.example")).await;
    assert_eq!(stream_error(&peer.rest().await), "host-unknown");
}

//! SASL (RFC 6120, section 6; XEP-0178).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_xmpp::namespace;
use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use crate::bench::Bench;
use crate::case::Level::{Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Wanted::{AnyError, AnySasl, Challenge, Error, Sasl, Success};
use crate::expectation::{Answer, REFUSAL, Wanted};
use crate::probe::Stage::{Authenticated, Encrypted, Opened, Proceeding, Secured};
use crate::probe::{AUTH, HEADER, Probe};
use crate::script::Script;
use crate::tls::{ALL, ClientTls};
use crate::verdict::{Finding, Judgement, failed, inconclusive, tolerated};

const fn must() -> (Section, Level) {
    (Section::Sasl, Must)
}

const fn should() -> (Section, Level) {
    (Section::Sasl, Should)
}

/// The request for authentication with this text within.
macro_rules! auth {
    ($text:literal) => {
        concat!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>", $text, "</auth>")
    };
}

const NO_RESPONSE: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>";
const ZERO: &str = auth!("=");
const MOON: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='MOON'/>";
const ABORT: &str = "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// A refusal of the attempt, as SASL knows it or by the end of the stream.
const REFUSED: &[Wanted] = &[AnySasl, AnyError];

pub(super) const CASES: &[Case] = &[
    Case::code(must(), "not-in-clear", "EXTERNAL is not offered before TLS", "RFC 6120, 6.3.4", not_in_clear)
        .in_short(),
    Case::code(
        should(),
        "external",
        "EXTERNAL is offered to a peer with a good certificate",
        "RFC 6120, 6.3.4",
        external,
    )
    .in_short(),
    Case::script(
        must(),
        "own-name",
        "a peer may name its own domain",
        "XEP-0178, 3",
        Script::new(Secured, AUTH, &[Success]),
    )
    .in_short(),
    Case::script(
        must(),
        "zero-length",
        "an initial response of zero length is a single equals sign",
        "RFC 6120, 6.4.2",
        Script::new(Secured, ZERO, &[Success]),
    )
    .in_short(),
    Case::code(
        must(),
        "no-initial-response",
        "an attempt without initial response is challenged, and then succeeds",
        "RFC 6120, 6.3.10",
        no_initial_response,
    ),
    Case::code(must(), "second-auth", "a second attempt replaces one that is not done", "RFC 6120, 6.4.2", second_auth),
    authzid(
        "authzid-user",
        "the address of a user is no authorization identity of a server",
        auth!("anVsaWV0QGEuZXhhbXBsZQ=="),
    ),
    Case::code(
        must(),
        "authzid-own-user",
        "the address of a user of one's own domain is no authorization identity of a server",
        "RFC 6120, 6.3.8",
        |bench| Box::pin(async move { acting_for(bench, "juliet@{us}").await }),
    ),
    Case::code(
        must(),
        "authzid-resource",
        "a domain with a resource is no authorization identity of a server",
        "RFC 6120, 6.3.8",
        |bench| Box::pin(async move { acting_for(bench, "{us}/resource").await }),
    ),
    Case::code(
        must(),
        "authzid-below",
        "a certificate for a domain allows nobody to act for domains below it",
        "RFC 6120, 6.3.8",
        |bench| Box::pin(async move { acting_for(bench, "below.{us}").await }),
    ),
    authzid("authzid-other", "nobody acts for another domain", auth!("YS5leGFtcGxl")).in_short(),
    Case::code(
        must(),
        "authzid-other-sends",
        "nobody sends as another domain by naming it as authorization identity",
        "RFC 6120, 8.1.2.2(2)",
        authzid_other_sends,
    ),
    base64("base64-pad-first", "data that begins with padding is refused", auth!("=AAA")),
    base64("base64-pad-within", "data with padding within is refused", auth!("BBBB=CCC")),
    base64("base64-blank", "data with blanks is refused", auth!("YS5l eGFt cGxl")),
    base64("base64-alphabet", "data with characters that are none of base64 is refused", auth!("YS5leGF!cGxl")),
    base64("base64-pad-missing", "data without its padding is refused", auth!("YS5leGFtcGxlLg")),
    base64("base64-pad-bits", "data whose padding bits are set is refused", auth!("YS5leGFtcGxlLh==")),
    Case::script(
        must(),
        "mechanism-other",
        "a mechanism that was not offered is refused as invalid",
        "RFC 6120, 6.5.7",
        Script::new(Secured, MOON, REFUSED).prefer(&[Sasl(SaslFailure::InvalidMechanism)]),
    )
    .in_short(),
    Case::script(
        must(),
        "mechanism-missing",
        "an attempt without a mechanism is refused as invalid",
        "RFC 6120, 6.5.7",
        Script::new(Secured, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</auth>", REFUSED)
            .prefer(&[Sasl(SaslFailure::InvalidMechanism)]),
    ),
    Case::script(
        must(),
        "in-clear",
        "nobody authenticates in the clear",
        "RFC 6120, 6.5.4",
        Script::new(Opened, AUTH, REFUSAL).prefer(&[Sasl(SaslFailure::EncryptionRequired), AnyError]),
    )
    .in_short(),
    Case::code(must(), "abort", "an abort is answered by `aborted`", "RFC 6120, 6.4.4", abort),
    Case::code(should(), "retries", "two to five attempts are allowed, and not more", "RFC 6120, 6.4.5", retries),
    Case::code(
        must(),
        "no-whitespace",
        "nothing comes between the attempt and its success, nor behind it",
        "RFC 6120, 6.3.5(1)",
        no_whitespace,
    ),
    Case::code(
        must(),
        "other-name",
        "a peer that names another domain than its certificate does is not authenticated",
        "RFC 6120, 6.4.6 and 13.7.2",
        other_name,
    )
    .in_short(),
    Case::script(
        should(),
        "name-changed",
        "a peer that changes its name after authentication is refused",
        "RFC 6120, 4.3.6",
        Script::new(Authenticated, OTHER, REFUSAL),
    ),
    Case::code(
        must(),
        "name-changed-sends",
        "nobody sends as another domain by naming it after authentication",
        "RFC 6120, 8.1.2.2(2)",
        name_changed_sends,
    ),
    Case::code(
        should(),
        "no-certificate",
        "a peer without certificate is told at once that there is nothing for it",
        "RFC 6120, 6.4.5",
        no_certificate,
    ),
    Case::code(
        must(),
        "no-certificate-auth",
        "a peer without certificate is not authenticated",
        "RFC 6120, 13.7.2",
        no_certificate_auth,
    )
    .in_short(),
];

const fn authzid(key: &'static str, name: &'static str, auth: &'static str) -> Case {
    let script = Script::new(Secured, auth, REFUSED).prefer(&[Sasl(SaslFailure::InvalidAuthzid)]);
    Case::script(must(), key, name, "RFC 6120, 6.3.8", script)
}

const fn base64(key: &'static str, name: &'static str, auth: &'static str) -> Case {
    let script = Script::new(Secured, auth, REFUSED).prefer(&[Sasl(SaslFailure::IncorrectEncoding)]);
    Case::script(must(), key, name, "RFC 6120, 13.9.1 and 6.3.5(2)", script)
}

fn base64_of(text: &str) -> String {
    STANDARD.encode(text)
}

async fn acting_for(bench: &Bench, authzid: &str) -> Judgement {
    let mut probe = bench.reach(Secured).await?;
    let authzid = authzid.replace("{us}", probe.us.domain.as_str());
    probe.say(&AUTH.replace("{id}", &base64_of(&authzid))).await;
    probe.answer().await.judge(REFUSED, &[Sasl(SaslFailure::InvalidAuthzid)])
}

/// Some servers take no notice of the identity that is named; then it must not count.
fn authzid_other_sends(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.say(&AUTH.replace("{id}", &base64_of("other.conformance.invalid"))).await;
        match probe.answer().await {
            Answer::Success => {}
            answer => return answer.judge(REFUSAL, &[]),
        }
        probe.wire.restart();
        sends_as_other(&mut probe).await
    })
}

/// After authentication: another header, and a stanza to go with it.
async fn sends_as_other(probe: &mut Probe) -> Judgement {
    probe.say(OTHER).await;
    match probe.answer().await {
        Answer::Features(_) => {}
        answer => return answer.judge(REFUSAL, &[]),
    }
    probe.say("<message from='other.conformance.invalid' to='{them}'/></stream:stream>").await;
    probe.answer().await.judge(&[AnyError], &[Error(StreamCondition::InvalidFrom)])
}

fn name_changed_sends(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Authenticated).await?;
        sends_as_other(&mut probe).await
    })
}

/// Whether EXTERNAL is among the mechanisms of these features.
fn offers_external(features: &convoke_xmpp::Element) -> bool {
    let mechanisms = features.find("mechanisms", namespace::SASL);
    mechanisms.is_some_and(|offered| offered.children().any(|mechanism| mechanism.content() == "EXTERNAL"))
}

fn not_in_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let features = bench.connect().await?.open_with(HEADER).await?;
        if offers_external(&features) { failed("EXTERNAL is offered in the clear") } else { Ok("it is not".to_owned()) }
    })
}

fn external(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Encrypted).await?;
        probe.say(HEADER).await;
        match probe.answer().await {
            Answer::Features(features) if offers_external(&features) => Ok("it is".to_owned()),
            other => failed(other.to_string()),
        }
    })
}

fn no_initial_response(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.say(NO_RESPONSE).await;
        match probe.answer().await {
            Answer::Challenge => {}
            answer => return answer.judge(&[Success, Challenge], &[Challenge]),
        }
        probe.say("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>").await;
        probe.answer().await.judge(&[Success], &[])
    })
}

fn second_auth(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.say(NO_RESPONSE).await;
        match probe.answer().await {
            Answer::Challenge => {}
            other => return inconclusive(format!("no attempt is under way: {other}")),
        }
        probe.say(AUTH).await;
        probe.answer().await.judge(&[Success], &[])
    })
}

fn abort(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.say(NO_RESPONSE).await;
        match probe.answer().await {
            Answer::Challenge => {}
            other => return inconclusive(format!("no attempt is under way: {other}")),
        }
        probe.say(ABORT).await;
        probe.answer().await.judge(&[Sasl(SaslFailure::Aborted)], &[])
    })
}

fn retries(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        for attempts in 1..=8 {
            probe.say(auth!("!!!!")).await;
            match probe.answer().await {
                Answer::Sasl(_) => {}
                other if attempts == 1 => return failed(format!("the first attempt is answered by {other}")),
                // The error belongs to the attempt before: this one came too late to be answered.
                other => return judge_retries(attempts - 1, &other),
            }
        }
        failed("eight attempts are answered alike")
    })
}

fn judge_retries(attempts: u8, end: &Answer) -> Judgement {
    let seen = format!("{attempts} attempts, then {end}");
    if !(2..=5).contains(&attempts) {
        return failed(format!("{seen}; wanted: 2 to 5"));
    }
    match end {
        Answer::Error(error) if error.condition == StreamCondition::PolicyViolation => Ok(seen),
        Answer::Error(_) => tolerated(format!("{seen}; recommended: {}", Error(StreamCondition::PolicyViolation))),
        _ => failed(format!("{seen}; wanted: a stream error")),
    }
}

fn no_whitespace(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.wire.forget();
        probe.advance(Authenticated).await?;
        let received = String::from_utf8_lossy(probe.wire.received()).into_owned();
        if received.starts_with('<') && received.ends_with('>') {
            Ok(received)
        } else {
            failed(format!("{received:?}"))
        }
    })
}

const OTHER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='other.conformance.invalid' to='{them}' version='1.0'>";

fn other_name(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Encrypted).await?;
        probe.say(OTHER).await;
        match probe.answer().await {
            Answer::Features(_) => {}
            answer => return answer.judge(REFUSAL, &[]),
        }
        // Even if it is invited: it is somebody else.
        probe.say(ZERO).await;
        probe.answer().await.judge(REFUSAL, &[])
    })
}

/// Within TLS, without a certificate of our own, after a header.
async fn without_certificate(bench: &Bench) -> Result<(Probe, Answer), Finding> {
    let mut probe = bench.reach(Proceeding).await?;
    let tls = ClientTls::new(None, ALL).map_err(|error| Finding::Inconclusive(error.to_string()))?;
    if let Err(error) = probe.shake_hands(&tls).await {
        let ending = crate::wire::Ending::Broken(error.to_string());
        return Ok((probe, Answer::Ended(ending)));
    }
    probe.say(HEADER).await;
    let answer = probe.answer().await;
    Ok((probe, answer))
}

fn no_certificate(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match without_certificate(bench).await?.1 {
            Answer::Features(features) if offers_external(&features) => tolerated(
                "EXTERNAL is offered to a peer that cannot use it; recommended: stream error policy-violation",
            ),
            Answer::Features(features) if features.children().next().is_some() => {
                tolerated(format!("{}; recommended without dialback: an error", Answer::Features(features)))
            }
            Answer::Ended(ending) => tolerated(format!("{ending}, by TLS; recommended: stream error policy-violation")),
            answer => answer.judge(&[AnyError], &[Error(StreamCondition::PolicyViolation)]),
        }
    })
}

fn no_certificate_auth(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (mut probe, answer) = without_certificate(bench).await?;
        match answer {
            Answer::Features(_) => {}
            answer => return answer.judge(REFUSAL, &[]),
        }
        probe.say(AUTH).await;
        probe.answer().await.judge(REFUSAL, &[])
    })
}

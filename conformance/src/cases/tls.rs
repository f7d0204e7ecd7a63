//! STARTTLS and TLS (RFC 6120, section 5; RFC 7590).

use std::time::SystemTime;

use convoke_xmpp::negotiation::TlsInfo;
use convoke_xmpp::{Element, namespace};
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::bench::Bench;
use crate::case::Level::{Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{AnyError, Features, StartTlsFailure};
use crate::probe::Stage::{Encrypted, Opened, Proceeding, Secured};
use crate::probe::{HEADER, STARTTLS};
use crate::script::Script;
use crate::tls::ClientTls;
use crate::verdict::{Finding, Judgement, failed, inconclusive, tolerated};
use crate::wire::Ending;

const fn must() -> (Section, Level) {
    (Section::Tls, Must)
}

const fn should() -> (Section, Level) {
    (Section::Tls, Should)
}

pub(super) const CASES: &[Case] = &[
    Case::code(must(), "offered", "TLS is offered", "RFC 7590, 3.1", offered).in_short(),
    Case::code(should(), "only", "before TLS nothing but TLS is offered, as required", "RFC 6120, 5.3.1", only)
        .in_short(),
    Case::code(
        must(),
        "no-whitespace",
        "nothing comes between the request and `proceed`, nor behind it",
        "RFC 6120, 5.3.3",
        no_whitespace,
    )
    .in_short(),
    Case::script(
        should(),
        "malformed",
        "a malformed request for TLS fails",
        "RFC 6120, 5.4.2.2(1)",
        Script::new(
            Opened,
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><moon xmlns='urn:example:moon'/></starttls>",
            &[StartTlsFailure, AnyError],
        ),
    ),
    Case::script(
        must(),
        "twice",
        "TLS that is not offered, because it is there already, fails",
        "RFC 6120, 5.4.2.2(2)",
        Script::new(Secured, STARTTLS, &[StartTlsFailure, AnyError]).prefer(&[StartTlsFailure]),
    ),
    Case::code(
        must(),
        "injection",
        "what comes in the clear behind the request for TLS is never taken for encrypted",
        "RFC 6120, 5.4.3.1(1)",
        injection,
    )
    .in_short(),
    Case::code(
        must(),
        "name-forgotten",
        "who the peer said to be before TLS is forgotten",
        "RFC 6120, 5.4.3.3(2)",
        name_forgotten,
    ),
    Case::code(must(), "failure", "a failed handshake ends the connection", "RFC 6120, 5.4.3.2", failure),
    Case::code(
        must(),
        "failure-silent",
        "a failed handshake is not answered by the end of the stream",
        "RFC 6120, 5.4.3.2",
        failure_silent,
    ),
    Case::code(should(), "certificate-asked", "the peer is asked for a certificate", "RFC 6120, 5.4.3.1(3)", asked)
        .in_short(),
    Case::code(
        must(),
        "certificate",
        "the server's own certificate proves its domain",
        "RFC 6120, 13.7.2",
        certificate,
    ),
    Case::code(should(), "version-1-3", "TLS 1.3 is spoken", "RFC 9325, 3.1.1", version_1_3),
    Case::code(must(), "version-1-2", "TLS 1.2 is spoken", "RFC 9325, 3.1.1", version_1_2),
];

fn starttls(features: &Element) -> Option<&Element> {
    features.find("starttls", namespace::TLS)
}

async fn first_features(bench: &Bench) -> Result<Element, Finding> {
    bench.connect().await?.open_with(HEADER).await
}

fn offered(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let features = first_features(bench).await?;
        if starttls(&features).is_some() {
            Ok("it is".to_owned())
        } else {
            failed(Answer::Features(features).to_string())
        }
    })
}

fn only(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let features = first_features(bench).await?;
        let names: Vec<_> = features.children().map(Element::name).collect();
        let required = starttls(&features).is_some_and(|tls| tls.find("required", namespace::TLS).is_some());
        match (names.as_slice(), required) {
            (["starttls"], true) => Ok("starttls, required".to_owned()),
            (_, true) => failed(format!("offered: {}", names.join(", "))),
            (_, false) => failed(format!("offered: {}; TLS is not required", names.join(", "))),
        }
    })
}

fn no_whitespace(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Opened).await?;
        probe.wire.forget();
        probe.advance(Proceeding).await?;
        let received = String::from_utf8_lossy(probe.wire.received()).into_owned();
        if received.starts_with('<') && received.ends_with('>') {
            Ok(received)
        } else {
            failed(format!("{received:?}"))
        }
    })
}

/// A header to another domain in one segment with the request: who takes it as encrypted answers it within TLS.
fn injection(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Opened).await?;
        let injected = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
            from='injected.invalid' to='injected.invalid' version='1.0'>";
        probe.say(&format!("{STARTTLS}{injected}")).await;
        match probe.answer().await {
            Answer::Proceed => {}
            answer @ (Answer::Error(_) | Answer::StartTlsFailure | Answer::Closed | Answer::Ended(_)) => {
                return Ok(format!("refused: {answer}"));
            }
            other => return failed(other.to_string()),
        }
        let tls = probe.own_tls()?;
        if let Err(error) = probe.shake_hands(&tls).await {
            return Ok(format!("no TLS came of it: {error}"));
        }
        probe.say(HEADER).await;
        let answer = probe.answer().await;
        let to = probe.way.headers.last().and_then(|header| header.to.clone());
        match answer {
            Answer::Features(_) if to.is_some_and(|to| to.as_str() == probe.us.domain.as_str()) => {
                Ok("it was dropped".to_owned())
            }
            Answer::Ended(ending) => Ok(format!("refused: {ending}")),
            other => failed(format!("the injected header was answered within TLS, by {other}")),
        }
    })
}

fn name_forgotten(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        probe.open_with(&HEADER.replace("{us}", "before.tls.invalid")).await?;
        probe.is_at(Opened);
        probe.advance(Encrypted).await?;
        probe.say(HEADER).await;
        let judged = probe.answer().await.judge(&[Features], &[])?;
        let to = probe.header()?.to.as_ref().map(ToString::to_string).unwrap_or_default();
        if to == probe.us.domain.as_str() { Ok(judged) } else { failed(format!("the answer within TLS is to='{to}'")) }
    })
}

/// What comes when no handshake of TLS follows `proceed`.
async fn after_no_handshake(bench: &Bench) -> Result<(Option<Ending>, Vec<u8>), Finding> {
    let mut probe = bench.reach(Proceeding).await?;
    probe.wire.forget();
    probe.say("<this-is-no-tls/>\r\n\r\n").await;
    let ending = probe.wire.end().await;
    Ok((ending, probe.wire.received().to_vec()))
}

fn failure(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match after_no_handshake(bench).await? {
            (Some(ending), _) => Ok(ending.to_string()),
            (None, _) => failed("the connection stays open"),
        }
    })
}

fn failure_silent(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (_, heard) = after_no_handshake(bench).await?;
        if heard.contains(&b'<') {
            return failed(format!("{:?}", String::from_utf8_lossy(&heard)));
        }
        Ok(format!("{} bytes, none of them XML", heard.len()))
    })
}

fn asked(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Encrypted).await?;
        if probe.way.certificate_asked { Ok("it is".to_owned()) } else { failed("it is not") }
    })
}

fn certificate(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let Some(verifier) = &bench.setup.verifier else { return Err(Finding::Skipped("needs --trust".to_owned())) };
        let probe = bench.reach(Encrypted).await?;
        let Some(tls) = probe.wire.tls() else { return inconclusive("no TLS") };
        let chain: Vec<&[u8]> =
            tls.get_ref().1.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref).collect();
        let at = SystemTime::now();
        let info = TlsInfo { peer_chain: &chain, version: "", alpn: None, resumed: false, at, exporter: None };
        match verifier.verify(&info, &bench.setup.target.domain) {
            Ok(_) => Ok(format!("a chain of {}", chain.len())),
            Err(error) => failed(error.to_string()),
        }
    })
}

async fn speaks(bench: &Bench, version: &'static SupportedProtocolVersion) -> Judgement {
    let mut probe = bench.reach(Proceeding).await?;
    let tls = ClientTls::new(Some(&probe.us.credentials), &[version]);
    let tls = tls.map_err(|error| Finding::Inconclusive(error.to_string()))?;
    match probe.shake_hands(&tls).await {
        Ok(()) => Ok("it is".to_owned()),
        Err(error) => failed(error.to_string()),
    }
}

fn version_1_3(bench: &Bench) -> Running<'_> {
    Box::pin(async move { speaks(bench, &TLS13).await })
}

/// A server of TLS 1.3 alone is more than RFC 9325 wants.
fn version_1_2(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match speaks(bench, &TLS12).await {
            Err(Finding::Failed(why)) if speaks(bench, &TLS13).await.is_ok() => {
                tolerated(format!("TLS 1.3 alone is spoken ({why})"))
            }
            other => other,
        }
    })
}

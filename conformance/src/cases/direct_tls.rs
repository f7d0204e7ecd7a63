//! Connections that begin with TLS (XEP-0368).

use std::time::SystemTime;

use convoke_xmpp::negotiation::TlsInfo;
use convoke_xmpp::{Element, namespace};

use crate::bench::{ALPN, Bench};
use crate::case::Level::{Measured, Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Wanted::{AnyError, Closed, Ended, Features, StartTlsFailure};
use crate::probe::Stage::{Encrypted, Established, Secured};
use crate::probe::{HEADER, Probe, STARTTLS};
use crate::tls::ClientTls;
use crate::verdict::{Finding, failed, inconclusive, tolerated};

const fn must() -> (Section, Level) {
    (Section::DirectTls, Must)
}

pub(super) const CASES: &[Case] = &[
    Case::code(
        must(),
        "established",
        "a stream is negotiated to its end within TLS that was there from the first byte",
        "XEP-0368, 3",
        established,
    )
    .in_short(),
    Case::code(must(), "no-starttls", "within direct TLS, STARTTLS is not offered", "XEP-0368, 3", no_starttls)
        .in_short(),
    Case::code(must(), "starttls", "within direct TLS, a request for STARTTLS fails", "XEP-0368, 3", starttls),
    Case::code(
        must(),
        "in-clear",
        "where TLS is expected, a stream header in the clear is no beginning of a stream",
        "XEP-0368, 3",
        in_clear,
    ),
    Case::code(
        (Section::DirectTls, Should),
        "alpn",
        "of the protocols that the peer names, xmpp-server is chosen",
        "XEP-0368, 3",
        alpn,
    ),
    Case::code(must(), "alpn-none", "a peer that names no protocol is served", "XEP-0368, 3", alpn_none),
    Case::code(
        (Section::DirectTls, Measured),
        "alpn-foreign",
        "a peer that speaks other protocols alone",
        "RFC 7301, 3.2",
        alpn_foreign,
    ),
    Case::code(
        must(),
        "certificate",
        "the server's own certificate proves its domain by direct TLS too",
        "XEP-0368, 3",
        certificate,
    ),
    Case::code(
        (Section::DirectTls, Measured),
        "name-none",
        "a peer that does not name the domain in the TLS handshake",
        "XEP-0368, 3",
        name_none,
    ),
];

fn established(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect_direct().await?;
        let tls = probe.own_tls()?.with_protocols(&[ALPN]);
        if let Err(error) = probe.shake_hands(&tls).await {
            return failed(format!("the TLS handshake failed: {error}"));
        }
        match probe.advance(Established).await {
            Ok(()) => Ok(format!("features of {} streams", probe.way.features.len())),
            Err(Finding::Inconclusive(why)) => failed(why),
            Err(other) => Err(other),
        }
    })
}

fn offers_starttls(features: &Element) -> bool {
    features.find("starttls", namespace::TLS).is_some()
}

fn no_starttls(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach_direct(Secured).await?;
        let offered = probe.way.features.last().is_some_and(offers_starttls);
        if offered { failed("starttls is offered") } else { Ok("it is not".to_owned()) }
    })
}

fn starttls(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach_direct(Secured).await?;
        probe.say(STARTTLS).await;
        probe.answer().await.judge(&[StartTlsFailure, AnyError, Closed, Ended], &[])
    })
}

fn in_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect_direct().await?;
        probe.say(HEADER).await;
        let answer = probe.answer().await;
        if probe.wire.received().contains(&b'<') {
            return failed(format!("XML in the clear: {answer}"));
        }
        Ok(format!("no XML in the clear: {answer}"))
    })
}

/// A connection on which this handshake was made, and features came; otherwise what came instead.
async fn opened(bench: &Bench, change: fn(ClientTls) -> ClientTls) -> Result<Result<Probe, String>, Finding> {
    let mut probe = bench.connect_direct().await?;
    let tls = change(probe.own_tls()?);
    if let Err(error) = probe.shake_hands(&tls).await {
        return Ok(Err(format!("the TLS handshake failed: {error}")));
    }
    probe.say(HEADER).await;
    match probe.answer().await {
        answer if answer.is_any(&[Features]) => Ok(Ok(probe)),
        answer => Ok(Err(answer.to_string())),
    }
}

/// What ALPN has chosen on this connection.
fn chosen(probe: &Probe) -> Option<String> {
    let protocol = probe.wire.tls()?.get_ref().1.alpn_protocol()?;
    Some(String::from_utf8_lossy(protocol).into_owned())
}

fn alpn(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match opened(bench, |tls| tls.with_protocols(&[b"h2", ALPN, b"xmpp-client"])).await? {
            Ok(probe) => match chosen(&probe) {
                Some(protocol) if protocol.as_bytes() == ALPN => Ok(protocol),
                Some(other) => failed(format!("{other} is chosen")),
                None => failed("none is chosen"),
            },
            Err(instead) => failed(instead),
        }
    })
}

fn alpn_none(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match opened(bench, |tls| tls).await? {
            Ok(_) => Ok("it is".to_owned()),
            Err(instead) => failed(instead),
        }
    })
}

fn alpn_foreign(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match opened(bench, |tls| tls.with_protocols(&[b"h2"])).await? {
            Ok(_) => tolerated("it is served; recommended: no_application_protocol"),
            Err(instead) => Ok(instead),
        }
    })
}

fn certificate(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let Some(verifier) = &bench.setup.verifier else { return Err(Finding::Skipped("needs --trust".to_owned())) };
        let probe = bench.reach_direct(Encrypted).await?;
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

fn name_none(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match opened(bench, |tls| tls.with_protocols(&[ALPN]).without_name()).await? {
            Ok(_) => Ok("it is served".to_owned()),
            Err(instead) => Ok(format!("it is not: {instead}")),
        }
    })
}

//! How much a peer may send (RFC 6120, section 13.12).

use convoke_xmpp::stream::StreamCondition;

use crate::bench::Bench;
use crate::case::Level::{Measured, Must};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{AnyError, Closed, Ended, Error};
use crate::probe::Stage::{self, Connected, Established, Opened, Secured};
use crate::verdict::{Finding, Judgement, inconclusive, tolerated};

const MEASURED: (Section, Level) = (Section::Limits, Measured);

pub(super) const CASES: &[Case] = &[
    Case::code((Section::Limits, Must), "least", "a stanza of 10,000 bytes is taken", "RFC 6120, 13.12(4)", least)
        .in_short(),
    Case::code(
        (Section::Limits, Must),
        "most",
        "a stanza that is too large closes the stream by policy-violation",
        "RFC 6120, 13.12(4)",
        most,
    ),
    Case::code(MEASURED, "depth", "elements that are nested without end", "RFC 6120, 13.12", depth),
    Case::code(MEASURED, "header", "a stream header that never ends", "RFC 6120, 13.12", flood_header),
    Case::code(MEASURED, "clear", "an element that never ends, in the clear", "RFC 6120, 13.12", flood_clear),
    Case::code(
        MEASURED,
        "secured",
        "an element that never ends, before authentication",
        "RFC 6120, 13.12",
        flood_secured,
    ),
    Case::code(
        MEASURED,
        "elements",
        "elements that never end to come, before authentication",
        "RFC 6120, 13.12",
        flood_elements,
    ),
    Case::code(MEASURED, "established", "a stanza that never ends", "RFC 6120, 13.12", flood_established),
    Case::code(
        MEASURED,
        "silence",
        "how long a connection may be silent before authentication",
        "RFC 6120, 13.12",
        silence,
    ),
];

/// What a flood comes to at most, in bytes.
const FLOOD: usize = 8 * 1024 * 1024;

/// The size of its pieces, in bytes.
const PIECE: usize = 4096;

/// A message of this many bytes in all.
fn message(bytes: usize, us: &str, them: &str) -> String {
    let (open, close) =
        (format!("<message from='{us}' to='nobody-of-that-name@{them}' type='error'><body>"), "</body></message>");
    format!("{open}{}{close}", "x".repeat(bytes.saturating_sub(open.len() + close.len())))
}

/// The answer to a stanza of this many bytes, behind which the stream ends.
pub(super) async fn stanza_of(bench: &Bench, bytes: usize) -> Result<Answer, Finding> {
    let mut probe = bench.reach(Established).await?;
    let (us, them) = (probe.us.domain.as_str().to_owned(), bench.setup.target.domain.as_str().to_owned());
    let stanza = message(bytes, &us, &them);
    probe.wire.flood(stanza.as_bytes(), 1).await;
    probe.say("</stream:stream>").await;
    Ok(probe.answer().await)
}

fn least(bench: &Bench) -> Running<'_> {
    Box::pin(async move { stanza_of(bench, 10_000).await?.judge(&[Closed], &[]) })
}

/// Looks for the limit by doubling; beyond 8 MiB there may be one, but it protects nobody.
fn most(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut bytes = 64 * 1024;
        while bytes <= FLOOD {
            let answer = stanza_of(bench, bytes).await?;
            match answer {
                Answer::Closed => bytes *= 2,
                other => {
                    let judged = other.judge(&[AnyError], &[Error(StreamCondition::PolicyViolation)]);
                    return judged.map(|seen| format!("{} bytes are taken, {bytes} are not: {seen}", bytes / 2));
                }
            }
        }
        tolerated("stanzas of 8 MiB are taken; recommended: a limit")
    })
}

fn depth(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Established).await?;
        probe.say("<message from='{us}' to='{them}'>").await;
        let taken = probe.wire.flood("<a>".repeat(PIECE / 3).as_bytes(), 75).await;
        match probe.answer().await {
            Answer::Silence => tolerated(format!("{} levels were taken; recommended: a limit", taken / 3)),
            answer => {
                answer.judge(&[AnyError, Ended], &[AnyError]).map(|seen| format!("{seen} after {taken} bytes at most"))
            }
        }
    })
}

/// What an endless repetition of this comes to, behind that beginning.
async fn flood(bench: &Bench, at: Stage, beginning: &str, piece: &str) -> Judgement {
    let mut probe = bench.reach(at).await?;
    probe.say(beginning).await;
    let piece = piece.repeat(PIECE.div_ceil(piece.len()));
    let taken = probe.wire.flood(piece.as_bytes(), FLOOD / piece.len()).await;
    match probe.answer().await {
        Answer::Silence => tolerated(format!("{taken} bytes were taken without an answer; recommended: a limit")),
        answer => Ok(format!("{answer}, after {taken} bytes at most")),
    }
}

fn flood_header(bench: &Bench) -> Running<'_> {
    Box::pin(async move { flood(bench, Connected, "<?xml version='1.0'?><stream:stream a='", "x").await })
}

fn flood_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move { flood(bench, Opened, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>", "x").await })
}

fn flood_secured(bench: &Bench) -> Running<'_> {
    Box::pin(async move { flood(bench, Secured, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", "x").await })
}

fn flood_elements(bench: &Bench) -> Running<'_> {
    Box::pin(async move { flood(bench, Secured, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", "<a/>").await })
}

fn flood_established(bench: &Bench) -> Running<'_> {
    Box::pin(async move { flood(bench, Established, "<message from='{us}' to='{them}'><body>", "x").await })
}

fn silence(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        let begun = tokio::time::Instant::now();
        let patience = bench.setup.deadline.mul_f32(0.9);
        match probe.wire.next_within(patience).await {
            crate::wire::Seen::Silence => inconclusive(format!("open after {} s", begun.elapsed().as_secs())),
            _ => Ok(format!("{} s", begun.elapsed().as_secs())),
        }
    })
}

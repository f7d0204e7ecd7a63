//! What a server tells of its limits (XEP-0478).

use convoke_xmpp::Element;

use crate::bench::Bench;
use crate::case::Level::{Measured, Must};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Wanted::{AnyError, Closed, Ended};
use crate::probe::Stage::Established;
use crate::verdict::{Finding, failed};

use super::limits::stanza_of;

const NAMESPACE: &str = "urn:xmpp:stream-limits:0";

/// What every server has to take (RFC 6120, section 13.12).
const LEAST: usize = 10_000;

/// Larger stanzas are not tried: it is not the memory of the server that is tried here.
const LARGEST: usize = 8 * 1024 * 1024;

const MUST: (Section, Level) = (Section::Limits, Must);

pub(super) const CASES: &[Case] = &[
    Case::code((Section::Limits, Measured), "told", "what the last features say of limits", "XEP-0478, 3.1", told),
    Case::code(
        MUST,
        "told-least",
        "the limit that is told is a number, and not below what every server has to take",
        "XEP-0478, 3.1; RFC 6120, 13.12(4)",
        told_least,
    )
    .in_short(),
    Case::code(MUST, "told-taken", "a stanza of the size that is told is taken", "XEP-0478, 3.1", told_taken),
    Case::code(
        (Section::Limits, Measured),
        "told-exceeded",
        "a stanza of twice the size that is told",
        "XEP-0478, 3.1",
        told_exceeded,
    ),
];

/// The limits of the last features.
async fn limits(bench: &Bench) -> Result<Element, Finding> {
    let probe = bench.reach(Established).await?;
    let limits = probe.way.features.last().and_then(|features| features.find("limits", NAMESPACE));
    limits.cloned().ok_or_else(|| Finding::Skipped("the server does not tell its limits".to_owned()))
}

/// How many bytes an element may have, if that is told.
async fn max_bytes(bench: &Bench) -> Result<usize, Finding> {
    let limits = limits(bench).await?;
    let Some(told) = limits.find("max-bytes", NAMESPACE) else {
        return Err(Finding::Skipped("the server does not tell the size of stanzas".to_owned()));
    };
    let text = told.content();
    text.trim().parse().or_else(|_| failed(format!("max-bytes is {text:?}")))
}

fn told(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let limits = limits(bench).await?;
        let told: Vec<_> = limits.children().map(|limit| format!("{} {}", limit.name(), limit.content())).collect();
        Ok(told.join(", "))
    })
}

fn told_least(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let bytes = max_bytes(bench).await?;
        if bytes < LEAST {
            failed(format!("{bytes} bytes; wanted: at least {LEAST}"))
        } else {
            Ok(format!("{bytes} bytes"))
        }
    })
}

fn told_taken(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let bytes = max_bytes(bench).await?.min(LARGEST);
        let judged = stanza_of(bench, bytes).await?.judge(&[Closed], &[]);
        judged.map(|seen| format!("{bytes} bytes: {seen}"))
    })
}

fn told_exceeded(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let bytes = max_bytes(bench).await?.min(LARGEST).saturating_mul(2);
        let judged = stanza_of(bench, bytes).await?.judge(&[AnyError, Closed, Ended], &[AnyError]);
        judged.map(|seen| format!("{bytes} bytes: {seen}"))
    })
}

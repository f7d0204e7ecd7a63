//! Streams that carry stanzas in both directions (XEP-0288).

use convoke_xmpp::Element;

use crate::bench::Bench;
use crate::case::Level::Must;
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{AnyError, Success};
use crate::probe::Stage::{Authenticated, Established, Opened, Secured};
use crate::probe::{AUTH, Probe};
use crate::verdict::{Finding, Judgement, failed, inconclusive};

const fn must() -> (Section, Level) {
    (Section::Bidi, Must)
}

const FEATURE: &str = "urn:xmpp:features:bidi";

const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";

/// A request that every server answers, if only by an error.
const PING: &str = "<iq type='get' id='bidi-ping' from='{us}' to='{them}'><ping xmlns='urn:xmpp:ping'/></iq>";

pub(super) const CASES: &[Case] = &[
    Case::code(
        must(),
        "asked-in-clear",
        "what was asked for before TLS is refused or forgotten",
        "XEP-0288, 2.1; RFC 6120, 5.4.3.3(2)",
        asked_in_clear,
    ),
    Case::code(
        must(),
        "asked",
        "a stream for which both directions were asked is negotiated to its end",
        "XEP-0288, 2.2",
        asked,
    )
    .in_short(),
    Case::code(
        must(),
        "answered",
        "the answer to a request comes by the stream of the request",
        "XEP-0288, 2.2",
        answered,
    )
    .in_short(),
    Case::code(
        must(),
        "not-before-authentication",
        "nothing is sent to a peer before it has authenticated",
        "XEP-0288, 2.2",
        nothing_early,
    ),
    Case::code(
        must(),
        "not-asked",
        "a peer that has not asked for both directions is sent no stanza",
        "RFC 6120, 4.5",
        not_asked,
    ),
    Case::code(
        must(),
        "from-other",
        "by a stream in both directions too, nobody sends as another domain",
        "RFC 6120, 8.1.2.2(2)",
        from_other,
    ),
];

fn offers(features: Option<&Element>) -> bool {
    features.is_some_and(|features| features.find("bidi", FEATURE).is_some())
}

/// A connection on which both directions are offered, before authentication.
async fn offered(bench: &Bench) -> Result<Probe, Finding> {
    let probe = bench.reach(Secured).await?;
    match offers(probe.way.features.last()) {
        true => Ok(probe),
        false => Err(Finding::Skipped("the server does not offer both directions".to_owned())),
    }
}

/// A stream in both directions.
async fn both_ways(bench: &Bench) -> Result<Probe, Finding> {
    let mut probe = offered(bench).await?;
    probe.say(&format!("{BIDI}{AUTH}")).await;
    match probe.answer().await {
        Answer::Success => probe.wire.restart(),
        other => return inconclusive(format!("no success, but {other}")),
    }
    probe.is_at(Authenticated);
    probe.advance(Established).await?;
    Ok(probe)
}

/// Whoever has changed the stream in the clear shall not have its answers sent there.
fn asked_in_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        offered(bench).await?;
        let mut probe = bench.reach(Opened).await?;
        probe.say(BIDI).await;
        if let Err(Finding::Inconclusive(why)) = probe.advance(Established).await {
            return Ok(format!("refused: {why}"));
        }
        nothing_comes_back(&mut probe).await
    })
}

fn asked(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = offered(bench).await?;
        probe.say(&format!("{BIDI}{AUTH}")).await;
        let judged = probe.answer().await.judge(&[Success], &[])?;
        probe.wire.restart();
        probe.is_at(Authenticated);
        match probe.advance(Established).await {
            Ok(()) => Ok(judged),
            Err(Finding::Inconclusive(why)) => failed(why),
            Err(other) => Err(other),
        }
    })
}

fn answered(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = both_ways(bench).await?;
        probe.say(PING).await;
        the_answer(&mut probe).await
    })
}

/// Requests and the like of the server itself may come before its answer.
async fn the_answer(probe: &mut Probe) -> Judgement {
    loop {
        match probe.answer().await {
            Answer::Stanza(stanza) if stanza.id() == Some("bidi-ping") => {
                let to_us = stanza.to().is_some_and(|to| to.domain() == probe.us.domain.as_str());
                let text = format!("{}", Answer::Stanza(stanza));
                return if to_us { Ok(text) } else { failed(text) };
            }
            Answer::Stanza(_) => {}
            other => return failed(format!("no answer, but {other}")),
        }
    }
}

fn nothing_early(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = offered(bench).await?;
        probe.say(&format!("{BIDI}{PING}")).await;
        match probe.answer().await {
            Answer::Stanza(stanza) => failed(Answer::Stanza(stanza).to_string()),
            answer @ (Answer::Error(_) | Answer::Closed | Answer::Ended(_) | Answer::Silence) => Ok(answer.to_string()),
            other => failed(other.to_string()),
        }
    })
}

fn not_asked(bench: &Bench) -> Running<'_> {
    Box::pin(async move { nothing_comes_back(&mut bench.reach(Established).await?).await })
}

/// What the server has to say to a request it has said before the end of its stream.
async fn nothing_comes_back(probe: &mut Probe) -> Judgement {
    probe.say(PING).await;
    probe.say("</stream:stream>").await;
    match probe.answer().await {
        answer @ (Answer::Closed | Answer::Ended(_)) => Ok(answer.to_string()),
        other => failed(other.to_string()),
    }
}

fn from_other(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = both_ways(bench).await?;
        probe.say("<message from='other.invalid' to='{them}'/></stream:stream>").await;
        probe.answer().await.judge(&[AnyError], &[])
    })
}

//! Stanzas that are acknowledged, and streams that are resumed (XEP-0198).

use convoke_xmpp::Element;
use convoke_xmpp::stream::StreamCondition;

use crate::bench::Bench;
use crate::case::Level::{Must, Should};
use crate::case::{Case, Code, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{AnyError, Error, Features};
use crate::probe::Stage::{Authenticated, Established, Secured};
use crate::probe::{HEADER, Probe};
use crate::verdict::{Finding, Judgement, failed, inconclusive, tolerated};

const NAMESPACE: &str = "urn:xmpp:sm:3";

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ENABLE_TO_RESUME: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const RESUME_UNKNOWN: &str = "<resume xmlns='urn:xmpp:sm:3' previd='no-such-session' h='0'/>";

/// A stanza that is never answered.
const STANZA: &str = "<message type='error' from='{us}' to='nobody-of-that-name@{them}'/>";

const fn must(key: &'static str, name: &'static str, source: &'static str, code: Code) -> Case {
    Case::code((Section::Acknowledgements, Must), key, name, source, code)
}

const fn should(key: &'static str, name: &'static str, source: &'static str, code: Code) -> Case {
    const SHOULD: (Section, Level) = (Section::Acknowledgements, Should);
    Case::code(SHOULD, key, name, source, code)
}

pub(super) const CASES: &[Case] = &[
    must(
        "not-early",
        "acknowledgements are not offered to a peer that has not authenticated",
        "XEP-0198, 3",
        not_early,
    ),
    must("enable", "a request for acknowledgements is granted or fails", "XEP-0198, 3", enable).in_short(),
    must("enable-early", "a request before authentication is not granted", "XEP-0198, 3", enable_early),
    should("enable-twice", "a second request for acknowledgements is a stream error", "XEP-0198, 3", enable_twice),
    must(
        "count",
        "a question is answered by the number of stanzas that were handled, and by no other element",
        "XEP-0198, 4",
        count,
    )
    .in_short(),
    must("count-elements", "what is no stanza is not counted", "XEP-0198, 4", count_elements),
    should(
        "too-high",
        "an acknowledgement of more than was sent closes the stream by undefined-condition",
        "XEP-0198, 7",
        too_high,
    ),
    should("too-high-told", "that error says handled-count-too-high", "XEP-0198, 7", too_high_told),
    must("resume-unknown", "the resumption of an unknown stream fails", "XEP-0198, 5", resume_unknown).in_short(),
    should(
        "resume-unknown-condition",
        "the resumption of an unknown stream fails by item-not-found",
        "XEP-0198, 5",
        resume_unknown_condition,
    ),
    should(
        "resume-unknown-goes-on",
        "after a resumption that failed, the new stream can be used",
        "XEP-0198, 5",
        resume_unknown_goes_on,
    ),
    must("resume-early", "nothing is resumed before authentication", "XEP-0198, 11", resume_early),
    must("resume-id", "a stream that can be resumed is given an id", "XEP-0198, 5", resume_id),
    must(
        "resume",
        "a stream that was cut is resumed, by its id and with the number of stanzas that were handled",
        "XEP-0198, 5",
        resume,
    ),
];

fn offers(features: Option<&Element>) -> bool {
    features.is_some_and(|features| features.find("sm", NAMESPACE).is_some())
}

/// A stream on which acknowledgements are offered.
async fn offered(bench: &Bench) -> Result<Probe, Finding> {
    let probe = bench.reach(Established).await?;
    match offers(probe.way.features.last()) {
        true => Ok(probe),
        false => Err(Finding::Skipped("the server does not offer acknowledgements".to_owned())),
    }
}

/// A stream whose stanzas are acknowledged, and the grant.
async fn enabled(bench: &Bench, request: &str) -> Result<(Probe, Element), Finding> {
    let mut probe = offered(bench).await?;
    probe.say(request).await;
    match probe.answer().await {
        Answer::Other(granted) if granted.is("enabled", NAMESPACE) => Ok((probe, granted)),
        other => inconclusive(format!("acknowledgements are not granted: {other}")),
    }
}

/// The next thing that is no question of the server's own.
async fn answer(probe: &mut Probe) -> Answer {
    loop {
        match probe.answer().await {
            Answer::Other(element) if element.is("r", NAMESPACE) => {}
            answer => return answer,
        }
    }
}

fn not_early(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        offered(bench).await?;
        let probe = bench.reach(Secured).await?;
        match probe.way.features.iter().any(|features| offers(Some(features))) {
            true => failed("they are offered before authentication"),
            false => Ok("they are not".to_owned()),
        }
    })
}

fn enable(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = offered(bench).await?;
        probe.say(ENABLE).await;
        match answer(&mut probe).await {
            Answer::Other(element) if element.is("enabled", NAMESPACE) => Ok("enabled".to_owned()),
            Answer::Other(element) if element.is("failed", NAMESPACE) => tolerated("failed; recommended: enabled"),
            other => failed(other.to_string()),
        }
    })
}

/// Whatever the answer is, but a grant.
async fn not_granted(probe: &mut Probe, granted: &str) -> Judgement {
    match answer(probe).await {
        Answer::Other(element) if element.is(granted, NAMESPACE) => failed(granted.to_owned()),
        Answer::Other(element) if element.is("failed", NAMESPACE) => Ok("failed".to_owned()),
        other @ (Answer::Error(_) | Answer::Sasl(_) | Answer::Closed | Answer::Ended(_)) => Ok(other.to_string()),
        other => failed(other.to_string()),
    }
}

fn enable_early(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        offered(bench).await?;
        let mut probe = bench.reach(Secured).await?;
        probe.say(ENABLE).await;
        not_granted(&mut probe, "enabled").await
    })
}

fn enable_twice(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (mut probe, _) = enabled(bench, ENABLE).await?;
        probe.say(ENABLE).await;
        match answer(&mut probe).await {
            Answer::Other(element) if element.is("failed", NAMESPACE) => {
                tolerated("failed; recommended: a stream error")
            }
            answer => answer.judge(&[AnyError], &[]),
        }
    })
}

/// What is asked for behind these is how many stanzas were handled.
async fn counted(probe: &mut Probe, before: &str) -> Result<Option<String>, Finding> {
    probe.say(&format!("{before}{REQUEST}")).await;
    match answer(probe).await {
        Answer::Other(element) if element.is("a", NAMESPACE) => Ok(element.attribute("h").map(str::to_owned)),
        other => failed(format!("no answer, but {other}")),
    }
}

async fn expect_counts(bench: &Bench, said: &[(&str, &str)]) -> Judgement {
    let (mut probe, _) = enabled(bench, ENABLE).await?;
    for (before, expected) in said {
        let found = counted(&mut probe, before).await?;
        if found.as_deref() != Some(*expected) {
            return failed(format!("h='{}'; wanted: h='{expected}'", found.unwrap_or_default()));
        }
    }
    let counts: Vec<_> = said.iter().map(|(_, count)| *count).collect();
    Ok(format!("h='{}'", counts.join("', '")))
}

fn count(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let three = STANZA.repeat(3);
        expect_counts(bench, &[("", "0"), (&three, "3"), (STANZA, "4"), ("", "4")]).await
    })
}

fn count_elements(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let with_blanks = format!(" \n{STANZA}\t");
        expect_counts(bench, &[("<a xmlns='urn:xmpp:sm:3' h='0'/>", "0"), (&with_blanks, "1")]).await
    })
}

async fn after_too_much(bench: &Bench) -> Result<(Probe, Answer), Finding> {
    let (mut probe, _) = enabled(bench, ENABLE).await?;
    probe.say("<a xmlns='urn:xmpp:sm:3' h='1000'/></stream:stream>").await;
    loop {
        match answer(&mut probe).await {
            // The server's own acknowledgement at the end of its stream.
            Answer::Other(element) if element.is("a", NAMESPACE) => {}
            answer => return Ok((probe, answer)),
        }
    }
}

fn too_high(bench: &Bench) -> Running<'_> {
    Box::pin(
        async move { after_too_much(bench).await?.1.judge(&[AnyError], &[Error(StreamCondition::UndefinedCondition)]) },
    )
}

fn too_high_told(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (probe, answer) = after_too_much(bench).await?;
        let received = String::from_utf8_lossy(probe.wire.received()).into_owned();
        match (&answer, received.contains("<handled-count-too-high")) {
            (Answer::Error(_), true) => Ok(answer.to_string()),
            _ => failed(format!("{answer}; wanted: an error with handled-count-too-high")),
        }
    })
}

/// A stream of which the server says that it can be resumed, and its id, if it has one.
async fn resumable(bench: &Bench) -> Result<(Probe, Option<String>), Finding> {
    let (probe, granted) = enabled(bench, ENABLE_TO_RESUME).await?;
    if granted.attribute("resume").is_some_and(|value| ["true", "1"].contains(&value)) {
        return Ok((probe, granted.attribute("id").map(str::to_owned)));
    }
    Err(Finding::Skipped("the server does not resume streams".to_owned()))
}

/// A stream that can be resumed by an id.
async fn resumable_by_id(bench: &Bench) -> Result<(Probe, String), Finding> {
    match resumable(bench).await? {
        (probe, Some(id)) => Ok((probe, id)),
        (_, None) => inconclusive("the stream has no id by which it could be resumed"),
    }
}

async fn after_unknown(bench: &Bench) -> Result<(Probe, Answer), Finding> {
    let mut probe = offered(bench).await?;
    probe.say(RESUME_UNKNOWN).await;
    let answer = answer(&mut probe).await;
    Ok((probe, answer))
}

fn resume_unknown(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match after_unknown(bench).await?.1 {
            Answer::Other(element) if element.is("failed", NAMESPACE) => Ok("failed".to_owned()),
            other => failed(format!("{other}; wanted: failed")),
        }
    })
}

fn resume_unknown_condition(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match after_unknown(bench).await?.1 {
            Answer::Other(element) if element.is("failed", NAMESPACE) => {
                let conditions: Vec<_> = element.children().map(Element::name).collect();
                match conditions.iter().any(|name| ["item-not-found", "feature-not-implemented"].contains(name)) {
                    true => Ok(conditions.join(", ")),
                    false => failed(format!("failed ({}); wanted: item-not-found", conditions.join(", "))),
                }
            }
            other => failed(format!("{other}; wanted: failed")),
        }
    })
}

fn resume_unknown_goes_on(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (mut probe, answer) = after_unknown(bench).await?;
        if !matches!(&answer, Answer::Other(element) if element.is("failed", NAMESPACE)) {
            return failed(format!("{answer}; wanted: failed"));
        }
        probe.say(ENABLE).await;
        match self::answer(&mut probe).await {
            Answer::Other(element) if element.is("enabled", NAMESPACE) => Ok("enabled".to_owned()),
            other => failed(other.to_string()),
        }
    })
}

fn resume_early(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (cut, id) = resumable_by_id(bench).await?;
        drop(cut);
        let mut probe = bench.reach(Secured).await?;
        probe.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>")).await;
        not_granted(&mut probe, "resumed").await
    })
}

fn resume_id(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (first, second) = (resumable(bench).await?, resumable(bench).await?);
        match (first.1, second.1) {
            (Some(first), Some(second)) if first != second => Ok(format!("'{first}', '{second}'")),
            (Some(first), Some(_)) => failed(format!("two streams have the id '{first}'")),
            _ => failed("a stream that can be resumed has no id"),
        }
    })
}

/// Two stanzas are sent and the connection is cut without an end of the stream.
fn resume(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let (mut cut, id) = resumable_by_id(bench).await?;
        // The answer says that both have arrived, whatever it says of their number.
        counted(&mut cut, &STANZA.repeat(2)).await?;
        drop(cut);
        let mut probe = bench.reach(Authenticated).await?;
        probe.say(HEADER).await;
        let features = probe.answer().await;
        features.judge(&[Features], &[])?;
        probe.say(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>")).await;
        match answer(&mut probe).await {
            Answer::Other(element) if element.is("resumed", NAMESPACE) => is_of(&element, &id),
            other => failed(other.to_string()),
        }
    })
}

fn is_of(resumed: &Element, id: &str) -> Judgement {
    match (resumed.attribute("previd"), resumed.attribute("h")) {
        (Some(previd), Some("2")) if previd == id => Ok("resumed, h='2'".to_owned()),
        (previd, h) => failed(format!("resumed with previd {previd:?} and h {h:?}; wanted: {id:?} and 2")),
    }
}

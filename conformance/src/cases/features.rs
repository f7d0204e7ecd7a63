//! Stream features, restarts and the end of the negotiation (RFC 6120, section 4.3).

use convoke_xmpp::stream::StreamCondition;
use convoke_xmpp::{Element, namespace};

use crate::bench::Bench;
use crate::case::Level::Must;
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{self, AnyError, Ended, Error};
use crate::probe::Stage::{Authenticated, Encrypted, Established, Opened, Secured};
use crate::probe::{AUTH, HEADER};
use crate::script::Script;
use crate::verdict::{Finding, failed, inconclusive};

const fn must() -> (Section, Level) {
    (Section::Features, Must)
}

/// The answer to a stanza that comes too early.
const REFUSED: &[Wanted] = &[Error(StreamCondition::NotAuthorized)];

pub(super) const CASES: &[Case] = &[
    Case::code(
        must(),
        "each-stream",
        "features follow each of the three response headers, and nothing is closed in between",
        "RFC 6120, 4.3.2 to 4.3.4",
        each_stream,
    )
    .in_short(),
    Case::code(must(), "ids", "the three streams of a connection have three ids", "RFC 6120, 4.3.3", ids).in_short(),
    Case::code(must(), "no-starttls", "within TLS, TLS is not offered", "RFC 6120, 5.4.3.3(5)", no_starttls).in_short(),
    Case::code(
        must(),
        "complete",
        "the last features are empty or hold nothing that is required",
        "RFC 6120, 4.3.5",
        complete,
    ),
    Case::code(
        must(),
        "early-with-header",
        "a stanza in one segment with the first header is not authorized",
        "RFC 6120, 4.3.5",
        early_with_header,
    ),
    early(
        "early-in-clear",
        "a stanza in the clear is not authorized",
        Script::new(Opened, "<message from='{us}' to='{them}'/>", REFUSED),
    )
    .in_short(),
    early(
        "early-within-tls",
        "a stanza within TLS and before any header is answered by an error",
        Script::new(Encrypted, "<message xmlns='jabber:server' from='{us}' to='{them}'/>", &[AnyError, Ended]),
    ),
    early(
        "early-before-sasl",
        "a stanza before authentication is not authorized",
        Script::new(
            Secured,
            "<iq type='get' id='early' from='{us}' to='{them}'><ping xmlns='urn:xmpp:ping'/></iq>",
            REFUSED,
        ),
    )
    .in_short(),
    Case::code(
        must(),
        "early-behind-auth",
        "a stanza in the old stream, behind the request for authentication, is not taken",
        "RFC 6120, 4.3.5",
        early_behind_auth,
    ),
    early(
        "early-before-restart",
        "a stanza after authentication and before the new header is not taken",
        Script::new(Authenticated, "<presence xmlns='jabber:server' from='{us}' to='{them}'/>", &[AnyError, Ended]),
    ),
];

const fn early(key: &'static str, name: &'static str, script: Script) -> Case {
    Case::script(must(), key, name, "RFC 6120, 4.3.5", script)
}

fn each_stream(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        // Whatever else comes instead of features at one of the stages breaks the rule.
        let reached = probe.advance(Established).await;
        let streams = probe.way.features.len();
        match reached {
            Ok(()) => Ok(format!("features of {streams} streams")),
            Err(Finding::Inconclusive(why)) if streams == 0 => failed(why),
            Err(Finding::Inconclusive(why)) => inconclusive(format!("after {streams} streams: {why}")),
            Err(other) => Err(other),
        }
    })
}

fn ids(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Established).await?;
        let ids: Vec<_> = probe.way.headers.iter().map(|header| header.id.clone().unwrap_or_default()).collect();
        match &ids[..] {
            [first, second, third] if first != second && second != third && first != third => {
                Ok(format!("'{first}', '{second}', '{third}'"))
            }
            _ => failed(format!("the ids {ids:?}")),
        }
    })
}

fn no_starttls(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Secured).await?;
        let offered =
            probe.way.features.last().is_some_and(|features| features.find("starttls", namespace::TLS).is_some());
        if offered { failed("starttls is offered again") } else { Ok("it is not".to_owned()) }
    })
}

fn complete(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Established).await?;
        let Some(features) = probe.way.features.last() else { return inconclusive("no features") };
        let required = |feature: &&Element| feature.children().any(|child| child.name() == "required");
        let stands = |feature: &&Element| [namespace::TLS, namespace::SASL].contains(&feature.namespace());
        match features.children().find(|feature| required(feature) || stands(feature)) {
            Some(feature) => failed(format!("{} ({}) is still to be negotiated", feature.name(), feature.namespace())),
            None => Ok(format!("{} voluntary features", features.children().count())),
        }
    })
}

/// The features may be on their way already.
fn early_with_header(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        probe.say("{header}<message from='{us}' to='{them}'/>").await;
        match probe.answer().await {
            Answer::Features(_) => probe.answer().await.judge(REFUSED, &[]),
            answer => answer.judge(REFUSED, &[]),
        }
    })
}

/// The stanza belongs to the stream that success replaces: it is refused there, or is no start of the next one.
fn early_behind_auth(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Secured).await?;
        probe.say(&format!("{AUTH}<message xmlns='jabber:server' from='{{us}}' to='{{them}}'/>")).await;
        match probe.answer().await {
            Answer::Success => {}
            answer => return answer.judge(&[AnyError, Ended], &[]),
        }
        probe.wire.restart();
        probe.say(HEADER).await;
        match probe.answer().await {
            Answer::Features(_) => Ok("it was dropped with the old stream".to_owned()),
            answer => answer.judge(&[AnyError, Ended], &[]),
        }
    })
}

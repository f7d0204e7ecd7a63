//! Stream errors and the end of streams (RFC 6120, sections 4.4 and 4.9).

use convoke_xmpp::namespace;
use convoke_xmpp::stream::StreamCondition;

use crate::bench::Bench;
use crate::case::Level::{Measured, Must};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::Closed;
use crate::probe::Stage::{self, Established, Opened, Secured};
use crate::probe::closes;
use crate::script::Script;
use crate::verdict::{Judgement, failed, inconclusive};
use crate::wire::Ending;

const fn must() -> (Section, Level) {
    (Section::Closing, Must)
}

pub(super) const CASES: &[Case] = &[
    answered("close-clear", "the end of a stream in the clear is answered by its end", Opened),
    answered("close-secured", "the end of a stream before authentication is answered by its end", Secured),
    answered("close", "the end of a stream is answered by its end", Established).in_short(),
    Case::code(
        must(),
        "close-connection",
        "after both streams the connection is closed",
        "RFC 6120, 4.4(4)",
        close_connection,
    )
    .in_short(),
    Case::code(
        must(),
        "close-notify",
        "within TLS, close_notify comes before the end of the connection",
        "RFC 6120, 4.4",
        close_notify,
    )
    .in_short(),
    Case::code(
        must(),
        "error-clear",
        "an error in the clear is followed by the end of stream and connection",
        "RFC 6120, 4.9.1.1",
        error_clear,
    ),
    Case::code(must(), "error", "an error is followed by the end of stream and connection", "RFC 6120, 4.9.1.1", error)
        .in_short(),
    Case::code(
        must(),
        "error-condition",
        "an error has exactly one condition of its namespace",
        "RFC 6120, 4.9.2",
        error_condition,
    ),
    Case::script(
        must(),
        "error-received",
        "an error of the peer is answered by the end of the stream",
        "RFC 6120, 4.9.1.1",
        Script::new(Established, ERROR_OF_OURS, &[Closed]),
    )
    .in_short(),
    Case::script(
        must(),
        "error-received-unknown",
        "an unknown error of the peer is answered by the end of the stream too",
        "RFC 6120, 4.9.2",
        Script::new(
            Established,
            "<stream:error><moon-phase xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            &[Closed],
        ),
    ),
    Case::script(
        must(),
        "error-received-clear",
        "an error of the peer in the clear is answered by the end of the stream",
        "RFC 6120, 4.9.1.1",
        Script::new(Opened, ERROR_OF_OURS, &[Closed]),
    ),
    Case::code(
        (Section::Closing, Measured),
        "error-unanswered",
        "a peer that never answers an error does not keep the connection",
        "RFC 6120, 4.4(3)",
        unanswered,
    ),
];

const ERROR_OF_OURS: &str =
    "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";

const fn answered(key: &'static str, name: &'static str, at: Stage) -> Case {
    Case::script(must(), key, name, "RFC 6120, 4.4", Script::new(at, "</stream:stream>", &[Closed]))
}

/// How the connection ends after both streams.
async fn ending(bench: &Bench) -> Result<Option<Ending>, crate::verdict::Finding> {
    let mut probe = bench.reach(Established).await?;
    probe.say("</stream:stream>").await;
    match probe.answer().await {
        Answer::Closed => Ok(probe.wire.end().await),
        Answer::Ended(ending) => Ok(Some(ending)),
        other => inconclusive(other.to_string()),
    }
}

fn close_connection(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match ending(bench).await? {
            Some(ending) => Ok(ending.to_string()),
            None => failed("the connection stays open"),
        }
    })
}

fn close_notify(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match ending(bench).await? {
            Some(Ending::Closed) => Ok("it does".to_owned()),
            Some(other) => failed(other.to_string()),
            None => inconclusive("the connection stays open"),
        }
    })
}

/// Provokes an error and waits for everything that belongs to it.
async fn error_and_end(bench: &Bench, at: Stage) -> Judgement {
    let mut probe = bench.reach(at).await?;
    probe.say("<a></b>").await;
    let error = match probe.answer().await {
        Answer::Error(error) => error,
        other => return inconclusive(format!("no error could be provoked: {other}")),
    };
    // Who receives an error closes too.
    probe.say("</stream:stream>").await;
    let ending = closes(&mut probe.wire).await?;
    Ok(format!("{error}, the end of the stream, and {ending}"))
}

fn error_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move { error_and_end(bench, Opened).await })
}

fn error(bench: &Bench) -> Running<'_> {
    Box::pin(async move { error_and_end(bench, Established).await })
}

fn error_condition(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Opened).await?;
        probe.say("<a></b>").await;
        let error = loop {
            match probe.wire.next().await {
                crate::wire::Seen::Element(element) if element.is("error", namespace::STREAM) => break element,
                crate::wire::Seen::Element(_) => {}
                other => return inconclusive(format!("no error could be provoked: {other:?}")),
            }
        };
        let standard = error.children().filter(|child| child.namespace() == namespace::STREAM_ERRORS);
        let conditions: Vec<_> = standard.map(|child| child.name()).filter(|name| *name != "text").collect();
        match conditions[..] {
            [one] if StreamCondition::parse(one).is_some() => Ok(one.to_owned()),
            _ => failed(format!("the conditions {conditions:?} in {error}")),
        }
    })
}

fn unanswered(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.reach(Established).await?;
        probe.say("<a></b>").await;
        let begun = tokio::time::Instant::now();
        let waited = tokio::time::timeout(bench.setup.deadline / 2, async {
            loop {
                if let Some(ending) = probe.wire.end().await {
                    return ending;
                }
            }
        });
        match waited.await {
            Ok(ending) => Ok(format!("{ending} after {} s", begun.elapsed().as_secs())),
            Err(_) => inconclusive(format!("open after {} s", begun.elapsed().as_secs())),
        }
    })
}

//! Stream headers (RFC 6120, section 4.7 and 4.8).

use std::collections::BTreeSet;

use convoke_xmpp::stream::{Content, StreamCondition, Version};

use crate::bench::Bench;
use crate::case::Level::{Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::expectation::Answer;
use crate::expectation::Wanted::{AnyError, Error, Features};
use crate::probe::Stage::{Connected, Opened};
use crate::probe::{HEADER, Probe};
use crate::script::Script;
use crate::verdict::{Finding, Judgement, failed, inconclusive, tolerated};

const fn must() -> (Section, Level) {
    (Section::Headers, Must)
}

const fn should() -> (Section, Level) {
    (Section::Headers, Should)
}

pub(super) const CASES: &[Case] = &[
    Case::code(must(), "from", "a response header says whom it is from", "RFC 6120, 4.7.1", from).in_short(),
    Case::code(must(), "to", "a response header is to the domain that the initial one was from", "RFC 6120, 4.7.2", to)
        .in_short(),
    Case::code(must(), "id", "a response header has an id", "RFC 6120, 4.7.3", id).in_short(),
    Case::code(must(), "id-ignored", "an id in an initial header is ignored", "RFC 6120, 4.7.3", id_ignored),
    Case::code(must(), "id-unique", "ids are unique and cannot be guessed", "RFC 6120, 4.7.3", id_unique),
    Case::code(must(), "lang", "a response header has a language", "RFC 6120, 4.7.4", lang),
    Case::code(
        should(),
        "declaration",
        "a response header has an XML declaration before it",
        "RFC 6120, 11.5",
        declaration,
    ),
    Case::code(must(), "version", "a response header has version 1.0", "RFC 6120, 4.7.5", version).in_short(),
    Case::code(
        must(),
        "version-minor",
        "version 1.10 is answered by the lower version",
        "RFC 6120, 4.7.5(2)",
        version_minor,
    ),
    Case::code(
        must(),
        "version-major",
        "version 2.0 is answered by the lower version",
        "RFC 6120, 4.7.5(2)",
        version_major,
    ),
    Case::script(
        must(),
        "version-zeros",
        "leading zeros of a version are ignored",
        "RFC 6120, 4.7.5",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             from='{us}' to='{them}' version='01.00' xml:lang='en'>",
            &[Features],
        ),
    ),
    Case::code(
        should(),
        "version-none",
        "a header without version is answered by one without",
        "RFC 6120, 4.7.5(4)",
        version_none,
    ),
    Case::script(
        must(),
        "to-unserved",
        "a header to a domain that is not served is answered by a header and host-unknown",
        "RFC 6120, 4.9.3.6",
        Script::new(Connected, UNSERVED, &[Error(StreamCondition::HostUnknown), Error(StreamCondition::HostGone)]),
    )
    .in_short(),
    Case::code(
        must(),
        "to-unserved-from",
        "an error about an unserved domain is from a domain of the server, or from nobody",
        "RFC 6120, 4.9.1.3",
        unserved_from,
    ),
    Case::script(
        must(),
        "to-missing",
        "a header without a domain to go to is taken or answered by an error",
        "RFC 6120, 4.7.2",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             from='{us}' version='1.0'>",
            &[AnyError, Features],
        )
        .prefer(&[Features, Error(StreamCondition::HostUnknown), Error(StreamCondition::ImproperAddressing)]),
    ),
    Case::script(
        should(),
        "from-missing",
        "a header in the clear need not say whom it is from",
        "RFC 6120, 4.7.1",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             to='{them}' version='1.0'>",
            &[Features],
        ),
    ),
    Case::script(
        must(),
        "stream-namespace",
        "a header of a wrong stream namespace is answered by a header and invalid-namespace",
        "RFC 6120, 4.8.1",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://wrong.example/' \
             from='{us}' to='{them}' version='1.0'>",
            &[AnyError],
        )
        .prefer(&[Error(StreamCondition::InvalidNamespace), Error(StreamCondition::BadFormat)]),
    )
    .in_short(),
    Case::script(
        must(),
        "root",
        "a root that is no stream is answered by an error",
        "RFC 6120, 4.9.1.2",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream:flow xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             from='{us}' to='{them}' version='1.0'>",
            &[AnyError],
        ),
    ),
    Case::code(
        must(),
        "content-client",
        "a stream of clients' content is refused, or answered by one of the same content",
        "RFC 6120, 4.8.2(2) and 4.8.3",
        |bench| Box::pin(async move { answered_by_the_same_content(bench, "jabber:client", Content::Client).await }),
    ),
    Case::code(
        must(),
        "content-unknown",
        "a stream of unknown content is refused, or answered by one of the same content",
        "RFC 6120, 4.8.2(2) and 4.8.3",
        |bench| {
            Box::pin(async move { answered_by_the_same_content(bench, "urn:example:moon", Content::Unknown).await })
        },
    ),
    Case::script(
        must(),
        "prefix-free",
        "a header without prefixes is taken or answered by an error",
        "RFC 6120, 4.8.2 and 4.8.5",
        Script::new(
            Connected,
            "<?xml version='1.0'?><stream xmlns='http://etherx.jabber.org/streams' from='{us}' to='{them}' \
             version='1.0' xml:lang='en'>",
            &[Features, AnyError],
        )
        .prefer(&[Features, Error(StreamCondition::BadNamespacePrefix)]),
    ),
    Case::script(
        must(),
        "prefix-foreign",
        "a header with another prefix than `stream` is taken or answered by an error",
        "RFC 6120, 4.8.5",
        Script::new(
            Connected,
            "<?xml version='1.0'?><s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' \
             from='{us}' to='{them}' version='1.0' xml:lang='en'>",
            &[Features, AnyError],
        )
        .prefer(&[Features, Error(StreamCondition::BadNamespacePrefix), Error(StreamCondition::BadFormat)]),
    ),
    Case::script(
        must(),
        "standalone",
        "a declaration with standalone='no' is ignored or refused as restricted",
        "RFC 6120, 11.5",
        Script::new(
            Connected,
            "<?xml version='1.0' standalone='no'?><stream:stream xmlns='jabber:server' \
             xmlns:stream='http://etherx.jabber.org/streams' from='{us}' to='{them}' version='1.0'>",
            &[Features, AnyError],
        )
        .prefer(&[Features, Error(StreamCondition::RestrictedXml)]),
    ),
    Case::script(
        must(),
        "no-declaration",
        "a header need not have an XML declaration before it",
        "RFC 6120, 11.5",
        Script::new(
            Connected,
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{us}' \
             to='{them}' version='1.0'>",
            &[Features],
        ),
    ),
    Case::script(
        must(),
        "written-otherwise",
        "attributes of a header may come in any order, in either quotes, with blanks and unknown ones among them",
        "RFC 6120, 11.3",
        Script::new(
            Connected,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream\n\tversion=\"1.0\" \
             xmlns:db=\"jabber:server:dialback\" to = \"{them}\"\n xmlns:stream = 'http://etherx.jabber.org/streams' \
             moon='full' from=\"{us}\" xmlns=\"jabber:server\" >",
            &[Features],
        ),
    ),
    Case::code(must(), "byte-by-byte", "a header may come in any number of segments", "RFC 6120, 4.2", byte_by_byte),
];

const UNSERVED: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='{us}' to='unserved.conformance.invalid' version='1.0' \
    xml:lang='en'>";

fn from(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Opened).await?;
        match &probe.header()?.from {
            Some(from) => Ok(format!("from='{from}'")),
            None => failed("a response header without from"),
        }
    })
}

fn to(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Opened).await?;
        let us = probe.us.domain.as_str();
        match &probe.header()?.to {
            Some(to) if to.as_str() == us => Ok(format!("to='{to}'")),
            Some(to) => failed(format!("to='{to}', though the initial header was from='{us}'")),
            None => failed("a response header without to"),
        }
    })
}

fn id(bench: &Bench) -> Running<'_> {
    Box::pin(async move { id_of(&bench.reach(Opened).await?).map(|id| format!("id='{id}'")) })
}

fn id_of(probe: &Probe) -> Result<String, Finding> {
    match &probe.header()?.id {
        Some(id) if !id.is_empty() => Ok(id.clone()),
        Some(_) => failed("a response header with an empty id"),
        None => failed("a response header without id"),
    }
}

fn id_ignored(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        probe.open_with(&HEADER.replace(" from=", " id='ours-and-no-other' from=")).await?;
        let id = id_of(&probe)?;
        if id == "ours-and-no-other" {
            failed("the id of the initial header came back")
        } else {
            Ok(format!("id='{id}'"))
        }
    })
}

/// How many ids are compared.
const IDS: usize = 20;

/// What an id has to have that cannot be guessed, in bits; 128 are better.
const LEAST_BITS: usize = 48;

fn id_unique(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut ids = BTreeSet::new();
        for _ in 0..IDS {
            let id = id_of(&bench.reach(Opened).await?)?;
            if ids.contains(&id) {
                return failed(format!("the id '{id}' came twice in {IDS} connections"));
            }
            ids.insert(id);
        }
        let bits = apparent_bits(&ids);
        if bits < LEAST_BITS {
            return failed(format!("the ids differ, but in {bits} bits at most, like {:?}", ids.first()));
        }
        Ok(format!("{IDS} different ids, of {bits} bits at most"))
    })
}

/// The most that these ids can hold, going by what changes in them and by the letters that are used.
fn apparent_bits(ids: &BTreeSet<String>) -> usize {
    let longest = ids.iter().map(String::len).max().unwrap_or(0);
    let letters = |at: usize| ids.iter().filter_map(|id| id.as_bytes().get(at)).collect::<BTreeSet<_>>();
    let alphabet: BTreeSet<_> = ids.iter().flat_map(|id| id.bytes()).collect();
    let bits_of_one = (usize::BITS - alphabet.len().saturating_sub(1).leading_zeros()) as usize;
    (0..longest).filter(|at| letters(*at).len() > ids.len() / 4).count() * bits_of_one
}

fn lang(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Opened).await?;
        match &probe.header()?.lang {
            Some(lang) => Ok(format!("xml:lang='{lang}'")),
            None => failed("a response header without xml:lang"),
        }
    })
}

fn declaration(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let probe = bench.reach(Opened).await?;
        if probe.wire.received().starts_with(b"<?xml ") {
            return Ok("there is one".to_owned());
        }
        failed("a response header without XML declaration")
    })
}

/// The version that answers this one.
async fn answered_version(bench: &Bench, version: &str) -> Result<(Option<Version>, Answer), Finding> {
    let mut probe = bench.connect().await?;
    probe.say(&HEADER.replacen("version='1.0' xml:lang", &format!("{version} xml:lang"), 1)).await;
    let answer = probe.answer().await;
    Ok((probe.header()?.version, answer))
}

async fn is_answered_by_1_0(bench: &Bench, version: &str) -> Judgement {
    match answered_version(bench, version).await? {
        (Some(Version::XMPP_1_0), _) => Ok("version='1.0'".to_owned()),
        (Some(other), answer) => failed(format!("version='{other}' and {answer}; wanted: version='1.0'")),
        (None, answer) => failed(format!("no version and {answer}; wanted: version='1.0'")),
    }
}

fn version(bench: &Bench) -> Running<'_> {
    Box::pin(async move { is_answered_by_1_0(bench, "version='1.0'").await })
}

fn version_minor(bench: &Bench) -> Running<'_> {
    Box::pin(async move { is_answered_by_1_0(bench, "version='1.10'").await })
}

fn version_major(bench: &Bench) -> Running<'_> {
    Box::pin(async move { is_answered_by_1_0(bench, "version='2.0'").await })
}

fn version_none(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match answered_version(bench, "").await? {
            (None, answer) => Ok(format!("no version and {answer}")),
            (Some(version), answer) => failed(format!("version='{version}' and {answer}; wanted: no version")),
        }
    })
}

async fn answered_by_the_same_content(bench: &Bench, namespace: &str, content: Content) -> Judgement {
    let mut probe = bench.connect().await?;
    probe.say(&HEADER.replace("xmlns='jabber:server'", &format!("xmlns='{namespace}'"))).await;
    match probe.answer().await {
        Answer::Features(_) if probe.header()?.content == content => {
            tolerated("it is taken; recommended: stream error invalid-namespace")
        }
        answer @ Answer::Features(_) => failed(format!("{answer}, in a stream of another content")),
        answer => answer.judge(&[AnyError], &[Error(StreamCondition::InvalidNamespace)]),
    }
}

fn unserved_from(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        probe.say(UNSERVED).await;
        match probe.answer().await {
            Answer::Error(_) => {}
            other => return inconclusive(format!("no stream error, but {other}")),
        }
        match &probe.header()?.from {
            Some(from) if from.as_str() == "unserved.conformance.invalid" => {
                failed("the error is from the domain that is not served")
            }
            Some(from) => Ok(format!("from='{from}'")),
            None if names_from(probe.wire.received()) => Ok("from=''".to_owned()),
            None => failed("the header of the error has no from at all"),
        }
    })
}

/// Whether the first start tag has an attribute `from`, even if it is empty.
fn names_from(received: &[u8]) -> bool {
    let text = String::from_utf8_lossy(received);
    let tag = text.split("stream:stream").nth(1).unwrap_or_default();
    tag.split('>').next().is_some_and(|tag| tag.contains("from="))
}

fn byte_by_byte(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut probe = bench.connect().await?;
        let (most, last) = HEADER.split_at(HEADER.len() - 1);
        let most = most.replace("{us}", probe.us.domain.as_str()).replace("{them}", bench.setup.target.domain.as_str());
        for byte in most.as_bytes() {
            probe.wire.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        probe.say(last).await;
        probe.answer().await.judge(&[Features], &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(ids: &[&str]) -> usize {
        apparent_bits(&ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn a_counter_has_few_bits_and_random_letters_many() {
        assert!(bits(&["stream-00000001", "stream-00000002", "stream-00000003", "stream-00000004"]) < 8);
        assert!(bits(&["q9hYqGv0aZk3Lr1x", "Zc7Nw2TtRf5uPo8m", "b4XdJe6SiVnKy0gQ", "Wm1oH8lUzA5sDvEp"]) >= 48);
    }

    #[test]
    fn an_empty_from_is_one_and_a_missing_one_is_none() {
        assert!(names_from(b"<?xml version='1.0'?><stream:stream from='' id='1'>"));
        assert!(!names_from(b"<?xml version='1.0'?><stream:stream id='1'><x from='a'/>"));
    }
}

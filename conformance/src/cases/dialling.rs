//! The server as initiating entity: it is provoked to dial, and meets a receiving entity with faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_xmpp::stream::{StreamCondition, Version};
use convoke_xmpp::{IqType, Kind, namespace};
use tokio_rustls::TlsStream;

use crate::authority::{Authority, Name, Shape};
use crate::bench::{Bench, identity};
use crate::case::Level::{Measured, Must, Should};
use crate::case::{Case, Level, Running, Section};
use crate::dialled::Milestone::{Auth, FinalHeader, Header, SecuredHeader, Stanza, StartTls, Tls};
use crate::dialled::{Dialled, PING, PROCEED, SASL_OFFER, TLS_OFFER};
use crate::expectation::Wanted::{AnyError, Closed, Ended, Error};
use crate::expectation::{Answer, REFUSAL, Wanted};
use crate::verdict::{Finding, Judgement, failed, inconclusive, tolerated};
use crate::wire::Seen;

const fn must() -> (Section, Level) {
    (Section::Dialling, Must)
}

const fn should() -> (Section, Level) {
    (Section::Dialling, Should)
}

/// The ways to end a stream that cannot be gone on with.
const GIVEN_UP: &[Wanted] = &[AnyError, Closed, Ended];

pub(super) const CASES: &[Case] = &[
    Case::code(
        must(),
        "answer",
        "the answer to a ping comes by a stream that the server opens",
        "RFC 6120, 4.5 and 10.4",
        answer,
    )
    .in_short(),
    Case::code(must(), "to", "an initial header says whom it is for", "RFC 6120, 4.7.2", to).in_short(),
    Case::code(must(), "no-id", "an initial header has no id", "RFC 6120, 4.7.3", no_id).in_short(),
    Case::code(must(), "version", "an initial header has version 1.0", "RFC 6120, 4.7.5(1)", version),
    Case::code(should(), "lang", "an initial header has a language", "RFC 6120, 4.7.4", lang),
    Case::code(
        should(),
        "declaration",
        "an initial header has an XML declaration before it",
        "RFC 6120, 11.5",
        declaration,
    ),
    Case::code(must(), "from", "within TLS, an initial header says whom it is from", "RFC 6120, 4.7.1", from)
        .in_short(),
    Case::code(must(), "restart", "streams are restarted without closing anything", "RFC 6120, 4.3.3", restart)
        .in_short(),
    Case::code(
        (Section::Dialling, Measured),
        "server-name",
        "whether the domain is named in the TLS handshake",
        "RFC 7590, 3.5",
        server_name,
    ),
    Case::code(
        should(),
        "certificate",
        "a certificate is shown when it is asked for",
        "RFC 6120, 5.4.3.1(3)",
        certificate,
    ),
    Case::code(must(), "authzid", "a server that acts for itself names nobody to act for", "RFC 6120, 6.3.8", authzid),
    Case::code(
        must(),
        "no-clear",
        "nothing but TLS is negotiated in the clear, even if TLS is not offered",
        "RFC 7590, 3.1",
        no_clear,
    )
    .in_short(),
    Case::code(should(), "stripped", "TLS is tried although it is not offered", "RFC 7590, 3.1", stripped),
    Case::code(must(), "tls-refused", "nothing goes on when TLS is refused", "RFC 6120, 5.4.2.2", tls_refused),
    Case::code(
        must(),
        "injection",
        "what comes in the clear behind `proceed` is never taken for encrypted",
        "RFC 6120, 5.4.3.1(1)",
        injection,
    )
    .in_short(),
    Case::code(must(), "stranger", "a certificate of an unknown authority is refused", "RFC 6120, 13.7.2", stranger)
        .in_short(),
    Case::code(must(), "other-name", "a certificate for another domain is refused", "RFC 6120, 13.7.2.1", other_name),
    Case::code(
        must(),
        "waits-for-features",
        "nothing is sent between a header and its features",
        "RFC 6120, 4.3.2",
        waits_for_features,
    ),
    Case::code(
        must(),
        "no-external",
        "without a mechanism that it knows, the server gives up",
        "RFC 6120, 6.4.5",
        no_external,
    ),
    Case::code(
        must(),
        "required-unknown",
        "a required feature that is unknown is not passed over",
        "RFC 6120, 4.3.5 and 4.9.3.23",
        required_unknown,
    ),
    Case::code(
        must(),
        "voluntary-unknown",
        "a voluntary feature that is unknown is passed over",
        "RFC 6120, 4.3.5",
        voluntary_unknown,
    ),
    Case::code(
        must(),
        "sasl-failure",
        "a SASL failure ends the stream or is tried again",
        "RFC 6120, 6.4.5",
        sasl_failure,
    ),
    Case::code(must(), "sasl-unknown", "an unknown SASL failure is a failure", "RFC 6120, 6.5", sasl_unknown),
    Case::code(must(), "stream-error", "a stream error ends the stream", "RFC 6120, 4.9.1.1", stream_error),
    Case::code(must(), "bad-xml", "bad XML of a receiving entity is refused", "RFC 6120, 11.1", bad_xml),
];

fn answer(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Stanza).await?;
        let Some(stanza) = &dialled.stanza else { return inconclusive("no stanza") };
        let ours = stanza.id() == Some(PING) && stanza.to().is_some_and(|to| to.domain() == dialled.us.domain.as_str());
        let answers = matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error));
        if ours && answers { Ok(stanza.text().into_owned()) } else { failed(stanza.text()) }
    })
}

/// The first header of the server.
async fn first(bench: &Bench) -> Result<convoke_xmpp::stream::StreamHeader, Finding> {
    let dialled = Dialled::reach(bench, Header).await?;
    dialled.headers.into_iter().next().ok_or_else(|| Finding::Inconclusive("no header".to_owned()))
}

fn to(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Header).await?;
        match dialled.headers.first().and_then(|header| header.to.as_ref()) {
            Some(to) if to.as_str() == dialled.us.domain.as_str() => Ok(format!("to='{to}'")),
            Some(to) => failed(format!("to='{to}'")),
            None => failed("no to"),
        }
    })
}

fn no_id(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match first(bench).await?.id {
            Some(id) => failed(format!("id='{id}'")),
            None => Ok("no id".to_owned()),
        }
    })
}

fn version(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match first(bench).await?.version {
            Some(Version::XMPP_1_0) => Ok("version='1.0'".to_owned()),
            other => failed(format!("version {other:?}")),
        }
    })
}

fn lang(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match first(bench).await?.lang {
            Some(lang) => Ok(format!("xml:lang='{lang}'")),
            None => failed("no xml:lang"),
        }
    })
}

fn declaration(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Header).await?;
        if dialled.wire.received().starts_with(b"<?xml ") {
            Ok("there is one".to_owned())
        } else {
            failed("there is none")
        }
    })
}

fn from(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, SecuredHeader).await?;
        let them = bench.setup.target.domain.as_str();
        match dialled.headers.last().and_then(|header| header.from.as_ref()) {
            Some(from) if from.as_str() == them => Ok(format!("from='{from}'")),
            Some(from) => failed(format!("from='{from}'")),
            None => failed("no from"),
        }
    })
}

/// An end tag would be seen instead of the next header.
fn restart(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, FinalHeader).await?;
        if dialled.wire.received().windows(9).any(|bytes| bytes == b"</stream:") {
            return failed("a stream was closed before it was restarted");
        }
        Ok(format!("{} headers", dialled.headers.len()))
    })
}

fn server_name(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Tls).await?;
        let Some(TlsStream::Server(stream)) = dialled.wire.tls() else { return inconclusive("no TLS") };
        match stream.get_ref().1.server_name() {
            Some(name) if name.eq_ignore_ascii_case(&dialled.us.domain.to_ascii()) => Ok(name.to_owned()),
            Some(name) => failed(format!("{name} is named")),
            None => tolerated("no name is named; recommended where one address serves many domains"),
        }
    })
}

fn certificate(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Tls).await?;
        let chain = dialled.wire.tls().and_then(|stream| stream.get_ref().1.peer_certificates());
        match chain.unwrap_or_default().len() {
            0 => failed("none is shown"),
            length => Ok(format!("a chain of {length}")),
        }
    })
}

fn authzid(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let dialled = Dialled::reach(bench, Auth).await?;
        let data = dialled.auth.map(|auth| auth.content()).unwrap_or_default();
        let own = STANDARD.encode(bench.setup.target.domain.as_str());
        match data.as_str() {
            "" | "=" => Ok(format!("'{data}'")),
            data if data == own => tolerated("its own domain, as XEP-0178 allows; recommended: ="),
            other => failed(format!("'{other}'")),
        }
    })
}

/// What the server says to features without TLS.
async fn without_tls(bench: &Bench, features: &str) -> Result<Answer, Finding> {
    let mut dialled = Dialled::reach(bench, Header).await?;
    dialled.say(&format!("{{response}}{features}")).await;
    Ok(dialled.hear().await)
}

/// Whether an element asks for TLS.
fn asks_for_tls(answer: &Answer) -> bool {
    matches!(answer, Answer::Other(element) if element.is("starttls", namespace::TLS))
}

fn no_clear(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match without_tls(bench, SASL_OFFER).await? {
            answer if asks_for_tls(&answer) => Ok("TLS is asked for".to_owned()),
            Answer::Silence => Ok("nothing is said".to_owned()),
            answer => answer.judge(GIVEN_UP, &[]),
        }
    })
}

fn stripped(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        match without_tls(bench, "<stream:features/>").await? {
            answer if asks_for_tls(&answer) => Ok("TLS is asked for".to_owned()),
            other => failed(other.to_string()),
        }
    })
}

fn tls_refused(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, StartTls).await?;
        dialled.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>").await;
        dialled.hear().await.judge(GIVEN_UP, &[])
    })
}

/// The injected features would make it authenticate before the ones within TLS come.
fn injection(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, StartTls).await?;
        dialled.say(&format!("{PROCEED}{{response}}{SASL_OFFER}")).await;
        if let Err(error) = dialled.shake_hands().await? {
            return Ok(format!("no TLS came of it: {error}"));
        }
        dialled.is_at(Tls);
        match dialled.wire.next().await {
            Seen::Open(_) => {}
            Seen::Ended(ending) => return Ok(format!("refused: {ending}")),
            other => return failed(format!("{other:?}")),
        }
        match dialled.wire.next_within(PAUSE).await {
            Seen::Silence => Ok("it was dropped".to_owned()),
            Seen::Ended(ending) => Ok(format!("refused: {ending}")),
            Seen::Close => Ok("refused: the end of the stream".to_owned()),
            Seen::Element(element) if element.is("error", namespace::STREAM) => {
                Ok(format!("refused: {}", Answer::of(element)))
            }
            other => failed(format!("the injected features were taken: {other:?}")),
        }
    })
}

/// How long nothing has to be said, to be nothing.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// What the server says when this certificate is shown, and everything else is good.
async fn shown(bench: &Bench, authority: Option<&Authority>, names: impl Fn(&str) -> String) -> Judgement {
    let mut dialled = Dialled::reach(bench, StartTls).await?;
    let domain = dialled.us.domain.to_ascii();
    let shape = Shape::new(vec![Name::Dns(names(&domain))]);
    dialled.shown = match authority {
        Some(authority) => identity(authority, &domain, &shape)?,
        None => bench.identity(&domain, &shape)?,
    };
    dialled.say(PROCEED).await;
    if let Err(error) = dialled.shake_hands().await? {
        return Ok(format!("refused by TLS: {error}"));
    }
    dialled.is_at(Tls);
    match dialled.wire.next().await {
        // In TLS 1.3 the alert comes after the handshake.
        Seen::Ended(ending) => return Ok(format!("refused: {ending}")),
        Seen::Open(_) => {}
        other => return inconclusive(format!("no header, but {other:?}")),
    }
    dialled.say(&format!("{{response}}{SASL_OFFER}")).await;
    dialled.hear().await.judge(REFUSAL, &[])
}

fn stranger(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let authority = Authority::stranger().map_err(|error| Finding::Inconclusive(error.to_string()))?;
        shown(bench, Some(&authority), str::to_owned).await
    })
}

fn other_name(bench: &Bench) -> Running<'_> {
    Box::pin(async move { shown(bench, None, |_| "elsewhere.conformance.invalid".to_owned()).await })
}

fn waits_for_features(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, SecuredHeader).await?;
        dialled.say("{response}").await;
        match dialled.wire.next_within(PAUSE).await {
            Seen::Silence => {}
            other => return failed(format!("{other:?}")),
        }
        dialled.say(SASL_OFFER).await;
        match dialled.hear().await {
            Answer::Other(element) if element.is("auth", namespace::SASL) => Ok("it waits".to_owned()),
            other => failed(other.to_string()),
        }
    })
}

fn no_external(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, SecuredHeader).await?;
        dialled
            .say(
                "{response}<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                 <mechanism>MOON</mechanism></mechanisms></stream:features>",
            )
            .await;
        dialled.hear().await.judge(GIVEN_UP, &[])
    })
}

fn required_unknown(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, FinalHeader).await?;
        dialled
            .say("{response}<stream:features><moon xmlns='urn:example:moon'><required/></moon></stream:features>")
            .await;
        dialled.hear().await.judge(GIVEN_UP, &[Error(StreamCondition::UnsupportedFeature)])
    })
}

fn voluntary_unknown(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, FinalHeader).await?;
        dialled.say("{response}<stream:features><moon xmlns='urn:example:moon'/></stream:features>").await;
        match dialled.hear().await {
            Answer::Stanza(_) => Ok("stanzas are sent".to_owned()),
            other => failed(other.to_string()),
        }
    })
}

/// What the server does after its attempt to authenticate has failed.
async fn refused(bench: &Bench, condition: &str) -> Judgement {
    let mut dialled = Dialled::reach(bench, Auth).await?;
    dialled.say(&format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>")).await;
    match dialled.hear().await {
        Answer::Other(element) if element.namespace() == namespace::SASL => Ok(format!("<{}/> again", element.name())),
        answer => answer.judge(GIVEN_UP, &[]),
    }
}

fn sasl_failure(bench: &Bench) -> Running<'_> {
    Box::pin(async move { refused(bench, "not-authorized").await })
}

fn sasl_unknown(bench: &Bench) -> Running<'_> {
    Box::pin(async move { refused(bench, "moon-phase").await })
}

fn stream_error(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, Header).await?;
        dialled
            .say(
                "{response}<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
                 </stream:stream>",
            )
            .await;
        dialled.hear().await.judge(&[Closed, Ended], &[Closed])
    })
}

fn bad_xml(bench: &Bench) -> Running<'_> {
    Box::pin(async move {
        let mut dialled = Dialled::reach(bench, Header).await?;
        dialled.say(&format!("{{response}}<!-- none -->{TLS_OFFER}")).await;
        dialled.hear().await.judge(&[AnyError], &[Error(StreamCondition::RestrictedXml)])
    })
}

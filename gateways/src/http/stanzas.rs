//! `POST /v1/stanzas`: a client sends a stanza.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use convoke_xmpp::{Condition, IqType, Jid, Kind, Origin, Stanza, StanzaError};
use serde_json::json;
use tokio::time::timeout;

use super::auth::Authenticated;
use super::{Gateway, body};
use crate::client::Client;
use crate::config::Limits;
use crate::gateway::Inner;
use crate::mapping::{from_json, from_xml, to_json};
use crate::problem::Problem;
use crate::tokens::Scope;

const XML: &str = "application/xmpp+xml";
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub(super) async fn send(
    State(inner): Gateway,
    client: Authenticated,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (client, _place) = client.with_place(Scope::StanzaSend)?;
    let stanza = identify(&inner, read(&headers, body, &inner.limits).await?)?;
    let stanza = address(stanza, &client.jid)?;
    match stanza.kind() {
        Kind::Iq(IqType::Get | IqType::Set) => request(&inner, &client, stanza, &headers).await,
        Kind::Iq(IqType::Result | IqType::Error) => answer(&inner, &client, stanza),
        Kind::Message(_) | Kind::Presence(_) => accept(&inner, stanza),
    }
}

async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Stanza, Problem> {
    let media_type = body::media_type(headers);
    if media_type != XML && media_type != "application/json" {
        let detail = "send application/json or application/xmpp+xml";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = body::read(headers, body, limits).await?;
    if media_type == XML { parse_xml(&bytes) } else { Ok(from_json(&body::json(&bytes, limits)?)?) }
}

fn parse_xml(bytes: &[u8]) -> Result<Stanza, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| bad_body(format!("the body is not UTF-8: {error}")))?;
    from_xml(text.trim_ascii()).map_err(|error| bad_body(format!("the body is no stanza: {error}")))
}

fn bad_body(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// The stanza with an identifier, if need be one of the gateway's: an error that comes back is found by it.
fn identify(inner: &Inner, stanza: Stanza) -> Result<Stanza, Problem> {
    if stanza.id().is_some() {
        return Ok(stanza);
    }
    // Read anew: without an identifier an iq was at fault, and now it is not.
    let stanza = stanza.with_id(&inner.identifiers.next());
    Stanza::parse(&stanza.text()).map_err(|error| bad_body(error.to_string()))
}

/// The stanza from this client; a client speaks for nobody else.
fn address(stanza: Stanza, client: &Jid) -> Result<Stanza, Problem> {
    if stanza.from().is_some_and(|from| from.as_str() != client.as_str()) {
        let detail = format!("a stanza of this client is from {client}; leave \"from\" out");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if stanza.to().is_none() && !matches!(stanza.kind(), Kind::Presence(_)) {
        return Err(Problem::at("/to", "this key is missing"));
    }
    Ok(stanza.with_from(client))
}

/// A message or a presence: 202, with the identifier that an error would have.
fn accept(inner: &Inner, stanza: Stanza) -> Result<Response, Problem> {
    let id = stanza.id().unwrap_or_default().to_owned();
    route(inner, stanza)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response())
}

/// An answer to a request that the client received as an event: 202, or 409 when nobody waits for it.
fn answer(inner: &Inner, client: &Client, stanza: Stanza) -> Result<Response, Problem> {
    if !client.settle(stanza.to().map(|to| to.as_str()), stanza.id()) {
        let text = "no request of that sender with that id waits for an answer";
        let error = StanzaError::new(Condition::UnexpectedRequest);
        return Err(Problem::stanza_error(&error.with_type(convoke_xmpp::ErrorType::Cancel).with_text(text), None));
    }
    accept(inner, stanza)
}

/// A request: waits for its answer.
///
/// On the wire it has an identifier of the gateway's own, which nobody can guess; in the answer the client finds its
/// own again.
async fn request(
    inner: &Inner,
    client: &Arc<Client>,
    stanza: Stanza,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let preferred = preferred_wait(headers);
    let wait = preferred.unwrap_or(inner.limits.answer_time).min(inner.limits.longest_answer_time);
    let Some(asked) = stanza.to().map(|to| to.to_owned()) else {
        return Err(Problem::at("/to", "this key is missing"));
    };
    let wire_id = inner.identifiers.next();
    let own_id = stanza.id().unwrap_or_default().to_owned();
    let mut ticket = client.expect(&wire_id, asked);
    route(inner, stanza.with_id(&wire_id))?;
    let Ok(Ok(answer)) = timeout(wait, &mut ticket.answer).await else {
        let error = StanzaError::new(Condition::RemoteServerTimeout).with_text("no answer came in time");
        return Err(Problem::stanza_error(&error, None));
    };
    let mut response = answered(&answer.with_id(&own_id), headers)?;
    if preferred.is_some() {
        let applied = HeaderValue::from_str(&format!("wait={}", wait.as_secs()));
        applied.into_iter().for_each(|value| {
            response.headers_mut().insert(PREFERENCE_APPLIED, value);
        });
    }
    Ok(response)
}

fn route(inner: &Inner, stanza: Stanza) -> Result<(), Problem> {
    let kind = stanza.kind();
    // The failure is told here, by HTTP; a bounce besides would tell it twice.
    inner
        .router
        .route(stanza, &Origin::Local)
        .map_err(|undelivered| Problem::stanza_error(&undelivered.error, None))?;
    inner.metrics.sent(kind);
    Ok(())
}

fn answered(answer: &Stanza, headers: &HeaderMap) -> Result<Response, Problem> {
    if let Some(error) = answer.error() {
        return Err(Problem::stanza_error(&error, Some(answer)));
    }
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.to_ascii_lowercase().contains(XML) {
        return Ok(([(CONTENT_TYPE, XML)], answer.text().into_owned()).into_response());
    }
    Ok(Json(to_json(answer)).into_response())
}

/// The time of `Prefer: wait=SECONDS` (RFC 7240, section 4.3); anything else is no preference.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|value| value.split(','));
    let wait = |preference: &str| {
        let (name, seconds) = preference.split(';').next()?.split_once('=')?;
        let seconds = seconds.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.parse().ok().map(Duration::from_secs))?
    };
    preferences.filter_map(wait).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_preference_to_wait_as_rfc_7240_writes_it() {
        let wait = |value: &'static str| {
            preferred_wait(&HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                HeaderValue::from_static(value),
            )]))
        };
        for (value, seconds) in [
            ("wait=5", Some(5)),
            ("Wait = \"5\"", Some(5)),
            ("respond-async, wait=100", Some(100)),
            ("wait=7; x=y", Some(7)),
            ("wait=x", None),
            ("wait=-1", None),
            ("respond-async", None),
            ("", None),
        ] {
            assert_eq!(wait(value), seconds.map(Duration::from_secs), "{value}");
        }
    }
}

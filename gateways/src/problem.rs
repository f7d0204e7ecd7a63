//! Errors of the HTTP side: problem documents (RFC 9457).

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use convoke_xmpp::{Element, ErrorType, Stanza, StanzaError, namespace};
use serde_json::{Map, Value, json};

use crate::errors::status_of;
use crate::mapping::{self, MappingError};
use crate::outgoing::CALL_NAMESPACE;

/// The seconds after which trying again is worth it, where nothing better is known.
const RETRY_SECONDS: u64 = 5;

/// Why a request failed, as its sender reads it.
///
/// Boxed, since it is the error of nearly every function here, and the rare case of each.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    detail: Cow<'static, str>,
    pointer: Option<String>,
    xmpp: Option<Value>,
    retry_after: Option<u64>,
    /// The value of `WWW-Authenticate` (RFC 6750, section 3).
    challenge: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(Parts { status, detail, pointer: None, xmpp: None, retry_after: None, challenge: None }))
    }

    /// No valid token: 401, always with a challenge (RFC 9110, section 15.5.2).
    pub(crate) fn unauthorized(presented: bool) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "this needs a valid bearer token");
        // RFC 6750, section 3.1: no error code when no credential was presented.
        let error = if presented { ", error=\"invalid_token\"" } else { "" };
        problem.0.challenge = Some(format!("Bearer realm=\"convoke\"{error}"));
        problem
    }

    /// A valid token without the scope: 403 (RFC 6750, section 3.1).
    pub(crate) fn insufficient_scope(scope: &str) -> Self {
        let mut problem = Self::new(StatusCode::FORBIDDEN, format!("the token lacks the scope {scope}"));
        let challenge = format!("Bearer realm=\"convoke\", error=\"insufficient_scope\", scope=\"{scope}\"");
        problem.0.challenge = Some(challenge);
        problem
    }

    /// One of the client's own limits is reached: 429.
    pub(crate) fn too_many(detail: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        problem.0.retry_after = Some(RETRY_SECONDS);
        problem
    }

    /// The value at a JSON pointer is wrong: 422.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.0.pointer = Some(pointer.into());
        problem
    }

    /// A stanza error, whether it came as an answer or from the router.
    pub(crate) fn stanza_error(error: &StanzaError, answer: Option<&Stanza>) -> Self {
        let by = answer.and_then(|stanza| {
            let child = stanza.to_element().take("error", namespace::CLIENT)?;
            child.attribute("by").map(str::to_owned)
        });
        let mut xmpp = mapping::error_to_json(error, by.as_deref());
        if let (Value::Object(object), Some(answer)) = (&mut xmpp, answer) {
            object.insert("stanza".into(), mapping::to_json(answer));
        }
        let detail = error.text.clone().unwrap_or_else(|| format!("the answer is {}", error.condition.as_str()));
        let mut problem = Self::new(status_of(error), detail);
        problem.0.xmpp = Some(xmpp);
        if error.error_type == ErrorType::Wait {
            problem.0.retry_after = Some(retry_after(error.application.as_deref()));
        }
        problem
    }
}

/// How long a service behind another gateway wants to be left alone, if it says so.
fn retry_after(application: Option<&Element>) -> u64 {
    let http = application.filter(|element| element.is("http", CALL_NAMESPACE));
    http.and_then(|http| http.attribute("retry-after")?.parse().ok()).unwrap_or(RETRY_SECONDS)
}

impl From<MappingError> for Problem {
    fn from(error: MappingError) -> Self {
        Self::at(error.pointer, error.fault.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let parts = *self.0;
        let mut document = Map::new();
        document.insert("title".into(), parts.status.canonical_reason().unwrap_or("error").into());
        document.insert("status".into(), parts.status.as_u16().into());
        document.insert("detail".into(), json!(parts.detail));
        document.extend(parts.pointer.map(|pointer| ("pointer".into(), pointer.into())));
        document.extend(parts.xmpp.map(|xmpp| ("xmpp".into(), xmpp)));
        let mut response = (parts.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = parts.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = parts.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

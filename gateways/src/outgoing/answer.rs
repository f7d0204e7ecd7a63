//! From an HTTP answer to the answer of an iq.

use std::time::Duration;

use axum::http::StatusCode;
use convoke_xmpp::{Condition, Element, ErrorType, Stanza, StanzaError};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::config::Limits;
use crate::errors::{Hints, stanza_error_of};
use crate::mapping;

/// The namespace of `call`, and of `http` in an error: what the service's answer said.
pub(crate) const CALL_NAMESPACE: &str = "urn:convoke:rest:0";
/// JSON containers (XEP-0335).
pub(crate) const JSON_NAMESPACE: &str = "urn:xmpp:json:0";

/// Why an answer is no result.
pub(super) enum ReadError {
    /// The sender is told this.
    Reported(StanzaError),
    /// The connection failed before the answer was complete.
    Broken(reqwest::Error),
}

impl From<StanzaError> for ReadError {
    fn from(error: StanzaError) -> Self {
        Self::Reported(error)
    }
}

/// The answer to `request`: its result, or the error that the service reports.
pub(super) async fn read(response: Response, request: &Stanza, limits: &Limits) -> Result<Stanza, ReadError> {
    let status = response.status();
    let headers = response.headers().clone();
    let body = read_body(response, limits.body_bytes).await?;
    if !status.is_success() {
        return Err(reported(status, &headers, &body, limits).into());
    }
    let answer = request.result(payload(&headers, &body, limits)?);
    if answer.size() > limits.body_bytes {
        return Err(too_large().into());
    }
    Ok(answer)
}

async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(ReadError::Broken)? {
        if body.len() + part.len() > limit {
            return Err(too_large().into());
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn too_large() -> StanzaError {
    let text = "the answer of the service is larger than the gateway carries";
    StanzaError::new(Condition::ResourceConstraint).with_type(ErrorType::Cancel).with_text(text)
}

/// The payload that a successful answer stands for.
fn payload(headers: &HeaderMap, body: &[u8], limits: &Limits) -> Result<Option<Element>, StanzaError> {
    if body.is_empty() {
        return Ok(None);
    }
    match media_type(headers).as_str() {
        "application/xmpp+xml" => payload_of_xml(body),
        json if is_json(json) => json_container(body, limits).map(Some),
        other => Err(unusable(format!("the service answered {other:?}, which an iq does not carry"))),
    }
}

fn payload_of_xml(body: &[u8]) -> Result<Option<Element>, StanzaError> {
    let text = std::str::from_utf8(body).map_err(|error| unusable(format!("the answer is not UTF-8: {error}")))?;
    if let Ok(stanza) = mapping::from_xml(text) {
        return match stanza.error() {
            Some(error) => Err(error),
            None => Ok(stanza.payload()),
        };
    }
    let payload = Element::parse(text).map_err(|error| unusable(format!("the answer is no XML: {error}")))?;
    Ok(Some(payload))
}

fn json_container(body: &[u8], limits: &Limits) -> Result<Element, StanzaError> {
    mapping::parse_json(body, limits.json_depth)
        .map_err(|error| unusable(format!("the answer is no JSON: {error}")))?;
    // What has been parsed as JSON is UTF-8.
    let text = String::from_utf8_lossy(body);
    // JSON may hold these two within strings, XML may not; their escapes mean the same.
    let text = text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    Ok(Element::new("json", JSON_NAMESPACE).text(text))
}

fn unusable(text: String) -> StanzaError {
    StanzaError::new(Condition::UndefinedCondition).with_text(text)
}

/// The error that an unsuccessful answer stands for.
///
/// Its text is title and detail of a problem document (RFC 9457). As application-specific condition it has
/// `<http xmlns='urn:convoke:rest:0' status='503' retry-after='5'>` with the document in a JSON container.
fn reported(status: StatusCode, headers: &HeaderMap, body: &[u8], limits: &Limits) -> StanzaError {
    let retry_after = retry_after(headers);
    let hints =
        Hints { retry_after: headers.contains_key(RETRY_AFTER), challenge: headers.contains_key(WWW_AUTHENTICATE) };
    let mut error = stanza_error_of(status, hints);
    let mut http = Element::new("http", CALL_NAMESPACE)
        .attr("status", status.as_u16())
        .attr_opt("retry-after", retry_after.map(|time| time.as_secs()));
    if media_type(headers) == "application/problem+json" {
        error.text = mapping::parse_json(body, limits.json_depth).ok().as_ref().and_then(text_of_problem);
        if let Ok(document) = json_container(body, limits) {
            http.push(document);
        }
    }
    let error = error.with_application(http);
    if error.to_element().to_string().len() > limits.body_bytes { stanza_error_of(status, hints) } else { error }
}

fn text_of_problem(problem: &Value) -> Option<String> {
    let member = |key: &str| problem.get(key).and_then(Value::as_str);
    let text = match (member("title"), member("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (title, detail) => title.or(detail)?.to_owned(),
    };
    // A description is for people: what XML cannot carry is left out.
    Some(text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect())
}

/// `Retry-After` in seconds; the form with a date only makes the error one to wait for.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(media_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, media_type.parse().unwrap())])
    }

    fn payload_of(media_type: &'static str, body: &str) -> Result<Option<Element>, StanzaError> {
        payload(&headers(media_type), body.as_bytes(), &Limits::default())
    }

    #[test]
    fn carries_json_in_its_container_as_it_was_written() {
        let json = "{\"a\": [1.10, \"<&\u{fffe}\"]}";
        let container = payload_of("application/json; charset=utf-8", json).unwrap().unwrap();
        assert!(container.is("json", JSON_NAMESPACE));
        assert_eq!(container.content(), "{\"a\": [1.10, \"<&\\ufffe\"]}");
        assert!(Element::parse(&container.to_string()).is_ok());
    }

    #[test]
    fn carries_xml_as_payload() {
        let bare = payload_of("application/xmpp+xml", "<done xmlns='urn:x'/>").unwrap().unwrap();
        assert!(bare.is("done", "urn:x"));
        let stanza = payload_of("application/xmpp+xml", "<iq type='result' id='1'><done xmlns='urn:x'/></iq>");
        assert_eq!(stanza.unwrap().unwrap(), bare);
        let error = "<iq type='error' id='1'><error type='auth'>\
            <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
        assert_eq!(payload_of("application/xmpp+xml", error).unwrap_err().condition, Condition::Forbidden);
    }

    #[test]
    fn what_an_iq_cannot_carry_is_an_undefined_condition() {
        for (media_type, body) in [("text/html", "<p>"), ("application/json", "{"), ("application/xmpp+xml", "<x>")] {
            assert_eq!(payload_of(media_type, body).unwrap_err().condition, Condition::UndefinedCondition);
        }
        assert_eq!(payload_of("text/html", ""), Ok(None));
    }

    #[test]
    fn an_error_carries_the_problem_document_and_the_time_to_wait() {
        let mut headers = headers("application/problem+json");
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let body = br#"{"title":"Busy","detail":"try\u0000 later"}"#;
        let error = reported(StatusCode::SERVICE_UNAVAILABLE, &headers, body, &Limits::default());
        assert_eq!((error.condition, error.error_type), (Condition::ServiceUnavailable, ErrorType::Wait));
        assert_eq!(error.text.as_deref(), Some("Busy: try later"));
        let http = error.application.unwrap();
        assert_eq!((http.attribute("status"), http.attribute("retry-after")), (Some("503"), Some("7")));
        assert!(http.find("json", JSON_NAMESPACE).unwrap().content().contains("\"Busy\""));
    }
}

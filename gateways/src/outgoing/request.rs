//! From an iq to an HTTP request.
//!
//! `<call xmlns='urn:convoke:rest:0' method='PUT' path='/lamp/3'><json xmlns='urn:xmpp:json:0'>{"on":true}</json></call>`
//! becomes `PUT BASE/lamp/3` with that JSON (XEP-0335). Without `method` it is POST with a body and GET without, without
//! `path` it goes to the base URL. Any other payload is sent to the base URL by POST, as the JSON of the whole stanza.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use convoke_xmpp::{Condition, Element, Stanza, StanzaError};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Url};

use super::answer::{CALL_NAMESPACE, JSON_NAMESPACE};
use super::path;
use crate::config::Limits;
use crate::gateway::Inner;
use crate::mapping;
use crate::registry::RestService;
use crate::secret::{Secret, digest};

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

pub(super) fn build(inner: &Inner, service: &RestService, stanza: &Stanza) -> Result<Request, StanzaError> {
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    let call = if payload.is("call", CALL_NAMESPACE) {
        Call::explicit(&service.base.url, &payload, &inner.limits)?
    } else {
        Call::whole_stanza(&service.base.url, stanza)
    };
    let mut request = Request::new(call.method, call.url);
    *request.headers_mut() = headers(service, stanza, &call.body, SystemTime::now())?;
    if !call.body.is_empty() {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(call.body.into());
    }
    Ok(request)
}

/// What of a request the stanza decides.
struct Call {
    method: Method,
    url: Url,
    body: String,
}

impl Call {
    fn explicit(base: &Url, call: &Element, limits: &Limits) -> Result<Self, StanzaError> {
        let body = call.find("json", JSON_NAMESPACE).map(Element::content).unwrap_or_default();
        if !body.is_empty() {
            mapping::parse_json(body.as_bytes(), limits.json_depth)
                .map_err(|error| bad_request(format!("the payload is no JSON: {error}")))?;
        }
        let default = if body.is_empty() { Method::GET } else { Method::POST };
        let method = call.attribute("method").map_or(Ok(default), method)?;
        let url = path::join(base, call.attribute("path").unwrap_or_default())
            .map_err(|error| bad_request(error.to_string()))?;
        Ok(Self { method, url, body })
    }

    fn whole_stanza(base: &Url, stanza: &Stanza) -> Self {
        Self { method: Method::POST, url: base.clone(), body: mapping::to_json(stanza).to_string() }
    }
}

fn method(name: &str) -> Result<Method, StanzaError> {
    let unknown = || bad_request("the method is none of GET, HEAD, POST, PUT, PATCH and DELETE".to_owned());
    METHODS.into_iter().find(|method| method.as_str() == name).ok_or_else(unknown)
}

fn bad_request(text: String) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_text(text)
}

/// Who asks, which request it is, and the proof that this gateway sends it.
fn headers(service: &RestService, stanza: &Stanza, body: &str, now: SystemTime) -> Result<HeaderMap, StanzaError> {
    let from = stanza.from().ok_or(Condition::BadRequest)?;
    let key = idempotency_key(from.as_str(), stanza.id().unwrap_or_default());
    let message_id = format!("msg_{key}");
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string();
    let signature = sign(&service.secret, &message_id, &seconds, body);
    let values = [
        ("idempotency-key", format!("\"{key}\"")),
        ("xmpp-from", encode_jid(from.as_str())),
        ("webhook-id", message_id),
        ("webhook-timestamp", seconds),
        ("webhook-signature", signature),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/xmpp+xml"));
    for (name, value) in values {
        // All of them are visible ASCII; a value that were not must not travel.
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| Condition::BadRequest)?);
    }
    Ok(headers)
}

/// The same for a request that is repeated, another for every other one: a hash of sender and id, which together
/// identify a request (RFC 6120, section 8.1.3).
fn idempotency_key(from: &str, id: &str) -> String {
    // No address holds a NUL, so the pair cannot be split in two ways.
    URL_SAFE_NO_PAD.encode(&digest(format!("{from}\0{id}").as_bytes())[..24])
}

/// The signature of Standard Webhooks 1.0.0: HMAC-SHA-256 over identifier, time and body.
fn sign(secret: &Secret, id: &str, seconds: &str, body: &str) -> String {
    let mac = secret.authenticate(&[id.as_bytes(), b".", seconds.as_bytes(), b".", body.as_bytes()]);
    format!("v1,{}", STANDARD.encode(mac))
}

/// A JID in a header: bytes that are not visible ASCII, and `%` itself, are percent-encoded.
fn encode_jid(jid: &str) -> String {
    jid.bytes().fold(String::with_capacity(jid.len()), |mut text, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(xml: &str) -> Result<Call, StanzaError> {
        let base = Url::parse("http://a.example/v1/").unwrap();
        Call::explicit(&base, &Element::parse(xml).unwrap(), &Limits::default())
    }

    #[test]
    fn a_call_names_method_path_and_body() {
        let json = "<json xmlns='urn:xmpp:json:0'>{\"on\": true}</json>";
        for (xml, method, url) in [
            (format!("<call xmlns='{CALL_NAMESPACE}'/>"), Method::GET, "http://a.example/v1/"),
            (
                format!("<call xmlns='{CALL_NAMESPACE}' path='/x?y=1'>{json}</call>"),
                Method::POST,
                "http://a.example/v1/x?y=1",
            ),
            (
                format!("<call xmlns='{CALL_NAMESPACE}' method='DELETE' path='/x'/>"),
                Method::DELETE,
                "http://a.example/v1/x",
            ),
        ] {
            let call = call(&xml).unwrap();
            assert_eq!((call.method, call.url.as_str()), (method, url), "{xml}");
        }
    }

    #[test]
    fn a_call_that_could_reach_further_is_a_bad_request() {
        for attributes in [
            "method='get'",
            "method='CONNECT'",
            "method='TRACE'",
            "method='GET&#13;&#10;X: y'",
            "path='x'",
            "path='/../x'",
            "path='/x&#13;&#10;Host: y'",
            "path='http://evil.example/'",
        ] {
            let error = call(&format!("<call xmlns='{CALL_NAMESPACE}' {attributes}/>")).err().unwrap();
            assert_eq!(error.condition, Condition::BadRequest, "{attributes}");
        }
        let error = call(&format!("<call xmlns='{CALL_NAMESPACE}'><json xmlns='urn:xmpp:json:0'>{{</json></call>"));
        assert_eq!(error.err().unwrap().condition, Condition::BadRequest);
    }

    #[test]
    fn no_mapped_field_can_end_a_line() {
        assert_eq!(encode_jid("a@b.example/x\r\nHost: y"), "a@b.example/x%0D%0AHost:%20y");
        assert_eq!(encode_jid("jürgen@b.example/50%"), "j%C3%BCrgen@b.example/50%25");
        assert!(HeaderValue::from_str(&idempotency_key("a\r\n", "\r\nb")).is_ok());
    }

    #[test]
    fn sender_and_id_identify_a_request() {
        assert_eq!(idempotency_key("a", "b"), idempotency_key("a", "b"));
        assert_ne!(idempotency_key("a", "b"), idempotency_key("a", "c"));
        assert_ne!(idempotency_key("a", "bc"), idempotency_key("ab", "c"));
    }
}

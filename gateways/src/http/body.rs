//! Reading the body of a request within its bounds.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;
use serde_json::Value;
use serde_json::error::Category;
use tokio::time::timeout;

use crate::config::Limits;
use crate::mapping::parse_json;
use crate::problem::Problem;

/// The whole body; 413 beyond the limit, 408 when it takes too long.
pub(super) async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Vec<u8>, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(too_large());
    }
    match timeout(limits.body_time, collect(body, limits.body_bytes)).await {
        Ok(collected) => collected,
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut parts = body.into_data_stream();
    let mut collected = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        if collected.len() + part.len() > limit {
            return Err(too_large());
        }
        collected.extend_from_slice(&part);
    }
    Ok(collected)
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this gateway takes")
}

/// The body as JSON; 400 for what is none, 422 for names that are repeated and for deep nesting.
pub(super) fn json(bytes: &[u8], limits: &Limits) -> Result<Value, Problem> {
    parse_json(bytes, limits.json_depth).map_err(|error| match error.classify() {
        Category::Data => Problem::at("", error.to_string()),
        _ => Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}")),
    })
}

/// What a body says it is, in lower case and without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses a body that says it is something else than JSON.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers).as_str() {
        "application/json" => Ok(()),
        _ => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json")),
    }
}

//! `GET /healthz` and `GET /metrics`: for operators, without a token.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Gateway;
use crate::metrics;
use crate::problem::Problem;

/// 200 as long as the gateway takes requests, 503 while it drains.
pub(super) async fn health(State(inner): Gateway) -> Result<&'static str, Problem> {
    if inner.draining.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is shutting down"));
    }
    Ok("ok\n")
}

pub(super) async fn metrics(State(inner): Gateway) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::write(&inner)).into_response()
}

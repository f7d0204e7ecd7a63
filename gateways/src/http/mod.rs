//! The HTTP side: endpoints and what is common to them.

mod auth;
mod body;
mod events;
mod operations;
mod services;
mod stanzas;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::gateway::Inner;
use crate::problem::Problem;

type Gateway = State<Arc<Inner>>;

pub(crate) fn routes(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/v1/stanzas", post(stanzas::send))
        .route("/v1/events", get(events::read))
        .route("/v1/services", get(services::list).post(services::register))
        .route("/v1/services/{name}", get(services::show).delete(services::remove))
        .route("/healthz", get(operations::health))
        .route("/metrics", get(operations::metrics))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .layer(middleware::from_fn_with_state(Arc::clone(&inner), count))
        .with_state(inner)
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method; see Allow")
}

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn count(State(inner): Gateway, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    inner.metrics.response(response.status().as_u16());
    response
}

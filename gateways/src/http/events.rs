//! `GET /v1/events`: what is addressed to a client, as server-sent events (WHATWG HTML, section 9.2).
//!
//! Each event is one stanza in the mapping of this crate; its `id` is `EPOCH-NUMBER`. A reader that comes back with
//! `Last-Event-ID`, or `?last_event_id=`, gets what it missed; `earliest` in its place stands for everything that is
//! still kept. Where something was lost, an event of the type `gap` comes first.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::json;

use super::Gateway;
use super::auth::Authenticated;
use crate::events::{Next, Reader};
use crate::gateway::Inner;
use crate::problem::Problem;
use crate::tokens::Scope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    last_event_id: Option<String>,
}

pub(super) async fn read(
    State(inner): Gateway,
    client: Authenticated,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = client.with(Scope::EventsRead)?;
    let Query(parameters) =
        parameters.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the only parameter is last_event_id, once"))?;
    // The header is what a browser sends when it reconnects by itself; then it is newer than the URL.
    let last = match headers.get("last-event-id") {
        Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        None => parameters.last_event_id,
    };
    let reader = client.mailbox.read(last.as_deref().filter(|last| !last.is_empty()));
    let reader = reader.map_err(|_| Problem::too_many("this client has too many event streams"))?;
    let keep_alive = KeepAlive::new().interval(inner.limits.heartbeat);
    let events = events(Arc::clone(&inner), reader).take_until(inner.draining.clone().cancelled_owned());
    let response = Sse::new(events).keep_alive(keep_alive);
    // Some reverse proxies collect an answer unless they are told not to.
    Ok(([("x-accel-buffering", "no")], response).into_response())
}

fn events(inner: Arc<Inner>, reader: Reader) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    stream::unfold((inner, reader), |(inner, mut reader)| async move {
        let event = match reader.next().await {
            Next::Event(id, event) => Event::default().id(id).data(&event.data),
            Next::Gap(gap) => Event::default().event("gap").data(json!({ "next": gap.next }).to_string()),
            Next::TooSlow => {
                inner.metrics.reader_cut();
                return None;
            }
        };
        Some((Ok(event), (inner, reader)))
    })
}

//! The way out: an iq to a registered service becomes an HTTP request, its answer the iq's answer.

mod address;
mod answer;
mod client;
mod path;
mod request;
mod resolver;
mod target;

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use convoke_xmpp::{Condition, ErrorType, Router, Stanza, StanzaError, Undelivered};
use tracing::{debug, warn};

use crate::gateway::Inner;
use crate::inbound;
use crate::registry::RestService;

pub(crate) use answer::CALL_NAMESPACE;
pub(crate) use client::HttpClients;
pub(crate) use path::join as join_path;
pub use resolver::{Resolver, SystemResolver};
pub(crate) use target::{BaseUrl, BaseUrlError};
pub use target::{Target, TargetError};

/// Takes an iq get or set for a service and answers it, once, when the service has.
pub(crate) fn call(inner: &Arc<Inner>, service: &Arc<RestService>, stanza: Stanza, router: &dyn Router) {
    let Ok(permit) = Arc::clone(&service.calls).try_acquire_owned() else {
        let busy =
            StanzaError::new(Condition::ResourceConstraint).with_text("the service has too many calls under way");
        return inbound::refuse(inner, stanza, busy, router);
    };
    let (task_inner, service) = (Arc::clone(inner), Arc::clone(service));
    inner.spawn(async move {
        let answered = tokio::select! {
            answered = answer_of(&task_inner, &service, &stanza) => answered,
            () = task_inner.closed.cancelled() => Err(Condition::RecipientUnavailable.into()),
        };
        drop(permit);
        finish(&task_inner, stanza, answered);
    });
}

fn finish(inner: &Inner, stanza: Stanza, answered: Result<Stanza, StanzaError>) {
    inner.metrics.call(answered.is_ok());
    match answered {
        Ok(answer) => inner.send(answer),
        Err(error) => inner.router.undelivered(Undelivered::new(stanza, error)),
    }
}

async fn answer_of(inner: &Inner, service: &RestService, stanza: &Stanza) -> Result<Stanza, StanzaError> {
    let request = request::build(inner, service, stanza)?;
    let started = Instant::now();
    let response = service.client(&inner.http).execute(request).await.map_err(|error| failure(service, &error))?;
    let status = response.status();
    debug!(service = service.name, status = status.as_u16(), elapsed = ?started.elapsed(), "service answered");
    if matches!(status.as_u16(), 401 | 407) {
        warn!(service = service.name, %status, "the service refuses the gateway: does it know the secret?");
    }
    answer::read(response, stanza, &inner.limits).await.map_err(|error| match error {
        answer::ReadError::Reported(error) => error,
        answer::ReadError::Broken(error) => failure(service, &error),
    })
}

/// What a sender is told when there is no answer.
fn failure(service: &RestService, error: &reqwest::Error) -> StanzaError {
    warn!(service = service.name, cause = %chain(error), "no answer from the service");
    if error.is_timeout() {
        return StanzaError::new(Condition::RemoteServerTimeout).with_text("the service did not answer in time");
    }
    if error.is_connect() {
        let text = "no connection to the service could be made";
        return StanzaError::new(Condition::RemoteServerNotFound).with_type(ErrorType::Cancel).with_text(text);
    }
    // The connection broke or spoke no HTTP: what a proxy reports as 502.
    crate::errors::stanza_error_of(StatusCode::BAD_GATEWAY, Default::default())
}

/// An error with its causes, without the URL: its query may hold what is not for logs.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = if text.is_empty() { error.to_string() } else { format!("{text}: {error}") };
        cause = error.source();
    }
    if text.is_empty() { "the exchange failed".to_owned() } else { text }
}

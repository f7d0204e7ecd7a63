//! Who sends a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::client::Client;
use crate::gateway::Inner;
use crate::problem::Problem;
use crate::tokens::Scope;

/// The client whose token a request holds.
///
/// Extracted before the body is read, so that nobody unknown makes the gateway read one.
pub(super) struct Authenticated(Arc<Client>);

impl Authenticated {
    /// The client, if its token has the scope.
    pub(super) fn with(self, scope: Scope) -> Result<Arc<Client>, Problem> {
        if self.0.caller.may(scope) { Ok(self.0) } else { Err(Problem::insufficient_scope(scope.as_str())) }
    }

    /// The client, if its token has the scope, and its place among its requests under way.
    pub(super) fn with_place(self, scope: Scope) -> Result<(Arc<Client>, OwnedSemaphorePermit), Problem> {
        let client = self.with(scope)?;
        let place = Arc::clone(&client.requests).try_acquire_owned();
        let place = place.map_err(|_| Problem::too_many("this client has too many requests under way"))?;
        Ok((client, place))
    }
}

impl FromRequestParts<Arc<Inner>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, inner: &Arc<Inner>) -> Result<Self, Problem> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let header = headers.next();
        // Two credentials are none (RFC 9110, section 5.3).
        let text = if headers.next().is_some() { None } else { header.and_then(|value| value.to_str().ok()) };
        let caller = inner.tokens.authenticate(text);
        let client = caller.and_then(|caller| inner.clients.get(&caller.name));
        client.map(|client| Self(Arc::clone(client))).ok_or_else(|| Problem::unauthorized(header.is_some()))
    }
}

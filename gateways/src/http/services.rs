//! `/v1/services`: REST services become XMPP entities.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use convoke_xmpp::PresenceType;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::auth::Authenticated;
use super::{Gateway, body};
use crate::gateway::Inner;
use crate::name;
use crate::outgoing::{BaseUrl, chain, join_path};
use crate::problem::Problem;
use crate::registry::{Refusal, RestService};
use crate::secret::Secret;
use crate::tokens::Scope;

/// `POST /v1/services`: 201 with the secret, which is shown this once.
pub(super) async fn register(
    State(inner): Gateway,
    client: Authenticated,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (client, _place) = client.with_place(Scope::ServiceAdmin)?;
    body::require_json(&headers)?;
    let value = body::json(&body::read(&headers, body, &inner.limits).await?, &inner.limits)?;
    let registration = Registration::read(&value)?;
    let service = Arc::new(registration.check(&inner, &client.caller.name).await?);
    check_health(&inner, &service).await?;
    inner.services.insert(Arc::clone(&service)).map_err(refused)?;
    info!(service = service.name, by = client.caller.name, "service registered");
    inner.announce(&service, PresenceType::Available);
    if inner.draining.is_cancelled() {
        // The services that were known have been withdrawn already, in another task.
        inner.withdraw_services();
    }
    let mut shown = to_json(&service);
    shown["secret"] = service.secret.reveal().into();
    let location = format!("/v1/services/{}", service.name);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown)).into_response())
}

/// `GET /v1/services`.
pub(super) async fn list(State(inner): Gateway, client: Authenticated) -> Result<Json<Value>, Problem> {
    client.with(Scope::ServiceAdmin)?;
    let services: Vec<Value> = inner.services.all().iter().map(|service| to_json(service)).collect();
    Ok(Json(json!({ "services": services })))
}

/// `GET /v1/services/{name}`.
pub(super) async fn show(
    State(inner): Gateway,
    client: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    client.with(Scope::ServiceAdmin)?;
    let service = inner.services.get(&name).ok_or_else(no_such_service)?;
    Ok(Json(to_json(&service)))
}

/// `DELETE /v1/services/{name}`: 204; calls under way still get their answers.
pub(super) async fn remove(
    State(inner): Gateway,
    client: Authenticated,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let client = client.with(Scope::ServiceAdmin)?;
    let service = inner.services.remove(&name).ok_or_else(no_such_service)?;
    info!(service = service.name, by = client.caller.name, "service removed");
    inner.announce(&service, PresenceType::Unavailable);
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_service() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no service of that name")
}

fn to_json(service: &RestService) -> Value {
    json!({
        "name": service.name,
        "jid": service.jid.as_str(),
        "base_url": service.base.url.as_str(),
        "health_path": service.health_path,
        "registered_by": service.registered_by,
    })
}

/// What a registrant sends.
struct Registration<'a> {
    name: &'a str,
    base_url: &'a str,
    health_path: Option<&'a str>,
}

impl<'a> Registration<'a> {
    fn read(value: &'a Value) -> Result<Self, Problem> {
        let object = value.as_object().ok_or_else(|| Problem::at("", "this must be an object"))?;
        let known = ["name", "base_url", "health_path"];
        if let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            return Err(Problem::at(pointer, "this key has no meaning here"));
        }
        let missing = |pointer| Problem::at(pointer, "this key is missing");
        Ok(Self {
            name: member(object, "name")?.ok_or_else(|| missing("/name"))?,
            base_url: member(object, "base_url")?.ok_or_else(|| missing("/base_url"))?,
            health_path: member(object, "health_path")?,
        })
    }

    /// The service, if its name is free and it lives where services may.
    async fn check(&self, inner: &Inner, registered_by: &str) -> Result<RestService, Problem> {
        name::check(self.name).map_err(|error| Problem::at("/name", error.to_string()))?;
        if inner.clients.contains_key(self.name) || inner.services.get(self.name).is_some() {
            return Err(refused(Refusal::NameTaken));
        }
        let jid = inner.address.with_resource(self.name).map_err(|error| Problem::at("/name", error.to_string()))?;
        let base = BaseUrl::parse(self.base_url, &inner.targets).map_err(|error| not_there(&error))?;
        base.resolve(&*inner.resolver).await.map_err(|error| not_there(&error))?;
        if let Some(path) = self.health_path {
            join_path(&base.url, path).map_err(|error| Problem::at("/health_path", error.to_string()))?;
        }
        Ok(RestService {
            name: self.name.to_owned(),
            jid,
            base,
            health_path: self.health_path.map(str::to_owned),
            registered_by: registered_by.to_owned(),
            secret: Secret::random().map_err(no_entropy)?,
            calls: Arc::new(Semaphore::new(inner.limits.calls_per_service)),
        })
    }
}

fn member<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Problem> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::at(format!("/{key}"), "this must be a string")),
    }
}

fn not_there(error: &crate::outgoing::BaseUrlError) -> Problem {
    Problem::at("/base_url", format!("a service cannot live there: {error}"))
}

fn no_entropy(error: getrandom::Error) -> Problem {
    warn!(%error, "no random bytes for a secret");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no secret could be made")
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NameTaken => Problem::new(StatusCode::CONFLICT, "a client or service has that name already"),
        Refusal::Full => Problem::new(StatusCode::INSUFFICIENT_STORAGE, "there are too many services"),
    }
}

/// A service that names a health check must pass it once before it becomes available.
async fn check_health(inner: &Inner, service: &RestService) -> Result<(), Problem> {
    let Some(path) = &service.health_path else { return Ok(()) };
    let problem = |detail: String| Problem::at("/health_path", detail);
    let url = join_path(&service.base.url, path).map_err(|error| problem(error.to_string()))?;
    match service.client(&inner.http).get(url).send().await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(problem(format!("the health check answered {}", response.status().as_u16()))),
        Err(error) => {
            info!(service = service.name, cause = %chain(&error), "no answer to the health check");
            Err(problem("the health check got no answer".to_owned()))
        }
    }
}

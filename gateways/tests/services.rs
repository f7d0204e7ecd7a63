//! `/v1/services`, and the way out.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_gateways::{Resolver, SystemResolver};
use convoke_xmpp::{Condition, ErrorType, Stanza};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{GATEWAY, Recorded, RestServer, World, json as body, problem, soon};

const BOB: &str = "bob@peer.example/x";

async fn world_with(service: &RestServer) -> World {
    let target = service.url.parse().unwrap();
    let world = World::with(|config| config.targets = vec![target]).await;
    world.register("printer", &format!("{}/api", service.url)).await;
    world
}

fn call(attributes: &str, json: &str) -> String {
    let json = if json.is_empty() { String::new() } else { format!("<json xmlns='urn:xmpp:json:0'>{json}</json>") };
    format!(
        "<iq type='set' id='c1' from='{BOB}' to='{GATEWAY}/printer'>\
         <call xmlns='urn:convoke:rest:0' {attributes}>{json}</call></iq>"
    )
}

async fn answer_to(world: &World, xml: &str) -> Stanza {
    world.deliver(xml);
    let answer = world.sent().await;
    assert_eq!((answer.id(), answer.to().unwrap().as_str()), (Some("c1"), BOB));
    assert_eq!(answer.from().unwrap().as_str(), format!("{GATEWAY}/printer"));
    answer
}

fn ok(_: &Recorded) -> Response {
    ([("content-type", "application/json")], "{\"done\": true}").into_response()
}

#[tokio::test]
async fn a_registered_service_is_an_available_entity_until_it_is_removed() {
    let world = World::new().await;
    let registration = json!({"name": "printer", "base_url": "https://8.8.8.8/api"});
    let response = world.post("/v1/services", &world.admin, &registration).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["location"], "/v1/services/printer");
    let shown = body(response).await;
    assert_eq!(shown["jid"], format!("{GATEWAY}/printer"));
    assert!(shown["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(world.sent().await.text(), format!("<presence from='{GATEWAY}/printer'/>"));
    let known = json!({"name": "printer", "jid": format!("{GATEWAY}/printer"), "base_url": "https://8.8.8.8/api/",
        "health_path": null, "registered_by": "admin"});
    assert_eq!(body(world.get("/v1/services/printer", &world.alice).await).await, known, "the secret is shown once");
    assert_eq!(body(world.get("/v1/services", &world.alice).await).await, json!({"services": [known]}));
    let removal = world.request(Method::DELETE, "/v1/services/printer", &world.alice).send().await.unwrap();
    assert_eq!(removal.status(), 204);
    let presence = world.sent().await;
    assert_eq!(presence.text(), format!("<presence from='{GATEWAY}/printer' type='unavailable'/>"));
    problem(world.get("/v1/services/printer", &world.alice).await, 404).await;
    problem(world.request(Method::DELETE, "/v1/services/printer", &world.alice).send().await.unwrap(), 404).await;
}

#[tokio::test]
async fn clients_and_services_share_one_namespace() {
    let world = World::new().await;
    world.register("printer", "https://8.8.8.8").await;
    for name in ["printer", "alice", "reader"] {
        let registration = json!({"name": name, "base_url": "https://8.8.8.8"});
        problem(world.post("/v1/services", &world.alice, &registration).await, 409).await;
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_registration_that_is_wrong_is_refused_by_its_place() {
    let world = World::new().await;
    for (registration, pointer) in [
        (json!([]), ""),
        (json!({"name": "x"}), "/base_url"),
        (json!({"base_url": "https://8.8.8.8"}), "/name"),
        (json!({"name": "X", "base_url": "https://8.8.8.8"}), "/name"),
        (json!({"name": "..", "base_url": "https://8.8.8.8"}), "/name"),
        (json!({"name": 1, "base_url": "https://8.8.8.8"}), "/name"),
        (json!({"name": "x", "base_url": "https://8.8.8.8", "secret": "mine"}), "/secret"),
        (json!({"name": "x", "base_url": "https://8.8.8.8", "health_path": "/../x"}), "/health_path"),
        (json!({"name": "x", "base_url": "http://api.example.org"}), "/base_url"),
        (json!({"name": "x", "base_url": "https://127.0.0.1"}), "/base_url"),
        (json!({"name": "x", "base_url": "https://localhost"}), "/base_url"),
        (json!({"name": "x", "base_url": "https://no-such-host.invalid"}), "/base_url"),
        (json!({"name": "x", "base_url": world.url}), "/base_url"),
    ] {
        let document = problem(world.post("/v1/services", &world.alice, &registration).await, 422).await;
        assert_eq!(document["pointer"], pointer, "{registration}");
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_service_must_pass_the_health_check_that_it_names() {
    let service = RestServer::new(|request| match request.uri.path() {
        "/up" => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    })
    .await;
    let target = service.url.parse().unwrap();
    let world = World::with(|config| config.targets = vec![target]).await;
    let registration = |path| json!({"name": "printer", "base_url": service.url, "health_path": path});
    let document = problem(world.post("/v1/services", &world.alice, &registration("/down")).await, 422).await;
    assert_eq!(document["pointer"], "/health_path");
    assert_eq!(world.post("/v1/services", &world.alice, &registration("/up")).await.status(), 201);
    assert_eq!(service.request().await.uri.path(), "/down");
    assert_eq!(service.request().await.uri.path(), "/up");
}

#[tokio::test]
async fn a_call_becomes_a_request_and_its_answer_the_result() {
    let service = RestServer::new(ok).await;
    let world = world_with(&service).await;
    let answer = answer_to(&world, &call("method='PUT' path='/lamp/3?dim=1'", "{\"on\":  true}")).await;
    let container = answer.payload().unwrap();
    assert!(container.is("json", "urn:xmpp:json:0"));
    assert_eq!(container.content(), "{\"done\": true}");
    let request = service.request().await;
    assert_eq!((&request.method, request.uri.to_string().as_str()), (&Method::PUT, "/api/lamp/3?dim=1"));
    assert_eq!(&request.body[..], b"{\"on\":  true}");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["xmpp-from"], BOB);
    assert_eq!(request.headers["host"].to_str().unwrap(), service.url.strip_prefix("http://").unwrap());
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn any_other_payload_is_posted_as_the_stanza() {
    let service = RestServer::new(|_| StatusCode::NO_CONTENT.into_response()).await;
    let world = world_with(&service).await;
    let xml = format!("<iq type='get' id='c1' from='{BOB}' to='{GATEWAY}/printer'><ink xmlns='urn:p' n='1'/></iq>");
    let answer = answer_to(&world, &xml).await;
    assert_eq!(answer.payload_name(), None);
    let request = service.request().await;
    assert_eq!((&request.method, request.uri.path()), (&Method::POST, "/api/"));
    let stanza: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(stanza, convoke_gateways::mapping::to_json(&Stanza::parse(&xml).unwrap()));
}

#[tokio::test]
async fn a_service_can_verify_who_sent_a_request() {
    let service = RestServer::new(ok).await;
    let target = service.url.parse().unwrap();
    let world = World::with(|config| config.targets = vec![target]).await;
    let secret = world.register("printer", &service.url).await;
    answer_to(&world, &call("path='/x'", "[1]")).await;
    answer_to(&world, &call("path='/x'", "[1]")).await;
    let (first, again) = (service.request().await, service.request().await);
    let header = |request: &Recorded, name: &str| request.headers[name].to_str().unwrap().to_owned();
    // Standard Webhooks 1.0.0: base64 of HMAC-SHA-256 over id.timestamp.body, with the bytes behind "whsec_".
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    let (id, time) = (header(&first, "webhook-id"), header(&first, "webhook-timestamp"));
    mac.update(format!("{id}.{time}.[1]").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header(&first, "webhook-signature"), signature);
    assert_eq!(header(&first, "idempotency-key"), header(&again, "idempotency-key"), "same sender, same id");
    assert_eq!(id, header(&again, "webhook-id"));
}

#[tokio::test]
async fn an_http_error_becomes_the_stanza_error_of_the_map() {
    let service = RestServer::new(|request| {
        let code: u16 = request.uri.path().rsplit('/').next().unwrap().parse().unwrap();
        let problem = ([("content-type", "application/problem+json")], "{\"title\":\"no\",\"detail\":\"ink\"}");
        (StatusCode::from_u16(code).unwrap(), problem).into_response()
    })
    .await;
    let world = world_with(&service).await;
    for (code, condition, error_type) in [
        (301, Condition::Redirect, ErrorType::Cancel),
        (400, Condition::BadRequest, ErrorType::Modify),
        (401, Condition::InternalServerError, ErrorType::Wait),
        (403, Condition::Forbidden, ErrorType::Auth),
        (404, Condition::ItemNotFound, ErrorType::Cancel),
        (409, Condition::Conflict, ErrorType::Cancel),
        (418, Condition::BadRequest, ErrorType::Modify),
        (429, Condition::ResourceConstraint, ErrorType::Wait),
        (500, Condition::InternalServerError, ErrorType::Wait),
        (503, Condition::ServiceUnavailable, ErrorType::Cancel),
        (504, Condition::RemoteServerTimeout, ErrorType::Wait),
    ] {
        let error = answer_to(&world, &call(&format!("path='/{code}'"), "")).await.error().unwrap();
        assert_eq!((error.condition, error.error_type), (condition, error_type), "{code}");
        assert_eq!(error.text.as_deref(), Some("no: ink"));
        let http = error.application.unwrap();
        assert_eq!(http.attribute("status"), Some(code.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = RestServer::new(ok).await;
    let location = inside.url.clone();
    let service =
        RestServer::new(move |_| (StatusCode::TEMPORARY_REDIRECT, [("location", location.clone())]).into_response())
            .await;
    let world = world_with(&service).await;
    let error = answer_to(&world, &call("", "")).await.error().unwrap();
    assert_eq!(error.condition, Condition::Redirect);
    service.request().await;
    assert!(inside.nothing_asked().await, "the answer came after the redirect would have been followed");
}

#[tokio::test]
async fn answers_that_an_iq_cannot_carry_are_errors() {
    let service = RestServer::new(|request| {
        let json = [("content-type", "application/json")];
        match request.uri.path().rsplit('/').next().unwrap() {
            "html" => ([("content-type", "text/html")], "<p>").into_response(),
            "broken" => (json, "{").into_response(),
            "large" => (json, format!("\"{}\"", "x".repeat(200 * 1024))).into_response(),
            // Fits as JSON, but five times as large as XML.
            "escaped" => (json, format!("\"{}\"", "&".repeat(100 * 1024))).into_response(),
            _ => StatusCode::IM_A_TEAPOT.into_response(),
        }
    })
    .await;
    let world = world_with(&service).await;
    for (path, condition) in [
        ("html", Condition::UndefinedCondition),
        ("broken", Condition::UndefinedCondition),
        ("large", Condition::ResourceConstraint),
        ("escaped", Condition::ResourceConstraint),
    ] {
        let error = answer_to(&world, &call(&format!("path='/{path}'"), "")).await.error().unwrap();
        assert_eq!((error.condition, error.error_type), (condition, ErrorType::Cancel), "{path}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_a_timeout_and_calls_at_once_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = url.parse().unwrap();
    let world = World::with(|config| {
        config.targets = vec![target];
        config.limits.call_time = Duration::from_millis(300);
        config.limits.calls_per_service = 1;
    })
    .await;
    world.register("printer", &url).await;
    world.deliver(&call("", ""));
    let busy = answer_to(&world, &call("", "")).await.error().unwrap();
    assert_eq!((busy.condition, busy.error_type), (Condition::ResourceConstraint, ErrorType::Wait));
    let late = world.sent().await.error().unwrap();
    assert_eq!((late.condition, late.error_type), (Condition::RemoteServerTimeout, ErrorType::Wait));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_not_found() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = url.parse().unwrap();
    let world = World::with(|config| config.targets = vec![target]).await;
    world.register("printer", &url).await;
    drop(listener);
    let error = answer_to(&world, &call("", "")).await.error().unwrap();
    assert_eq!((error.condition, error.error_type), (Condition::RemoteServerNotFound, ErrorType::Cancel));
}

#[tokio::test]
async fn a_call_that_leaves_the_service_never_leaves_the_gateway() {
    let service = RestServer::new(ok).await;
    let world = world_with(&service).await;
    for attributes in ["path='/../admin'", "path='/%2e%2e/admin'", "path='/x&#13;&#10;Host: y'", "method='CONNECT'"] {
        let error = answer_to(&world, &call(attributes, "")).await.error().unwrap();
        assert_eq!(error.condition, Condition::BadRequest, "{attributes}");
    }
    answer_to(&world, &call("path='/last'", "")).await;
    assert_eq!(service.request().await.uri.path(), "/api/last", "nothing came before");
}

/// Says that a name is public until it is to be connected to.
#[derive(Debug)]
struct Rebinding {
    asked: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        let first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![if first { [8, 8, 8, 8] } else { [127, 0, 0, 1] }.into()])
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_after_it_was_checked_is_not_connected_to() {
    let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let resolver = Arc::new(Rebinding { asked: Arc::clone(&asked) });
    let world = World::with(|config| config.resolver = resolver).await;
    world.register("printer", &format!("https://rebinding.example:{port}")).await;
    let error = answer_to(&world, &call("", "")).await.error().unwrap();
    assert_eq!(error.condition, Condition::RemoteServerNotFound);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(inside.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody has connected");
}

#[tokio::test]
async fn the_resolver_of_the_system_knows_the_loopback() {
    let addresses = soon(SystemResolver.resolve("localhost")).await.unwrap();
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}

#[tokio::test]
async fn a_client_can_call_a_service_of_its_own_gateway() {
    let service = RestServer::new(ok).await;
    let world = world_with(&service).await;
    let request = json!({"kind": "iq", "type": "set", "to": format!("{GATEWAY}/printer"), "id": "1", "children": [
        {"name": "call", "xmlns": "urn:convoke:rest:0", "attrs": {"path": "/x"}}]});
    let answer = body(world.send(&request).await).await;
    assert_eq!(answer["children"], json!([{"name": "json", "xmlns": "urn:xmpp:json:0", "text": "{\"done\": true}"}]));
}

#[tokio::test]
async fn the_gateway_tells_what_it_and_its_services_are() {
    let service = RestServer::new(ok).await;
    let world = world_with(&service).await;
    let ask = async |to: &str, payload: &str| {
        world.deliver(&format!("<iq type='get' id='1' from='{BOB}' to='{to}'>{payload}</iq>"));
        world.sent().await.text().into_owned()
    };
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    assert!(ask(GATEWAY, info).await.contains("category='gateway' type='http'"));
    let items = ask(GATEWAY, "<query xmlns='http://jabber.org/protocol/disco#items'/>").await;
    assert!(items.contains(&format!("jid='{GATEWAY}/printer'")), "{items}");
    assert!(ask(GATEWAY, "<ping xmlns='urn:xmpp:ping'/>").await.contains("type='result'"));
    assert!(ask(GATEWAY, "<query xmlns='jabber:iq:version'/>").await.contains("<version>"));
    assert!(ask(GATEWAY, "<x xmlns='urn:x'/>").await.contains("service-unavailable"));
    let printer = format!("{GATEWAY}/printer");
    assert!(ask(&printer, info).await.contains("urn:convoke:rest:0"));
    assert!(ask(&printer, "<ping xmlns='urn:xmpp:ping'/>").await.contains("type='result'"));
    world.deliver(&format!("<message to='{printer}' from='{BOB}'><body>x</body></message>"));
    assert_eq!(world.sent().await.error().unwrap().condition, Condition::ServiceUnavailable);
}

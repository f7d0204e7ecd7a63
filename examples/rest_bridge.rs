//! The gateway, both ways: an XMPP entity calls a REST service, and a REST client talks with an XMPP entity.
//!
//! `cargo run --example rest_bridge`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use convoke::gateways::{Gateway, GatewayConfig, Scope, Tokens};
use convoke::xmpp::{Element, MessageType, Stanza, namespace};
use convoke::{About, Component, Domain};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

/// An ordinary web service, which has never heard of XMPP.
fn rest_service() -> Router {
    Router::new().route("/double", post(async |Json(number): Json<i64>| Json(number * 2)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let domain = Domain::builder("bridge.example").start().await?;
    let service = TcpListener::bind("127.0.0.1:0").await?;
    let service_url = format!("http://{}", service.local_addr()?);
    let service = tokio::spawn(async { axum::serve(service, rest_service()).await });

    // The token is shown once; the file keeps only its hash.
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("tokens.toml");
    let token = Tokens::add(&file, "notebook", Scope::ALL)?;
    let mut config = GatewayConfig::new(domain.address("gateway")?, Tokens::load(&file)?);
    // Services live on public https hosts unless it is said here: an outsider could aim requests at your inside.
    config.targets.push(service_url.parse()?);
    let gateway = Arc::new(Gateway::new(config, domain.router())?);
    domain.serve("gateway", About::new("gateway", "http", "REST gateway"), gateway.clone())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client =
        RestClient { http: convoke_dev::http_client()?, gateway: format!("http://{}", listener.local_addr()?), token };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let serving = tokio::spawn(async move { gateway.serve(listener, stopped).await });

    let visitor = domain.component("visitor")?;
    tokio::time::timeout(PATIENCE, from_xmpp_to_rest(&visitor, &client, &service_url)).await??;
    tokio::time::timeout(PATIENCE, from_rest_to_xmpp(&visitor, &client)).await??;

    stop.cancel();
    serving.await??;
    service.abort();
    domain.shutdown(PATIENCE).await;
    Ok(())
}

/// A registered service is the entity `gateway@DOMAIN/NAME`: an iq to it becomes an HTTP request.
async fn from_xmpp_to_rest(visitor: &Component, client: &RestClient, url: &str) -> Result<(), Box<dyn Error>> {
    let service = client.post("/v1/services", json!({"name": "calculator", "base_url": url})).await?;
    let calculator = service["jid"].as_str().ok_or("the service has no address")?.parse()?;
    println!("the REST service is now {calculator}");

    let number = Element::new("json", "urn:xmpp:json:0").text("21");
    let call = Element::new("call", "urn:convoke:rest:0").attr("path", "/double").child(number);
    let answer = visitor.set(&calculator, call, PATIENCE).await?.ok_or("the answer is empty")?;
    println!("{} asked it for twice 21: {}", visitor.jid(), answer.content());
    Ok(())
}

/// Whoever holds the token `notebook` is the entity `gateway@DOMAIN/notebook`.
async fn from_rest_to_xmpp(visitor: &Component, client: &RestClient) -> Result<(), Box<dyn Error>> {
    let mut events = client.request(reqwest::Method::GET, "/v1/events").send().await?.error_for_status()?;
    // An iq is answered in the response: here, which services does the gateway have?
    let query = json!({"name": "query", "xmlns": namespace::DISCO_ITEMS});
    let iq = json!({"kind": "iq", "type": "get", "to": "gateway@bridge.example", "children": [query]});
    let answer = client.post("/v1/stanzas", iq).await?;
    println!("the REST client asked for services: {}", answer["children"][0]["children"][0]["attrs"]["jid"]);

    // What an entity sends to the client becomes an event.
    let body = Element::new("body", namespace::CLIENT).text("hello, REST");
    let message = Stanza::message(MessageType::Chat).with_to(&"gateway@bridge.example/notebook".parse()?);
    visitor.send(message.with_payload(body))?;
    let event = next_event(&mut events).await?;
    println!("the REST client received from {}: {}", event["from"], event["body"]);
    Ok(())
}

/// A client that knows only HTTP.
struct RestClient {
    http: reqwest::Client,
    gateway: String,
    token: String,
}

impl RestClient {
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.gateway)).bearer_auth(&self.token)
    }

    async fn post(&self, path: &str, body: Value) -> reqwest::Result<Value> {
        self.request(reqwest::Method::POST, path).json(&body).send().await?.error_for_status()?.json().await
    }
}

/// The next of the server-sent events: lines up to an empty one, of which `data:` holds the stanza.
async fn next_event(events: &mut reqwest::Response) -> Result<Value, Box<dyn Error>> {
    let mut bytes = Vec::new();
    while let Some(part) = events.chunk().await? {
        bytes.extend_from_slice(&part);
        let event = bytes.strip_suffix(b"\n\n").map(std::str::from_utf8).transpose()?;
        if let Some(data) = event.and_then(|event| event.lines().find_map(|line| line.strip_prefix("data: "))) {
            return Ok(serde_json::from_str(data)?);
        }
    }
    Err("the stream of events has ended".into())
}

//! A gateway with its HTTP side on loopback, and a router that plays everybody else.

mod rest_service;
mod sse;

use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use convoke_gateways::{Gateway, GatewayConfig, Scope, Tokens};
use convoke_xmpp::{Condition, Origin, Router, Service, Stanza, Undelivered};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use rest_service::{Recorded, RestServer};
pub(crate) use sse::{Events, Frame};

pub(crate) const GATEWAY: &str = "gateway@volunteers.example";
pub(crate) const ALICE: &str = "gateway@volunteers.example/alice";

/// Waits for what must come; a test that waits for ever fails here.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("what the test waits for did not come")
}

/// Gives the gateway what is addressed to it, keeps the rest for the test, and bounces.
pub(crate) struct Wire {
    gateway: OnceLock<Weak<Gateway>>,
    out: mpsc::UnboundedSender<Stanza>,
}

impl Router for Wire {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let gateway = self.gateway.get().and_then(Weak::upgrade);
        match (stanza.to(), gateway) {
            (Some(to), Some(gateway)) if to.bare() == GATEWAY => gateway.handle(stanza, origin, self),
            (Some(to), _) if to.domain() == "nowhere.example" => {
                return Err(Undelivered::new(stanza, Condition::RemoteServerNotFound));
            }
            _ => self.out.send(stanza).expect("the test listens"),
        }
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        if let Some(bounce) = undelivered.stanza.bounce(&undelivered.error) {
            let _ = self.route(bounce, &Origin::Local);
        }
    }
}

pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    /// Tokens: alice may do everything, reader, sender and admin one thing each.
    pub(crate) alice: String,
    pub(crate) reader: String,
    pub(crate) sender: String,
    pub(crate) admin: String,
    wire: Arc<Wire>,
    out: Mutex<mpsc::UnboundedReceiver<Stanza>>,
    shutdown: CancellationToken,
    _shutdown_on_drop: DropGuard,
    serving: Mutex<Option<JoinHandle<std::io::Result<()>>>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world whose gateway has another configuration.
    pub(crate) async fn with(configure: impl FnOnce(&mut GatewayConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway-tokens.toml");
        let token = |name, scopes: &[Scope]| Tokens::add(&path, name, scopes).unwrap();
        let alice = token("alice", Scope::ALL);
        let reader = token("reader", &[Scope::EventsRead]);
        let sender = token("sender", &[Scope::StanzaSend]);
        let admin = token("admin", &[Scope::ServiceAdmin]);
        let mut config = GatewayConfig::new(GATEWAY.parse().unwrap(), Tokens::load(&path).unwrap());
        configure(&mut config);
        let (sent, out) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire { gateway: OnceLock::new(), out: sent });
        let gateway = Arc::new(Gateway::new(config, Arc::clone(&wire) as Arc<dyn Router>).unwrap());
        wire.gateway.set(Arc::downgrade(&gateway)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let (serving, token) = (Arc::clone(&gateway), shutdown.clone());
        let serving = tokio::spawn(async move { serving.serve(listener, token).await });
        Self {
            gateway,
            url,
            http: http_client(),
            alice,
            reader,
            sender,
            admin,
            wire,
            out: Mutex::new(out),
            _shutdown_on_drop: shutdown.clone().drop_guard(),
            shutdown,
            serving: Mutex::new(Some(serving)),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token)
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Response {
        soon(self.request(Method::POST, path, token).json(body).send()).await.unwrap()
    }

    /// Sends as alice.
    pub(crate) async fn send(&self, stanza: &Value) -> Response {
        self.post("/v1/stanzas", &self.alice, stanza).await
    }

    /// Sends as alice, in another task: for requests that wait for an answer of the test.
    pub(crate) fn send_apart(&self, request: RequestBuilder) -> JoinHandle<Response> {
        tokio::spawn(async move { soon(request.send()).await.unwrap() })
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        soon(self.request(Method::GET, path, token).send()).await.unwrap()
    }

    /// The next stanza that goes to others.
    pub(crate) async fn sent(&self) -> Stanza {
        soon(async { self.out.lock().await.recv().await }).await.unwrap()
    }

    /// Whether nothing else has gone to others yet.
    pub(crate) async fn nothing_sent(&self) -> bool {
        self.out.lock().await.is_empty()
    }

    /// Delivers a stanza of somebody else.
    pub(crate) fn deliver(&self, xml: &str) {
        let origin = Origin::Remote("peer.example".parse().unwrap());
        self.gateway.handle(Stanza::parse(xml).unwrap(), &origin, &*self.wire);
    }

    pub(crate) async fn events(&self, token: &str, query: &str) -> Events {
        Events::of(self.get(&format!("/v1/events{query}"), token).await)
    }

    /// Registers a service as alice and gives its secret; its presence is taken off the wire.
    pub(crate) async fn register(&self, name: &str, base_url: &str) -> String {
        let registration = serde_json::json!({"name": name, "base_url": base_url});
        let response = self.post("/v1/services", &self.alice, &registration).await;
        assert_eq!(response.status(), 201);
        assert_eq!(self.sent().await.kind().name(), "presence");
        json(response).await["secret"].as_str().unwrap().to_owned()
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the server has drained.
    pub(crate) async fn stopped(&self) {
        let serving = self.serving.lock().await.take().unwrap();
        soon(serving).await.unwrap().unwrap();
    }
}

/// An HTTP client; its TLS is set up without a default of the process, and not used.
pub(crate) fn http_client() -> reqwest::Client {
    let provider = Arc::new(crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

pub(crate) async fn json(response: Response) -> Value {
    soon(response.json()).await.unwrap()
}

/// The problem document of a response, which must say that it is one.
pub(crate) async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let document = json(response).await;
    assert_eq!(document["status"], status);
    document
}

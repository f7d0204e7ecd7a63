//! What a gateway is told when it is made.

use std::sync::Arc;
use std::time::Duration;

use convoke_xmpp::Jid;
use thiserror::Error;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::outgoing::{Resolver, SystemResolver, Target};
use crate::tokens::Tokens;

/// The configuration of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The gateway's bare address, `gateway@DOMAIN`.
    pub address: Jid,
    /// Who may use the HTTP side; read once, so a new token counts from the next start.
    pub tokens: Tokens,
    /// Where registered services may live besides public https hosts. Default none: everything else is refused, since
    /// a service URL is what lets an outsider aim requests at the inside (server-side request forgery).
    pub targets: Vec<Target>,
    /// Certificates that are trusted for https services besides the system's own. Default none.
    pub roots: Vec<CertificateDer<'static>>,
    /// Turns the host names of services into addresses. Default the system's resolver.
    pub resolver: Arc<dyn Resolver>,
    /// Sizes, numbers and times.
    pub limits: Limits,
}

impl GatewayConfig {
    /// The configuration of a gateway at this address, with the defaults for everything else.
    pub fn new(address: Jid, tokens: Tokens) -> Self {
        Self {
            address,
            tokens,
            targets: Vec::new(),
            roots: Vec::new(),
            resolver: Arc::new(SystemResolver),
            limits: Limits::default(),
        }
    }
}

/// The bounds of a gateway. Nothing in it grows or waits without one.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body, of a service's answer and of the iq made of it. Default 192 KiB: it fits into the
    /// 256 KiB that streams take. Beyond: 413, or resource-constraint.
    pub body_bytes: usize,
    /// Nesting of JSON. Default 64. Beyond: 422 for a client, bad-request for a sender.
    pub json_depth: usize,
    /// Connections at once. Default 1,024. Beyond: further ones wait to be accepted.
    pub connections: usize,
    /// Requests at once of one client, event streams aside. Default 64. Beyond: 429.
    pub requests_per_client: usize,
    /// Event streams at once of one client. Default 8. Beyond: 429.
    pub readers_per_client: usize,
    /// Events kept for one client, for readers that are slow or come back. Default 1,024; the oldest give way.
    pub history_events: usize,
    /// Bytes of the events kept for one client. Default 2 MiB; the oldest give way.
    pub history_bytes: usize,
    /// Requests addressed to one client that it has not answered. Default 256. Beyond: resource-constraint.
    pub questions_per_client: usize,
    /// Calls at once to one service. Default 16. Beyond: resource-constraint.
    pub calls_per_service: usize,
    /// How long a client may take to send the header of a request. Default 10 s; then the connection is cut.
    pub header_time: Duration,
    /// How long a client may take to send a body. Default 30 s; then 408.
    pub body_time: Duration,
    /// How long a client may leave written bytes untaken. Default 30 s; then the connection is cut.
    pub write_time: Duration,
    /// How long `POST /v1/stanzas` waits for an answer without `Prefer: wait`. Default 30 s; then 504.
    pub answer_time: Duration,
    /// The most that `Prefer: wait` gets. Default 120 s.
    pub longest_answer_time: Duration,
    /// How long a client has to answer a request addressed to it. Default 60 s; then remote-server-timeout.
    pub question_time: Duration,
    /// How long a service has to answer. Default 30 s; then remote-server-timeout.
    pub call_time: Duration,
    /// How often an event stream without events shows that it lives. Default 15 s.
    pub heartbeat: Duration,
    /// How long a shutdown waits for requests under way. Default 10 s; then they are cut.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 192 * 1024,
            json_depth: 64,
            connections: 1024,
            requests_per_client: 64,
            readers_per_client: 8,
            history_events: 1024,
            history_bytes: 2 * 1024 * 1024,
            questions_per_client: 256,
            calls_per_service: 16,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(30),
            longest_answer_time: Duration::from_secs(120),
            question_time: Duration::from_secs(60),
            call_time: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            drain_time: Duration::from_secs(10),
        }
    }
}

/// Why a gateway cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The address has a resource, which is where clients and services live.
    #[error("the gateway's address {0} has a resource; use a bare address such as gateway@volunteers.example")]
    NotBare(Jid),
    /// A gateway starts tasks, so it is made inside a tokio runtime.
    #[error("a gateway must be made inside a tokio runtime")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    NoEntropy(#[from] getrandom::Error),
    /// The crate was built with neither of the features `ring` and `aws-lc-rs`.
    #[error("built without a crypto provider; enable the feature `ring` or `aws-lc-rs`")]
    NoCryptoProvider,
    /// The crypto provider has none of the TLS versions that are safe.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The HTTP client towards services cannot be made.
    #[error("the HTTP client cannot be set up: {0}")]
    HttpClient(#[from] reqwest::Error),
}

//! A small REST service on loopback that keeps what it is asked.

use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::soon;

/// One request.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Answer = Box<dyn Fn(&Recorded) -> Response + Send + Sync>;

pub(crate) struct RestServer {
    pub(crate) url: String,
    requests: Mutex<mpsc::UnboundedReceiver<Arc<Recorded>>>,
    task: JoinHandle<()>,
}

struct Shared {
    answer: Answer,
    sent: mpsc::UnboundedSender<Arc<Recorded>>,
}

impl RestServer {
    pub(crate) async fn new(answer: impl Fn(&Recorded) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sent, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { answer: Box::new(answer), sent });
        let routes = Router::new().fallback(record).with_state(shared);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, requests: Mutex::new(requests), task }
    }

    /// Whether no further request has come yet.
    pub(crate) async fn nothing_asked(&self) -> bool {
        self.requests.lock().await.is_empty()
    }

    pub(crate) async fn request(&self) -> Arc<Recorded> {
        soon(async { self.requests.lock().await.recv().await }).await.unwrap()
    }
}

impl Drop for RestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let recorded = Recorded { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let response = (shared.answer)(&recorded);
    let _ = shared.sent.send(Arc::new(recorded));
    response
}

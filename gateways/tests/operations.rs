//! `/healthz`, `/metrics`, slow clients and the end.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{GATEWAY, RestServer, World, soon};

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let world = World::new().await;
    world.gateway.metrics_source(|out| out.push_str("# TYPE other_total counter\nother_total 7\n"));
    let get = |path| soon(world.http.get(format!("{}{path}", world.url)).send());
    let health = get("/healthz").await.unwrap();
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "ok\n"));
    world.deliver(&format!("<message to='{GATEWAY}/alice' from='bob@peer.example'/>"));
    let metrics = get("/metrics").await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4");
    let text = metrics.text().await.unwrap();
    for line in [
        "convoke_gateway_stanzas_received_total{kind=\"message\"} 1",
        "convoke_gateway_http_responses_total{class=\"2xx\"} 1",
        "convoke_gateway_services 0",
        "other_total 7",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
    for line in text.lines() {
        let is_sample = line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok());
        assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE ") || is_sample, "{line}");
    }
}

async fn raw(world: &World) -> TcpStream {
    TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_header_that_does_not_end_is_cut() {
    let world = World::with(|config| config.limits.header_time = Duration::from_millis(50)).await;
    let mut slow = raw(&world).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset.
    let _ = soon(slow.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_header_without_end_in_size_is_refused() {
    let world = World::new().await;
    let mut large = raw(&world).await;
    let header = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(100_000));
    let _ = large.write_all(header.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(large.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_timed_out() {
    let world = World::with(|config| config.limits.body_time = Duration::from_millis(50)).await;
    let mut slow = raw(&world).await;
    let header = format!(
        "POST /v1/stanzas HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{",
        world.alice
    );
    slow.write_all(header.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    soon(slow.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn connections_at_once_are_bounded() {
    let world = World::with(|config| config.limits.connections = 1).await;
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (mut first, mut second) = (raw(&world).await, raw(&world).await);
    second.write_all(REQUEST).await.unwrap();
    let mut answer = [0; 12];
    for _ in 0..10 {
        first.write_all(REQUEST).await.unwrap();
        soon(first.read_exact(&mut answer)).await.unwrap();
        while soon(first.read_u8()).await.unwrap() != b'k' {}
        first.read_u8().await.unwrap();
    }
    let served = second.try_read(&mut answer).map_err(|error| error.kind());
    assert_eq!(served, Err(std::io::ErrorKind::WouldBlock), "ten requests later the second one still waits");
    drop(first);
    soon(second.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_shutdown_withdraws_services_ends_streams_and_finishes_requests() {
    let world = World::with(|config| config.targets = vec!["http://127.0.0.1:1".parse().unwrap()]).await;
    world.register("printer", "http://127.0.0.1:1").await;
    let mut events = world.events(&world.alice, "").await;
    let ping =
        json!({"kind": "iq", "type": "get", "to": "peer.example", "children": [{"name": "x", "xmlns": "urn:x"}]});
    let waiting = world.send_apart(world.request(Method::POST, "/v1/stanzas", &world.alice).json(&ping));
    let request = world.sent().await;
    world.begin_shutdown();
    assert_eq!(world.sent().await.text(), format!("<presence from='{GATEWAY}/printer' type='unavailable'/>"));
    assert_eq!(events.next().await, None);
    world.deliver(&format!(
        "<iq type='get' id='1' from='bob@peer.example' to='{GATEWAY}/printer'><x xmlns='urn:x'/></iq>"
    ));
    assert_eq!(world.sent().await.error().unwrap().condition.as_str(), "service-unavailable");
    world.deliver(&request.result(None).text());
    assert_eq!(waiting.await.unwrap().status(), 200);
    world.stopped().await;
    assert!(TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_answered_and_cut() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = url.parse().unwrap();
    let world = World::with(|config| {
        config.limits.drain_time = Duration::from_millis(50);
        config.targets = vec![target];
    })
    .await;
    world.register("silent", &url).await;
    world.deliver(&format!(
        "<iq type='get' id='1' from='bob@peer.example' to='{GATEWAY}/silent'><x xmlns='urn:x'/></iq>"
    ));
    let _connection = soon(listener.accept()).await.unwrap();
    world.begin_shutdown();
    assert_eq!(world.sent().await.kind().name(), "presence");
    let answer = world.sent().await;
    assert_eq!((answer.id(), answer.error().unwrap().condition.as_str()), (Some("1"), "recipient-unavailable"));
    world.stopped().await;
}

#[tokio::test]
async fn secrets_are_in_no_log_and_no_debug_output() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // The runtime of the test has one thread, so that this is the subscriber of all its tasks.
    let guard = tracing::subscriber::set_default(subscriber);
    let service =
        RestServer::new(|_| axum::response::IntoResponse::into_response(axum::http::StatusCode::UNAUTHORIZED)).await;
    let target = service.url.parse().unwrap();
    let world = World::with(|config| config.targets = vec![target]).await;
    let secret = world.register("printer", &service.url).await;
    world.deliver(&format!(
        "<iq type='get' id='1' from='bob@peer.example' to='{GATEWAY}/printer'><x xmlns='urn:x'/></iq>"
    ));
    assert_eq!(world.sent().await.error().unwrap().condition.as_str(), "internal-server-error");
    let shown = format!("{:?}", world.gateway);
    drop(guard);
    let log = log.text();
    assert!(log.contains("does it know the secret?"), "the test sees the log:\n{log}");
    for text in [&log, &shown] {
        assert!(!text.contains(&secret) && !text.contains(&secret["whsec_".len()..]), "{text}");
        assert!(!text.contains(&world.alice), "{text}");
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

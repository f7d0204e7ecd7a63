//! Who may do what, and what there is at all.

use reqwest::Method;
use serde_json::json;

use crate::support::{World, problem, soon};

const ENDPOINTS: &[(Method, &str)] = &[
    (Method::POST, "/v1/stanzas"),
    (Method::GET, "/v1/events"),
    (Method::GET, "/v1/services"),
    (Method::POST, "/v1/services"),
    (Method::GET, "/v1/services/x"),
    (Method::DELETE, "/v1/services/x"),
];

#[tokio::test]
async fn without_a_valid_token_every_endpoint_answers_401_with_a_challenge() {
    let world = World::new().await;
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer convoke_0_0".into()),
        Some(format!("Basic {}", world.alice)),
        Some(format!("Bearer {}x", world.alice)),
        Some("Bearer \u{e9}\u{ff}".into()),
    ];
    for (method, path) in ENDPOINTS {
        for header in &wrong {
            let mut request = world.http.request(method.clone(), format!("{}{path}", world.url));
            if let Some(header) = header {
                request = request.header("authorization", header.as_bytes());
            }
            let response = soon(request.send()).await.unwrap();
            let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), header.is_some(), "RFC 6750, section 3.1");
            problem(response, 401).await;
        }
    }
}

#[tokio::test]
async fn two_credentials_are_none() {
    let world = World::new().await;
    let request = world.request(Method::GET, "/v1/services", &world.alice).header("authorization", "Bearer x");
    problem(soon(request.send()).await.unwrap(), 401).await;
}

#[tokio::test]
async fn a_token_without_the_scope_is_forbidden() {
    let world = World::new().await;
    let message = json!({"kind": "message", "to": "bob@peer.example"});
    problem(world.post("/v1/stanzas", &world.reader, &message).await, 403).await;
    problem(world.get("/v1/events", &world.sender).await, 403).await;
    problem(world.get("/v1/services", &world.sender).await, 403).await;
    let registration = json!({"name": "x", "base_url": "https://api.example.org"});
    let response = world.post("/v1/services", &world.reader, &registration).await;
    let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("insufficient_scope") && challenge.contains("service:admin"), "{challenge}");
    problem(response, 403).await;
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new().await;
    for (path, allowed) in [
        ("/v1/stanzas", &["POST"][..]),
        ("/v1/events", &["GET"]),
        ("/v1/services", &["GET", "POST"]),
        ("/v1/services/x", &["GET", "DELETE"]),
        ("/healthz", &["GET"]),
        ("/metrics", &["GET"]),
    ] {
        let response = soon(world.request(Method::PATCH, path, &world.alice).send()).await.unwrap();
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{path}: {allow}");
        problem(response, 405).await;
    }
}

#[tokio::test]
async fn there_is_nothing_at_other_paths() {
    let world = World::new().await;
    for path in ["/", "/v1", "/v2/stanzas", "/v1/stanzas/", "/v1/services/a/b", "/v1/services/%2e%2e/x"] {
        problem(world.get(path, &world.alice).await, 404).await;
    }
}

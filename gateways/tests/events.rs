//! `GET /v1/events`, and requests that clients answer.

use std::time::Duration;

use serde_json::json;

use crate::support::{ALICE, Frame, GATEWAY, World, json as body, problem};

fn message(text: &str) -> String {
    format!("<message to='{ALICE}' from='bob@peer.example'><body>{text}</body></message>")
}

fn question(id: &str, to: &str) -> String {
    format!("<iq type='get' id='{id}' to='{GATEWAY}/{to}' from='bob@peer.example/x'><what xmlns='urn:w'/></iq>")
}

#[tokio::test]
async fn what_is_addressed_to_a_client_is_an_event() {
    let world = World::new().await;
    let mut events = world.events(&world.alice, "").await;
    world.deliver(&message("hi"));
    world.deliver(&format!("<presence to='{ALICE}' from='bob@peer.example/x'/>"));
    let first = events.next().await.unwrap();
    let expected = json!({"kind": "message", "type": "normal", "to": ALICE, "from": "bob@peer.example", "body": "hi"});
    assert_eq!(first.json(), expected);
    let second = events.next().await.unwrap();
    assert_eq!(second.json()["type"], "available");
    let number = |frame: &Frame| frame.id.as_deref().unwrap().rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    assert_eq!((number(&first), number(&second)), (1, 2));
}

#[tokio::test]
async fn a_client_sees_only_its_own_events() {
    let world = World::new().await;
    let mut events = world.events(&world.reader, "").await;
    world.deliver(&message("for alice"));
    world.deliver(&format!("<message to='{GATEWAY}/reader' from='bob@peer.example'><body>mine</body></message>"));
    assert_eq!(events.next().await.unwrap().json()["body"], "mine");
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_what_it_missed() {
    let world = World::new().await;
    let mut events = world.events(&world.alice, "").await;
    for text in ["one", "two", "three"] {
        world.deliver(&message(text));
    }
    let first = events.next().await.unwrap().id.unwrap();
    drop(events);
    let mut resumed = world.events(&world.alice, &format!("?last_event_id={first}")).await;
    assert_eq!(resumed.next().await.unwrap().json()["body"], "two");
    let request = world.request(reqwest::Method::GET, "/v1/events?last_event_id=earliest", &world.alice);
    let response = request.header("last-event-id", &first).send().await.unwrap();
    let mut resumed = crate::support::Events::of(response);
    assert_eq!(resumed.next().await.unwrap().json()["body"], "two", "the header is newer than the URL");
    assert_eq!(resumed.next().await.unwrap().json()["body"], "three");
    let mut all = world.events(&world.alice, "?last_event_id=earliest").await;
    assert_eq!(all.next().await.unwrap().json()["body"], "one");
}

#[tokio::test]
async fn a_gap_is_the_first_thing_that_a_reader_learns() {
    let world = World::with(|config| config.limits.history_events = 2).await;
    let mut events = world.events(&world.alice, "").await;
    world.deliver(&message("one"));
    let first = events.next().await.unwrap().id.unwrap();
    drop(events);
    for text in ["two", "three", "four"] {
        world.deliver(&message(text));
    }
    for last in [first.as_str(), "another-run-1", "nonsense"] {
        let mut resumed = world.events(&world.alice, &format!("?last_event_id={last}")).await;
        let gap = resumed.next().await.unwrap();
        assert_eq!((gap.event.as_deref(), &gap.id), (Some("gap"), &None));
        let next = resumed.next().await.unwrap();
        assert_eq!(gap.json()["next"], next.id.as_deref().unwrap());
        assert_eq!(next.json()["body"], "three");
    }
}

#[tokio::test]
async fn a_stream_without_events_shows_that_it_lives() {
    let world = World::with(|config| config.limits.heartbeat = Duration::from_millis(10)).await;
    let mut events = world.events(&world.alice, "").await;
    assert!(events.frame().await.unwrap().is_comment);
    assert!(events.frame().await.unwrap().is_comment);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_and_costs_no_memory() {
    let world = World::with(|config| config.limits.history_bytes = 64 * 1024).await;
    let mut events = world.events(&world.alice, "").await;
    let large = "x".repeat(60 * 1024);
    // More than the sockets between the two can hold.
    for _ in 0..400 {
        world.deliver(&message(&large));
        tokio::task::yield_now().await;
    }
    let mut last = None;
    while let Some(frame) = events.next().await {
        last = frame.id;
    }
    let mut resumed = world.events(&world.alice, &format!("?last_event_id={}", last.unwrap_or_default())).await;
    assert!(resumed.next().await.is_some());
    let metrics = world.get("/metrics", "").await.text().await.unwrap();
    assert!(metrics.contains("convoke_gateway_readers_cut_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn streams_at_once_are_bounded_by_client() {
    let world = World::with(|config| config.limits.readers_per_client = 1).await;
    let _events = world.events(&world.alice, "").await;
    problem(world.get("/v1/events", &world.alice).await, 429).await;
    let _other = world.events(&world.reader, "").await;
}

#[tokio::test]
async fn only_known_parameters_are_taken() {
    let world = World::new().await;
    for query in ["?since=1", "?last_event_id=a&last_event_id=b"] {
        problem(world.get(&format!("/v1/events{query}"), &world.alice).await, 400).await;
    }
}

#[tokio::test]
async fn a_client_answers_a_request_once() {
    let world = World::new().await;
    let mut events = world.events(&world.alice, "").await;
    world.deliver(&question("q1", "alice"));
    let event = events.next().await.unwrap().json();
    assert_eq!((&event["id"], &event["from"]), (&json!("q1"), &json!("bob@peer.example/x")));
    let answer = json!({"kind": "iq", "type": "result", "to": "bob@peer.example/x", "id": "q1",
        "children": [{"name": "this", "xmlns": "urn:w"}]});
    for (wrong, value) in [("id", "q2"), ("to", "bob@peer.example"), ("to", "mallory@peer.example")] {
        let mut answer = answer.clone();
        answer[wrong] = value.into();
        let document = problem(world.send(&answer).await, 409).await;
        assert_eq!(document["xmpp"]["condition"], "unexpected-request");
    }
    problem(world.post("/v1/stanzas", &world.sender, &answer).await, 409).await;
    let response = world.send(&answer).await;
    assert_eq!(response.status(), 202);
    assert_eq!(body(response).await, json!({"id": "q1"}));
    let sent = world.sent().await;
    assert_eq!(sent.from().unwrap().as_str(), ALICE);
    assert!(sent.has_payload("this", "urn:w"));
    problem(world.send(&answer).await, 409).await;
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_client_may_answer_with_an_error() {
    let world = World::new().await;
    let mut events = world.events(&world.alice, "").await;
    world.deliver(&question("q1", "alice"));
    events.next().await.unwrap();
    let answer = json!({"kind": "iq", "type": "error", "to": "bob@peer.example/x", "id": "q1",
        "error": {"condition": "item-not-found"}});
    assert_eq!(world.send(&answer).await.status(), 202);
    assert_eq!(world.sent().await.error().unwrap().condition.as_str(), "item-not-found");
}

async fn bounced(world: &World, to: &str) -> String {
    world.deliver(&question("q1", to));
    let bounce = world.sent().await;
    assert_eq!((bounce.id(), bounce.to().unwrap().as_str()), (Some("q1"), "bob@peer.example/x"));
    bounce.error().unwrap().condition.as_str().to_owned()
}

#[tokio::test]
async fn a_request_that_nobody_can_answer_is_answered_at_once() {
    let world = World::new().await;
    assert_eq!(bounced(&world, "alice").await, "recipient-unavailable");
    assert_eq!(bounced(&world, "sender").await, "service-unavailable");
    let _events = world.events(&world.reader, "").await;
    assert_eq!(bounced(&world, "reader").await, "service-unavailable");
    assert_eq!(bounced(&world, "nobody").await, "service-unavailable");
}

#[tokio::test]
async fn a_request_that_a_client_leaves_unanswered_is_answered_for_it() {
    let world = World::with(|config| config.limits.question_time = Duration::from_millis(50)).await;
    let _events = world.events(&world.alice, "").await;
    assert_eq!(bounced(&world, "alice").await, "remote-server-timeout");
    let late = json!({"kind": "iq", "type": "result", "to": "bob@peer.example/x", "id": "q1"});
    problem(world.send(&late).await, 409).await;
}

#[tokio::test]
async fn requests_that_wait_for_a_client_are_bounded_and_told_apart() {
    let world = World::with(|config| config.limits.questions_per_client = 2).await;
    let _events = world.events(&world.alice, "").await;
    world.deliver(&question("q0", "alice"));
    world.deliver(&question("q1", "alice"));
    assert_eq!(bounced(&world, "alice").await, "resource-constraint");
    let world = World::new().await;
    let _events = world.events(&world.alice, "").await;
    world.deliver(&question("q1", "alice"));
    assert_eq!(bounced(&world, "alice").await, "conflict");
}

#[tokio::test]
async fn a_message_that_nobody_may_read_comes_back() {
    let world = World::new().await;
    for to in ["sender", "nobody"] {
        world.deliver(&format!("<message to='{GATEWAY}/{to}' from='bob@peer.example' id='m'><body>x</body></message>"));
        assert_eq!(world.sent().await.error().unwrap().condition.as_str(), "service-unavailable", "{to}");
    }
    world.deliver(&format!("<presence to='{GATEWAY}/nobody' from='bob@peer.example'/>"));
    world.deliver(&format!("<iq type='result' id='1' to='{ALICE}' from='bob@peer.example'/>"));
    assert!(world.nothing_sent().await, "presence and answers are never bounced");
}

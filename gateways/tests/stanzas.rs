//! `POST /v1/stanzas`.

use std::time::Duration;

use convoke_xmpp::{Condition, ErrorType, IqType, Kind, PresenceType, Stanza, StanzaError};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{ALICE, World, json as body, problem, soon};

fn ping(to: &str) -> Value {
    json!({"kind": "iq", "type": "get", "to": to, "id": "mine", "children": [{"name": "ping", "xmlns": "urn:xmpp:ping"}]})
}

#[tokio::test]
async fn a_request_gets_the_answer_of_its_recipient() {
    let world = World::new().await;
    let request = world.request(Method::POST, "/v1/stanzas", &world.alice).header("prefer", "wait=20");
    let waiting = world.send_apart(request.json(&ping("bob@peer.example/x")));
    let request = world.sent().await;
    assert_eq!(request.from().unwrap().as_str(), ALICE);
    assert!(request.has_payload("ping", "urn:xmpp:ping"));
    assert_ne!(request.id().unwrap(), "mine", "identifiers on the wire are the gateway's own");
    assert!(request.id().unwrap().len() >= 22, "and cannot be guessed");
    world.deliver(&request.result(None).text());
    let response = waiting.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["preference-applied"], "wait=20");
    let expected = json!({"kind": "iq", "type": "result", "to": ALICE, "from": "bob@peer.example/x", "id": "mine"});
    assert_eq!(body(response).await, expected);
}

#[tokio::test]
async fn xml_is_taken_and_given() {
    let world = World::new().await;
    let xml = "<iq type='set' to='peer.example' id='7'><do xmlns='urn:x' p:a='1' xmlns:p='urn:p'>it</do></iq>\n";
    let request = world
        .request(Method::POST, "/v1/stanzas", &world.alice)
        .header("content-type", "application/xmpp+xml; charset=utf-8")
        .header("accept", "application/xmpp+xml")
        .body(xml);
    let waiting = world.send_apart(request);
    let request = world.sent().await;
    assert!(request.text().contains("p:a='1'"));
    let payload = convoke_xmpp::Element::new("done", "urn:x");
    world.deliver(&request.result(Some(payload)).text());
    let response = waiting.await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/xmpp+xml");
    let answer = Stanza::parse(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer.id(), Some("7"));
    assert!(answer.has_payload("done", "urn:x"));
}

#[tokio::test]
async fn a_request_without_an_identifier_gets_one() {
    let world = World::new().await;
    let xml = "<iq type='set' to='peer.example'><do xmlns='urn:x'/></iq>";
    for (media_type, text) in [
        ("application/xmpp+xml", xml.to_owned()),
        ("application/json", json!({ "xml": xml }).to_string()),
        ("application/json", json!({"kind": "iq", "type": "set", "to": "peer.example"}).to_string()),
    ] {
        let request = world.request(Method::POST, "/v1/stanzas", &world.alice).header("content-type", media_type);
        let waiting = world.send_apart(request.body(text));
        let request = world.sent().await;
        assert_eq!((request.kind(), request.fault()), (Kind::Iq(IqType::Set), None));
        world.deliver(&request.result(None).text());
        let answer = body(waiting.await.unwrap()).await;
        assert!(answer["id"].as_str().unwrap().len() >= 22, "{answer}");
    }
}

#[tokio::test]
async fn only_the_entity_that_was_asked_may_answer() {
    let world = World::new().await;
    let waiting =
        world.send_apart(world.request(Method::POST, "/v1/stanzas", &world.alice).json(&ping("bob@peer.example")));
    let request = world.sent().await;
    let id = request.id().unwrap();
    for from in ["mallory@peer.example", "bob@peer.example/x", "peer.example"] {
        world.deliver(&format!("<iq type='result' to='{ALICE}' from='{from}' id='{id}'><forged xmlns='urn:f'/></iq>"));
    }
    world.deliver(&format!("<iq type='result' to='{ALICE}' from='bob@peer.example' id='mine'/>"));
    world.deliver(&format!("<iq type='result' to='{ALICE}' from='bob@peer.example' id='{id}'/>"));
    let answer = body(waiting.await.unwrap()).await;
    assert_eq!(answer.get("children"), None, "{answer}");
}

#[tokio::test]
async fn a_stanza_error_becomes_the_status_of_the_map() {
    let world = World::new().await;
    for &condition in Condition::ALL {
        let waiting =
            world.send_apart(world.request(Method::POST, "/v1/stanzas", &world.alice).json(&ping("peer.example")));
        let request = world.sent().await;
        let error = StanzaError::new(condition).with_text("why");
        world.deliver(&request.bounce(&error).unwrap().text());
        let response = waiting.await.unwrap();
        let waits = response.headers().contains_key("retry-after");
        assert_eq!(waits, condition.default_type() == ErrorType::Wait, "{condition:?}");
        let status = convoke_gateways::errors::status_of(&error).as_u16();
        let document = problem(response, status).await;
        assert_eq!(document["detail"], "why");
        assert_eq!(document["xmpp"]["condition"], condition.as_str());
        assert_eq!(document["xmpp"]["stanza"]["id"], "mine");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_gateway_timeout() {
    let world = World::with(|config| config.limits.answer_time = Duration::from_millis(50)).await;
    let response = world.send(&ping("peer.example")).await;
    assert_eq!(response.headers()["retry-after"], "5");
    let document = problem(response, 504).await;
    assert_eq!(
        document["xmpp"],
        json!({"type": "wait", "condition": "remote-server-timeout",
        "text": "no answer came in time"})
    );
    // Whoever answers now comes too late, and nothing happens.
    let request = world.sent().await;
    world.deliver(&request.result(None).text());
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn the_preference_of_the_client_is_bounded() {
    let world = World::with(|config| config.limits.longest_answer_time = Duration::from_millis(50)).await;
    let request = world.request(Method::POST, "/v1/stanzas", &world.alice).header("prefer", "wait=86400");
    problem(world.send_apart(request.json(&ping("peer.example"))).await.unwrap(), 504).await;
}

#[tokio::test]
async fn a_message_and_a_presence_are_accepted_and_come_from_the_client() {
    let world = World::new().await;
    let response = world.send(&json!({"kind": "message", "to": "bob@peer.example", "id": "m1", "body": "hi"})).await;
    assert_eq!(response.status(), 202);
    assert_eq!(body(response).await, json!({"id": "m1"}));
    let sent = world.sent().await;
    assert_eq!(sent.text(), format!("<message to='bob@peer.example' from='{ALICE}' id='m1'><body>hi</body></message>"));
    let response = world.send(&json!({"kind": "presence", "from": ALICE, "show": "away"})).await;
    assert_eq!(response.status(), 202);
    let presence = world.sent().await;
    assert_eq!(presence.kind(), Kind::Presence(PresenceType::Available));
    assert_eq!(body(response).await["id"], presence.id().unwrap());
}

#[tokio::test]
async fn what_the_router_refuses_is_told_by_http_and_only_there() {
    let world = World::new().await;
    for stanza in [ping("nowhere.example"), json!({"kind": "message", "to": "x@nowhere.example"})] {
        let document = problem(world.send(&stanza).await, 502).await;
        assert_eq!(document["xmpp"]["condition"], "remote-server-not-found");
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_client_speaks_for_nobody_else() {
    let world = World::new().await;
    for from in ["bob@peer.example", "gateway@volunteers.example", "gateway@volunteers.example/sender"] {
        problem(world.send(&json!({"kind": "message", "to": "a.example", "from": from})).await, 403).await;
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn what_is_no_stanza_is_refused_by_its_place() {
    let world = World::new().await;
    for (stanza, pointer) in [
        (json!({"kind": "message", "to": "a.example", "cpu": {"cores": 4}}), "/cpu"),
        (json!({"kind": "message", "to": "a.example", "children": [{"name": "x", "y": 1}]}), "/children/0/y"),
        (json!({"kind": "message", "body": "x"}), "/to"),
        (json!({"kind": "iq", "to": "a.example"}), "/type"),
        (json!({"kind": "message", "to": "a@b@c"}), "/to"),
        (json!("message"), ""),
    ] {
        let document = problem(world.send(&stanza).await, 422).await;
        assert_eq!(document["pointer"], pointer, "{stanza}");
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn what_is_no_body_is_refused() {
    let world = World::with(|config| config.limits.body_bytes = 4096).await;
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let large = format!("{{\"kind\":\"message\",\"to\":\"a.example\",\"body\":\"{}\"}}", "x".repeat(4096));
    let json = "application/json";
    let xml = "application/xmpp+xml";
    for (media_type, text, status) in [
        (json, "", 400),
        (json, "{", 400),
        (json, "{\"kind\":\"message\",\"kind\":\"iq\"}", 422),
        (json, &deep, 422),
        (json, &large, 413),
        (xml, "<message to='a.example'>", 400),
        (xml, "<!DOCTYPE x><message to='a.example'/>", 400),
        (xml, "<message to='a.example'/><message to='a.example'/>", 400),
        (xml, "<message to='a.example'><body>", 400),
        (xml, "<message to='a.example'/></stream>", 400),
        (xml, "x<message to='a.example'/>", 400),
        (xml, "<message to='a.example'/>x", 400),
        (xml, "<x/>", 400),
        (xml, "<iq to='a.example'><x xmlns='urn:x'/></iq>", 400),
        (xml, "<presence type='odd'/>", 400),
        ("text/plain", "hi", 415),
        ("", "{}", 415),
    ] {
        let request = world.request(Method::POST, "/v1/stanzas", &world.alice).header("content-type", media_type);
        let response = request.body(text.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), status, "{media_type} {text}");
        problem(response, status).await;
    }
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let world = World::with(|config| config.limits.body_bytes = 4096).await;
    let mut stream = tokio::net::TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/stanzas HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        world.alice
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        stream.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes()).await.unwrap();
    }
    let mut status = [0; 12];
    soon(stream.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    assert!(world.nothing_sent().await);
}

#[tokio::test]
async fn requests_at_once_are_bounded_by_client() {
    let world = World::with(|config| config.limits.requests_per_client = 1).await;
    let waiting =
        world.send_apart(world.request(Method::POST, "/v1/stanzas", &world.alice).json(&ping("peer.example")));
    let request = world.sent().await;
    let response = world.send(&ping("peer.example")).await;
    assert!(response.headers().contains_key("retry-after"));
    problem(response, 429).await;
    world.deliver(&request.result(None).text());
    assert_eq!(waiting.await.unwrap().status(), 200);
    let message = json!({"kind": "message", "to": "bob@peer.example"});
    assert_eq!(world.send(&message).await.status(), 202, "the place is free again");
}

//! What a listener does not let through.

use convoke_net::End;
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::{StreamCondition, StreamHeader};
use convoke_xmpp::{Stanza, namespace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{Node, SOON, World, domain, message};

/// The stream error by which a peer ended the stream.
fn condition(end: End) -> StreamCondition {
    match end {
        End::Stream(SessionEnd::PeerError(error)) => error.condition,
        other => panic!("{other:?}"),
    }
}

/// Sends bytes in the clear, and reads until the other side closes.
async fn talk(node: &Node, text: &str) -> String {
    let mut socket = TcpStream::connect(node.address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    timeout(SOON, socket.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

fn header() -> String {
    StreamHeader::server(Some(&domain("b.example")), Some(&domain("a.example"))).write()
}

/// RFC 6120, section 8.1.2.2: neither a stranger nor a sub-domain.
#[tokio::test]
async fn a_forged_from_closes_the_stream_with_invalid_from_and_is_not_routed() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    for forged in ["c.example", "sub.b.example", "example", "juliet@a.example"] {
        let intruder = world.intruder("b.example", &a).await;
        let good = message("x@b.example", "a.example", "good");
        let late = message("x@b.example", "a.example", "late");
        let end = intruder.send_and_wait([good, message(forged, "a.example", "bad"), late]).await;
        assert_eq!(condition(end), StreamCondition::InvalidFrom, "{forged}");
        assert_eq!(a.routed().await.0.id(), Some("good"));
        assert!(a.has_routed_nothing().await);
    }
}

/// RFC 6120, sections 8.1.1.2 and 8.1.2.2.
#[tokio::test]
async fn a_stanza_without_its_addresses_closes_the_stream_with_improper_addressing() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    for text in ["<message to='a.example'/>", "<message from='b.example'/>", "<presence/>"] {
        let intruder = world.intruder("b.example", &a).await;
        let end = intruder.send_and_wait([Stanza::parse(text).unwrap()]).await;
        assert_eq!(condition(end), StreamCondition::ImproperAddressing, "{text}");
    }
    assert!(a.has_routed_nothing().await);
}

/// RFC 6120, section 8.1.1.2: nothing is relayed.
#[tokio::test]
async fn a_stanza_for_a_domain_that_is_not_served_closes_the_stream_with_host_unknown() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let intruder = world.intruder("b.example", &a).await;
    let end = intruder.send_and_wait([message("b.example", "x@c.example", "1")]).await;
    assert_eq!(condition(end), StreamCondition::HostUnknown);
    assert!(a.has_routed_nothing().await);
}

/// RFC 6120, section 5.4.3.1.
#[tokio::test]
async fn bytes_behind_starttls_end_the_connection() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let attack = format!("{}<starttls xmlns='{}'/>", header(), namespace::TLS);
    let heard = talk(&a, &format!("{attack}<message from='b.example' to='a.example'/>")).await;
    assert!(!heard.contains("<proceed"), "{heard}");
    assert!(heard.contains("<policy-violation") && heard.ends_with("</stream:stream>"), "{heard}");
    assert!(a.has_routed_nothing().await);
}

/// RFC 6120, section 4.3.5.
#[tokio::test]
async fn a_stanza_before_the_negotiation_is_complete_is_not_authorized_and_not_routed() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let heard = talk(&a, &format!("{}<message from='b.example' to='a.example'/>", header())).await;
    assert!(heard.contains("<not-authorized") && heard.ends_with("</stream:stream>"), "{heard}");
    assert!(a.has_routed_nothing().await);
}

/// RFC 6120, section 13.12: before a peer is known it may send little; the element need not even be complete.
#[tokio::test]
async fn an_element_too_large_for_a_stranger_is_a_policy_violation() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let heard = talk(&a, &format!("{}<auth mechanism='{}", header(), "x".repeat(10_000))).await;
    assert!(heard.contains("<policy-violation") && heard.ends_with("</stream:stream>"), "{heard}");
}

#[tokio::test]
async fn a_stream_for_a_domain_that_is_not_served_is_host_unknown() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let header = StreamHeader::server(Some(&domain("b.example")), Some(&domain("c.example"))).write();
    let heard = talk(&a, &header).await;
    assert!(heard.contains("<host-unknown") && heard.ends_with("</stream:stream>"), "{heard}");
}

/// After authentication more is allowed, up to the configured limit and not beyond.
#[tokio::test]
async fn a_known_peer_may_send_large_stanzas_up_to_the_limit() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let sized = |bytes: usize| {
        let body = "x".repeat(bytes);
        Stanza::parse(&format!("<message from='b.example' to='a.example' id='{bytes}'><body>{body}</body></message>"))
    };
    let intruder = world.intruder("b.example", &a).await;
    let end = intruder.send_and_wait([sized(200_000).unwrap(), sized(300_000).unwrap()]).await;
    assert_eq!(condition(end), StreamCondition::PolicyViolation);
    assert_eq!(a.routed().await.0.id(), Some("200000"));
    assert!(a.has_routed_nothing().await);
}

//! Peers that do not acknowledge, and whether they are alive (XEP-0199).

use std::time::Duration;

use convoke_net::End;
use convoke_s2s::{FederationConfig, InitiatingConfig, LinkState, ReceivingConfig};
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::{Condition, RouteChange, Stanza, StanzaError};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::Peer;
use crate::world::{Node, SOON, World, domain, message};

/// A node that asks soon, and waits so long for an answer.
fn curious(config: &mut FederationConfig, answer: Duration) {
    config.timeouts.keepalive = Duration::from_millis(50);
    config.timeouts.acknowledgement = answer;
    config.timeouts.peer_return = Duration::from_millis(50);
}

/// Longer than any of these tests: who asks again has had an answer.
const PATIENT: Duration = SOON.saturating_mul(100);

/// A node that has dialled a peer in the hands of the test, which says that it can carry stanzas both ways or not.
async fn dialled(bidi: bool, answer: Duration) -> (World, Node, Peer) {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    let a = world.node_as("a.example", |config| curious(config, answer)).await;
    a.send(message("x@a.example", "b.example", "first"));
    let socket = listener.accept().await.unwrap().0;
    let config = ReceivingConfig { bidi, ..ReceivingConfig::new([domain("b.example")].into(), 10_000) };
    let mut peer = Peer::new(world.host_with("b.example", socket, config).await.connection);
    // Whoever dials again is refused.
    drop(listener);
    assert_eq!(peer.next().await.id(), Some("first"));
    (world, a, peer)
}

fn is_ping(stanza: &Stanza) -> bool {
    let is_from_domain_to_domain =
        stanza.from().unwrap().as_str() == "a.example" && stanza.to().unwrap().as_str() == "b.example";
    is_from_domain_to_domain && stanza.is_request() && stanza.has_payload("ping", "urn:xmpp:ping")
}

/// The answer of a server that does not know pings.
fn refusal(ping: &Stanza) -> Stanza {
    ping.bounce(&StanzaError::from(Condition::ServiceUnavailable)).unwrap()
}

fn result(ping: &Stanza) -> Stanza {
    ping.result(None)
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_ping_is_given_up_and_the_way_to_it_is_lost() {
    for bidi in [false, true] {
        let (_world, a, mut peer) = dialled(bidi, Duration::from_millis(200)).await;
        assert!(is_ping(&peer.next().await));
        assert_eq!(a.change().await, (domain("b.example"), RouteChange::Lost), "bidi: {bidi}");
        assert_ne!(a.link("b.example").unwrap().state, LinkState::Open);
        let (end, more) = peer.end().await;
        assert_eq!((end, more), (End::Stream(SessionEnd::Disconnected), Vec::new()), "one question is enough");
    }
}

/// It says that it does not know what a ping is: so it is there.
#[tokio::test]
async fn any_answer_by_the_same_stream_is_a_sign_of_life_and_reaches_nobody() {
    let (_world, a, mut peer) = dialled(true, PATIENT).await;
    for answer in [result, refusal, result] {
        let ping = peer.next().await;
        assert!(is_ping(&ping));
        peer.send(answer(&ping));
    }
    assert!(is_ping(&peer.next().await));
    assert!(a.has_routed_nothing().await && a.has_seen_no_change().await);
    assert_eq!(a.link("b.example").unwrap().dials, 1);
}

#[tokio::test]
async fn the_answer_may_come_by_the_stream_that_the_peer_has_dialled() {
    // The stream that asked looks at the others when an answer is due.
    let (world, a, mut peer) = dialled(false, Duration::from_secs(5)).await;
    let config = InitiatingConfig { bidi: false, ..InitiatingConfig::new(domain("b.example"), domain("a.example")) };
    let socket = TcpStream::connect(a.address).await.unwrap();
    let back = Peer::new(world.intruder_on("b.example", socket, config).await.connection);
    let mut ids = Vec::new();
    for answer in [refusal, result] {
        let ping = peer.next().await;
        assert!(is_ping(&ping));
        ids.push(ping.id().unwrap().to_owned());
        back.send(answer(&ping));
    }
    assert!(is_ping(&peer.next().await));
    assert_ne!(ids[0], ids[1], "each ping has an id of its own");
    assert!(a.has_routed_nothing().await && a.has_seen_no_change().await);
    assert_eq!(a.link("b.example").unwrap().dials, 1);
}

/// Whoever has something to say is not asked.
#[tokio::test]
async fn stanzas_of_the_peer_are_signs_of_life_and_are_routed() {
    let (_world, a, mut peer) = dialled(true, PATIENT).await;
    for number in 0..5 {
        assert!(is_ping(&peer.next().await));
        // An answer to another question is one of these.
        let stanza = format!("<iq type='result' from='b.example' to='a.example' id='{number}'/>");
        peer.send(Stanza::parse(&stanza).unwrap());
        assert_eq!(a.routed().await.0.id(), Some(&*number.to_string()));
    }
    assert!(a.has_seen_no_change().await);
    assert_eq!(a.link("b.example").unwrap().dials, 1);
}

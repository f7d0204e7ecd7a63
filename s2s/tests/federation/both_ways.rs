//! Streams that carry stanzas in both directions (XEP-0288), and domains that cannot be dialled.

use std::time::Duration;

use convoke_dev::Subject;
use convoke_net::End;
use convoke_s2s::{Backoff, FederationConfig, LinkState, PersistentLink, ReceivingConfig};
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::StreamCondition;
use convoke_xmpp::{Origin, RouteChange};
use tokio::net::TcpListener;

use crate::world::{Node, World, domain, message};

/// Tries again soon, and waits for a peer to come back however long the test takes.
fn patient(config: &mut FederationConfig) {
    let brief = Duration::from_millis(5);
    config.backoff = Backoff { first: brief, longest: 4 * brief };
}

/// A domain that nobody can dial, and that keeps up a link.
async fn hidden(world: &World, remote: &str) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issued = world.authority.issue(&Subject::domain("hidden.example")).unwrap();
    world.node_on(listener, "hidden.example", &issued, |config| {
        patient(config);
        config.persistent = vec![PersistentLink { local: domain("hidden.example"), remote: domain(remote) }];
    })
}

#[tokio::test]
async fn a_domain_that_cannot_be_dialled_is_reached_by_the_link_that_it_keeps() {
    let world = World::new().await;
    let b = world.node_as("b.example", patient).await;
    let a = hidden(&world, "b.example").await;
    b.link_until("hidden.example", |link| link.state == LinkState::Open).await;
    for round in 0..3 {
        b.send(message("b.example", "x@hidden.example", &round.to_string()));
        let (stanza, origin) = a.routed().await;
        assert_eq!((stanza.id(), origin), (Some(round.to_string().as_str()), Origin::Remote(domain("b.example"))));
        assert!(a.federation.cut(&domain("hidden.example"), &domain("b.example")));
        // It comes back of its own accord; what is sent meanwhile waits.
    }
    let link = b.link("hidden.example").unwrap();
    assert_eq!((link.dials, link.failures), (0, 0));
    assert!(b.has_given_nothing_back().await);
    assert!(a.link("b.example").unwrap().persistent);
}

#[tokio::test]
async fn a_link_that_is_kept_up_comes_back_though_its_peer_was_away() {
    let world = World::new().await;
    let b = world.node_as("b.example", patient).await;
    let a = hidden(&world, "b.example").await;
    b.link_until("hidden.example", |link| link.state == LinkState::Open).await;
    b.federation.abort();
    a.link_until("b.example", |link| link.failures > 2).await;
    let listener = world.listen_again(b.address).await;
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, patient);
    b.link_until("hidden.example", |link| link.state == LinkState::Open).await;
    b.send(message("b.example", "hidden.example", "1"));
    assert_eq!(a.routed().await.0.id(), Some("1"));
}

/// The rules of what a peer may send hold on every stream (RFC 6120, section 8.1.2.2; XEP-0288, section 2.2).
#[tokio::test]
async fn a_forged_from_on_a_stream_that_was_dialled_here_closes_it_too() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    a.send(message("a.example", "b.example", "1"));
    let (socket, _) = listener.accept().await.unwrap();
    let config = ReceivingConfig { bidi: true, ..ReceivingConfig::new([domain("b.example")].into(), 10_000) };
    let host = world.host_with("b.example", socket, config).await;
    let stanzas = [message("b.example", "a.example", "good"), message("c.example", "a.example", "forged")];
    let End::Stream(SessionEnd::PeerError(error)) = host.send_and_wait(stanzas).await else { panic!() };
    assert_eq!(error.condition, StreamCondition::InvalidFrom);
    assert_eq!(a.routed().await.0.id(), Some("good"));
    assert!(a.has_routed_nothing().await);
}

#[tokio::test]
async fn two_domains_that_dial_each_other_at_the_same_time_lose_and_double_nothing() {
    const STANZAS: usize = 300;
    let world = World::new().await;
    for _ in 0..5 {
        let (a, b) = world.pair(patient).await;
        for id in 0..STANZAS {
            a.send(message(a.name.as_str(), b.name.as_str(), &id.to_string()));
            b.send(message(b.name.as_str(), a.name.as_str(), &id.to_string()));
        }
        for id in 0..STANZAS {
            for node in [&a, &b] {
                assert_eq!(node.routed().await.0.id(), Some(id.to_string().as_str()));
            }
        }
        for node in [&a, &b] {
            assert!(node.has_routed_nothing().await && node.has_given_nothing_back().await);
        }
    }
}

#[tokio::test]
async fn a_federation_that_wants_neither_has_two_streams_and_no_acknowledgements() {
    let world = World::new().await;
    let (a, b) = world.pair(|config| (config.bidi, config.stream_management) = (false, false)).await;
    a.send(message(a.name.as_str(), b.name.as_str(), "1"));
    b.routed().await;
    b.send(message(b.name.as_str(), a.name.as_str(), "2"));
    a.routed().await;
    let link = a.link(b.name.as_str()).unwrap();
    assert_eq!((link.dials, link.incoming_streams, link.acknowledged, link.unacknowledged), (1, 1, 0, 0));
}

#[tokio::test]
async fn the_router_is_told_once_that_a_domain_is_lost_and_once_that_it_is_back() {
    let world = World::new().await;
    let (a, b) = world.pair(patient).await;
    a.send(message(a.name.as_str(), b.name.as_str(), "1"));
    b.routed().await;
    assert!(a.has_seen_no_change().await);
    b.federation.abort();
    assert_eq!(a.change().await, (b.name.clone(), RouteChange::Lost));
    // It is looked for, though nobody wants to send.
    a.link_until(b.name.as_str(), |link| link.failures > 3).await;
    let listener = world.listen_again(b.address).await;
    let issued = world.authority.issue(&Subject::domain(b.name.as_str())).unwrap();
    let back = world.node_on(listener, b.name.as_str(), &issued, patient);
    assert_eq!(a.change().await, (b.name.clone(), RouteChange::Restored));
    a.send(message(a.name.as_str(), b.name.as_str(), "2"));
    assert_eq!(back.routed().await.0.id(), Some("2"));
    assert!(a.has_seen_no_change().await);
}

/// It was reached by its own stream only, and cannot be dialled.
#[tokio::test]
async fn a_domain_that_does_not_come_back_is_lost() {
    let world = World::new().await;
    let brief = |config: &mut FederationConfig| {
        patient(config);
        config.timeouts.peer_return = Duration::from_millis(50);
    };
    let b = world.node_as("b.example", brief).await;
    let a = hidden(&world, "b.example").await;
    b.link_until("hidden.example", |link| link.state == LinkState::Open).await;
    a.federation.abort();
    assert_eq!(b.change().await, (domain("hidden.example"), RouteChange::Lost));
    let again = hidden(&world, "b.example").await;
    assert_eq!(b.change().await, (domain("hidden.example"), RouteChange::Restored));
    b.send(message("b.example", "hidden.example", "1"));
    assert_eq!(again.routed().await.0.id(), Some("1"));
}

/// XEP-0198: a peer that keeps its connection and does nothing is lost, too.
#[tokio::test]
async fn a_peer_that_never_acknowledges_is_lost_in_time() {
    let world = World::new().await;
    let a = world
        .node_as("a.example", |config| {
            patient(config);
            config.timeouts.acknowledgement = Duration::from_millis(50);
        })
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    a.send(message("a.example", "b.example", "1"));
    let (socket, _) = listener.accept().await.unwrap();
    let config =
        ReceivingConfig { stream_management: true, ..ReceivingConfig::new([domain("b.example")].into(), 10_000) };
    let _silent = world.host_with("b.example", socket, config).await;
    drop(listener);
    assert_eq!(a.change().await, (domain("b.example"), RouteChange::Lost));
    assert_eq!(a.undelivered().await.stanza.id(), Some("1"));
}

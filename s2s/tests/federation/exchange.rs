//! Stanzas between well-made domains.

use std::time::Duration;

use convoke_dev::Subject;
use convoke_net::End;
use convoke_s2s::{Authzid, LinkState};
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::StreamCondition;
use convoke_xmpp::{Condition, Limits, Origin, Outbound, Stanza};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{SOON, World, domain, message};

#[tokio::test]
async fn two_domains_exchange_stanzas_both_ways_and_find_each_other_by_srv() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("juliet@a.example", "romeo@b.example", "1"));
    let (stanza, origin) = b.routed().await;
    assert_eq!(origin, Origin::Remote(domain("a.example")));
    assert_eq!(stanza, message("juliet@a.example", "romeo@b.example", "1"));
    b.send(message("romeo@b.example", "juliet@a.example", "2"));
    let (stanza, origin) = a.routed().await;
    assert_eq!((stanza.id(), origin), (Some("2"), Origin::Remote(domain("b.example"))));
    let link = a.link_until("b.example", |link| link.stanzas_out == 1 && link.stanzas_in == 1).await;
    // One stream for both directions.
    assert_eq!((link.state, link.dials, link.incoming_streams, link.failures), (LinkState::Open, 1, 0, 0));
    assert_eq!(b.link("a.example").unwrap().dials, 0);
    assert_eq!(link.bytes_out, message("juliet@a.example", "romeo@b.example", "1").size() as u64);
}

#[tokio::test]
async fn an_international_domain_is_found_and_proved_by_its_a_labels() {
    let world = World::new().await;
    let (a, b) = (world.node("bücher.example").await, world.node("b.example").await);
    b.send(message("b.example", "x@bücher.example", "1"));
    assert_eq!(a.routed().await.0.id(), Some("1"));
    a.send(message("x@bücher.example", "b.example", "2"));
    assert_eq!(b.routed().await.1, Origin::Remote(domain("bücher.example")));
}

#[tokio::test]
async fn an_empty_authorization_identity_is_accepted_too() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world.node_with("a.example", &issued, |config| config.authzid = Authzid::Empty).await;
    let b = world.node("b.example").await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// RFC 6120, section 10.1.
#[tokio::test]
async fn keeps_the_order_of_what_waited_while_dialling() {
    const STANZAS: usize = 3000;
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    for id in 0..STANZAS {
        a.send(message("a.example", "b.example", &id.to_string()));
    }
    for id in 0..STANZAS {
        assert_eq!(b.routed().await.0.id(), Some(id.to_string().as_str()));
    }
    let link = a.link("b.example").unwrap();
    assert_eq!(link.dials, 1);
    assert!(link.writes_out < 100, "{link:?}");
}

#[tokio::test]
async fn a_link_that_is_cut_redials_at_once_and_later_stanzas_arrive_in_order() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("a.example", "b.example", "before"));
    assert_eq!(b.routed().await.0.id(), Some("before"));
    assert!(a.federation.cut(&domain("a.example"), &domain("b.example")));
    // Without a stanza that wants it: the next one shall find a stream.
    a.link_until("b.example", |link| link.dials == 2 && link.state == LinkState::Open).await;
    for id in 0..100 {
        a.send(message("a.example", "b.example", &id.to_string()));
    }
    for id in 0..100 {
        assert_eq!(b.routed().await.0.id(), Some(id.to_string().as_str()));
    }
    assert!(a.has_given_nothing_back().await);
}

#[tokio::test]
async fn a_link_that_is_cut_again_and_again_comes_back_each_time() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    for round in 1..=3 {
        a.send(message("a.example", "b.example", &round.to_string()));
        assert_eq!(b.routed().await.0.id(), Some(round.to_string().as_str()));
        assert!(a.federation.cut(&domain("a.example"), &domain("b.example")));
        a.link_until("b.example", |link| link.dials == round + 1 && link.state == LinkState::Open).await;
    }
}

#[tokio::test]
async fn what_was_sent_right_after_a_cut_waits_for_the_next_stream() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("a.example", "b.example", "before"));
    b.routed().await;
    assert!(a.federation.cut(&domain("a.example"), &domain("b.example")));
    // The runtime of this test has one thread: the session has not noticed the cut yet.
    a.send(message("a.example", "b.example", "after"));
    let (stanza, _) = tokio::time::timeout(SOON, b.routed()).await.unwrap();
    assert_eq!(stanza.id(), Some("after"));
}

#[tokio::test]
async fn a_cut_breaks_incoming_streams_too_and_knows_when_there_is_nothing_to_cut() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    assert!(!b.federation.cut(&domain("b.example"), &domain("a.example")));
    a.send(message("a.example", "b.example", "1"));
    b.routed().await;
    assert!(b.federation.cut(&domain("b.example"), &domain("a.example")));
    a.link_until("b.example", |link| link.dials == 2 && link.state == LinkState::Open).await;
}

/// There are two one-way streams: what comes by the wrong one is not routed, whoever sends it (RFC 6120, section 4.5).
#[tokio::test]
async fn a_stanza_on_an_outgoing_stream_is_not_routed_and_closes_it() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    a.send(message("a.example", "b.example", "1"));
    let (socket, _) = listener.accept().await.unwrap();
    let host = world.host("b.example", socket).await;
    let end = host.send_and_wait([message("b.example", "a.example", "wrong way")]).await;
    let End::Stream(SessionEnd::PeerError(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.condition, StreamCondition::NotAuthorized);
    assert!(a.has_routed_nothing().await);
}

#[tokio::test]
async fn a_stanza_that_the_router_gives_back_is_answered_by_the_router() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("a.example", "nobody@b.example", "1"));
    let undelivered = b.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::ItemNotFound);
    // The stream goes on.
    a.send(message("a.example", "b.example", "2"));
    assert_eq!(b.routed().await.0.id(), Some("2"));
}

/// XEP-0478: the limit that a peer announces is kept, so that its stream survives.
#[tokio::test]
async fn a_stanza_larger_than_the_peer_accepts_is_given_back_and_the_stream_stays() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let small = Limits { stanza_bytes: 10_000, ..Limits::default() };
    let b = world.node_with("b.example", &issued, |config| config.limits = small).await;
    let body = "x".repeat(20_000);
    let large =
        Stanza::parse(&format!("<message from='a.example' to='b.example' id='large'><body>{body}</body></message>"));
    let large = large.unwrap();
    a.send(large.clone());
    assert_eq!(a.undelivered().await.error.condition, Condition::PolicyViolation);
    a.send(message("a.example", "b.example", "small"));
    assert_eq!(b.routed().await.0.id(), Some("small"));
    let refused = a.federation.send(large).unwrap_err();
    assert_eq!((refused.error.condition, refused.stanza.id()), (Condition::PolicyViolation, Some("large")));
    assert_eq!(a.link("b.example").unwrap().dials, 1);
}

#[tokio::test]
async fn a_stream_without_stanzas_is_closed_politely_and_dialled_again_when_needed() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world.node_with("a.example", &issued, |config| config.timeouts.idle = Duration::from_millis(30)).await;
    let b = world.node("b.example").await;
    a.send(message("a.example", "b.example", "1"));
    b.routed().await;
    a.link_until("b.example", |link| link.state == LinkState::Idle).await;
    b.link_until("a.example", |link| link.incoming_streams == 0).await;
    a.send(message("a.example", "b.example", "2"));
    assert_eq!(b.routed().await.0.id(), Some("2"));
    assert_eq!(a.link("b.example").unwrap().failures, 0);
}

#[tokio::test]
async fn a_shutdown_sends_what_is_queued_then_system_shutdown_and_closes_the_stream() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("a.example", "b.example", "1"));
    b.routed().await;
    let intruder = world.intruder("c.example", &a).await;
    a.link_until("c.example", |link| link.incoming_streams == 1).await;
    a.send(message("a.example", "b.example", "last"));
    let (drained, end) = tokio::join!(a.federation.shutdown(SOON), intruder.send_and_wait([]));
    assert!(drained.is_graceful());
    assert_eq!(end, End::Stream(SessionEnd::PeerError(StreamCondition::SystemShutdown.into())));
    assert_eq!(b.routed().await.0.id(), Some("last"));
    b.link_until("a.example", |link| link.incoming_streams == 0).await;
    // Nobody listens any more, and nothing more is taken.
    assert!(TcpStream::connect(a.address).await.is_err());
    let refused = a.federation.send(message("a.example", "b.example", "late")).unwrap_err();
    assert_eq!(refused.error.condition, Condition::RemoteServerTimeout);
}

#[tokio::test]
async fn refuses_stanzas_of_domains_that_are_not_served_here() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    for (from, to) in [("x.example", "b.example"), ("a.example", "x@a.example")] {
        assert!(a.federation.send(message(from, to, "1")).is_err(), "{from} {to}");
    }
    assert!(a.federation.send(Stanza::parse("<message to='b.example'/>").unwrap()).is_err());
    assert!(a.federation.statistics().is_empty());
}

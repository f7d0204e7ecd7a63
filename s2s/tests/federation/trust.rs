//! Trust that is replaced while streams live: who is not proved any more is cut off, and nobody else.

use std::time::SystemTime;

use convoke_net::End;
use convoke_s2s::{FederationConfig, InitiatingConfig, LinkState, ReceivingConfig, SpkiPin, Trust, TrustGroup};
use convoke_xmpp::Condition;
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::StreamCondition;
use tokio::net::{TcpListener, TcpStream};

use crate::forge::{Authority, DAY, SERIAL, Shown};
use crate::peer::Peer;
use crate::world::{Node, World, domain, message};

/// Sends one stanza each way, so that there are streams.
async fn acquaint(one: &Node, other: &Node) {
    for (from, to) in [(one, other), (other, one)] {
        from.send(message(from.name.as_str(), to.name.as_str(), "hello"));
        assert_eq!(to.routed().await.0.id(), Some("hello"));
    }
}

/// `a.example` trusts the authority of the world about everybody, and this group about `b.example`.
fn trust(world: &World, group: TrustGroup) -> Trust {
    Trust::from(world.trust()).with_group(group)
}

/// While there are streams to `b.example` and `c.example`, the group for the former is replaced, which cuts it off.
async fn cut_off(authority: &Authority, before: TrustGroup, after: TrustGroup, shown: &Shown) {
    let world = World::new().await;
    let a = world.node_as("a.example", |config| config.trust = trust(&world, before)).await;
    let show = |config: &mut FederationConfig| config.domains[0].credentials = shown.credentials();
    let (b, c) = (world.node_as("b.example", show).await, world.node("c.example").await);
    acquaint(&a, &b).await;
    acquaint(&a, &c).await;
    // The same in other words cuts off nobody.
    a.federation.replace_trust(trust(&world, authority.group(&["b.example"])));
    acquaint(&a, &b).await;
    let failures = |node: &Node, to: &str| node.link(to).unwrap().failures;
    assert_eq!((failures(&a, "b.example"), failures(&b, "a.example")), (0, 0));

    a.federation.replace_trust(trust(&world, after));
    a.link_until("b.example", |link| link.state != LinkState::Open && link.incoming_streams == 0).await;
    a.send(message("a.example", "b.example", "late"));
    assert_eq!(a.undelivered().await.error.condition, Condition::RemoteServerTimeout);
    b.send(message("b.example", "a.example", "late"));
    assert_eq!(b.undelivered().await.error.condition, Condition::RemoteServerTimeout);
    assert!(a.has_routed_nothing().await && b.has_routed_nothing().await);
    let before = a.link("c.example").unwrap();
    acquaint(&a, &c).await;
    let after = a.link("c.example").unwrap();
    assert_eq!((after.dials, after.incoming_streams), (before.dials, before.incoming_streams));
    assert_eq!((after.failures, after.state), (0, LinkState::Open));
}

#[tokio::test]
async fn a_certificate_that_is_revoked_ends_the_streams_of_its_domain_at_once() {
    let authority = Authority::root("Root of b");
    let revoking = authority.anchors_with(vec![authority.revoke(&[SERIAL], SystemTime::now() + DAY)]);
    let group = authority.group(&["b.example"]);
    let after = TrustGroup { anchors: revoking, ..group.clone() };
    cut_off(&authority, group, after, &authority.issue_usual()).await;
}

#[tokio::test]
async fn an_authority_that_is_trusted_no_more_takes_the_streams_of_its_domains_with_it() {
    let authority = Authority::root("Root of b");
    let other = Authority::root("Another root");
    cut_off(&authority, authority.group(&["b.example"]), other.group(&["b.example"]), &authority.issue_usual()).await;
}

#[tokio::test]
async fn a_key_that_is_pinned_no_more_ends_the_streams_of_its_domain() {
    let authority = Authority::root("Root of b");
    let shown = authority.issue_usual();
    let pinned = |pin: SpkiPin| TrustGroup { pins: vec![pin], ..authority.group(&["b.example"]) };
    cut_off(&authority, pinned(shown.pin()), pinned(authority.issue_usual().pin()), &shown).await;
}

/// RFC 6120, section 4.9.3.12, on the stream that was dialled here and on the one that the peer has dialled.
#[tokio::test]
async fn who_is_trusted_no_more_is_told_so_by_a_stream_error_with_the_reason() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    let a = world.node("a.example").await;
    a.send(message("a.example", "b.example", "first"));
    let socket = listener.accept().await.unwrap().0;
    let config = ReceivingConfig::new([domain("b.example")].into(), 10_000);
    let mut dialled = Peer::new(world.host_with("b.example", socket, config).await.connection);
    assert_eq!(dialled.next().await.id(), Some("first"));
    drop(listener);
    let config = InitiatingConfig::new(domain("b.example"), domain("a.example"));
    let socket = TcpStream::connect(a.address).await.unwrap();
    let dialling = Peer::new(world.intruder_on("b.example", socket, config).await.connection);
    dialling.send(message("b.example", "a.example", "first"));
    assert_eq!(a.routed().await.0.id(), Some("first"));

    a.federation.replace_trust(Authority::root("Another root").trust());
    for peer in [dialled, dialling] {
        let (end, more) = peer.end().await;
        let End::Stream(SessionEnd::PeerError(error)) = end else { panic!("{end:?}") };
        assert_eq!((error.condition, more), (StreamCondition::NotAuthorized, Vec::new()));
        assert!(error.text.unwrap().contains("not trusted"));
    }
    assert!(a.has_routed_nothing().await);
}

//! Who is let in, and who is not even looked at.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use convoke_dev::Subject;
use convoke_net::AdmissionLimits;
use convoke_s2s::{DomainPolicy, Family, Rate, RateRule, ResolveError, Resolver, Service, SrvRecord};
use convoke_xmpp::{Condition, Domainpart, Outbound};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{Node, SOON, World, message};

async fn node(world: &World, policy: DomainPolicy, admission: AdmissionLimits) -> Node {
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    world
        .node_with("a.example", &issued, |config| {
            (config.policy, config.admission) = (policy, admission);
        })
        .await
}

fn patterns(texts: &[&str]) -> Vec<convoke_s2s::DomainPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn nothing_is_sent_to_a_domain_that_is_not_federated_with() {
    let world = World::new().await;
    let policy = DomainPolicy { allow: patterns(&["b.example", "*.b.example"]), block: patterns(&["x.b.example"]) };
    let a = node(&world, policy, AdmissionLimits::default()).await;
    let b = world.node("b.example").await;
    for refused in ["c.example", "x.b.example"] {
        let undelivered = a.federation.send(message("a.example", refused, "1")).unwrap_err();
        assert_eq!(undelivered.error.condition, Condition::NotAllowed, "{refused}");
        assert!(undelivered.error.text.unwrap().contains(refused));
    }
    a.send(message("a.example", "b.example", "2"));
    assert_eq!(b.routed().await.0.id(), Some("2"));
}

#[tokio::test]
async fn a_domain_that_is_not_federated_with_is_told_so_before_it_can_authenticate() {
    let world = World::new().await;
    let policy = DomainPolicy { block: patterns(&["b.example"]), ..DomainPolicy::default() };
    let a = node(&world, policy, AdmissionLimits::default()).await;
    let b = world.node("b.example").await;
    b.send(message("b.example", "a.example", "1"));
    let undelivered = b.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    let text = undelivered.error.text.unwrap();
    assert!(text.contains("policy-violation") && text.contains("does not federate with b.example"), "{text}");
    assert!(a.has_routed_nothing().await && a.link("b.example").is_none());
}

/// RFC 6120, section 13.12.
#[tokio::test]
async fn an_address_with_too_many_connections_that_have_not_authenticated_is_turned_away() {
    let world = World::new().await;
    let limits = AdmissionLimits { unauthenticated: 2, ..AdmissionLimits::default() };
    let a = node(&world, DomainPolicy::default(), limits).await;
    let greeted = async |socket: &mut TcpStream| {
        socket.write_all(b"<?xml version='1.0'?>").await.unwrap();
        let opening = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                       to='a.example' from='b.example' version='1.0'>";
        let _may_be_closed_already = socket.write_all(opening.as_bytes()).await;
        let mut byte = [0];
        timeout(SOON, socket.read(&mut byte)).await.unwrap().unwrap_or(0) == 1
    };
    let connect = async || TcpStream::connect(a.address).await.unwrap();
    let (mut first, mut second) = (connect().await, connect().await);
    assert!(greeted(&mut first).await && greeted(&mut second).await);
    let mut third = connect().await;
    let mut nothing = [0];
    assert_eq!(timeout(SOON, third.read(&mut nothing)).await.unwrap().unwrap_or(0), 0);
    assert_eq!(a.federation.turned_away(), 1);
    drop(first);
    let welcome_again = async { while !greeted(&mut connect().await).await {} };
    timeout(SOON, welcome_again).await.unwrap();
}

#[tokio::test]
async fn who_has_authenticated_does_not_count_any_more() {
    let world = World::new().await;
    let limits = AdmissionLimits { unauthenticated: 1, ..AdmissionLimits::default() };
    let a = node(&world, DomainPolicy::default(), limits).await;
    for name in ["b.example", "c.example", "d.example"] {
        let peer = world.node(name).await;
        peer.send(message(name, "a.example", name));
        assert_eq!(a.routed().await.0.id(), Some(name));
    }
    assert_eq!(a.federation.turned_away(), 0);
}

/// Counts what is asked for.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Resolver for Counting {
    async fn services(&self, _: Service, domain: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(ResolveError::TimedOut { name: domain.to_string() })
    }

    async fn addresses(&self, _: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(ResolveError::TimedOut { name: host.to_owned() })
    }
}

/// Whoever can make a server ask, fetch or dial for an unproved name has a lever against others.
#[tokio::test]
async fn a_peer_that_has_not_authenticated_causes_no_outbound_work() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let resolver = Arc::new(Counting(Arc::clone(&asked)));
    let a = world.node_with("a.example", &issued, |config| config.resolver = resolver).await;
    // The certificate proves another domain than the peer claims to be, so that it gets as far as a stranger can.
    let impostor = world.authority.issue(&Subject::domain("evil.example")).unwrap();
    let b = world.node_with("b.example", &impostor, |_| {}).await;
    b.send(message("b.example", "a.example", "1"));
    let text = b.undelivered().await.error.text.unwrap();
    assert!(text.contains("policy-violation"), "{text}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    a.federation.send(message("a.example", "b.example", "2")).unwrap();
    a.undelivered().await;
    assert!(asked.load(Ordering::Relaxed) > 0, "the resolver counts");
}

#[tokio::test]
async fn a_domain_that_sends_too_fast_is_read_more_slowly_than_others_and_nothing_is_lost() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let rate = Rate { bytes_per_second: 30_000, burst: 10_000 };
    let rule = RateRule { domains: patterns(&["b.example"]), rate };
    let a = world.node_with("a.example", &issued, |config| config.rates = vec![rule]).await;
    let (b, c) = (world.node("b.example").await, world.node("c.example").await);
    c.send(message("c.example", "a.example", "ready"));
    assert_eq!(a.routed().await.0.id(), Some("ready"));
    (0..1000).for_each(|id| b.send(message("b.example", "a.example", &id.to_string())));
    assert_eq!(a.routed().await.0.id(), Some("0"));
    c.send(message("c.example", "a.example", "c"));
    let (mut next, mut overtaken) = (1, false);
    while next < 1000 {
        match a.routed().await.0.id().unwrap() {
            "c" => overtaken = true,
            id => {
                assert_eq!(id, next.to_string());
                next += 1;
            }
        }
    }
    assert!(overtaken, "what came later from a domain without a limit went ahead");
}

#[tokio::test]
async fn a_domain_with_too_many_streams_is_refused_further_ones() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world.node_with("a.example", &issued, |config| config.streams = 1).await;
    let first = world.intruder("b.example", &a).await;
    a.link_until("b.example", |link| link.incoming_streams == 1).await;
    let end = world.intruder("b.example", &a).await.send_and_wait([]).await;
    match end {
        convoke_net::End::Stream(convoke_xmpp::session::SessionEnd::PeerError(error)) => {
            assert_eq!(error.condition, convoke_xmpp::stream::StreamCondition::ResourceConstraint);
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    a.link_until("b.example", |link| link.incoming_streams == 0).await;
    let welcome = world.intruder("b.example", &a).await;
    a.link_until("b.example", |link| link.incoming_streams == 1).await;
    drop(welcome);
}

//! How domains are found, and what happens when they are not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use convoke_dev::Subject;
use convoke_s2s::{Family, LinkState, ResolveError, Resolver, Service, SrvRecord};
use convoke_xmpp::{Condition, Domainpart, Outbound, Stanza};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::world::{SERVICE, World, message};

/// A port of this machine on which nobody listens.
async fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// RFC 6120, section 3.2.1, rule 9.
#[tokio::test]
async fn without_an_srv_answer_the_domain_itself_is_tried_on_the_default_port() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    // Any address of 127/8 is this machine; some of them has the port free.
    let mut bound = None;
    for last in 1..250 {
        let address = Ipv4Addr::new(127, 52, 69, last);
        if let Ok(listener) = TcpListener::bind((address, 5269)).await {
            bound = Some((listener, address));
            break;
        }
    }
    let (listener, address) = bound.unwrap();
    world.dns.a("b.example", address).unwrap();
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, |_| {});
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// RFC 6120, section 3.2.1, rule 3.
#[tokio::test]
async fn a_domain_that_declines_the_service_is_not_dialled() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.dns.no_service("b.example", SERVICE).unwrap();
    world.dns.a("b.example", Ipv4Addr::LOCALHOST).unwrap();
    a.send(message("a.example", "b.example", "1"));
    let undelivered = a.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::RemoteServerNotFound);
    assert!(undelivered.error.text.unwrap().contains("takes no server-to-server streams"));
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_not_found() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    a.send(message("a.example", "nowhere.example", "1"));
    let undelivered = a.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::RemoteServerNotFound);
    assert_eq!(undelivered.stanza.id(), Some("1"));
}

#[tokio::test]
async fn the_second_target_is_used_when_the_first_is_dead() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.found_by_srv("b.example", 1, dead_port().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 2, listener.local_addr().unwrap().port());
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, |_| {});
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// A target that answers but cannot be negotiated with is as good as dead.
#[tokio::test]
async fn the_second_target_is_used_when_the_first_shows_a_wrong_certificate() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let wrong = world.authority.issue(&Subject::domain("c.example")).unwrap();
    let impostor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 1, impostor.local_addr().unwrap().port());
    let impostor = world.node_on(impostor, "b.example", &wrong, |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 2, listener.local_addr().unwrap().port());
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, |_| {});
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    assert!(impostor.has_routed_nothing().await);
}

/// RFC 6120, section 3.2.1, rule 8.
#[tokio::test]
async fn with_an_srv_answer_the_default_port_is_never_tried() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.found_by_srv("b.example", 1, dead_port().await);
    world.dns.a("b.example", Ipv4Addr::LOCALHOST).unwrap();
    a.send(message("a.example", "b.example", "1"));
    let text = a.undelivered().await.error.text.unwrap();
    assert!(!text.contains("5269") && text.contains("xmpp1.b.example"), "{text}");
}

/// RFC 6120, section 10.4.3.
#[tokio::test]
async fn without_a_stream_every_stanza_is_given_back_exactly_once_and_later_ones_at_once() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.found_by_srv("b.example", 1, dead_port().await);
    for id in ["1", "2", "3"] {
        a.send(message("a.example", "b.example", id));
    }
    for id in ["1", "2", "3"] {
        let undelivered = a.undelivered().await;
        assert_eq!(undelivered.stanza.id(), Some(id));
        assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    }
    let link = a.link("b.example").unwrap();
    assert_eq!((link.state, link.dials, link.failures, link.queued), (LinkState::Waiting, 1, 1, 0));
    assert!(link.last_failure.unwrap().contains("no connection"));
    let refused = a.federation.send(message("a.example", "b.example", "4")).unwrap_err();
    assert_eq!(refused.error.condition, Condition::RemoteServerTimeout);
    assert_eq!(refused.stanza.id(), Some("4"));
    assert!(a.has_given_nothing_back().await);
    assert_eq!(a.link("b.example").unwrap().dials, 1);
}

#[tokio::test]
async fn a_peer_that_accepts_and_stays_silent_is_given_up_in_time() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let brief = std::time::Duration::from_millis(100);
    let a = world.node_with("a.example", &issued, |config| config.timeouts.negotiation = brief).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 1, silent.local_addr().unwrap().port());
    a.send(message("a.example", "b.example", "1"));
    let (mut socket, _) = silent.accept().await.unwrap();
    let mut heard = String::new();
    let (undelivered, _) = tokio::join!(a.undelivered(), socket.read_to_string(&mut heard));
    assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    assert!(undelivered.error.text.unwrap().contains("in time"));
    assert!(heard.ends_with("</stream:stream>"), "{heard}");
}

#[tokio::test]
async fn what_is_beyond_the_queue_is_given_back_at_once() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world.node_with("a.example", &issued, |config| config.queue.stanzas = 2).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 1, silent.local_addr().unwrap().port());
    a.send(message("a.example", "b.example", "1"));
    a.send(message("a.example", "b.example", "2"));
    let refused = a.federation.send(message("a.example", "b.example", "3")).unwrap_err();
    assert_eq!((refused.error.condition, refused.stanza.id()), (Condition::ResourceConstraint, Some("3")));
    // A shutdown in the middle of dialling gives back the two that wait.
    assert!(a.federation.shutdown(crate::world::SOON).await.is_graceful());
    for id in ["1", "2"] {
        let undelivered = a.undelivered().await;
        assert_eq!((undelivered.stanza.id(), undelivered.error.condition), (Some(id), Condition::RemoteServerTimeout));
    }
}

#[tokio::test]
async fn forgets_unused_links_when_there_are_too_many() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world
        .node_with("a.example", &issued, |config| {
            config.links = 1;
            config.backoff.first = std::time::Duration::ZERO;
        })
        .await;
    a.send(message("a.example", "x.example", "1"));
    let refused = a.federation.send(message("a.example", "y.example", "2")).unwrap_err();
    assert_eq!(refused.error.condition, Condition::ResourceConstraint);
    a.undelivered().await;
    a.send(message("a.example", "y.example", "3"));
    assert_eq!(a.undelivered().await.stanza.id(), Some("3"));
    let remotes: Vec<_> = a.federation.statistics().into_iter().map(|link| link.remote.to_string()).collect();
    assert_eq!(remotes, ["y.example"]);
}

/// Names many addresses, all of them dead.
struct Crowd {
    port: u16,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolver for Crowd {
    async fn services(&self, service: Service, _: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let record = SrvRecord { priority: 0, weight: 0, port: self.port, target: "crowd.example".to_owned() };
        Ok(if service == Service::StartTls { vec![record; 100] } else { Vec::new() })
    }

    async fn addresses(&self, family: Family, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
        Ok(if family == Family::V4 { vec![Ipv4Addr::LOCALHOST.into(); 100] } else { Vec::new() })
    }
}

#[tokio::test]
async fn tries_a_bounded_number_of_addresses() {
    let world = World::new().await;
    let crowd = Arc::new(Crowd { port: dead_port().await, asked: AtomicUsize::new(0) });
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let a = world.node_with("a.example", &issued, |config| config.resolver = crowd.clone()).await;
    a.send(Stanza::parse("<iq from='a.example' to='b.example' type='get' id='1'/>").unwrap());
    let text = a.undelivered().await.error.text.unwrap();
    assert_eq!(text.matches("no connection").count(), 8, "{text}");
    assert_eq!(crowd.asked.load(Ordering::Relaxed), 2);
}

/// Its question would else be answered by nobody.
#[tokio::test]
async fn a_domain_that_could_not_be_reached_and_now_dials_us_is_dialled_again_at_once() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    world.found_by_srv("b.example", 0, address.port());
    a.send(message("a.example", "b.example", "lost"));
    assert_eq!(a.undelivered().await.stanza.id(), Some("lost"));
    a.link_until("b.example", |link| link.state == LinkState::Waiting).await;
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let b = world.node_on(listener, "b.example", &issued, |config| config.bidi = false);
    b.send(message("b.example", "a.example", "question"));
    assert_eq!(a.routed().await.0.id(), Some("question"));
    a.send(message("a.example", "b.example", "answer"));
    assert_eq!(b.routed().await.0.id(), Some("answer"));
}

//! Rules 1 to 9: whom to dial, by a real resolver and a real DNS server.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use convoke_dev::Subject;
use convoke_s2s::LinkState;
use convoke_xmpp::Condition;
use tokio::net::TcpListener;

use crate::dialled::{AUTHZID, Dialled};
use crate::listening::Listening;
use crate::wire::{
    END, FEATURES_END, NO_FEATURES, PROCEED, SASL_FEATURES, STARTTLS, SUCCESS, TLS_FAILURE, TLS_FEATURES, Wire, answer,
    auth, client, header, server, stream_error,
};
use crate::world::{Node, SERVICE, World, domain, message};

/// XEP-0368, section 3.
const DIRECT: &str = "_xmpps-server._tcp";

/// A listener on port 5269 of some address of this machine: every one of 127/8 is.
async fn on_default_port() -> (TcpListener, Ipv4Addr) {
    for last in 1..=250 {
        let address = Ipv4Addr::new(127, 76, 52, last);
        if let Ok(listener) = TcpListener::bind((address, 5269)).await {
            return (listener, address);
        }
    }
    panic!("port 5269 is taken on 250 addresses");
}

/// A port of this machine on which nobody listens.
async fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Whether nobody has connected so far.
fn is_untouched(listener: TcpListener) -> bool {
    // Tokio's has set it not to block.
    listener.into_std().unwrap().accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

async fn found(world: &World, listener: TcpListener) -> Node {
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    world.node_on(listener, "b.example", &issued, |_| {})
}

async fn bind() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Rule 1, RFC 6120 section 3.2.1 (3).
#[tokio::test]
async fn a_domain_whose_only_target_is_the_root_is_not_dialled_and_not_found() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (decoy, address) = on_default_port().await;
    world.dns.no_service("b.example", SERVICE).unwrap();
    world.dns.a("b.example", address).unwrap();
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    assert!(is_untouched(decoy));
}

/// Rule 2, XEP-0368 section 3.
#[tokio::test]
async fn a_domain_that_declines_direct_tls_alone_is_dialled_with_starttls() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.dns.no_service("b.example", DIRECT).unwrap();
    let (listener, port) = bind().await;
    world.found_by_srv("b.example", 0, port);
    let b = found(&world, listener).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// Rule 2, XEP-0368 section 3: with an answer about services the domain's own address is never tried.
#[tokio::test]
async fn a_domain_that_declines_both_services_is_not_dialled() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (decoy, address) = on_default_port().await;
    world.dns.no_service("b.example", DIRECT).unwrap();
    world.dns.no_service("b.example", SERVICE).unwrap();
    world.dns.a("b.example", address).unwrap();
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    assert!(is_untouched(decoy));
}

/// Rule 3, RFC 6120 section 3.2.1 (6).
#[tokio::test]
async fn the_next_address_of_a_target_is_tried_when_one_is_dead() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (listener, port) = bind().await;
    world.dns.srv("b.example", SERVICE, 0, 0, port, "xmpp.b.example").unwrap();
    // Nobody listens on that port of the others.
    for last in [2, 3, 4] {
        world.dns.a("xmpp.b.example", Ipv4Addr::new(127, 0, 0, last)).unwrap();
    }
    world.dns.a("xmpp.b.example", Ipv4Addr::LOCALHOST).unwrap();
    let b = found(&world, listener).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    let link = a.link("b.example").unwrap();
    assert_eq!((link.dials, link.failures), (1, 0));
}

/// Rule 4, RFC 6120 section 3.2.1 (7).
#[tokio::test]
async fn the_next_target_is_tried_in_order_of_priority_when_one_is_dead() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.found_by_srv("b.example", 1, dead_port().await);
    let (second, port) = bind().await;
    world.found_by_srv("b.example", 2, port);
    let (third, port) = bind().await;
    world.found_by_srv("b.example", 3, port);
    let b = found(&world, second).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    assert!(is_untouched(third));
}

/// Rule 5, RFC 6120 section 3.2.1 (8).
#[tokio::test]
async fn a_domain_with_targets_is_never_tried_by_itself_though_they_are_all_dead() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (decoy, address) = on_default_port().await;
    world.found_by_srv("b.example", 1, dead_port().await);
    world.found_by_srv("b.example", 2, dead_port().await);
    world.dns.a("b.example", address).unwrap();
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(a.undelivered().await.error.condition, Condition::RemoteServerTimeout);
    assert!(is_untouched(decoy));
}

/// Rule 6, RFC 6120 section 3.2.1 (9).
#[tokio::test]
async fn a_domain_without_targets_is_tried_by_itself_on_the_default_port() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (listener, address) = on_default_port().await;
    world.dns.a("b.example", address).unwrap();
    let b = found(&world, listener).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// `a.example` and a host of direct TLS alone, to which it has just said its header within TLS.
async fn dialled_directly(world: &World) -> (Node, Wire) {
    let a = world.node("a.example").await;
    let shown = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let (listener, port) = bind().await;
    world.dns.srv("b.example", DIRECT, 0, 0, port, "xmpps.b.example").unwrap();
    world.dns.a("xmpps.b.example", Ipv4Addr::LOCALHOST).unwrap();
    let mut config = server(&world.authority, &shown);
    config.alpn_protocols = vec![b"other".to_vec(), b"xmpp-server".to_vec()];
    a.send(message("a.example", "b.example", "1"));
    let mut host = Wire::accepted(listener.accept().await.unwrap().0).secured_as_server(config).await;
    assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "b.example"));
    (a, host)
}

/// Rule 7, XEP-0368 section 3: TLS first, with the domain as SNI and the protocol as ALPN.
#[tokio::test]
async fn an_xmpps_target_is_dialled_with_tls_for_the_domain_and_the_protocol() {
    let world = World::new().await;
    let (_a, mut host) = dialled_directly(&world).await;
    let tokio_rustls::TlsStream::Server(tls) = host.tls() else { panic!() };
    assert_eq!(tls.get_ref().1.server_name(), Some("b.example"));
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"xmpp-server"[..]));
    host.say(answer("b.example", "a.example", "1") + SASL_FEATURES).await;
    assert_eq!(host.hear("</auth>").await, auth(AUTHZID));
}

/// Rule 7, XEP-0368 section 3.
#[tokio::test]
async fn starttls_is_not_asked_for_within_direct_tls_though_it_is_offered() {
    let world = World::new().await;
    let (a, mut host) = dialled_directly(&world).await;
    host.say(answer("b.example", "a.example", "1") + TLS_FEATURES).await;
    let said = host.rest().await;
    assert!(stream_error(&said) == "policy-violation" && !said.contains("<starttls"), "{said}");
    assert_eq!(a.undelivered().await.error.condition, Condition::RemoteServerTimeout);
}

/// Rule 7, XEP-0368 section 3: the other role, with and without ALPN.
#[tokio::test]
async fn starttls_is_neither_offered_nor_accepted_within_direct_tls() {
    let here = Listening::new().await;
    let (listener, _) = bind().await;
    let address = listener.local_addr().unwrap();
    here.a.federation.serve_direct(listener);
    for alpn in [None, Some(b"xmpp-server".to_vec())] {
        let mut config = client(&here.world.authority, Some(&here.shown));
        config.alpn_protocols = alpn.iter().cloned().collect();
        let mut peer = Wire::connect(address).await.secured_as_client(config, "a.example").await;
        assert_eq!(peer.tls().get_ref().1.alpn_protocol(), alpn.as_deref());
        peer.say(header("b.example", "a.example")).await;
        assert!(peer.hear(FEATURES_END).await.ends_with(SASL_FEATURES));
        peer.say(STARTTLS).await;
        assert_eq!(peer.rest().await, format!("{TLS_FAILURE}{END}"));
    }
}

/// Rule 8, RFC 6120 section 3.3: ours is to dial a stream that was lost once more at once; pauses come when that fails,
/// and the pause of these tests is an hour.
#[tokio::test]
async fn a_stream_that_was_lost_is_dialled_once_more_at_once_and_then_after_a_pause() {
    let here = Dialled::with(|config| config.timeouts.patience = Duration::ZERO).await;
    let host = here.established().await;
    drop(host);
    drop(here.accepted().await);
    // Nothing waits, so that nothing was given back; but there is no third attempt until somebody wants one.
    let link = here.a.link_until("b.example", |link| link.failures == 1 && link.state != LinkState::Dialing).await;
    assert_eq!(link.dials, 2);
    assert!(is_untouched(here.listener));
}

/// Rule 9, RFC 6120 section 13.9.2: DNS is asked for A-labels, or the host would not be found at all.
#[tokio::test]
async fn an_international_domain_is_u_labels_in_headers_and_a_labels_in_dns_and_tls() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (listener, port) = bind().await;
    world.found_by_srv("xn--bcher-kva.example", 0, port);
    let shown = world.authority.issue(&Subject::domain("xn--bcher-kva.example")).unwrap();
    a.send(message("a.example", "romeo@bücher.example", "1"));
    let mut host = Wire::accepted(listener.accept().await.unwrap().0);
    assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "bücher.example"));
    host.say(answer("bücher.example", "a.example", "1") + TLS_FEATURES).await;
    host.hear(STARTTLS).await;
    host.say(PROCEED).await;
    let mut host = host.secured_as_server(server(&world.authority, &shown)).await;
    let tokio_rustls::TlsStream::Server(tls) = host.tls() else { panic!() };
    assert_eq!(tls.get_ref().1.server_name(), Some("xn--bcher-kva.example"));
    host.hear("xml:lang='en'>").await;
    host.say(answer("bücher.example", "a.example", "2") + SASL_FEATURES).await;
    host.hear("</auth>").await;
    host.say(SUCCESS).await;
    host.hear("xml:lang='en'>").await;
    host.say(answer("bücher.example", "a.example", "3") + NO_FEATURES).await;
    assert_eq!(crate::wire::values(&host.hear("</message>").await, "to"), ["romeo@bücher.example"]);
    assert_eq!(a.link("bücher.example").unwrap().remote, domain("bücher.example"));
}

//! Hosts with addresses of both families, some of which are dead (RFC 8305), on real sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use convoke_dev::Subject;
use convoke_s2s::{DialReport, Stage};
use tokio::net::TcpListener;

use crate::world::{Node, SERVICE, World, domain, message};

/// `b.example` on this port, by one target with both loopback addresses.
fn found_by_both_families(world: &World, port: u16) {
    world.dns.srv("b.example", SERVICE, 0, 0, port, "xmpp.b.example").unwrap();
    world.dns.aaaa("xmpp.b.example", Ipv6Addr::LOCALHOST).unwrap();
    world.dns.a("xmpp.b.example", Ipv4Addr::LOCALHOST).unwrap();
}

async fn listening(address: IpAddr) -> Option<(TcpListener, u16)> {
    let listener = TcpListener::bind((address, 0)).await.ok()?;
    let port = listener.local_addr().unwrap().port();
    Some((listener, port))
}

fn node(world: &World, listener: TcpListener, certified: &str) -> Node {
    let issued = world.authority.issue(&Subject::domain(certified)).unwrap();
    world.node_on(listener, "b.example", &issued, |_| {})
}

/// The families of the addresses that were tried, and how far each came.
fn tried(report: &DialReport) -> Vec<(bool, Stage)> {
    report.attempts.iter().map(|attempt| (attempt.address.unwrap().is_ipv6(), attempt.stage)).collect()
}

#[tokio::test]
async fn a_host_whose_ipv6_is_dead_is_reached_by_ipv4() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let (listener, port) = listening(Ipv4Addr::LOCALHOST.into()).await.unwrap();
    found_by_both_families(&world, port);
    let b = node(&world, listener, "b.example");
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    let report = a.link("b.example").unwrap().last_report.unwrap();
    assert_eq!(tried(&report), [(true, Stage::Connection), (false, Stage::Established)], "{report:#?}");
}

#[tokio::test]
async fn a_host_whose_ipv4_is_dead_is_reached_by_ipv6_at_once() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    // A machine without IPv6 has nothing to show here.
    let Some((listener, port)) = listening(Ipv6Addr::LOCALHOST.into()).await else { return };
    found_by_both_families(&world, port);
    let b = node(&world, listener, "b.example");
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    let report = a.link("b.example").unwrap().last_report.unwrap();
    assert_eq!(tried(&report), [(true, Stage::Established)], "{report:#?}");
}

/// A connection is not all: the other address of the host may lead to a better server.
#[tokio::test]
async fn when_one_address_connects_and_cannot_be_negotiated_with_the_other_is_tried() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let Some((six, port)) = listening(Ipv6Addr::LOCALHOST.into()).await else { return };
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    found_by_both_families(&world, port);
    let _impostor = node(&world, six, "c.example");
    let _b = node(&world, four, "b.example");
    let report = a.federation.dial(&a.name, &domain("b.example")).await;
    assert_eq!(tried(&report), [(true, Stage::Tls), (false, Stage::Established)], "{report:#?}");
}

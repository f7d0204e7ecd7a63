//! What follows from the SRV records of a domain (RFC 6120, section 3.2.1; XEP-0368, section 3).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke_dev::Subject;
use convoke_s2s::{Family, FederationConfig, ResolveError, Resolver, Service, SrvRecord};
use convoke_xmpp::{Condition, Domainpart};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::world::{Node, SOON, World, message};

const STARTTLS: &str = "_xmpp-server._tcp";
const DIRECT: &str = "_xmpps-server._tcp";

/// A listener on this machine to which a record leads.
async fn listening(world: &World, domain: &str, service: &str, priority: u16) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("{}.{domain}", service[1..6].trim_end_matches('-'));
    world.dns.srv(domain, service, priority, 0, listener.local_addr().unwrap().port(), &target).unwrap();
    world.dns.a(&target, Ipv4Addr::LOCALHOST).unwrap();
    listener
}

/// The first byte that a dialer says: `<`, or 0x16 for a TLS handshake.
async fn first_byte(listener: TcpListener) -> u8 {
    let heard = async { listener.accept().await.unwrap().0.read_u8().await.unwrap() };
    timeout(SOON, heard).await.unwrap()
}

/// A well-made domain that takes direct TLS alone.
async fn direct_node(world: &World, name: &str, priority: u16) -> Node {
    let listener = listening(world, name, DIRECT, priority).await;
    let issued = world.authority.issue(&Subject::domain(name)).unwrap();
    let unnamed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = world.node_on(unnamed, name, &issued, |_| {});
    node.federation.serve_direct(listener);
    node
}

#[test]
fn the_services_have_the_names_of_the_standards() {
    assert_eq!((Service::StartTls.label(), Service::DirectTls.label()), (STARTTLS, DIRECT));
}

/// Rule 7.
#[tokio::test]
async fn an_xmpps_record_is_dialled_with_tls_first_and_carries_stanzas() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let b = direct_node(&world, "b.example", 0).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
}

/// Rule 7: priorities count across both services.
#[tokio::test]
async fn the_record_of_the_best_priority_is_dialled_first_whichever_service_it_is_of() {
    for (direct, starttls, first) in [(1, 2, 0x16), (2, 1, b'<')] {
        let world = World::new().await;
        let a = world.node("a.example").await;
        let direct = listening(&world, "b.example", DIRECT, direct).await;
        let starttls = listening(&world, "b.example", STARTTLS, starttls).await;
        a.send(message("a.example", "b.example", "1"));
        let heard = tokio::select! {
            byte = first_byte(direct) => byte,
            byte = first_byte(starttls) => byte,
        };
        assert_eq!(heard, first);
    }
}

/// Rule 2.
#[tokio::test]
async fn a_domain_that_declines_direct_tls_is_dialled_with_starttls_and_the_reverse() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    world.dns.no_service("b.example", DIRECT).unwrap();
    let starttls = listening(&world, "b.example", STARTTLS, 0).await;
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(first_byte(starttls).await, b'<');
    world.dns.no_service("c.example", STARTTLS).unwrap();
    let c = direct_node(&world, "c.example", 0).await;
    a.send(message("a.example", "c.example", "2"));
    assert_eq!(c.routed().await.0.id(), Some("2"));
}

/// Rules 1 and 2: an address of the domain itself changes nothing.
#[tokio::test]
async fn a_domain_that_declines_what_it_names_at_all_has_no_service() {
    for declined in [&[STARTTLS][..], &[DIRECT], &[STARTTLS, DIRECT]] {
        let world = World::new().await;
        let a = world.node("a.example").await;
        world.dns.a("b.example", Ipv4Addr::LOCALHOST).unwrap();
        for service in declined {
            world.dns.no_service("b.example", service).unwrap();
        }
        a.send(message("a.example", "b.example", "1"));
        let error = a.undelivered().await.error;
        assert_eq!(error.condition, Condition::RemoteServerNotFound, "{declined:?}");
        assert!(error.text.unwrap().contains("takes no server-to-server streams"));
    }
}

/// A DNS that says nothing, or nothing useful.
enum NoDns {
    Silent,
    Failing,
}

impl NoDns {
    async fn answer<T>(&self, name: &str) -> Result<Vec<T>, ResolveError> {
        match self {
            Self::Silent => std::future::pending().await,
            Self::Failing => Err(ResolveError::Lookup { name: name.to_owned(), cause: "SERVFAIL".into() }),
        }
    }
}

#[async_trait]
impl Resolver for NoDns {
    async fn services(&self, service: Service, _: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        self.answer(service.label()).await
    }

    async fn addresses(&self, _: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.answer(host).await
    }
}

/// Rule 65: without DNS nobody is found, and the code tells what is to be mended.
#[tokio::test]
async fn a_domain_about_which_dns_says_nothing_is_not_found() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    for (dns, code) in [(NoDns::Silent, "dns-timeout"), (NoDns::Failing, "dns-failed")] {
        let change = |config: &mut FederationConfig| {
            config.resolver = Arc::new(dns);
            config.timeouts.resolve = Duration::from_millis(50);
        };
        let a = world.node_with("a.example", &issued, change).await;
        a.send(message("a.example", "b.example", "1"));
        let error = a.undelivered().await.error;
        assert_eq!(error.condition, Condition::RemoteServerNotFound);
        assert!(error.application.unwrap().is(code, "urn:convoke:errors:0"), "{code}");
        // Both services, and then the domain itself in both families.
        let report = a.link("b.example").unwrap().last_report.unwrap();
        assert_eq!((report.lookups.len(), report.attempts.len()), (4, 1), "{report:#?}");
        assert!(report.lookups.iter().all(|lookup| lookup.fault.as_ref().unwrap().code.to_string() == code));
    }
}

/// RFC 8020: what is not there has no alias either.
#[tokio::test]
async fn a_domain_is_found_by_one_question_for_each_kind_of_record() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    // SRV of both services, and both families of the target.
    assert_eq!(world.dns.queries(), 4);
}

/// RFC 2782 forbids an alias as target, and RFC 1034, section 3.6.2, lets every name be one: both happen.
#[tokio::test]
async fn aliases_are_followed_on_the_way_to_records_and_addresses() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let b = direct_node(&world, "b.example", 0).await;
    world.dns.alias("_xmpps-server._tcp.c.example", "_xmpps-server._tcp.b.example").unwrap();
    world.dns.alias("xmpps.b.example", "deep.b.example").unwrap();
    world.dns.a("deep.b.example", Ipv4Addr::LOCALHOST).unwrap();
    a.send(message("a.example", "b.example", "1"));
    assert_eq!(b.routed().await.0.id(), Some("1"));
    // The record of the alias leads to the same place, which is not c.example.
    a.send(message("a.example", "c.example", "2"));
    let error = a.undelivered().await.error;
    let text = error.text.unwrap();
    assert_eq!(error.condition, Condition::RemoteServerTimeout, "{text}");
    assert!(text.contains("certificate does not name c.example"), "{text}");
}

/// Rule 9.
#[tokio::test]
async fn an_international_domain_is_found_by_its_a_labels() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let b = world.node("bücher.example").await;
    assert_eq!(b.name.to_ascii(), "xn--bcher-kva.example");
    a.send(message("a.example", "bücher.example", "1"));
    assert_eq!(b.routed().await.0.to().unwrap().as_str(), "bücher.example");
}

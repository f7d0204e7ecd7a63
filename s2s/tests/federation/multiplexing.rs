//! Several pairs of domains on one stream (XEP-0344, section 2.4; XEP-0220, section 2.6).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke_dev::{Issued, Subject};
use convoke_s2s::{
    Backoff, Family, FederationConfig, LinkState, LinkStatistics, LocalDomain, Rate, RateRule, ResolveError, Resolver,
    Service, SrvRecord,
};
use convoke_xmpp::{Condition, Domainpart, Origin, Outbound};
use tokio::net::TcpListener;

use crate::proxy::Proxy;
use crate::world::{Node, SOON, World, credentials, domain, message};

/// A certificate for these domains.
fn certificate(world: &World, names: &[&str]) -> Issued {
    world.authority.issue(&Subject::domain(names[0]).dns_names(names.iter().copied())).unwrap()
}

/// Serves another domain too, with this certificate.
fn also(config: &mut FederationConfig, name: &str, issued: &Issued) {
    config.domains.push(LocalDomain { name: domain(name), credentials: credentials(issued) });
    let brief = Duration::from_millis(5);
    config.backoff = Backoff { first: brief, longest: 4 * brief };
    // However slow the machine is.
    config.timeouts.patience = Duration::from_secs(60);
    config.timeouts.answer = SOON;
}

/// A node of two domains that one certificate covers, behind a listener that is in DNS for both.
async fn node(world: &World, names: [&str; 2], change: impl FnOnce(&mut FederationConfig)) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    found(world, names, listener.local_addr().unwrap().port());
    node_on(world, listener, names, change)
}

fn node_on(world: &World, listener: TcpListener, names: [&str; 2], change: impl FnOnce(&mut FederationConfig)) -> Node {
    let issued = certificate(world, &names);
    world.node_on(listener, names[0], &issued, |config| {
        also(config, names[1], &issued);
        change(config);
    })
}

fn found(world: &World, names: [&str; 2], port: u16) {
    names.iter().for_each(|name| world.found_by_srv(name, 0, port));
}

fn link(node: &Node, local: &str, remote: &str) -> LinkStatistics {
    let is_it = |link: &LinkStatistics| (link.local.as_str(), link.remote.as_str()) == (local, remote);
    node.federation.statistics().into_iter().find(is_it).unwrap()
}

fn connections(nodes: &[&Node]) -> u64 {
    nodes.iter().flat_map(|node| node.federation.statistics()).map(|link| link.dials).sum()
}

/// One stanza from one domain to another arrives, and from whom.
async fn pass(from: (&Node, &str), to: (&Node, &str), id: &str) {
    from.0.send(message(&format!("x@{}", from.1), &format!("y@{}", to.1), id));
    let (stanza, origin) = to.0.routed().await;
    assert_eq!((stanza.id(), origin), (Some(id), Origin::Remote(domain(from.1))));
}

const A: [&str; 2] = ["a1.example", "a2.example"];
const B: [&str; 2] = ["b1.example", "b2.example"];

/// Two domains there and two here: four pairs, both directions, one connection.
#[tokio::test]
async fn four_pairs_of_domains_share_one_stream_in_both_directions() {
    let world = World::new().await;
    let (a, b) = (node(&world, A, |_| {}).await, node(&world, B, |_| {}).await);
    all_ways(&a, &b).await;
    assert_eq!(connections(&[&a, &b]), 1);
    let carried = link(&a, "a2.example", "b2.example");
    assert_eq!(carried.carried_by, Some((domain("a1.example"), domain("b1.example"))));
    assert_eq!((carried.state, carried.dials), (LinkState::Open, 0));
    assert!(a.has_given_nothing_back().await && b.has_given_nothing_back().await);
}

/// The second waits for what comes of the first, instead of dialling too.
#[tokio::test]
async fn two_pairs_that_meet_a_domain_at_the_same_moment_share_one_stream_where_both_sides_offer_it() {
    for (offered, streams) in [(true, 1), (false, 2)] {
        let world = World::new().await;
        let (a, b) = (node(&world, A, |_| {}).await, node(&world, B, |config| config.multiplexing = offered).await);
        for (number, local) in A.into_iter().enumerate() {
            a.send(message(local, B[0], &number.to_string()));
        }
        let mut ids = [b.routed().await.0, b.routed().await.0].map(|stanza| stanza.id().map(str::to_owned));
        ids.sort_unstable();
        assert_eq!(ids.each_ref().map(Option::as_deref), [Some("0"), Some("1")]);
        assert_eq!(connections(&[&a]), streams, "offered: {offered}");
    }
}

/// Never answers.
struct Silent;

#[async_trait]
impl Resolver for Silent {
    async fn services(&self, _: Service, _: &Domainpart) -> Result<Vec<SrvRecord>, ResolveError> {
        std::future::pending().await
    }

    async fn addresses(&self, _: Family, _: &str) -> Result<Vec<IpAddr>, ResolveError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn who_has_waited_long_enough_for_the_first_contact_of_another_pair_dials() {
    let world = World::new().await;
    let a = node(&world, A, |config| {
        config.resolver = Arc::new(Silent);
        config.timeouts.answer = Duration::from_millis(50);
        // The first one is at it as long as this test takes.
        (config.timeouts.resolve, config.timeouts.dial) = (100 * SOON, 100 * SOON);
    })
    .await;
    A.iter().for_each(|local| a.send(message(local, B[0], "waits")));
    let both_dial = async {
        while connections(&[&a]) < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, both_dial).await.unwrap();
    assert!(A.iter().all(|local| link(&a, local, B[0]).failures == 0));
}

/// The stream of both is read as slowly as the one domain is to be, and nothing is lost.
#[tokio::test]
async fn a_domain_that_sends_too_fast_by_the_stream_of_another_is_read_more_slowly() {
    const STANZAS: usize = 1000;
    let world = World::new().await;
    let rate = Rate { bytes_per_second: 30_000, burst: 10_000 };
    let rule = RateRule { domains: vec![B[1].parse().unwrap()], rate };
    let a = node(&world, A, |config| config.rates = vec![rule]).await;
    let b = node(&world, B, |_| {}).await;
    let c = world.node("c.example").await;
    pass((&b, B[0]), (&a, A[0]), "first").await;
    pass((&b, B[1]), (&a, A[0]), "second").await;
    assert_eq!(link(&b, B[1], A[0]).carried_by, Some((domain(B[0]), domain(A[0]))));
    pass((&c, "c.example"), (&a, A[0]), "ready").await;
    (0..STANZAS).for_each(|id| b.send(message(B[1], A[0], &id.to_string())));
    assert_eq!(a.routed().await.0.id(), Some("0"));
    c.send(message("c.example", A[0], "c"));
    let (mut next, mut overtaken) = (1, false);
    while next < STANZAS {
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

/// Every pair, in an order in which each has reason to know that the peer is the other domain too.
async fn all_ways(a: &Node, b: &Node) {
    let ways = [(0, 0), (1, 0), (0, 1), (1, 1)];
    for (number, (near, far)) in ways.into_iter().enumerate() {
        let (near, far) = (A[near], B[far]);
        if (near, far) == ("a1.example", "b2.example") {
            // First contact with b2 is its own: by the stream of b1.
            pass((b, far), (a, near), "reverse").await;
        }
        pass((a, near), (b, far), &format!("forth {number}")).await;
        pass((b, far), (a, near), &format!("back {number}")).await;
    }
}

/// What was cut is resumed, and what rides with it.
#[tokio::test]
async fn what_shares_a_stream_that_is_cut_arrives_once_and_in_order() {
    const STANZAS: usize = 2000;
    const CUTS: usize = 6;
    let world = World::new().await;
    let a = node(&world, A, |_| {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), 7, CUTS, (STANZAS / CUTS * 160) as u64).await;
    found(&world, B, proxy.port);
    let b = node_on(&world, listener, B, |_| {});
    all_ways(&a, &b).await;
    let sending = async {
        for number in 0..STANZAS {
            for (from, to) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                a.send(message(&format!("x@{}", A[from]), &format!("y@{}", B[to]), &number.to_string()));
                b.send(message(&format!("y@{}", B[to]), &format!("x@{}", A[from]), &number.to_string()));
            }
            if number % 20 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(sending, in_order(&b, STANZAS), in_order(&a, STANZAS));
    let resumed = link(&a, "a1.example", "b1.example").resumed;
    println!("cuts {}, resumed {resumed}", proxy.cuts());
    assert!(proxy.cuts() > 0 && resumed > 0, "nothing was cut: this has shown nothing");
    assert!(a.has_given_nothing_back().await && b.has_given_nothing_back().await);
    assert_eq!(connections(&[&b]), 0);
    for (from, to) in [(1, 0), (0, 1), (1, 1)] {
        assert_eq!(link(&a, A[from], B[to]).dials, 0);
    }
}

/// Each of the four pairs once and in order.
async fn in_order(node: &Node, stanzas: usize) {
    let mut next = std::collections::HashMap::new();
    for _ in 0..stanzas * 4 {
        let stanza = node.routed().await.0;
        let pair = (stanza.from().unwrap().domain().to_owned(), stanza.to().unwrap().domain().to_owned());
        let number = next.entry(pair).or_insert(0_usize);
        assert_eq!(stanza.id(), Some(number.to_string().as_str()), "{stanza:?}");
        *number += 1;
    }
    assert_eq!(next.len(), 4);
}

/// The peer decides, and a domain that its certificate does not cover has a stream of its own.
#[tokio::test]
async fn a_domain_that_the_certificate_does_not_cover_has_a_stream_of_its_own() {
    let world = World::new().await;
    let b = node(&world, B, |_| {}).await;
    let (one, two) = (certificate(&world, &A[..1]), certificate(&world, &A[1..]));
    let a = world.node_with(A[0], &one, |config| also(config, A[1], &two)).await;
    pass((&a, A[0]), (&b, B[0]), "1").await;
    pass((&a, A[1]), (&b, B[0]), "2").await;
    assert_eq!(link(&a, A[1], B[0]).carried_by, None);
    assert_eq!(connections(&[&a]), 2);
    assert!(a.has_given_nothing_back().await);
}

#[tokio::test]
async fn a_stream_is_shared_only_where_both_sides_offer_it() {
    for (here, there) in [(true, false), (false, true)] {
        let world = World::new().await;
        let b = node(&world, B, |config| config.multiplexing = there).await;
        let a = node(&world, A, |config| config.multiplexing = here).await;
        pass((&a, A[0]), (&b, B[0]), "1").await;
        pass((&a, A[1]), (&b, B[0]), "2").await;
        assert_eq!(connections(&[&a]), 2, "{here} {there}");
    }
}

/// The stream of the first is gone and comes back without what it offered: the second one dials for itself, and what
/// waited for it is not lost.
#[tokio::test]
async fn who_cannot_ride_any_more_dials() {
    let world = World::new().await;
    let a = node(&world, A, |_| {}).await;
    let b = node(&world, B, |_| {}).await;
    pass((&a, A[0]), (&b, B[0]), "1").await;
    pass((&a, A[1]), (&b, B[0]), "2").await;
    let address: SocketAddr = b.address;
    b.federation.abort();
    drop(b);
    let listener = world.listen_again(address).await;
    let back = node_on(&world, listener, B, |config| config.multiplexing = false);
    // Whatever was in doubt by then has its answer; what comes now has a way.
    let again = async {
        for number in 3.. {
            a.send(message(A[1], B[0], &number.to_string()));
            tokio::select! {
                (stanza, origin) = back.routed() => return (stanza, origin),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        unreachable!()
    };
    assert_eq!(tokio::time::timeout(SOON, again).await.unwrap().1, Origin::Remote(domain(A[1])));
    assert_eq!(link(&a, A[1], B[0]).carried_by, None);
    for undelivered in a.all_undelivered().await {
        assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    }
}

/// What cannot be delivered is given back once, whoever's stream it was to go by.
#[tokio::test]
async fn what_rides_to_a_domain_that_is_gone_comes_back_once() {
    let world = World::new().await;
    let a = node(&world, A, |config| {
        // What is in doubt is not kept for a peer that will not come back.
        (config.timeouts.patience, config.timeouts.resume) = (Duration::ZERO, Duration::from_millis(20));
    })
    .await;
    let b = node(&world, B, |_| {}).await;
    pass((&a, A[0]), (&b, B[0]), "1").await;
    pass((&a, A[1]), (&b, B[0]), "2").await;
    b.federation.abort();
    drop(b);
    for number in 0..20 {
        let id = number.to_string();
        // Refused at once, or given back later.
        let undelivered = match a.federation.send(message(A[1], B[0], &id)) {
            Ok(()) => a.undelivered().await,
            Err(undelivered) => undelivered,
        };
        assert_eq!(undelivered.stanza.id(), Some(id.as_str()));
        assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    }
    assert!(a.has_given_nothing_back().await);
}

//! Streams that break, and what becomes of the stanzas on them (XEP-0198).

use std::collections::HashMap;
use std::time::Duration;

use convoke_dev::Subject;
use convoke_s2s::{Backoff, FederationConfig, LinkState, LinkStatistics};
use convoke_xmpp::{Condition, Outbound, Stanza};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::proxy::Proxy;
use crate::world::{Node, World, message};

/// Pairs of addresses, each with an order of its own.
const PAIRS: usize = 7;

/// Seed, cuts and stanzas: from the environment as `CHAOS=SEED,CUTS,STANZAS`, or a few.
fn chaos() -> (u64, usize, usize) {
    let given = std::env::var("CHAOS").unwrap_or_else(|_| "1,20,10000".to_owned());
    let numbers: Vec<_> = given.split(',').map(|number| number.parse::<u64>().unwrap()).collect();
    let [seed, cuts, stanzas] = numbers[..] else { panic!("CHAOS=SEED,CUTS,STANZAS") };
    println!("CHAOS={seed},{cuts},{stanzas}");
    (seed, cuts as usize, stanzas as usize)
}

fn patient(config: &mut FederationConfig) {
    let brief = Duration::from_millis(5);
    config.backoff = Backoff { first: brief, longest: 4 * brief };
    // However slow the machine is.
    config.timeouts.patience = Duration::from_secs(60);
}

/// Two nodes; what `a` dials goes through a proxy.
async fn nodes(world: &World, seed: u64, cuts: usize, within: u64) -> (Node, Node, Proxy) {
    let a = world.node_as("a.example", patient).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), seed, cuts, within).await;
    world.found_by_srv("b.example", 0, proxy.port);
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, patient);
    (a, b, proxy)
}

fn numbered(from: &str, to: &str, number: usize) -> Stanza {
    message(&format!("u{}@{from}", number % PAIRS), to, &number.to_string())
}

/// Sends as fast as there is room, few at a time: all tasks share one thread, and a dial has some twenty turns of its own to
/// wait for. With a hundred at a time it took four seconds on a busy machine, and no stanza came for twenty.
async fn send_all(node: &Node, from: &str, to: &str, count: usize) {
    for number in 0..count {
        if number % 10 == 0 {
            while node.link(to).is_some_and(|link| link.queued + link.unacknowledged > 20_000) {
                sleep(Duration::from_millis(1)).await;
            }
            tokio::task::yield_now().await;
        }
        node.federation.send(numbered(from, to, number)).unwrap();
    }
}

/// What was sent in vain at a time is no more than what the window of a session can have grown to by then, and one batch.
/// Without a window it was all that the operating system takes: fifteen thousand stanzas.
fn assert_little_was_sent_again(link: &LinkStatistics, stanzas: usize, cuts: usize) {
    let (again, most) = (link.stanzas_out as usize - stanzas, cuts * 2500);
    println!("{} sent again at each cut, {} dials", again / cuts, link.dials);
    assert!(again <= most, "{again} of {stanzas} were sent again at {cuts} cuts");
}

/// What has arrived, against what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    lost: usize,
    doubled: usize,
    reordered: usize,
}

/// Receives `count` stanzas, and whatever else has come by then.
async fn account(node: &Node, count: usize) -> Account {
    let mut seen = vec![0_usize; count];
    let (mut last, mut reordered) = (HashMap::new(), 0);
    for _ in 0..count {
        let stanza = node.routed().await.0;
        let number: usize = stanza.id().unwrap().parse().unwrap();
        seen[number] += 1;
        let before = last.insert(number % PAIRS, number);
        reordered += usize::from(before >= Some(number));
    }
    let lost = seen.iter().filter(|&&times| times == 0).count();
    let doubled = seen.iter().filter(|&&times| times > 1).count();
    Account { lost, doubled: doubled + usize::from(!node.has_routed_nothing().await), reordered }
}

/// The promise of this crate: a cut connection loses, doubles and reorders nothing.
#[tokio::test]
async fn a_burst_through_a_connection_that_is_cut_again_and_again_arrives_once_and_in_order() {
    let (seed, cuts, stanzas) = chaos();
    let world = World::new().await;
    // On average a connection carries half of its share: all are cut before the end.
    let (a, b, proxy) = nodes(&world, seed, cuts, (stanzas / cuts * 80) as u64).await;
    let (_, account) = tokio::join!(send_all(&a, "a.example", "b.example", stanzas), account(&b, stanzas));
    let link = a.link("b.example").unwrap();
    assert_little_was_sent_again(&link, stanzas, cuts);
    println!("cuts {}, resumed {}, {account:?}, {link:?}", proxy.cuts(), link.resumed);
    assert_eq!((account, proxy.cuts()), (Account::default(), cuts));
    assert!(a.has_given_nothing_back().await);
    assert_eq!(link.not_resumed, 0);
}

/// The same with stanzas in both directions by the one connection (XEP-0288).
#[tokio::test]
async fn a_burst_in_both_directions_by_one_connection_that_is_cut_arrives_once_and_in_order() {
    let (seed, cuts, stanzas) = chaos();
    let (cuts, stanzas) = (cuts / 2, stanzas / 2);
    let world = World::new().await;
    let (a, b, proxy) = nodes(&world, seed + 1, cuts, (stanzas / cuts * 80) as u64).await;
    // First contact is a's, so that b never dials.
    a.send(message("a.example", "b.example", "first"));
    b.routed().await;
    b.link_until("a.example", |link| link.incoming_streams == 1).await;
    let (_, _, at_b, at_a) = tokio::join!(
        send_all(&a, "a.example", "b.example", stanzas),
        send_all(&b, "b.example", "a.example", stanzas),
        account(&b, stanzas),
        account(&a, stanzas)
    );
    println!("cuts {}, {at_b:?}, {at_a:?}, {:?}, {:?}", proxy.cuts(), a.link("b.example"), b.link("a.example"));
    assert_eq!((at_b, at_a, proxy.cuts()), (Account::default(), Account::default(), cuts));
    assert!(a.has_given_nothing_back().await && b.has_given_nothing_back().await);
    let (link, back) = (a.link("b.example").unwrap(), b.link("a.example").unwrap());
    assert_little_was_sent_again(&link, stanzas, cuts);
    assert_little_was_sent_again(&back, stanzas, cuts);
    assert_eq!(back.dials, 0);
}

/// A peer that has forgotten everything: what it had not acknowledged is given back, each once, and the rest goes on.
#[tokio::test]
async fn what_a_restarted_peer_had_not_acknowledged_is_given_back_exactly_once() {
    const STANZAS: usize = 10_000;
    const RESTARTS: usize = 5;
    let world = World::new().await;
    let a = world.node_as("a.example", patient).await;
    let (mut b, mut seen) = (world.node_as("b.example", patient).await, Vec::new());
    let address = b.address;
    for restart in 0..=RESTARTS {
        let share = STANZAS / (RESTARTS + 1);
        let last = if restart == RESTARTS { STANZAS } else { (restart + 1) * share };
        for number in restart * share..last {
            a.send(numbered("a.example", "b.example", number));
        }
        if restart == RESTARTS {
            break;
        }
        for _ in 0..=restart * 100 {
            seen.push(b.routed().await.0);
        }
        // Without a word.
        b.federation.abort();
        seen.extend(b.all_routed().await);
        let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
        b = world.node_on(world.listen_again(address).await, "b.example", &issued, patient);
    }
    let link = a.link_until("b.example", |link| link.queued == 0 && link.unacknowledged == 0).await;
    seen.extend(b.all_routed().await);
    let given_back = a.all_undelivered().await;
    println!("delivered {}, given back {}, {link:?}", seen.len(), given_back.len());
    assert!(given_back.iter().all(|undelivered| undelivered.error.condition == Condition::RemoteServerTimeout));
    let times = |stanzas: Vec<&Stanza>| {
        let mut times = vec![0_u8; STANZAS];
        stanzas.iter().for_each(|stanza| times[stanza.id().unwrap().parse::<usize>().unwrap()] += 1);
        times
    };
    let delivered = times(seen.iter().collect());
    let bounced = times(given_back.iter().map(|undelivered| &*undelivered.stanza).collect());
    for number in 0..STANZAS {
        assert!(delivered[number] <= 1 && bounced[number] <= 1, "{number} was doubled");
        assert!(delivered[number] + bounced[number] >= 1, "{number} was lost");
    }
    assert_eq!(link.not_resumed, RESTARTS as u64);
    assert!(!given_back.is_empty(), "nothing was in doubt: this has shown nothing");
}

/// RFC 6120, section 13.7.2.3, and new certificates: the old stream goes on until the new one has taken over.
#[tokio::test]
async fn a_stream_that_is_renewed_under_load_loses_nothing() {
    const STANZAS: usize = 5000;
    let world = World::new().await;
    for stream_management in [true, false] {
        let (a, b) = world.pair(|config| config.stream_management = stream_management).await;
        let renewing = async {
            for dials in 2..=5 {
                a.link_until(b.name.as_str(), |link| link.stanzas_out > dials * 200).await;
                a.federation.renew();
                a.link_until(b.name.as_str(), |link| link.dials == dials && link.state == LinkState::Open).await;
            }
        };
        let (from, to) = (a.name.as_str(), b.name.as_str());
        let (_, account, ()) = tokio::join!(send_all(&a, from, to, STANZAS), account(&b, STANZAS), renewing);
        assert_eq!(account, Account::default(), "stream management: {stream_management}");
        assert!(a.has_given_nothing_back().await);
        let link = a.link(to).unwrap();
        assert_eq!((link.failures, link.not_resumed), (0, 0), "{link:?}");
    }
}

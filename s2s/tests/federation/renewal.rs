//! Certificates that are replaced while stanzas flow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use convoke_dev::{Issued, Subject};
use tokio::time::{Instant, sleep, sleep_until};

use crate::world::{Node, World, credentials, message};

/// How long each certificate is good for.
const LIFETIME: Duration = Duration::from_secs(20);

/// How long each is shown.
const SHOWN: Duration = Duration::from_secs(9);

/// When nothing is sent any more: all first certificates are long over by then.
const DURATION: Duration = Duration::from_secs(33);

/// Between two stanzas of one direction.
const INTERVAL: Duration = Duration::from_millis(5);

fn brief(world: &World, name: &str) -> Issued {
    let now = SystemTime::now();
    let subject = Subject::domain(name).validity(now - Duration::from_secs(60), now + LIFETIME);
    world.authority.issue(&subject).unwrap()
}

/// Shows a new certificate every few seconds, the first after `first`.
async fn replace(world: &World, node: &Node, first: Duration, until: Instant) {
    let mut next = Instant::now() + first;
    while next < until {
        sleep_until(next).await;
        let new = credentials(&brief(world, node.name.as_str()));
        node.federation.replace_credentials(&node.name, &new).unwrap();
        next += SHOWN;
    }
}

/// Sends numbered stanzas until it is over; says how many.
async fn send(from: &Node, to: &Node, is_over: &AtomicBool) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        from.send(message(from.name.as_str(), to.name.as_str(), &count.to_string()));
        count += 1;
        sleep(INTERVAL).await;
    }
    count
}

/// All of them have come, once each and in order.
async fn assert_whole(node: &Node, count: usize) {
    for number in 0..count {
        assert_eq!(node.routed().await.0.id(), Some(number.to_string().as_str()), "at {}", node.name);
    }
    assert!(node.has_routed_nothing().await && node.has_given_nothing_back().await);
}

/// Rule 58 (RFC 6120, section 13.7.2.3), and no stanza pays for it.
#[tokio::test]
async fn certificates_of_twenty_seconds_are_replaced_under_load_and_nothing_is_lost_or_doubled() {
    let world = World::new().await;
    let a = world.node_with("a.example", &brief(&world, "a.example"), |_| {}).await;
    let b = world.node_with("b.example", &brief(&world, "b.example"), |_| {}).await;
    let (over, until) = (AtomicBool::new(false), Instant::now() + DURATION);
    let end = async {
        sleep_until(until).await;
        over.store(true, Ordering::Relaxed);
    };
    // The two do not change at the same time.
    let (to_b, to_a, ..) = tokio::join!(
        send(&a, &b, &over),
        send(&b, &a, &over),
        replace(&world, &a, SHOWN, until),
        replace(&world, &b, SHOWN / 2, until),
        end,
    );
    assert_whole(&b, to_b).await;
    assert_whole(&a, to_a).await;
    let dials: u64 = [a.link("b.example"), b.link("a.example")].into_iter().flatten().map(|link| link.dials).sum();
    assert!(dials > 3, "{dials} streams for {} certificates", 6);
}

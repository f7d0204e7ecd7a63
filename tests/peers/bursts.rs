//! Many messages: none is lost, none comes twice, none overtakes another.

use std::collections::BTreeSet;
use std::ops::Range;

use convoke_dev::peers::Software;

use super::neighbours::{Neighbours, message, next, next_of};
use crate::support::client::attribute;

/// How many messages a burst has.
const BURST: usize = 10_000;
/// How many are under way at most, where the receiver's mailbox would take no more.
const WINDOW: usize = 2_000;
const SINK: &str = "sink@volunteers.lan";

super::with_each_peer!(
    a_burst_from_an_account_to_our_component_arrives_complete_and_in_order,
    a_burst_from_our_component_to_an_account_arrives_complete_and_in_order,
    a_burst_that_makes_the_peer_dial_arrives_complete,
    a_burst_that_makes_us_dial_arrives_complete_and_in_order,
    bursts_in_both_directions_at_once_arrive_complete_and_in_order,
);

/// What the account sends to the component, with these numbers.
fn messages(numbers: Range<usize>) -> String {
    let message = |number| format!("<message type='chat' to='{SINK}' id='{number}'><body>burst</body></message>");
    numbers.map(message).collect()
}

async fn a_burst_from_an_account_to_our_component_arrives_complete_and_in_order(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    for start in (0..BURST).step_by(WINDOW) {
        juliet.send(&messages(start..start + WINDOW)).await;
        for number in start..start + WINDOW {
            let message = next(&mut sink).await;
            assert_eq!(message.id(), Some(&*number.to_string()));
            assert_eq!(message.from().unwrap().as_str(), juliet.jid());
        }
    }
    let link = neighbours.link();
    assert_eq!((link.stanzas_in, link.incoming_streams), (BURST as u64 + 1, 1), "one ping was before them");
}

async fn a_burst_from_our_component_to_an_account_arrives_complete_and_in_order(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let source = neighbours.ours.component("source").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    for number in 0..BURST {
        source.send(message(juliet.jid(), &number.to_string(), "burst")).unwrap();
    }
    for number in 0..BURST {
        let message = next_of(&mut juliet).await;
        assert_eq!(attribute(&message, "id"), Some(&*number.to_string()));
        assert_eq!(attribute(&message, "from"), Some("source@volunteers.lan"));
    }
    let link = neighbours.link();
    assert_eq!((link.stanzas_out, link.dials), (BURST as u64 + 1, 1), "one answer was before them");
}

/// Complete only: between the success of SASL and the last features, Prosody 0.12 sends what comes anew ahead of what it
/// has queued.
async fn a_burst_that_makes_the_peer_dial_arrives_complete(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.juliet().await;
    juliet.send(&messages(0..WINDOW)).await;
    let mut missing: BTreeSet<_> = (0..WINDOW).map(|number| number.to_string()).collect();
    for _ in 0..WINDOW {
        let message = next(&mut sink).await;
        assert!(missing.remove(message.id().unwrap()), "{message:?} came twice");
    }
    assert_eq!(neighbours.link().stanzas_in, WINDOW as u64);
}

async fn a_burst_that_makes_us_dial_arrives_complete_and_in_order(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let source = neighbours.ours.component("source").unwrap();
    let mut juliet = neighbours.juliet().await;
    for number in 0..WINDOW {
        source.send(message(juliet.jid(), &number.to_string(), "burst")).unwrap();
    }
    for number in 0..WINDOW {
        assert_eq!(attribute(&next_of(&mut juliet).await, "id"), Some(&*number.to_string()));
    }
    assert_eq!(neighbours.link().dials, 1);
}

async fn bursts_in_both_directions_at_once_arrive_complete_and_in_order(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    // Small portions, so that neither side has done sending before the other begins.
    for start in (0..WINDOW).step_by(100) {
        let numbers = start..start + 100;
        juliet.send(&messages(numbers.clone())).await;
        for number in numbers {
            sink.send(message(juliet.jid(), &number.to_string(), "burst")).unwrap();
        }
    }
    for number in 0..WINDOW {
        assert_eq!(next(&mut sink).await.id(), Some(&*number.to_string()));
        assert_eq!(attribute(&next_of(&mut juliet).await, "id"), Some(&*number.to_string()));
    }
}

//! Many stanzas and large ones: none is lost, none overtakes another.

use std::collections::BTreeSet;
use std::ops::Range;

use convoke::Component;
use convoke::xmpp::{Element, MessageType, Stanza, namespace};

use super::neighbours::{Neighbours, jid};
use crate::support::client::{Client, attribute, name};
use crate::support::within_deadline;

/// How many messages a burst has.
const BURST: usize = 2_000;
/// How large a large body is: with the rest of its message, near 100 KiB.
const LARGE: usize = 100 * 1024;
/// How many large messages are sent.
const LARGE_BURST: usize = 20;
const SINK: &str = "sink@volunteers.lan";

fn message(to: &str, id: &str, body: &str) -> Stanza {
    let message = Stanza::message(MessageType::Chat).with_to(&jid(to)).with_id(id);
    message.with_payload(Element::new("body", namespace::CLIENT).text(body))
}

/// What the account sends to the component, with these numbers.
fn messages(numbers: Range<usize>) -> String {
    let message = |number| format!("<message type='chat' to='{SINK}' id='{number}'><body>burst</body></message>");
    numbers.map(message).collect()
}

/// The message that the component gets next.
async fn next(component: &mut Component) -> Stanza {
    within_deadline("a message for the component", component.receive()).await.unwrap().0
}

/// The message that the account gets next.
async fn next_of(account: &mut Client) -> String {
    account.wait_for("a message for the account", |element| name(element) == "message").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_from_an_account_to_our_component_arrives_complete_and_in_order() {
    let neighbours = Neighbours::new().await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    juliet.send(&messages(0..BURST)).await;
    for number in 0..BURST {
        let message = next(&mut sink).await;
        assert_eq!(message.id(), Some(&*number.to_string()));
        assert_eq!(message.from().unwrap().as_str(), juliet.jid());
    }
    let link = neighbours.link();
    assert_eq!((link.stanzas_in, link.incoming_streams), (BURST as u64 + 1, 1), "one ping was before them");
}

/// Complete only: between the success of SASL and the last features, Prosody 0.12 sends what comes anew ahead of what it
/// has queued.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_makes_prosody_dial_arrives_complete() {
    let neighbours = Neighbours::new().await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.juliet().await;
    juliet.send(&messages(0..BURST)).await;
    let mut missing: BTreeSet<_> = (0..BURST).map(|number| number.to_string()).collect();
    for _ in 0..BURST {
        let message = next(&mut sink).await;
        assert!(missing.remove(message.id().unwrap()), "{message:?} came twice");
    }
    assert_eq!(neighbours.link().stanzas_in, BURST as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_makes_us_dial_arrives_complete_and_in_order() {
    let neighbours = Neighbours::new().await;
    let source = neighbours.ours.component("source").unwrap();
    let mut juliet = neighbours.juliet().await;
    for number in 0..BURST {
        source.send(message(juliet.jid(), &number.to_string(), "burst")).unwrap();
    }
    for number in 0..BURST {
        assert_eq!(attribute(&next_of(&mut juliet).await, "id"), Some(&*number.to_string()));
    }
    assert_eq!(neighbours.link().dials, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_from_our_component_to_an_account_arrives_complete_and_in_order() {
    let neighbours = Neighbours::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn bursts_in_both_directions_at_once_arrive_complete_and_in_order() {
    let neighbours = Neighbours::new().await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    // Small portions, so that neither side has done sending before the other begins.
    for start in (0..BURST).step_by(100) {
        let numbers = start..start + 100;
        juliet.send(&messages(numbers.clone())).await;
        for number in numbers {
            sink.send(message(juliet.jid(), &number.to_string(), "burst")).unwrap();
        }
    }
    for number in 0..BURST {
        assert_eq!(next(&mut sink).await.id(), Some(&*number.to_string()));
        assert_eq!(attribute(&next_of(&mut juliet).await, "id"), Some(&*number.to_string()));
    }
}

/// The first of them make each side dial, so that they come right behind the negotiation, whose limits are narrow.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_hundred_kibibytes_arrive_whole_in_both_directions() {
    let neighbours = Neighbours::new().await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.juliet().await;
    let body: String = ('a'..='z').cycle().take(LARGE).collect();
    for number in 0..LARGE_BURST {
        juliet.send(&format!("<message to='{SINK}' id='{number}'><body>{body}</body></message>")).await;
    }
    for _ in 0..LARGE_BURST {
        assert_eq!(next(&mut sink).await.payload().unwrap().content(), body);
    }
    for number in 0..LARGE_BURST {
        sink.send(message(juliet.jid(), &number.to_string(), &body)).unwrap();
    }
    for number in 0..LARGE_BURST {
        let message = next_of(&mut juliet).await;
        assert_eq!(attribute(&message, "id"), Some(&*number.to_string()));
        assert!(message.contains(&format!("<body>{body}</body>")));
    }
}

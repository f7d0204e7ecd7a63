//! Queues of few stanzas.

use super::*;

fn message(id: usize, body: usize) -> Stanza {
    Stanza::parse(&format!("<message id='{id}'><body>{}</body></message>", "x".repeat(body))).unwrap()
}

fn ids(stanzas: &[Stanza]) -> Vec<&str> {
    stanzas.iter().filter_map(Stanza::id).collect()
}

fn batch(outbox: &Outbox, managed: bool) -> Vec<String> {
    let mut taken = Vec::new();
    outbox.take_batch(usize::MAX, managed, |stanza| taken.push(stanza.id().unwrap().to_owned()));
    taken
}

#[test]
fn gives_back_what_is_beyond_its_count_or_its_bytes() {
    let outbox = Outbox::new(OutboxLimits { stanzas: 2, bytes: 10_000 });
    outbox.push(message(1, 1)).unwrap();
    outbox.push(message(2, 1)).unwrap();
    assert_eq!(outbox.push(message(3, 1)).unwrap_err().0.id(), Some("3"));
    let outbox = Outbox::new(OutboxLimits { stanzas: 10, bytes: 200 });
    outbox.push(message(1, 100)).unwrap();
    assert_eq!(outbox.push(message(2, 100)).unwrap_err().0.id(), Some("2"));
}

#[test]
fn takes_a_stanza_of_any_size_when_it_is_empty() {
    let outbox = Outbox::new(OutboxLimits { stanzas: 1, bytes: 10 });
    outbox.push(message(1, 1000)).unwrap();
    assert_eq!(outbox.len(), 1);
}

#[test]
fn hands_out_batches_of_bounded_size_in_order() {
    let outbox = Outbox::default();
    for id in 0..5 {
        outbox.push(message(id, 30_000)).unwrap();
    }
    assert_eq!(batch(&outbox, false), ["0", "1"]);
    assert_eq!(batch(&outbox, false), ["2", "3"]);
    assert_eq!(batch(&outbox, false), ["4"]);
    assert!(batch(&outbox, false).is_empty());
}

#[test]
fn puts_back_in_front_what_was_not_sent() {
    let outbox = Outbox::default();
    for id in 0..4 {
        outbox.push(message(id, 30_000)).unwrap();
    }
    batch(&outbox, false);
    outbox.give_back();
    assert_eq!(ids(&outbox.take_all()), ["0", "1", "2", "3"]);
    assert!(outbox.is_empty());
}

#[test]
fn keeps_what_was_sent_until_it_is_acknowledged_and_sends_the_rest_again_ahead_of_anything_new() {
    let outbox = Outbox::default();
    (0..5).for_each(|id| outbox.push(message(id, 1)).unwrap());
    batch(&outbox, true);
    outbox.push(message(5, 1)).unwrap();
    assert_eq!((outbox.len(), outbox.unacknowledged()), (1, 5));
    outbox.acknowledge(2).unwrap();
    outbox.give_back();
    assert_eq!(batch(&outbox, true), ["2", "3", "4", "5"]);
    outbox.acknowledge(6).unwrap();
    assert_eq!((outbox.unacknowledged(), outbox.traffic().acknowledged), (0, 6));
}

/// XEP-0198, section 4.
#[test]
fn counts_acknowledgements_modulo_two_to_the_power_of_32() {
    let outbox = Outbox::default();
    outbox.lock().acknowledged = u32::MAX - 1;
    (0..4).for_each(|id| outbox.push(message(id, 1)).unwrap());
    batch(&outbox, true);
    outbox.acknowledge(1).unwrap();
    assert_eq!(outbox.unacknowledged(), 1);
    assert_eq!(outbox.acknowledge(3), Err(AcknowledgedTooMuch { sent: 2 }));
    // Less than before is more than can be.
    assert_eq!(outbox.acknowledge(0), Err(AcknowledgedTooMuch { sent: 2 }));
    outbox.acknowledge(2).unwrap();
}

#[test]
fn what_was_sent_before_the_peer_acknowledged_anything_is_not_waited_for() {
    let outbox = Outbox::default();
    outbox.push(message(0, 1)).unwrap();
    batch(&outbox, false);
    outbox.push(message(1, 1)).unwrap();
    batch(&outbox, true);
    assert!(outbox.acknowledge(1).is_err());
    outbox.accepted(1);
    assert_eq!(outbox.unacknowledged(), 1);
    outbox.acknowledge(1).unwrap();
    assert_eq!(outbox.unacknowledged(), 0);
}

#[test]
fn what_is_not_acknowledged_counts_for_the_limits() {
    let outbox = Outbox::new(OutboxLimits { stanzas: 2, bytes: 10_000 });
    (0..2).for_each(|id| outbox.push(message(id, 1)).unwrap());
    batch(&outbox, true);
    assert!(outbox.push(message(2, 1)).is_err());
    outbox.acknowledge(1).unwrap();
    outbox.push(message(2, 1)).unwrap();
    assert_eq!(ids(&outbox.take_unacknowledged()), ["1"]);
    assert_eq!(batch(&outbox, true), ["2"]);
}

#[test]
fn the_newest_presence_takes_the_place_of_an_earlier_one_where_there_is_no_room() {
    let outbox = Outbox::new(OutboxLimits { stanzas: 2, bytes: 10_000 });
    outbox.push(Stanza::parse("<presence from='a' to='b' id='old'/>").unwrap()).unwrap();
    outbox.push(message(1, 1)).unwrap();
    outbox.push(Stanza::parse("<presence from='a' to='b' id='new' type='unavailable'/>").unwrap()).unwrap();
    assert!(outbox.push(message(2, 1)).is_err());
    assert!(outbox.push(Stanza::parse("<presence from='a' to='b' id='s' type='subscribe'/>").unwrap()).is_err());
    assert_eq!(ids(&outbox.take_all()), ["new", "1"]);
}

#[test]
fn what_is_in_a_listed_namespace_overtakes_the_bulk_of_others() {
    let outbox = Outbox::default().with_urgent(Arc::from(["urn:lease".to_owned()]));
    for (id, from, namespace) in [("1", "a", "urn:bulk"), ("2", "b", "urn:lease"), ("3", "a", "urn:lease")] {
        let text = format!("<message from='{from}' to='c' id='{id}'><x xmlns='{namespace}'/></message>");
        outbox.push(Stanza::parse(&text).unwrap()).unwrap();
    }
    assert_eq!(batch(&outbox, true), ["2", "1", "3"]);
}

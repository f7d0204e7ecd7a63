//! What publish-subscribe services count.

use convoke::pubsub::PubSubStatistics;
use convoke::xmpp::Jid;

use super::{family, label};

/// Appends the counters of these services, with a line for each: their addresses are ours to choose.
pub(super) fn write(out: &mut String, services: &[(Jid, PubSubStatistics)]) {
    if services.is_empty() {
        return;
    }
    for (name, kind, help, read) in PUBSUB {
        let sample = |(address, counted): &(Jid, PubSubStatistics)| (label("service", address.as_str()), read(counted));
        family(out, &format!("pubsub_{name}"), kind, help, &services.iter().map(sample).collect::<Vec<_>>());
    }
}

/// Name, type, help and value of what a publish-subscribe service counts.
type Counted = (&'static str, &'static str, &'static str, fn(&PubSubStatistics) -> u64);

const PUBSUB: [Counted; 18] = [
    ("nodes", "gauge", "Nodes in memory.", |of| of.nodes),
    ("subscriptions", "gauge", "Subscriptions to these nodes.", |of| of.subscriptions),
    ("items", "gauge", "Items that these nodes keep.", |of| of.items),
    ("item_bytes", "gauge", "Bytes of these items.", |of| of.item_bytes),
    ("waiting_notifications", "gauge", "Notifications that wait for their subscribers or their time.", |of| of.waiting),
    ("waiting_bytes", "gauge", "Bytes of these notifications.", |of| of.waiting_bytes),
    ("held_subscribers", "gauge", "Subscribers to whom nothing is sent for now.", |of| of.held_subscribers),
    ("publications_total", "counter", "Publications that succeeded.", |of| of.publications),
    ("notifications_sent_total", "counter", "Notifications that went to the router.", |of| of.sent),
    ("notifications_deferred_total", "counter", "Notifications that found the way full.", |of| of.deferred),
    ("notifications_replaced_total", "counter", "Waiting notifications that a newer state replaced.", |of| of.replaced),
    ("notifications_returned_total", "counter", "Notifications that came back.", |of| of.bounced),
    ("notifications_given_up_total", "counter", "Notifications that were given up.", |of| of.given_up),
    ("ended_subscribers_total", "counter", "Subscribers that were dropped: nothing reached them.", |of| {
        of.ended_subscribers
    }),
    ("commits_total", "counter", "Groups of requests that the store made durable.", |of| of.committed_groups),
    ("commit_failures_total", "counter", "Groups of requests that the store did not keep.", |of| of.failed_groups),
    ("oversized_requests_total", "counter", "Requests whose changes are more than the store takes at once.", |of| {
        of.oversized_requests
    }),
    ("refused_requests_total", "counter", "Requests that were refused because too many waited.", |of| {
        of.refused_requests
    }),
];

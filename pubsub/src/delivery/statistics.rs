//! What was done, and what there is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Census;

/// A reading of what a service has done since it started, and of what it holds at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PubSubStatistics {
    /// Nodes. Of personal eventing, those of the accounts that are in memory: others are read back when they are needed.
    pub nodes: u64,
    /// Subscriptions to them, those that wait for approval included; who follows by its capabilities has none.
    pub subscriptions: u64,
    /// Items that these nodes keep.
    pub items: u64,
    /// The bytes of these items, as quotas count them.
    pub item_bytes: u64,
    /// Notifications that wait for subscribers who cannot take them now, and digests that wait for their time.
    pub waiting: u64,
    /// The bytes that these hold on to.
    pub waiting_bytes: u64,
    /// Subscribers to whom nothing is sent for now, and those whose returned notifications are counted.
    pub held_subscribers: u64,
    /// Publications that were answered with a result.
    pub publications: u64,
    /// Groups of requests that the store has made durable.
    pub committed_groups: u64,
    /// Groups of requests that the store has not kept: each request was refused, and nothing of it was told.
    pub failed_groups: u64,
    /// Requests that were refused because what one of them changes is more than the store takes at once.
    pub oversized_requests: u64,
    /// Requests that were refused unread, because too many waited.
    pub refused_requests: u64,
    /// Notifications that the router took.
    pub sent: u64,
    /// Notifications that the router gave back with resource-constraint; they were tried again later.
    pub deferred: u64,
    /// Notifications of states that a newer one replaced while they waited.
    pub replaced: u64,
    /// Notifications that were given up: no room to wait, or no way to the subscriber. Each is a gap in a position.
    pub given_up: u64,
    /// Notifications that came back from a subscriber or from the way to it.
    pub bounced: u64,
    /// Subscribers whose subscriptions ended because their notifications came back.
    pub ended_subscribers: u64,
}

impl PubSubStatistics {
    /// The same with what there is.
    pub(crate) fn with_census(self, census: Census) -> Self {
        Self {
            nodes: census.nodes as u64,
            subscriptions: census.subscriptions as u64,
            items: census.items as u64,
            item_bytes: census.item_bytes as u64,
            ..self
        }
    }
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> PubSubStatistics {
                PubSubStatistics {
                    $($name: self.$name.0.load(Ordering::Relaxed),)*
                    ..PubSubStatistics::default()
                }
            }
        }
    };
}

counters!(
    waiting,
    waiting_bytes,
    held_subscribers,
    publications,
    committed_groups,
    failed_groups,
    oversized_requests,
    refused_requests,
    sent,
    deferred,
    replaced,
    given_up,
    bounced,
    ended_subscribers,
);

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Of what goes up and down.
    pub(crate) fn set(&self, number: usize) {
        self.0.store(number as u64, Ordering::Relaxed);
    }
}

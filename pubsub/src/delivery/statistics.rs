//! What was done with notifications.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading of the counters of a service; all since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PubSubStatistics {
    /// Groups of requests that the store has made durable.
    pub committed_groups: u64,
    /// Groups of requests that the store has not kept: each request was refused, and nothing of it was told.
    pub failed_groups: u64,
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

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> PubSubStatistics {
                PubSubStatistics { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters!(
    committed_groups,
    failed_groups,
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
}

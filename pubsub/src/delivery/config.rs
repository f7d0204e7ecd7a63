//! How much may wait for slow subscribers, and for how long.

use std::time::Duration;

/// Bounds and patience of the delivery of notifications.
///
/// A notification waits only for a subscriber whose way is full, who gets digests, or whose notifications came back.
/// What finds no room is given up and counted; the subscriber sees the gap in the position of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Notifications that wait for one subscriber. Default 64: some seconds of a lively node. Of a node that is a state
    /// (`pubsub#max_items` is 1) only the newest waits.
    pub max_waiting: usize,
    /// Bytes that wait for one subscriber. Default 256 KiB: as much as a peer takes in one stanza. A payload that many wait for counts
    /// for each of them.
    pub max_waiting_bytes: usize,
    /// Bytes that wait for all subscribers together, digests included. Default 16 MiB.
    pub max_waiting_bytes_together: usize,
    /// Subscribers for whom notifications wait or whose bounces are counted. Default 10,000: as many as a node has.
    /// Beyond it, what a subscriber's way does not take is given up at once.
    pub max_held_subscribers: usize,
    /// Notifications that are remembered after they were sent, so that what comes back can be sent again. Default 1,024,
    /// each counted once for all who got it: more than are on their way to anybody. What comes back later than that is
    /// given up.
    pub max_remembered: usize,
    /// Bytes of these. Default 4 MiB.
    pub max_remembered_bytes: usize,
    /// How long to wait before a full way is tried again, at first. Default 100 ms; it doubles each time.
    pub first_retry: Duration,
    /// The longest wait between two such tries. Default 10 s.
    pub longest_retry: Duration,
    /// Changes of items in one digest. Default 100. A digest that is full leaves before its time.
    pub max_digest_changes: usize,
    /// The shortest time for which notifications are collected, whatever `pubsub#digest_frequency` says. Default 1 s.
    pub shortest_digest: Duration,
    /// The longest such time. Default 24 h.
    pub longest_digest: Duration,
    /// How long a subscriber is left alone after the first notification that came back. Default 5 s; it doubles each
    /// time. Then one notification is sent on trial.
    pub first_suspension: Duration,
    /// The longest such time. Default 1 h.
    pub longest_suspension: Duration,
    /// How long a notification on trial may take to come back. Default 2 min: longer than a federation needs to find
    /// out that nobody answers. Then the subscriber is trusted again.
    pub trial: Duration,
    /// After how many notifications in a row that came back for good, such as with item-not-found or
    /// service-unavailable, a subscriber's subscriptions end (XEP-0060, section 12.4). Default 16, with these pauses more
    /// than 6 hours: a house move of a server, or a mistake in its DNS, costs nobody a subscription.
    pub max_bounces: u32,
    /// After what time without success as many that came back for any reason are enough. Default 7 days.
    pub patience: Duration,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            max_waiting: 64,
            max_waiting_bytes: 256 * 1024,
            max_waiting_bytes_together: 16 * 1024 * 1024,
            max_held_subscribers: 10_000,
            max_remembered: 1_024,
            max_remembered_bytes: 4 * 1024 * 1024,
            first_retry: Duration::from_millis(100),
            longest_retry: 10 * SECOND,
            max_digest_changes: 100,
            shortest_digest: SECOND,
            longest_digest: 24 * HOUR,
            first_suspension: 5 * SECOND,
            longest_suspension: HOUR,
            trial: 120 * SECOND,
            max_bounces: 16,
            patience: 7 * 24 * HOUR,
        }
    }
}

/// Without any pause, a way that stays full would be tried for ever.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// The pause after so many failures, of which the first is 1: it doubles up to the longest.
pub(super) fn pause(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(longest).max(SHORTEST_PAUSE)
}

//! The options of one subscription.

use std::collections::BTreeSet;
use std::time::Duration;

use super::field::{Configured, Expiry, Field, FieldError, Value, fields};
use super::word::{Show, Word};

/// What a subscriber wants of a subscription (XEP-0060, sections 6.3 and 17.4.2).
///
/// `pubsub#include_body` is no option here: the service knows no payload well enough to make a text of it, and must not
/// offer what it cannot do (section 13.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    /// Whether it wants notifications at all.
    pub(crate) deliver: bool,
    /// Whether notifications are collected.
    pub(crate) digest: bool,
    /// For how many milliseconds they are collected.
    pub(crate) digest_frequency: usize,
    /// When the subscription ends.
    pub(crate) expire: Expiry,
    /// In which states of availability it wants notifications; all of them says that none need be known.
    pub(crate) show_values: BTreeSet<Show>,
}

impl Default for SubscriptionOptions {
    /// Everything at once, for ever.
    fn default() -> Self {
        Self {
            deliver: true,
            digest: false,
            digest_frequency: 60_000,
            expire: Expiry::Never,
            show_values: Show::ALL.iter().copied().collect(),
        }
    }
}

impl SubscriptionOptions {
    /// For how long notifications are collected, if they are.
    pub(crate) fn digest_period(&self) -> Option<Duration> {
        self.digest.then(|| Duration::from_millis(self.digest_frequency as u64))
    }

    /// Whether notifications depend on the subscriber's availability.
    pub(crate) fn needs_presence(&self) -> bool {
        self.expire == Expiry::Presence || self.show_values.len() < Show::ALL.len()
    }
}

impl Configured for SubscriptionOptions {
    const FORM_TYPE: &'static str = "http://jabber.org/protocol/pubsub#subscribe_options";

    const FIELDS: &'static [Field<Self>] = fields! { SubscriptionOptions:
        "pubsub#deliver" deliver: bool, "Whether to deliver notifications";
        "pubsub#digest" digest: bool, "Whether to collect notifications into digests";
        "pubsub#digest_frequency" digest_frequency: usize, "The milliseconds between two digests";
        "pubsub#expire" expire: Expiry, "When the subscription ends: a moment, or `presence`";
        "pubsub#show-values" show_values: BTreeSet<Show>, "The presence states in which to deliver notifications";
    };
}

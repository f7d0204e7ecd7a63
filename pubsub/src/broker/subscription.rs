//! The subscription of one address to one node.

use crate::config::SubscriptionOptions;

/// The subscription of one address to one node; an address has one at most, so that it needs no SubID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Whether it counts yet.
    pub(crate) state: SubscriptionState,
    /// What the subscriber wants of it.
    pub(crate) options: SubscriptionOptions,
}

/// The state of a subscription that exists (XEP-0060, section 4.2).
///
/// None is ever `unconfigured`: the default options do for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionState {
    /// An owner has not approved it yet.
    Pending,
    /// It is told of every change.
    Subscribed,
}

impl SubscriptionState {
    /// The value of the attribute `subscription`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Subscribed => "subscribed",
        }
    }
}

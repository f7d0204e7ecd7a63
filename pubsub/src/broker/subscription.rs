//! The state of a subscription.

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
    const ALL: [Self; 2] = [Self::Pending, Self::Subscribed];

    /// The value of the attribute `subscription`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Subscribed => "subscribed",
        }
    }

    /// The state of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

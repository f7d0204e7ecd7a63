//! Subscriptions as requests name them and as the service tells of them.

use std::fmt;

use convoke_xmpp::Jid;

use super::{NodeId, Refusal};
use crate::state::{Node, Subscription};

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

/// What tells the subscriptions of one address to one node apart (XEP-0060, section 6.1.6).
///
/// Every subscription has one from its beginning, whether or not it is ever told: 128 random bits, so that none is given
/// again to somebody who still knows an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct SubId(u128);

impl SubId {
    pub(crate) fn new(bits: u128) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u128 {
        self.0
    }

    /// Whether it is what the attribute `subid` of a request says.
    pub(crate) fn is(self, text: &str) -> bool {
        self.to_string() == text
    }
}

impl fmt::Display for SubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a request calls a subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubscriptionName {
    /// The address that is subscribed.
    pub(crate) jid: Jid,
    /// Which of its subscriptions, if the request says.
    pub(crate) subid: Option<String>,
}

/// A subscription as the service tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionInfo {
    pub(crate) node: NodeId,
    pub(crate) jid: Jid,
    pub(crate) subid: SubId,
    /// Whether the address may have several, so that the SubID is told.
    tells_subid: bool,
    /// `None` for one that has ended, or that there is not.
    pub(crate) state: Option<SubscriptionState>,
}

impl SubscriptionInfo {
    /// That an address has no such subscription.
    pub(super) fn none(node: &NodeId, jid: &Jid) -> Self {
        Self { node: node.clone(), jid: jid.clone(), subid: SubId::default(), tells_subid: false, state: None }
    }

    /// The same subscription when it has ended.
    pub(super) fn ended(self) -> Self {
        Self { state: None, ..self }
    }

    /// The SubID, where it is told.
    pub(crate) fn told_subid(&self) -> Option<SubId> {
        self.tells_subid.then_some(self.subid)
    }

    /// What stands for it in the list of its node (XEP-0059).
    pub(crate) fn list_id(&self) -> String {
        match self.told_subid() {
            Some(subid) => format!("{} {subid}", self.jid),
            None => self.jid.to_string(),
        }
    }

    /// The value of the attribute `subscription`.
    pub(crate) fn state(&self) -> &'static str {
        self.state.map_or("none", SubscriptionState::as_str)
    }
}

/// How a service deals with SubIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubIdPolicy {
    /// Whether an address may have several subscriptions to a node.
    is_supported: bool,
}

impl SubIdPolicy {
    pub(super) fn new(is_supported: bool) -> Self {
        Self { is_supported }
    }

    /// A subscription of the node as it is told of.
    pub(super) fn info(self, node: &Node, jid: &Jid, subscription: &Subscription) -> SubscriptionInfo {
        let Subscription { subid, state, .. } = *subscription;
        let tells_subid = self.is_supported || node.subscriptions().of(jid.as_str()).len() > 1;
        SubscriptionInfo { node: node.id().clone(), jid: jid.clone(), subid, tells_subid, state: Some(state) }
    }

    /// The one of these subscriptions of an address that a request means; `None` if there are none.
    ///
    /// A SubID must be given where there are several (sections 6.2.3.1, 6.3.4.3 and 6.5.9.1), must be right where the
    /// service gives any (6.2.3.5, 6.3.4.4 and 6.5.9.2), and means nothing elsewhere (6.2.3.5). A service that gave several
    /// before it was configured otherwise still tells them apart.
    pub(super) fn choose<'a>(
        self,
        own: &'a [Subscription],
        subid: Option<&str>,
    ) -> Result<Option<&'a Subscription>, Refusal> {
        match (own, subid) {
            ([], _) => Ok(None),
            ([only], None) => Ok(Some(only)),
            ([only], Some(_)) if !self.is_supported => Ok(Some(only)),
            (_, None) => Err(Refusal::SubIdRequired),
            (own, Some(subid)) => own.iter().find(|entry| entry.subid.is(subid)).map(Some).ok_or(Refusal::InvalidSubId),
        }
    }
}

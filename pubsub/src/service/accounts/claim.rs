//! What the presence of a resource shows of its capabilities (XEP-0115).

use convoke_xmpp::capabilities::{Capabilities, UncheckedCapabilities};
use convoke_xmpp::{Element, Jid, Stanza};

/// What stands for a set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// A hash: whoever shows it has the same.
    Hash(Capabilities),
    /// A hash that nobody here can check: it says nothing of others who show it (section 5.4).
    Unchecked(Jid, UncheckedCapabilities),
}

impl Claim {
    /// What the presence of this resource shows, if anything.
    pub(super) fn read(who: &Jid, presence: &Stanza) -> Option<Self> {
        let hash = Capabilities::read(presence).map(Self::Hash);
        hash.or_else(|| Some(Self::Unchecked(who.clone(), UncheckedCapabilities::read(presence)?)))
    }

    /// The node at which a resource is asked what it stands for (section 6.2).
    pub(super) fn disco_node(&self) -> String {
        match self {
            Self::Hash(hash) => hash.disco_node(),
            Self::Unchecked(_, shown) => shown.disco_node().to_owned(),
        }
    }

    /// Whether this answer of a resource tells what it stands for.
    pub(super) fn is_told_by(&self, from: &Jid, info: &Element) -> bool {
        match self {
            Self::Hash(hash) => hash.is_hash_of(info),
            Self::Unchecked(who, _) => who == from,
        }
    }
}

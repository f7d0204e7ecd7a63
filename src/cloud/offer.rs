//! What a node says of itself in its presence.

use convoke_xmpp::{Element, Stanza};

/// The namespace of offers.
pub(crate) const NAMESPACE: &str = "urn:convoke:offer:0";

/// What a node offers (the `node` element of its presence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Processor cores.
    pub cores: u32,
    /// Memory in bytes.
    pub memory: u64,
}

impl Default for Offer {
    /// One core and 256 MiB: what the smallest volunteer has.
    fn default() -> Self {
        Self { cores: 1, memory: 256 << 20 }
    }
}

impl Offer {
    /// As it goes into the presence; `incarnation` grows each time that the node starts anew.
    pub(super) fn to_element(&self, incarnation: u64) -> Element {
        Element::new("node", NAMESPACE).attr("inc", incarnation).attr("cores", self.cores).attr("mem", self.memory)
    }

    /// Offer and incarnation in a presence; `None` if it is not that of a node.
    pub(super) fn from_presence(presence: &Stanza) -> Option<(Self, u64)> {
        let tree = presence.to_element();
        let node = tree.find("node", NAMESPACE)?;
        let number = |name| node.attribute(name)?.parse::<u64>().ok();
        let cores = number("cores").and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        Some((Self { cores, memory: number("mem").unwrap_or(0) }, number("inc")?))
    }
}

/// Why a node is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Departure {
    /// It said goodbye.
    Goodbye,
    /// Its session ended without a word.
    SessionDied,
    /// It does not answer.
    Silent,
    /// It came back as a new incarnation, which knows nothing of what the old one did.
    Restarted,
    /// Its lease ended.
    LeaseEnded,
    /// The way to its domain is lost: it may well be at work, out of reach.
    RouteLost,
}

impl Departure {
    /// As it goes to the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::SessionDied => "session-died",
            Self::Silent => "silent",
            Self::Restarted => "restarted",
            Self::LeaseEnded => "lease-ended",
            Self::RouteLost => "route-lost",
        }
    }

    /// Reads what [`Departure::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Goodbye, Self::SessionDied, Self::Silent, Self::Restarted, Self::LeaseEnded, Self::RouteLost];
        all.into_iter().find(|why| why.as_str() == text)
    }

    /// The reason in an unavailable presence: `bye` is a goodbye, nothing is a session that died.
    pub(super) fn from_presence(presence: &Stanza) -> Self {
        if presence.has_payload("bye", NAMESPACE) { Self::Goodbye } else { Self::SessionDied }
    }
}

/// The child of a polite unavailable presence.
pub(super) fn bye() -> Element {
    Element::new("bye", NAMESPACE)
}

//! What others know of one resource.

use std::collections::BTreeSet;

use convoke_xmpp::{Jid, Stanza};

/// What others know of one resource.
#[derive(Debug, Default)]
pub(super) struct Availability {
    /// The last presence that was for everybody; `None` if it is known by directed presence alone.
    pub(super) broadcast: Option<Stanza>,
    /// Who was told by directed presence (RFC 6121, section 4.6).
    pub(super) directed: BTreeSet<Jid>,
}

impl Availability {
    /// Whether anybody knows the resource at all.
    pub(super) fn is_known(&self) -> bool {
        self.broadcast.is_some() || !self.directed.is_empty()
    }

    /// Whether directed presence went to this very address, or to the bare one that stands for it.
    pub(super) fn is_directed_to(&self, jid: &Jid) -> bool {
        self.directed.contains(jid) || self.directed.contains(&jid.to_bare())
    }
}

//! What others know of one resource.

use std::collections::BTreeSet;

use convoke_xmpp::{Broadcast, Jid, Stanza, namespace};

/// What others know of one resource.
#[derive(Debug, Default)]
pub(super) struct Availability {
    /// The last presence that was for everybody; `None` if it is known by directed presence alone.
    pub(super) broadcast: Option<LastBroadcast>,
    /// Who was told by directed presence (RFC 6121, section 4.6).
    pub(super) directed: BTreeSet<Jid>,
}

/// A presence that was for everybody.
#[derive(Debug)]
pub(super) struct LastBroadcast {
    pub(super) stanza: Broadcast,
    /// Which of several resources gets a message; none of negative priority does (RFC 6121, section 8.5.2.1.1).
    pub(super) priority: i8,
}

impl LastBroadcast {
    /// Reads the priority, which is zero where there is none, or none that makes sense (RFC 6121, section 4.7.2.3).
    pub(super) fn new(stanza: &Stanza) -> Self {
        // Most have none, and then no tree is made.
        let presence = stanza.text().contains("priority").then(|| stanza.to_element());
        let priority = presence.as_ref().and_then(|presence| presence.find("priority", namespace::CLIENT));
        let priority = priority.and_then(|priority| priority.content().trim().parse().ok()).unwrap_or_default();
        Self { stanza: Broadcast::new(stanza), priority }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_an_integer_of_one_byte_and_else_zero() {
        for (element, priority) in [
            ("", 0),
            ("<priority>5</priority>", 5),
            ("<show>dnd</show><priority> -128 </priority>", -128),
            ("<priority>127</priority>", 127),
            ("<priority>128</priority>", 0),
            ("<priority>high</priority>", 0),
            ("<priority/>", 0),
            ("<priority xmlns='urn:x'>-1</priority>", 0),
        ] {
            let stanza = Stanza::parse(&format!("<presence>{element}</presence>")).unwrap();
            assert_eq!(LastBroadcast::new(&stanza).priority, priority, "{element}");
        }
    }
}

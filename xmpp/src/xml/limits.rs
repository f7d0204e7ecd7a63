//! What a peer may send, enforced while reading (RFC 6120, section 13.12).

/// Limits of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one first-level element. Default 256 KiB; RFC 6120 (section 13.12) wants at least 10,000.
    pub stanza_bytes: usize,
    /// Nested elements within one first-level element. Default 100.
    pub depth: usize,
    /// Attributes of one element, declarations included. Default 64.
    pub attributes: usize,
    /// Elements within one first-level element, itself included. Default 20,000: as many as fit into 256 KiB with a
    /// name and a little content each.
    pub elements: usize,
    /// What all streams of a connection may hold together, if that is bounded. Default: not.
    pub total: Option<Total>,
}

/// A bound on everything that comes by one connection, across stream restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Bytes of XML.
    pub bytes: usize,
    /// Elements, nested ones and stream headers included.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stanza_bytes: 256 * 1024, depth: 100, attributes: 64, elements: 20_000, total: None }
    }
}

impl Limits {
    /// The least that an authenticated peer must be allowed for one element, in bytes (RFC 6120, section 13.12).
    pub const LEAST_STANZA_BYTES: usize = 10_000;

    /// The same limits, but at least what the standard demands for authenticated peers.
    pub fn at_least_standard(self) -> Self {
        Self { stanza_bytes: self.stanza_bytes.max(Self::LEAST_STANZA_BYTES), ..self }
    }

    /// What a peer may send before it has authenticated: 8 KiB and 32 elements in all.
    pub fn before_authentication() -> Self {
        let total = Total { bytes: 8 * 1024, elements: 32 };
        Self { stanza_bytes: total.bytes, depth: 8, attributes: 32, elements: total.elements, total: Some(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authenticated_peer_is_allowed_what_the_standard_demands() {
        let narrow = Limits { stanza_bytes: 1, ..Limits::default() };
        assert_eq!(narrow.at_least_standard().stanza_bytes, 10_000);
        assert_eq!(Limits::default().at_least_standard(), Limits::default());
    }
}

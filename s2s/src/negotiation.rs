//! The two roles of a server-to-server negotiation, without I/O.

mod identifier;
mod initiating;
mod machine;
mod receiving;

use convoke_xmpp::Domainpart;

pub use initiating::{Initiating, InitiatingConfig};
pub use receiving::{Receiving, ReceivingConfig};

use crate::identity::PeerIdentity;

/// What an initiating entity names as authorization identity in SASL EXTERNAL (RFC 6120, section 6.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Authzid {
    /// Its own domain. The default, because there are receiving entities that take nothing else (XEP-0178, section 3).
    #[default]
    Domain,
    /// None, written `=`, as RFC 6120 would have it.
    Empty,
}

/// What a successful negotiation proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The domain of this side.
    pub local: Domainpart,
    /// The proved identity of the other side.
    pub identity: PeerIdentity,
    /// The largest first-level element that the peer says it accepts, in bytes (XEP-0478).
    pub peer_max_bytes: Option<u64>,
    /// The TLS version, such as `TLSv1.3`.
    pub tls_version: &'static str,
    /// Whether an earlier TLS session was resumed; the certificates were verified anew nevertheless.
    pub resumed: bool,
}

#[cfg(test)]
mod tests;

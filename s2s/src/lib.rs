//! XMPP server-to-server federation: SRV, STARTTLS, mutual certificates, SASL EXTERNAL, links.

pub mod error;
pub mod identity;
pub mod negotiation;
mod sasl;
pub mod target;

pub use error::{NegotiationFailure, Stage};
pub use identity::{IdentityError, IdentityVerifier, PeerIdentity, TrustAnchors, TrustError};
pub use negotiation::{Authzid, Established, Initiating, InitiatingConfig, Receiving, ReceivingConfig};

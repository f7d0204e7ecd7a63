//! The sockets of Convoke: the only crate that touches TCP and TLS.
//!
//! * [`pem`] and [`credentials`]: certificates and keys from files; [`tls`]: what to show and to ask of a peer.
//! * [`driver`]: performs what a [`Negotiator`](convoke_xmpp::negotiation::Negotiator) wants, on a TCP connection.
//! * [`session`]: runs a negotiated stream; [`outbox`]: the bounded queue of what it sends.
//! * [`listener`], [`admission`] and [`shutdown`]: accepting connections, not too many of anybody, and ending everything
//!   in time.
//! * [`tcp`]: which network all of this stands on.

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("convoke-net needs a crypto provider: enable the feature `ring` or `aws-lc-rs`");

pub mod admission;
pub mod connection;
pub mod credentials;
pub mod driver;
pub mod listener;
pub mod outbox;
pub mod pem;
pub mod roots;
pub mod session;
pub mod shutdown;
pub mod tcp;
pub mod tls;

mod pace;
pub mod provider;
mod trouble;
pub mod verifier;
mod wire;
mod writer;

pub use admission::{Admission, AdmissionLimits, Admitted};
pub use connection::{Connection, FirstWord};
pub use credentials::{Credentials, CredentialsError};
pub use driver::{Negotiated, NegotiationError, negotiate};
pub use listener::accept;
pub use outbox::{AcknowledgedTooMuch, Full, Outbox, OutboxLimits, Traffic};
pub use pem::PemError;
pub use session::{Agreed, End, SessionHandler, SessionSettings};
pub use shutdown::{Drained, Tasks};
pub use tls::{TlsContext, TlsError};

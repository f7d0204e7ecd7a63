//! The ground floor of Convoke: what an XMPP entity says and means, without sockets, TLS or a clock.
//!
//! * [`address`]: JIDs and their parts (RFC 7622).
//! * [`xml`]: the strict push reader of a stream, and element trees for payloads.
//! * [`stanza`]: stanzas as validated bytes with a parsed header; [`stanza_error`]: their errors.
//! * [`stream`]: stream headers, features, stream errors and SASL failures (RFC 6120).
//! * [`negotiation`]: the contract between a handshake and the code that does its I/O.
//! * [`session`]: what happens on a stream after negotiation, without I/O.
//! * [`routing`]: the traits by which rooms hand stanzas to each other.
//! * [`dispatch`]: one answer for every request.
//! * [`payload`] and [`capabilities`]: what entities say about themselves.

pub mod address;
pub mod capabilities;
pub mod dispatch;
pub mod namespace;
pub mod negotiation;
pub mod payload;
pub mod routing;
pub mod session;
pub mod stanza;
pub mod stanza_error;
pub mod stream;
pub mod xml;

pub use address::{AddressError, Domainpart, Jid, JidRef};
pub use routing::{Origin, Outbound, RouteChange, Router, Service, Undelivered};
pub use stanza::{Broadcast, IqType, Kind, MessageType, PresenceType, Stanza};
pub use stanza_error::{Condition, ErrorType, StanzaError};
pub use xml::{Element, Limits, ReadError, StreamEvent, StreamReader};

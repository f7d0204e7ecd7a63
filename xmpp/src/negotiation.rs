//! The contract between a handshake and the code that does its I/O.
//!
//! A [`Negotiator`] is a state machine: it is told what happened ([`Input`]) and says what to do ([`Output`]). It knows
//! no socket and no clock. One driver serves all handshakes; tests drive them with virtual time.

use std::time::{Instant, SystemTime};

use crate::Domainpart;
use crate::stream::{StreamError, StreamHeader};
use crate::xml::{Element, ReadError, StreamEvent};

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The peer sent this.
    Stream(StreamEvent),
    /// The peer sent something that is no acceptable XML stream.
    Malformed(ReadError),
    /// The TLS handshake succeeded.
    TlsEstablished(TlsInfo<'a>),
    /// The TLS handshake failed.
    TlsFailed(TlsFailure),
    /// The peer closed the connection without closing the stream.
    Disconnected,
    /// The time that [`Negotiator::poll_timeout`] named has come.
    Timeout,
}

/// What to do.
#[derive(Debug)]
pub enum Output<E> {
    /// Send this element.
    Send(Element),
    /// Send this stream header.
    OpenStream(StreamHeader),
    /// Begin the TLS handshake; bytes that the peer sent ahead of it end the connection.
    StartTls(TlsStart),
    /// Expect a new stream header: forget what was read of the old stream.
    RestartStream,
    /// The negotiation has succeeded.
    Established(E),
    /// Send the error, if any, close the stream and then the connection.
    Close(Option<StreamError>),
}

/// Which side of TLS to play, and whose certificate to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsStart {
    /// As TLS client.
    Initiating {
        /// The domain whose certificate is shown.
        local: Domainpart,
        /// The domain that is named to the peer (SNI).
        remote: Domainpart,
        /// The protocol that is named to the peer (ALPN), on direct TLS (XEP-0368, section 3).
        alpn: Option<&'static [u8]>,
    },
    /// As TLS server.
    Receiving {
        /// The domain whose certificate is shown; `None` for direct TLS, where the peer names it by SNI.
        local: Option<Domainpart>,
        /// The protocol that is chosen if the peer names any (ALPN), on direct TLS.
        alpn: Option<&'static [u8]>,
    },
}

/// What the TLS handshake found.
#[derive(Debug, Clone, Copy)]
pub struct TlsInfo<'a> {
    /// The certificates that the peer showed, as DER, its own first; only possession of the key is proved.
    pub peer_chain: &'a [&'a [u8]],
    /// The version, such as `TLSv1.3`.
    pub version: &'static str,
    /// The protocol that ALPN selected.
    pub alpn: Option<&'a [u8]>,
    /// Whether an earlier session was resumed: the certificates are those of then.
    pub resumed: bool,
    /// The wall clock when the handshake ended: certificates are judged by it.
    pub at: SystemTime,
    /// Keying material for channel binding (RFC 9266), 32 bytes.
    pub exporter: Option<[u8; 32]>,
}

/// Why the TLS handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFailure {
    /// What the TLS library says.
    pub reason: String,
    /// The number of the alert by which the peer ended it, if it sent one (RFC 8446, section 6).
    pub alert: Option<u8>,
}

/// A failure that knows its stream error.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The stream error that tells the peer; `None` where nothing is to be sent.
    fn stream_error(&self) -> Option<StreamError>;
}

/// A handshake without I/O.
///
/// After `handle` the driver takes all outputs; after an error it sends what [`Failure::stream_error`] names and closes.
pub trait Negotiator {
    /// What a successful negotiation proves.
    type Established;
    /// Why a negotiation fails.
    type Error: Failure;

    /// Takes what happened.
    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Self::Error>;
    /// The next thing to do, until there is none.
    fn poll_output(&mut self) -> Option<Output<Self::Established>>;
    /// When [`Input::Timeout`] is due.
    fn poll_timeout(&self) -> Option<Instant>;
}

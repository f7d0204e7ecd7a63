//! Runs a negotiated stream: reads and delivers, writes in batches, keeps alive, asks and answers what was handled
//! (XEP-0198), and closes as RFC 6120 wants.

mod runner;

use std::future::Future;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use convoke_xmpp::session::{Grant, Management, SessionConfig, SessionEnd};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Element, Stanza};
use tokio_util::sync::CancellationToken;

use self::runner::Runner;
use crate::connection::Connection;
use crate::outbox::Outbox;

/// Takes the stanzas of a session, in order, and decides about its acknowledgements. Must not block.
pub trait SessionHandler: Send {
    /// Takes one stanza, and with it the responsibility for it. An error closes the stream with it, and nothing more is
    /// delivered.
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError>;

    /// Takes a first-level element that is no stanza and not of the session's own. An error closes the stream with it, and
    /// nothing more is delivered. Default: none is known, `unsupported-stanza-type`.
    fn element(&mut self, element: Element) -> Result<(), StreamError> {
        let _ = element;
        Err(StreamCondition::UnsupportedStanzaType.into())
    }

    /// The next first-level element to send that is no stanza; it goes ahead of all stanzas that are not on their way yet.
    /// Asked at each turn, and again when the waker of `cx` is woken. Default none.
    fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<Element> {
        let _ = cx;
        Poll::Pending
    }

    /// Why the peer may not go on, once that is so: the stream is closed with it, and nothing more is delivered. Asked at
    /// each turn, and again when the waker of `cx` is woken. Default never.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        let _ = cx;
        Poll::Pending
    }

    /// The stanzas of the outbox are this session's to send from here on.
    fn serves(&mut self) {}

    /// Whether they have to wait all the same: asked at each turn. Default no.
    fn holds(&self) -> bool {
        false
    }

    /// How long nothing more is to be read, because the peer has sent more than it may. Asked after each read; TCP slows the
    /// peer down meanwhile, and nothing is lost. Five seconds at most, or its silence could be taken for death. Default not
    /// at all.
    fn pause(&mut self) -> Option<Duration> {
        None
    }

    /// Something was read at this time, stanza or not, or the peer has made room for more: it is alive.
    fn heard(&mut self, at: Instant) {
        let _ = at;
    }

    /// When the peer was last heard, by whichever of its streams. Default: other streams are not known.
    fn last_heard(&self) -> Option<Instant> {
        None
    }

    /// What a peer is asked that does not acknowledge and was silent for [`SessionConfig::keepalive`] (XEP-0199). Unless it
    /// is heard within [`SessionConfig::acknowledgement`], the connection is given up. Where the answer comes by another
    /// stream, [`SessionHandler::last_heard`] has to know. Default `None`: such a peer is never asked.
    fn ping(&mut self) -> Option<Stanza> {
        None
    }

    /// How the session begins with acknowledgements. Default: without.
    fn management(&mut self) -> Management {
        Management::Off
    }

    /// The peer asks for acknowledgements, and whether it could resume the session; `None` refuses. Default.
    fn grant(&mut self, resume: bool) -> Option<Grant> {
        let _ = resume;
        None
    }

    /// The agreement on acknowledgements has changed.
    fn agreed(&mut self, agreed: Agreed) {
        let _ = agreed;
    }

    /// The session is over, and in it so many stanzas of the peer were handled, as acknowledgements count.
    fn ended(&mut self, handled: u32) {
        let _ = handled;
    }
}

/// What a handler is told of acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Agreed {
    /// The peer acknowledges from here on, and grants this.
    Enabled(Grant),
    /// The peer does not acknowledge.
    Declined,
    /// The lost session goes on; the outbox sends again what was lost.
    Resumed,
    /// The lost session is lost for good. These stanzas were sent in it and not acknowledged, in order.
    NotResumed(Vec<Stanza>),
}

/// The times of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// Keepalive and closing handshake.
    pub session: SessionConfig,
    /// How long the peer may take to read 64 KiB, or whatever less is waiting, before the connection is cut. Reading a
    /// little does not extend it. Default 60 s: longer than a path takes to recover from a lost link, and what waits
    /// meanwhile is bounded by the outbox.
    pub write_timeout: Duration,
    /// How long no stanza may pass before the stream is closed politely. Default none: the sessions of clients last.
    pub idle: Option<Duration>,
    /// When the stream is closed with `reset`, because what proves the peer is no longer in force (RFC 6120, section
    /// 13.7.2.3). Default never.
    pub reset_at: Option<Instant>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { session: SessionConfig::default(), write_timeout: Duration::from_secs(60), idle: None, reset_at: None }
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// As the protocol sees it.
    Stream(SessionEnd),
    /// The peer did not read what was written.
    WriteTimeout,
    /// The peer was silent, and did not answer a ping either: the connection is as good as broken.
    Unanswered,
    /// The session was told to break the connection.
    Cut,
}

impl End {
    /// Whether the connection was lost rather than closed.
    pub fn is_loss(&self) -> bool {
        use SessionEnd::{Disconnected, Unacknowledged};
        matches!(self, Self::WriteTimeout | Self::Unanswered | Self::Cut | Self::Stream(Disconnected | Unacknowledged))
    }
}

/// What is done to a session from outside.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Sends what is queued by then, then `system-shutdown`, and closes the stream.
    pub shutdown: CancellationToken,
    /// Closes the stream without an error and without sending more of what is queued.
    pub leave: CancellationToken,
    /// Breaks the TCP connection at once, without closing tags.
    pub cut: CancellationToken,
    /// If there is one, nothing of the outbox is sent before it is cancelled: another session may be at it.
    pub hold: Option<CancellationToken>,
}

/// Runs a session until it ends.
///
/// Stanzas of the outbox that the transport has not accepted whole are in it, in order, when this returns. After a loss
/// what was accepted may or may not have reached the peer; where the peer acknowledges, that is still in flight in the
/// outbox, to be asked for by [`Management::Resume`] or to be taken out.
pub fn run<'a, H: SessionHandler>(
    connection: Connection,
    outbox: &'a Outbox,
    handler: &'a mut H,
    settings: SessionSettings,
    stop: &'a Stop,
) -> impl Future<Output = End> + use<'a, H> {
    let Connection { transport, reader, first } = connection;
    // On the heap once: what an async function is given it may hold twice.
    let mut runner = Box::new(Runner::new(reader, first, outbox, handler, settings));
    async move { runner.run(transport, stop).await }
}

//! Runs a negotiated stream: reads and delivers, writes in batches, keeps alive, and closes as RFC 6120 wants.

use std::io;
use std::time::{Duration, Instant};

use convoke_xmpp::session::{Session, SessionConfig, SessionEnd, SessionOutput};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Stanza, StreamReader};
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Transport, farewell};
use crate::outbox::Outbox;
use crate::writer::Writer;

/// Bytes per read: one full TLS record.
const READ_BYTES: usize = 16 * 1024;

/// Takes the stanzas of a session, in order.
pub trait SessionHandler: Send {
    /// Takes one stanza. Must not block. An error closes the stream with it, and nothing more is delivered.
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError>;
}

/// The times of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// Keepalive and closing handshake.
    pub session: SessionConfig,
    /// How long the peer may leave what we write unread, before the connection is cut. Default 60 s: longer than a
    /// path takes to recover from a lost link, and what waits meanwhile is bounded by the outbox.
    pub write_timeout: Duration,
    /// How long no stanza may pass before the stream is closed politely. Default none: the sessions of clients last.
    pub idle: Option<Duration>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { session: SessionConfig::default(), write_timeout: Duration::from_secs(60), idle: None }
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
    /// The session was told to break the connection.
    Cut,
}

impl End {
    /// Whether the connection was lost rather than closed.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::WriteTimeout | Self::Cut | Self::Stream(SessionEnd::Disconnected))
    }
}

/// The two ways to end a session from outside.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Sends what is queued, then `system-shutdown`, and closes the stream.
    pub shutdown: CancellationToken,
    /// Breaks the TCP connection at once, without closing tags.
    pub cut: CancellationToken,
}

/// Runs a session until it ends.
///
/// Stanzas of the outbox that the transport has not accepted whole are in it, in order, when this returns. After a loss
/// what was accepted may or may not have reached the peer.
pub async fn run(
    connection: Connection,
    outbox: &Outbox,
    handler: &mut impl SessionHandler,
    settings: SessionSettings,
    stop: &Stop,
) -> End {
    let Connection { transport, reader } = connection;
    let now = now();
    let runner = Runner {
        session: Session::new(settings.session, now),
        reader,
        writer: Writer::new(outbox),
        outbox,
        handler,
        settings,
        closing: None,
        closed: false,
        refused: false,
        malformed: false,
        write_by: now,
        last_stanza: now,
    };
    runner.run(transport, stop).await
}

struct Runner<'a, H> {
    session: Session,
    reader: StreamReader,
    writer: Writer<'a>,
    outbox: &'a Outbox,
    handler: &'a mut H,
    settings: SessionSettings,
    /// What to close with once the outbox is empty.
    closing: Option<Option<StreamError>>,
    /// Whether our closing tag is on its way: nothing may follow it.
    closed: bool,
    /// Whether the handler has refused a stanza: the rest is not looked at.
    refused: bool,
    /// Whether what the peer sends cannot be read any more.
    malformed: bool,
    /// When the peer must have read something, while there is something to write.
    write_by: Instant,
    last_stanza: Instant,
}

/// Why the session goes on.
enum Wake {
    Read(io::Result<usize>),
    Written(io::Result<()>),
    Filled,
    Timer,
    Shutdown,
    Cut,
}

impl<H: SessionHandler> Runner<'_, H> {
    async fn run(mut self, transport: Transport, stop: &Stop) -> End {
        let (mut input, mut output) = tokio::io::split(transport);
        let mut buffer = vec![0; READ_BYTES];
        let end = loop {
            // The first time: what came in one piece with the end of the negotiation.
            if let Some(end) = self.take_events() {
                break End::Stream(end);
            }
            if stop.cut.is_cancelled() {
                // Before anything more is written: it would be lost.
                break End::Cut;
            }
            self.prepare_writes();
            let wake = self.wait(&mut input, &mut buffer, &mut output, stop).await;
            if let Some(end) = self.handle(wake, &buffer) {
                break end;
            }
        };
        self.finish(end, input.unsplit(output)).await
    }

    async fn wait(
        &mut self,
        input: &mut ReadHalf<Transport>,
        buffer: &mut [u8],
        output: &mut WriteHalf<Transport>,
        stop: &Stop,
    ) -> Wake {
        let deadline = self.deadline();
        let writes = self.writer.has_work();
        let stays = self.closing.is_none() && !self.closed;
        tokio::select! {
            () = stop.cut.cancelled() => Wake::Cut,
            () = stop.shutdown.cancelled(), if stays => Wake::Shutdown,
            read = input.read(buffer) => Wake::Read(read),
            written = self.writer.advance(output), if writes => Wake::Written(written),
            () = self.outbox.filled(), if !writes && !self.closed => Wake::Filled,
            () = sleep_until(deadline.into()) => Wake::Timer,
        }
    }

    fn handle(&mut self, wake: Wake, buffer: &[u8]) -> Option<End> {
        match wake {
            Wake::Read(Ok(length)) if length > 0 => {
                self.reader.push(&buffer[..length]);
            }
            Wake::Read(_) | Wake::Written(Err(_)) => self.session.disconnected(),
            Wake::Written(Ok(())) => self.written(),
            Wake::Filled => {}
            Wake::Timer => return self.time(),
            Wake::Shutdown => self.closing = Some(Some(StreamCondition::SystemShutdown.into())),
            Wake::Cut => return Some(End::Cut),
        }
        None
    }

    /// Handles what was read, one event at a time: a stanza that is refused decides what becomes of the next.
    fn take_events(&mut self) -> Option<SessionEnd> {
        loop {
            if let Some(end) = self.perform() {
                return Some(end);
            }
            match self.reader.poll() {
                _ if self.malformed => return None,
                Ok(Some(event)) => self.session.handle(now(), event),
                Ok(None) => return None,
                Err(error) => {
                    self.malformed = true;
                    self.session.malformed(now(), error);
                }
            }
        }
    }

    fn perform(&mut self) -> Option<SessionEnd> {
        while let Some(output) = self.session.poll_output() {
            match output {
                SessionOutput::Deliver(stanza) => self.deliver(stanza),
                SessionOutput::KeepAlive => self.push_text(" "),
                SessionOutput::Close(error) => {
                    self.push_text(&farewell(error.as_ref()));
                    self.closed = true;
                }
                SessionOutput::Ended(end) => return Some(end),
            }
        }
        None
    }

    fn deliver(&mut self, stanza: Stanza) {
        self.last_stanza = now();
        if self.refused {
            return;
        }
        if let Err(error) = self.handler.stanza(stanza) {
            self.refused = true;
            self.session.close(now(), Some(error));
        }
    }

    /// Fills the write buffer, unless it is full already or the stream is closed to us.
    fn prepare_writes(&mut self) {
        if !self.writer.is_drained() || self.closed {
            return;
        }
        if self.writer.refill() {
            self.last_stanza = now();
            self.expect_progress();
        } else if let Some(error) = self.closing.take() {
            self.session.close(now(), error);
            // Ending needs the peer; the closing tag is all that is left.
            let _ = self.perform();
        } else {
            self.writer.release();
        }
    }

    fn push_text(&mut self, text: &str) {
        if !self.writer.has_work() {
            self.expect_progress();
        }
        self.writer.push_text(text);
    }

    fn written(&mut self) {
        self.session.sent(now());
        self.expect_progress();
    }

    fn expect_progress(&mut self) {
        self.write_by = now() + self.settings.write_timeout;
    }

    fn time(&mut self) -> Option<End> {
        let now = now();
        if self.writer.has_work() && self.write_by <= now {
            return Some(End::WriteTimeout);
        }
        if self.idle_at().is_some_and(|at| at <= now) {
            self.closing = Some(None);
        }
        self.session.timeout(now);
        None
    }

    fn deadline(&self) -> Instant {
        let write_by = self.writer.has_work().then_some(self.write_by);
        [write_by, self.idle_at()].into_iter().flatten().fold(self.session.poll_timeout(), Instant::min)
    }

    fn idle_at(&self) -> Option<Instant> {
        let ends_anyway = self.closing.is_some() || self.closed;
        self.settings.idle.filter(|_| !ends_anyway).map(|idle| self.last_stanza + idle)
    }

    async fn finish(mut self, end: End, mut transport: Transport) -> End {
        if !end.is_loss() {
            let write_rest =
                async { while self.writer.has_work() && self.writer.advance(&mut transport).await.is_ok() {} };
            // As long as the closing handshake may take: the peer has closed or was to close already.
            let _ = tokio::time::timeout(self.settings.session.close_wait, write_rest).await;
        }
        self.writer.give_back();
        if !end.is_loss() {
            transport.close(&[]).await;
        }
        end
    }
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

//! Runs a negotiated stream: reads and delivers, writes in batches, keeps alive, and closes as RFC 6120 wants.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use convoke_xmpp::session::{Session, SessionConfig, SessionEnd, SessionOutput};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Stanza, StreamReader};
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::connection::{CLOSE_WAIT, Connection, Socket, Transport, farewell};
use crate::outbox::Outbox;
use crate::pace::Pace;
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
    /// How long the peer may take to read 64 KiB, or whatever less is waiting, before the connection is cut. Reading a
    /// little does not extend it. Default 60 s: longer than a path takes to recover from a lost link, and what waits
    /// meanwhile is bounded by the outbox.
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
    /// Sends what is queued by then, then `system-shutdown`, and closes the stream.
    pub shutdown: CancellationToken,
    /// Breaks the TCP connection at once, without closing tags.
    pub cut: CancellationToken,
}

/// Runs a session until it ends.
///
/// Stanzas of the outbox that the transport has not accepted whole are in it, in order, when this returns. After a loss
/// what was accepted may or may not have reached the peer.
pub fn run<'a, H: SessionHandler>(
    connection: Connection,
    outbox: &'a Outbox,
    handler: &'a mut H,
    settings: SessionSettings,
    stop: &'a Stop,
) -> impl Future<Output = End> + use<'a, H> {
    let Connection { transport, reader } = connection;
    // On the heap once: what an async function is given it may hold twice.
    let mut runner = Box::new(Runner::new(reader, outbox, handler, settings));
    async move { runner.run(transport, stop).await }
}

/// One turn of a session: what has come is handled, then one read and one write are tried, and then it waits. So neither
/// direction waits for more than one read or one batch of the other, however much there is of either.
struct Runner<'a, H> {
    session: Session,
    reader: Box<StreamReader>,
    writer: Writer<'a>,
    outbox: &'a Outbox,
    handler: &'a mut H,
    settings: SessionSettings,
    /// What to close with, and when.
    closing: Option<Closing>,
    /// Whether our closing tag is on its way: nothing may follow it.
    closed: bool,
    /// Whether the handler has refused a stanza: the rest is not looked at.
    refused: bool,
    /// Whether what the peer sends cannot be read any more.
    malformed: bool,
    /// Whether nothing can be written any more.
    unwritable: bool,
    /// When the peer must have read something, while there is something to write.
    pace: Pace,
    last_stanza: Instant,
    /// When this turn began.
    now: Instant,
}

/// How the stream is to be closed.
struct Closing {
    error: Option<StreamError>,
    /// How many stanzas of the outbox go ahead: those that were in it. Others may be queued all the time.
    ahead: usize,
}

/// Why the session goes on.
enum Wake {
    /// Something was read or written, or the time has come to look.
    Turn,
    Shutdown,
    Cut,
}

impl<'a, H: SessionHandler> Runner<'a, H> {
    fn new(reader: Box<StreamReader>, outbox: &'a Outbox, handler: &'a mut H, settings: SessionSettings) -> Self {
        let now = now();
        Self {
            session: Session::new(settings.session, now),
            reader,
            writer: Writer::new(outbox),
            outbox,
            handler,
            closing: None,
            closed: false,
            refused: false,
            malformed: false,
            unwritable: false,
            pace: Pace::new(settings.write_timeout, now),
            settings,
            last_stanza: now,
            now,
        }
    }

    async fn run(&mut self, mut transport: Transport, stop: &Stop) -> End {
        let end = self.carry(&mut transport, stop).await;
        self.finish(&end, transport).await;
        end
    }

    async fn carry(&mut self, socket: &mut impl Socket, stop: &Stop) -> End {
        // Of its own: the token of a shutdown is shared by all sessions, and so is the lock within.
        let shutdown = stop.shutdown.child_token();
        let mut shutdown = pin!(shutdown.cancelled());
        let mut cut = pin!(stop.cut.cancelled());
        let mut timer = pin!(sleep_until(self.deadline().into()));
        loop {
            self.now = now();
            // The first time: what came in one piece with the end of the negotiation.
            if let Some(end) = self.time().or_else(|| self.take_events().map(End::Stream)) {
                return end;
            }
            if stop.cut.is_cancelled() {
                // Before anything more is written: it would be lost.
                return End::Cut;
            }
            self.prepare_writes();
            arm(timer.as_mut(), self.deadline());
            match self.wait(socket, cut.as_mut(), shutdown.as_mut(), timer.as_mut()).await {
                Wake::Turn => {}
                Wake::Shutdown => self.begin_closing(Some(StreamCondition::SystemShutdown.into())),
                Wake::Cut => return End::Cut,
            }
        }
    }

    async fn wait(
        &mut self,
        socket: &mut impl Socket,
        cut: Pin<&mut impl Future<Output = ()>>,
        shutdown: Pin<&mut impl Future<Output = ()>>,
        timer: Pin<&mut Sleep>,
    ) -> Wake {
        let outbox = self.outbox;
        let open = self.closing.is_none() && !self.closed;
        let takes = !self.writer.has_work() && !self.closed && !self.unwritable;
        tokio::select! {
            // In this order: what ends the session comes first, and no time is missed, for each turn looks at the clock.
            biased;
            () = cut => Wake::Cut,
            () = shutdown, if open => Wake::Shutdown,
            () = poll_fn(|cx| self.poll_turn(socket, cx)) => Wake::Turn,
            () = outbox.filled(), if takes => Wake::Turn,
            () = timer => Wake::Turn,
        }
    }

    /// Reads once and writes once, each if it can be done.
    fn poll_turn(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Poll<()> {
        let has_read = self.poll_read(socket, cx);
        let has_written = self.poll_write(socket, cx);
        if has_read || has_written { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_read(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> bool {
        let reader = &mut self.reader;
        match socket.poll_take::<READ_BYTES>(cx, |bytes| reader.push(bytes)) {
            Poll::Ready(Ok(length)) if length > 0 => {}
            Poll::Ready(_) => self.session.disconnected(),
            // What the peer said before it went away, its error perhaps, has been read by now.
            Poll::Pending if self.unwritable => self.session.disconnected(),
            Poll::Pending => return false,
        }
        true
    }

    fn poll_write(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> bool {
        if self.unwritable || !self.writer.has_work() {
            return false;
        }
        match self.writer.poll_advance(socket, cx) {
            Poll::Ready(Ok(length)) => {
                self.session.sent(self.now);
                self.pace.progress(self.now, length);
            }
            Poll::Ready(Err(_)) => self.unwritable = true,
            Poll::Pending => return false,
        }
        true
    }

    fn begin_closing(&mut self, error: Option<StreamError>) {
        self.closing = Some(Closing { error, ahead: self.outbox.len() });
    }

    /// Handles what was read, one event at a time: a stanza that is refused decides what becomes of the next.
    fn take_events(&mut self) -> Option<SessionEnd> {
        loop {
            if let Some(end) = self.perform() {
                return Some(end);
            }
            match self.reader.poll() {
                _ if self.malformed => return None,
                Ok(Some(event)) => self.session.handle(self.now, event),
                Ok(None) => return None,
                Err(error) => {
                    self.malformed = true;
                    self.session.malformed(self.now, error);
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
        self.last_stanza = self.now;
        if self.refused {
            return;
        }
        if let Err(error) = self.handler.stanza(stanza) {
            self.refused = true;
            self.session.close(self.now, Some(error));
        }
    }

    /// Fills the write buffer, unless it is full already or the stream is closed to us.
    fn prepare_writes(&mut self) {
        if !self.writer.is_drained() || self.closed || self.unwritable {
            return;
        }
        let rested = !self.writer.has_work();
        let taken = self.writer.refill(self.closing.as_ref().map_or(usize::MAX, |closing| closing.ahead));
        if taken > 0 {
            self.taken(taken, rested);
        } else if let Some(closing) = self.closing.take() {
            self.session.close(self.now, closing.error);
            // Ending needs the peer; the closing tag is all that is left.
            let _ = self.perform();
        } else {
            self.writer.release();
        }
    }

    fn taken(&mut self, stanzas: usize, rested: bool) {
        if let Some(closing) = &mut self.closing {
            closing.ahead -= stanzas;
        }
        self.last_stanza = self.now;
        if rested {
            self.pace.begin(self.now);
        }
    }

    fn push_text(&mut self, text: &str) {
        if !self.writer.has_work() {
            self.pace.begin(self.now);
        }
        self.writer.push_text(text);
    }

    /// Does what the clock says, if anything.
    fn time(&mut self) -> Option<End> {
        if self.writer.has_work() && self.pace.deadline() <= self.now {
            return Some(End::WriteTimeout);
        }
        if self.idle_at().is_some_and(|at| at <= self.now) {
            self.begin_closing(None);
        }
        if self.session.poll_timeout() <= self.now {
            self.session.timeout(self.now);
        }
        None
    }

    fn deadline(&self) -> Instant {
        let write_by = self.writer.has_work().then_some(self.pace.deadline());
        [write_by, self.idle_at()].into_iter().flatten().fold(self.session.poll_timeout(), Instant::min)
    }

    fn idle_at(&self) -> Option<Instant> {
        let ends_anyway = self.closing.is_some() || self.closed;
        self.settings.idle.filter(|_| !ends_anyway).map(|idle| self.last_stanza + idle)
    }

    async fn finish(&mut self, end: &End, mut transport: Transport) {
        if end.is_loss() {
            self.writer.give_back();
            if *end == End::WriteTimeout {
                transport.reset();
            }
            return;
        }
        // As long as the closing handshake may take: the peer has closed or was to close already.
        let _ = tokio::time::timeout(self.settings.session.close_wait, self.write_rest(&mut transport)).await;
        self.writer.give_back();
        transport.close(&[], CLOSE_WAIT).await;
    }

    async fn write_rest(&mut self, socket: &mut impl Socket) {
        while self.writer.has_work() && !self.unwritable {
            self.unwritable = poll_fn(|cx| self.writer.poll_advance(socket, cx)).await.is_err();
        }
    }
}

/// Sets the timer only where it would ring too late or has rung: most turns only move the time to a later one.
fn arm(timer: Pin<&mut Sleep>, at: Instant) {
    let at = at.into();
    if at < timer.deadline() || timer.is_elapsed() {
        timer.reset(at);
    }
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;

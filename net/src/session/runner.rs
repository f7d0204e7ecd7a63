//! The turns of a session.

mod acknowledgements;
mod pulse;
mod window;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use convoke_xmpp::session::{Session, SessionEnd, SessionOutput};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Element, ReadError, Stanza, StreamEvent, StreamReader};
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFuture;

use self::acknowledgements::released;
use self::pulse::Pulse;
use self::window::Window;
use super::{End, SessionHandler, SessionSettings, Stop};
use crate::connection::{CLOSE_WAIT, Socket, Transport, farewell};
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::writer::Writer;

/// For how long a peer that sends too fast is not read at a time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes per read: one full TLS record.
const READ_BYTES: usize = 16 * 1024;

/// One turn of a session: what has come is handled, then one read and one write are tried, and then it waits. So neither
/// direction waits for more than one read or one batch of the other, however much there is of either.
pub(super) struct Runner<'a, H> {
    session: Session,
    reader: Box<StreamReader>,
    writer: Writer<'a>,
    outbox: &'a Outbox,
    handler: &'a mut H,
    settings: SessionSettings,
    /// What the peer has said already, before anything that is in the reader.
    first: Option<Box<Result<StreamEvent, ReadError>>>,
    /// Whether the stanzas of the outbox are this session's to send.
    serving: bool,
    /// How many stanzas the peer had acknowledged before this session.
    acknowledged: u32,
    window: Window,
    /// What to close with, and when.
    closing: Option<Closing>,
    /// Whether our closing tag is on its way: nothing may follow it.
    closed: bool,
    /// Whether the handler has refused a stanza, or the peer: the rest is not looked at.
    refused: bool,
    /// Whether what the peer sends cannot be read any more.
    malformed: bool,
    /// Whether nothing can be written any more.
    unwritable: bool,
    /// When the peer must have read something, while there is something to write.
    pace: Pace,
    /// Whether a write had to wait for the peer to read.
    is_blocked: bool,
    pulse: Pulse,
    last_stanza: Instant,
    /// When something may be read again.
    read_at: Instant,
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
    Leave,
    Cut,
}

/// What may end the session from outside, each waited for once and for all.
struct Signals<'s, 't> {
    shutdown: Pin<&'s mut WaitForCancellationFuture<'t>>,
    leave: Pin<&'s mut WaitForCancellationFuture<'t>>,
    cut: Pin<&'s mut WaitForCancellationFuture<'t>>,
    stop: &'t Stop,
}

impl<'a, H: SessionHandler> Runner<'a, H> {
    pub(super) fn new(
        reader: Box<StreamReader>,
        first: Option<Box<Result<StreamEvent, ReadError>>>,
        outbox: &'a Outbox,
        handler: &'a mut H,
        settings: SessionSettings,
    ) -> Self {
        let now = now();
        let management = handler.management();
        Self {
            acknowledged: management.acknowledged(),
            session: Session::new(settings.session, management, now),
            first,
            window: Window::new(settings.session.acknowledgement),
            serving: false,
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
            is_blocked: false,
            pulse: Pulse::new(settings.session.keepalive, settings.session.acknowledgement, now),
            settings,
            last_stanza: now,
            read_at: now,
            now,
        }
    }

    pub(super) async fn run(&mut self, mut transport: Transport, stop: &Stop) -> End {
        let end = self.carry(&mut transport, stop).await;
        self.finish(&end, transport).await;
        self.handler.ended(self.session.handled());
        end
    }

    async fn carry(&mut self, socket: &mut impl Socket, stop: &Stop) -> End {
        // Of its own: the token of a shutdown is shared by all sessions, and so is the lock within.
        let shutdown = stop.shutdown.child_token();
        let mut shutdown = pin!(shutdown.cancelled());
        let mut leave = pin!(stop.leave.cancelled());
        let mut cut = pin!(stop.cut.cancelled());
        let mut timer = pin!(sleep_until(self.deadline().into()));
        loop {
            self.now = now();
            self.take_sign();
            // The first time: what came in one piece with the end of the negotiation.
            if let Some(end) = self.time().or_else(|| self.take_events().map(End::Stream)) {
                return end;
            }
            if stop.cut.is_cancelled() {
                // Before anything more is written: it would be lost.
                return End::Cut;
            }
            self.pause();
            self.serve(stop);
            self.prepare_writes();
            arm(timer.as_mut(), self.deadline());
            let signals = Signals { shutdown: shutdown.as_mut(), leave: leave.as_mut(), cut: cut.as_mut(), stop };
            match self.wait(socket, signals, timer.as_mut()).await {
                Wake::Turn => {}
                Wake::Shutdown => self.begin_closing(Some(StreamCondition::SystemShutdown.into()), self.outbox.len()),
                Wake::Leave => self.begin_closing(None, 0),
                Wake::Cut => return End::Cut,
            }
        }
    }

    async fn wait(&mut self, socket: &mut impl Socket, signals: Signals<'_, '_>, timer: Pin<&mut Sleep>) -> Wake {
        let outbox = self.outbox;
        let open = self.closing.is_none() && !self.closed;
        let is_free = self.is_free();
        let takes = is_free && !self.writer.has_work() && !self.closed && !self.unwritable;
        let hold = signals.stop.hold.as_ref().filter(|_| !self.serving);
        tokio::select! {
            // In this order: what ends the session comes first, and no time is missed, for each turn looks at the clock.
            biased;
            () = signals.cut => Wake::Cut,
            () = signals.shutdown, if open => Wake::Shutdown,
            () = signals.leave, if open => Wake::Leave,
            () = poll_fn(|cx| self.poll_turn(socket, cx)) => Wake::Turn,
            () = outbox.filled(), if takes => Wake::Turn,
            () = released(hold), if hold.is_some() => Wake::Turn,
            () = timer => Wake::Turn,
        }
    }

    /// Reads once and writes once, each if it can be done.
    fn poll_turn(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_refusal(cx) {
            return Poll::Ready(());
        }
        let has_read = self.poll_read(socket, cx);
        let has_said = self.poll_say(cx);
        let has_written = self.poll_write(socket, cx);
        if has_read || has_said || has_written { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the peer was refused just now.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> bool {
        if self.refused || self.closed {
            return false;
        }
        let Poll::Ready(error) = self.handler.poll_refusal(cx) else { return false };
        self.refused = true;
        self.session.close(self.now, Some(error));
        true
    }

    fn poll_read(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> bool {
        if self.read_at > self.now {
            return false;
        }
        let reader = &mut self.reader;
        match socket.poll_take::<READ_BYTES>(cx, |bytes| reader.push(bytes)) {
            Poll::Ready(Ok(length)) if length > 0 => self.pulse.sign(),
            Poll::Ready(_) => self.session.disconnected(),
            // What the peer said before it went away, its error perhaps, has been read by now.
            Poll::Pending if self.unwritable => self.session.disconnected(),
            Poll::Pending => return false,
        }
        true
    }

    /// Takes what the handler has to say, behind what is being written.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.writer.is_drained() || self.closed || self.unwritable {
            return false;
        }
        let (mut has_said, held) = (false, self.handler.holds());
        while let Poll::Ready(element) = self.handler.poll_element(cx) {
            self.push_text(&element.to_stream_xml());
            has_said = true;
        }
        // What need not wait any more is taken in the next turn.
        has_said || held != self.handler.holds()
    }

    /// The timer rings when it is over: else a peer that is not read would never be read again.
    fn pause(&mut self) {
        if self.read_at <= self.now
            && let Some(pause) = self.handler.pause()
        {
            self.read_at = self.now + pause.min(LONGEST_PAUSE);
        }
    }

    fn poll_write(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> bool {
        if self.unwritable || !self.writer.has_work() {
            return false;
        }
        match self.writer.poll_advance(socket, cx) {
            Poll::Ready(Ok(length)) => {
                self.session.sent(self.now);
                self.pace.progress(self.now, length);
                if std::mem::take(&mut self.is_blocked) {
                    self.pulse.sign();
                }
            }
            Poll::Ready(Err(_)) => self.unwritable = true,
            Poll::Pending => {
                self.is_blocked = true;
                return false;
            }
        }
        true
    }

    /// Closes the stream when so many stanzas of the outbox have gone ahead.
    fn begin_closing(&mut self, error: Option<StreamError>, ahead: usize) {
        self.closing = Some(Closing { error, ahead });
    }

    /// Handles what was read, one event at a time: a stanza that is refused decides what becomes of the next.
    fn take_events(&mut self) -> Option<SessionEnd> {
        loop {
            if let Some(end) = self.perform() {
                return Some(end);
            }
            match self.first.take().map_or_else(|| self.reader.poll(), |first| (*first).map(Some)) {
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
                SessionOutput::Element(element) => self.take(element),
                SessionOutput::KeepAlive => self.push_text(" "),
                SessionOutput::Send(nonza) => self.push_nonza(&nonza),
                SessionOutput::Management(news) => self.manage(news),
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
        match self.handler.stanza(stanza) {
            Ok(()) => self.session.taken(),
            Err(error) => self.refuse(error),
        }
    }

    fn take(&mut self, element: Element) {
        if !self.refused
            && let Err(error) = self.handler.element(element)
        {
            self.refuse(error);
        }
    }

    fn refuse(&mut self, error: StreamError) {
        self.refused = true;
        self.session.close(self.now, Some(error));
    }

    /// Fills the write buffer, unless it is full already or the stream is closed to us.
    fn prepare_writes(&mut self) {
        if !self.writer.is_drained() || self.closed || self.unwritable {
            return;
        }
        let rested = !self.writer.has_work();
        let taken = self.refill();
        if taken > 0 {
            self.taken(taken, rested);
        }
        // In the same write as what it asks for, and before the closing tag.
        self.request();
        if taken == 0 {
            self.nothing_more();
        }
    }

    fn refill(&mut self) -> usize {
        if !self.is_free() {
            return 0;
        }
        let most = self.closing.as_ref().map_or(usize::MAX, |closing| closing.ahead);
        self.writer.refill(most, self.session.is_managed())
    }

    /// Whether the stanzas of the outbox may be sent now.
    fn is_free(&self) -> bool {
        self.serving && !self.session.is_held() && !self.handler.holds() && self.has_room()
    }

    /// Whether so little is in doubt that more may be. What goes ahead of the end is not held back: there is no time.
    fn has_room(&self) -> bool {
        !self.session.is_managed() || self.closing.is_some() || self.window.has_room(self.outbox.in_doubt())
    }

    fn nothing_more(&mut self) {
        if let Some(closing) = self.closing.take() {
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
        if self.reset_at().is_some_and(|at| at <= self.now) {
            let error = StreamError::new(StreamCondition::Reset).with_text("what proved the peer has expired");
            self.begin_closing(Some(error), 0);
        } else if self.idle_at().is_some_and(|at| at <= self.now) {
            self.begin_closing(None, self.outbox.len());
        }
        let end = self.feel_pulse();
        if self.session.poll_timeout() <= self.now {
            self.session.timeout(self.now);
        }
        end
    }

    fn deadline(&self) -> Instant {
        let write_by = self.writer.has_work().then_some(self.pace.deadline());
        let read_at = (self.read_at > self.now).then_some(self.read_at);
        [write_by, read_at, self.idle_at(), self.reset_at(), self.pulse_at()]
            .into_iter()
            .flatten()
            .fold(self.session.poll_timeout(), Instant::min)
    }

    fn idle_at(&self) -> Option<Instant> {
        self.settings.idle.filter(|_| !self.ends_anyway()).map(|idle| self.last_stanza + idle)
    }

    fn reset_at(&self) -> Option<Instant> {
        self.settings.reset_at.filter(|_| !self.ends_anyway())
    }

    fn ends_anyway(&self) -> bool {
        self.closing.is_some() || self.closed
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
        transport.close(&[], None, CLOSE_WAIT).await;
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

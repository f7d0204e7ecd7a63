//! The streams that are dialled here.

use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime};

use convoke_net::session::{self, Stop};
use convoke_net::{Connection, End};
use convoke_xmpp::session::{Management, SessionEnd};
use convoke_xmpp::stream::StreamCondition;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::further::Further;
use super::handler::Handler;
use super::proof::Proof;
use super::state::{Phase, State};
use super::{Link, Pair, in_doubt, now, told, too_large};
use crate::config::Backoff;
use crate::dialer::{DialError, Dialed};
use crate::federation::{Shared, shutting_down};
use crate::negotiation::Established;

/// A stream that is lost sooner than this was no success. The first time it is dialled again at once all the same; if it
/// happens again and again, the peer cuts what it accepts, and the pauses grow.
const STABLE: Duration = Duration::from_secs(10);

/// The upper end of the first such pause: short, because stanzas wait, and somebody does answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Of the time that a peer's certificate still has when a stream begins, this part is left when it is replaced: there is
/// time for many attempts, and the peer has had most of the time to get a new certificate.
const LEFT_AT_RENEWAL: u32 = 5;

/// The task of a link that dials or has a stream that was dialled here.
pub(super) struct Outgoing {
    pub(super) link: Arc<Link>,
    pub(super) shared: Arc<Shared>,
}

/// What follows a stream.
enum Next {
    /// Nothing: none is wanted.
    Rest,
    /// Dial again, after this.
    Dial(Duration),
    /// This one, which was dialled meanwhile.
    Carry(Box<Dialed>),
}

impl Outgoing {
    pub(super) async fn run(self) {
        if self.board().await {
            return;
        }
        let mut dialed = None;
        loop {
            let stream = match dialed.take() {
                Some(stream) => Ok(stream),
                None => match self.dial().await {
                    Some(result) => result,
                    None => return self.abandon(),
                },
            };
            let next = match stream {
                Ok(stream) => self.carry(stream).await,
                Err(error) => self.missed(&error),
            };
            match next {
                Next::Carry(stream) => dialed = Some(*stream),
                Next::Rest => return,
                Next::Dial(pause) => {
                    if self.pause(pause).await.is_none() || self.await_the_peer().await.is_none() {
                        return self.abandon();
                    }
                    if !self.goes_on() {
                        return;
                    }
                }
            }
        }
    }

    pub(super) async fn run_unless_the_peer_returns(self) {
        if self.await_the_peer().await.is_none() {
            self.abandon();
        } else if self.goes_on() {
            self.run().await;
        }
    }

    /// The peer that had dialled us is given time to come back, because it alone knows what has arrived, and perhaps it
    /// cannot be dialled. It may come, be lost again and be awaited anew before this task has seen it.
    async fn await_the_peer(&self) -> Option<()> {
        loop {
            let Some(left) = self.link.lock().awaited() else { return Some(()) };
            self.pause(left).await?;
        }
    }

    /// Dials; `None` when the shutdown came first.
    async fn dial(&self) -> Option<Result<Dialed, DialError>> {
        self.link.lock().dials += 1;
        let Pair { local, remote } = &self.link.pair;
        tokio::select! {
            dialed = self.shared.dialer.dial(local, remote) => Some(dialed),
            () = self.shared.tasks.shutdown_token().cancelled() => None,
        }
    }

    async fn pause(&self, pause: Duration) -> Option<()> {
        tokio::select! {
            () = sleep(pause) => Some(()),
            () = self.link.woken.notified(), if pause > Duration::ZERO => Some(()),
            () = self.shared.tasks.shutdown_token().cancelled() => None,
        }
    }

    /// Whether a stream is still to be dialled when a pause is over.
    fn goes_on(&self) -> bool {
        let mut state = self.link.lock();
        let (mut lost, mut rejected) = (Vec::new(), None);
        let is_wanted = match state.phase {
            Phase::Dialing => true,
            Phase::Served { .. } => false,
            Phase::Awaited { .. } => {
                (state.owner, state.lost_at) = (None, None);
                lost = self.link.outbox.take_unacknowledged();
                rejected = self.link.serve_by_incoming(&mut state);
                rejected.is_none()
            }
            _ => {
                let waits = !self.link.outbox.is_empty() || self.link.outbox.unacknowledged() > 0;
                waits || state.persistent || self.link.route.is_sought()
            }
        };
        state.at_work = is_wanted;
        match (is_wanted, &state.phase) {
            (true, _) => state.phase = Phase::Dialing,
            (false, Phase::Served { .. }) => {}
            (false, _) => state.phase = Phase::Idle,
        }
        drop(state);
        self.link.release_riders(&self.shared);
        self.link.bounce(&self.shared, lost, &in_doubt());
        self.link.bounce(&self.shared, rejected.unwrap_or_default(), &too_large());
        is_wanted
    }

    /// Runs a stream until it ends.
    async fn carry(&self, Dialed { connection, established, report }: Dialed) -> Next {
        let Pair { local, remote } = &self.link.pair;
        self.link.lock().last_report = Some(report);
        let stop = Stop { shutdown: self.shared.tasks.shutdown_token().clone(), ..Stop::default() };
        let management = self.open(&stop.cut, &established);
        info!(%local, %remote, tls = established.tls_version, bidi = established.bidi, "outgoing stream established");
        self.link.route.reached(&self.link.pair, &*self.shared.router);
        let began = now();
        let mut handler = self.handler(&established, management);
        let (end, replacement) = self.run_session(connection, &established, &mut handler, &stop).await;
        info!(%local, %remote, end = told(&end), "outgoing stream ended");
        self.closed(&end, handler.handled);
        match replacement {
            _ if self.shared.tasks.shutdown_token().is_cancelled() => {
                self.abandon();
                Next::Rest
            }
            Some(dialed) => Next::Carry(Box::new(dialed)),
            None => self.next(&end, now() - began),
        }
    }

    /// The stream is there; says how to begin, and gives back what can neither be sent by it nor be asked for.
    fn open(&self, cut: &CancellationToken, established: &Established) -> Management {
        let mut state = self.link.lock();
        state.phase = Phase::Open { cut: cut.clone() };
        state.peer_max_bytes = established.peer_max_bytes;
        (state.failures_in_a_row, state.lost_at) = (0, None);
        let is_managed = self.shared.stream_management && established.stream_management;
        if !is_managed || !state.can_resume() {
            state.ticket = None;
        }
        let management = match &state.ticket {
            _ if !is_managed => Management::Off,
            Some(session) => Management::Resume(session.ticket.clone()),
            None => Management::Enable,
        };
        let lost = if state.ticket.is_none() { self.link.outbox.take_unacknowledged() } else { Vec::new() };
        let rejected = self.link.outbox.take_if(|stanza| state.is_too_large(stanza));
        drop(state);
        self.link.bounce(&self.shared, lost, &in_doubt());
        self.link.bounce(&self.shared, rejected, &too_large());
        management
    }

    fn handler(&self, established: &Established, management: Management) -> Handler {
        Handler {
            link: Arc::clone(&self.link),
            shared: Arc::clone(&self.shared),
            further: Further::new(&self.link, &self.shared, established),
            proof: Proof::new(established, &self.shared.trust),
            incoming: None,
            sends: true,
            receives: established.bidi,
            lang: established.lang.clone(),
            management,
            rests_until: None,
            handled: 0,
        }
    }

    /// Runs the session, and meanwhile sees to it that the next one is there in time.
    async fn run_session(
        &self,
        connection: Connection,
        established: &Established,
        handler: &mut Handler,
        stop: &Stop,
    ) -> (End, Option<Dialed>) {
        let not_after = established.identity.not_after();
        let mut settings = self.shared.session_settings(not_after);
        if self.link.lock().persistent {
            settings.idle = None;
        }
        let mut session = pin!(session::run(connection, &self.link.outbox, handler, settings, stop));
        tokio::select! {
            biased;
            end = &mut session => (end, None),
            dialed = self.replacement(not_after) => {
                // A session that can be resumed goes on by the new stream, whatever is in flight; else it has to be closed
                // in good order.
                let is_resumable = self.link.lock().ticket.is_some();
                if is_resumable { stop.cut.cancel() } else { stop.leave.cancel() }
                (session.await, Some(dialed))
            }
        }
    }

    /// Waits until the stream is to be replaced, and dials the new one.
    async fn replacement(&self, not_after: SystemTime) -> Dialed {
        let left = not_after.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::select! {
            () = sleep(left - left / LEFT_AT_RENEWAL) => {}
            () = self.link.renewed.notified() => {}
        }
        let Pair { local, remote } = &self.link.pair;
        let mut failures = 0;
        loop {
            self.link.lock().dials += 1;
            match self.shared.dialer.dial(local, remote).await {
                Ok(dialed) => return dialed,
                Err(error) => warn!(%local, %remote, %error, "cannot replace the stream, which goes on"),
            }
            failures += 1;
            sleep(Backoff { first: FIRST_PAUSE, ..self.shared.backoff }.draw(failures)).await;
        }
    }

    /// A session has ended: it can be resumed, unless there is nothing more to say about it.
    fn closed(&self, end: &End, handled: u32) {
        let mut state = self.link.lock();
        state.contact = None;
        if *end == End::Stream(SessionEnd::Closed) && self.link.outbox.unacknowledged() == 0 {
            state.ticket = None;
        } else if let Some(session) = &mut state.ticket {
            session.end(handled);
        }
    }

    /// What follows a stream that has ended. One that was lost is dialled again at once: the next stanza will need it,
    /// and the peer may have something to send again.
    fn next(&self, end: &End, lasted: Duration) -> Next {
        let mut state = self.link.lock();
        let lost = if state.ticket.is_none() { self.link.outbox.take_unacknowledged() } else { Vec::new() };
        let waits = !self.link.outbox.is_empty() || self.link.outbox.unacknowledged() > 0;
        let (next, rejected) = if is_to_be_dialled_again(end) || waits || state.persistent {
            (state.phase, state.lost_at) = (Phase::Dialing, Some(now()));
            state.early_losses = if lasted < STABLE { state.early_losses.saturating_add(1) } else { 0 };
            (Next::Dial(self.early_pause(state.early_losses)), None)
        } else {
            (state.phase, state.at_work, state.early_losses) = (Phase::Idle, false, 0);
            (Next::Rest, self.link.serve_by_incoming(&mut state))
        };
        drop(state);
        self.link.release_riders(&self.shared);
        self.link.bounce(&self.shared, lost, &in_doubt());
        self.link.bounce(&self.shared, rejected.unwrap_or_default(), &too_large());
        next
    }

    fn early_pause(&self, losses: u32) -> Duration {
        match losses.saturating_sub(1) {
            0 => Duration::ZERO,
            again => Backoff { first: FIRST_PAUSE, ..self.shared.backoff }.draw(again),
        }
    }

    /// Nobody could be reached, except perhaps by a stream of the peer's own. Who was in reach a moment ago is not given up
    /// at once.
    fn missed(&self, error: &DialError) -> Next {
        let Pair { local, remote } = &self.link.pair;
        warn!(%local, %remote, code = %error.code(), %error, "cannot reach the domain");
        let mut state = self.link.lock();
        state.fail(error);
        if state.lost_at.is_some_and(|at| at + self.shared.timeouts.patience > now()) {
            return Next::Dial(Backoff { first: FIRST_PAUSE, ..self.shared.backoff }.draw(state.failures_in_a_row));
        }
        match self.link.serve_by_incoming(&mut state) {
            Some(rejected) => {
                (state.at_work, state.ticket) = (false, None);
                let lost = self.link.outbox.take_unacknowledged();
                drop(state);
                self.link.bounce(&self.shared, lost, &in_doubt());
                self.link.bounce(&self.shared, rejected, &too_large());
                Next::Rest
            }
            None => {
                let next = self.give_up(state, error);
                self.link.miss(&self.shared);
                self.link.release_riders(&self.shared);
                next
            }
        }
    }

    /// Everything that waits is given back, and nothing is tried for a while.
    ///
    /// What may have arrived is kept as long as the peer keeps its session; and who was in reach before is looked for even
    /// if nothing waits.
    fn give_up(&self, mut state: MutexGuard<'_, State>, error: &DialError) -> Next {
        let told = error.to_stanza_error();
        let mut pause = self.shared.backoff.draw(state.failures_in_a_row);
        // Under the lock that `send` holds: a stanza is either among these or refused by the new phase.
        let stanzas = self.link.outbox.take_all();
        if !state.can_resume() {
            state.ticket = None;
        }
        let lost = if state.ticket.is_none() { self.link.outbox.take_unacknowledged() } else { Vec::new() };
        let resumable = state.ticket.as_ref().filter(|_| self.link.outbox.unacknowledged() > 0);
        let is_sought = resumable.is_some() || state.persistent || self.link.route.is_worth_seeking();
        pause = resumable.map_or(pause, |session| pause.min(session.until.saturating_duration_since(now())));
        state.phase = if stanzas.is_empty() {
            // Only an attempt to be ready for the next stanza: let that one try again.
            Phase::Idle
        } else {
            Phase::Waiting { until: now() + pause, error: told.clone() }
        };
        state.at_work = is_sought;
        drop(state);
        self.link.bounce(&self.shared, lost, &in_doubt());
        self.link.bounce(&self.shared, stanzas, &told);
        if is_sought { Next::Dial(pause) } else { Next::Rest }
    }

    /// The shutdown has come: nothing is sent any more.
    fn abandon(&self) {
        let stanzas = {
            let mut state = self.link.lock();
            (state.phase, state.at_work, state.contact) = (Phase::Idle, false, None);
            self.link.outbox.take_all()
        };
        self.link.release_riders(&self.shared);
        self.link.bounce_unacknowledged(&self.shared);
        self.link.bounce(&self.shared, stanzas, &shutting_down());
    }
}

/// Whether the end of a stream leaves in doubt that its peer is in reach.
fn is_to_be_dialled_again(end: &End) -> bool {
    let is_parting = |condition| matches!(condition, StreamCondition::SystemShutdown | StreamCondition::Reset);
    match end {
        End::Stream(SessionEnd::PeerError(error) | SessionEnd::LocalError(error)) => is_parting(error.condition),
        end => end.is_loss(),
    }
}

//! The streams that a peer has dialled.

use std::sync::Arc;
use std::time::Duration;

use convoke_net::session::{self, Stop};
use convoke_net::{Connection, End, FirstWord, Outbox, SessionSettings};
use convoke_xmpp::Stanza;
use convoke_xmpp::session::{Management, SessionEnd};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::further::Further;
use super::handler::Handler;
use super::outgoing::Outgoing;
use super::proof::Proof;
use super::state::{Phase, Resumable, State, Stream};
use super::{Link, in_doubt, now, told, too_large};
use crate::federation::{Shared, shutting_down};
use crate::negotiation::Established;
use crate::random::unguessable;

/// How long a peer that can be acknowledged to may be silent before stanzas are sent to it on its own stream: until its
/// first word it may still want to go on with an earlier session, whose stanzas come first. A peer speaks at once.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// How long an earlier session that is told to end may take: it has nothing to wait for.
const END_OF_EARLIER: Duration = Duration::from_secs(5);

/// An incoming stream of a link, while it lives.
pub(crate) struct Incoming {
    link: Arc<Link>,
    shared: Arc<Shared>,
    number: u64,
    /// Breaks the connection.
    cut: CancellationToken,
}

/// Why an incoming stream is not taken.
pub(crate) enum NotRegistered {
    /// The link is gone; a new one would take it.
    Retired,
    /// There are too many of this pair already.
    TooMany,
}

impl Link {
    /// Takes note of an incoming stream.
    pub(crate) fn register(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<Incoming, NotRegistered> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Retired) {
            return Err(NotRegistered::Retired);
        }
        if state.incoming.len() >= shared.streams {
            return Err(NotRegistered::TooMany);
        }
        let number = state.next_incoming;
        state.next_incoming += 1;
        let cut = CancellationToken::new();
        state.incoming.insert(number, Stream::new(cut.clone()));
        Ok(Incoming { link: Arc::clone(self), shared: Arc::clone(shared), number, cut })
    }

    /// Makes the session of an incoming stream one that can be resumed; gives its identifier.
    pub(super) fn grant(&self, number: u64) -> Option<String> {
        let id = unguessable()?;
        let mut state = self.lock();
        if matches!(state.phase, Phase::Served { by } if by == number) {
            state.owner = Some(id.clone());
        }
        state.incoming.get_mut(&number)?.ticket = Some(id.clone());
        Some(id)
    }

    /// The peer of an incoming stream has said that it does not go on with a lost session: the stream may empty the queue, as
    /// soon as there is no other that does. What is in doubt on a lost session is given up then.
    pub(super) fn heard(&self, number: u64, shared: &Shared) {
        let mut state = self.lock();
        let Some(stream) = state.incoming.get_mut(&number) else { return };
        stream.is_heard = true;
        let can_serve = stream.serve.is_some();
        if !can_serve || !matches!(state.phase, Phase::Idle | Phase::Waiting { .. } | Phase::Awaited { .. }) {
            return;
        }
        state.ticket = None;
        let lost = self.outbox.take_unacknowledged();
        let rejected = self.serve_by_incoming(&mut state).unwrap_or_default();
        if state.at_work {
            self.woken.notify_one();
        }
        drop(state);
        self.bounce(shared, lost, &in_doubt());
        self.bounce(shared, rejected, &too_large());
    }

    /// Lets an incoming stream that can empty the queue do so, if there is one; gives back what is too large for it.
    pub(super) fn serve_by_incoming(&self, state: &mut State) -> Option<Vec<Stanza>> {
        let serve = state.serve_by_incoming()?;
        let rejected = self.outbox.take_if(|stanza| state.is_too_large(stanza));
        serve.cancel();
        Some(rejected)
    }

    /// Breaks the connection of an incoming session that the peer has given up, if it still lives; what is given is
    /// cancelled when it has ended.
    fn cut_session(&self, id: &str) -> Option<CancellationToken> {
        let state = self.lock();
        let stream = state.incoming.values().find(|stream| stream.ticket.as_deref() == Some(id))?;
        stream.cut.cancel();
        Some(stream.ended.clone())
    }
}

impl Incoming {
    /// Runs the stream until it ends.
    pub(crate) async fn carry(self, mut connection: Connection, established: &Established, settings: SessionSettings) {
        let (local, remote) = (&established.local, established.identity.domain());
        info!(%local, %remote, tls = established.tls_version, bidi = established.bidi, "incoming stream established");
        self.link.lock().end_pause();
        let word = self.first_word(&mut connection, established).await;
        let (has_spoken, is_gone) = (word.is_some(), word == Some(FirstWord::Gone));
        let management = match word {
            _ if !established.stream_management => Management::Off,
            Some(FirstWord::Resume { previd, h }) => self.resume(previd, h).await,
            _ => Management::Grant,
        };
        // Who cannot go on with a lost session asks for a new one next, and nothing is acknowledged before that.
        let is_heard = has_spoken && !matches!(management, Management::Refused(_));
        self.link.route.reached(&self.link.pair, &*self.shared.router);
        let stop =
            Stop { shutdown: self.shared.tasks.shutdown_token().clone(), cut: self.cut.clone(), ..Stop::default() };
        let (nothing, hold) = (Outbox::default(), CancellationToken::new());
        let sends = established.bidi && !is_gone;
        let (outbox, stop) = if sends {
            self.offer(&hold, established.peer_max_bytes, is_heard);
            (&self.link.outbox, Stop { hold: Some(hold), ..stop })
        } else {
            (&nothing, stop)
        };
        let mut handler = self.handler(established, management, sends);
        let end = session::run(connection, outbox, &mut handler, settings, &stop).await;
        info!(%local, %remote, end = told(&end), "incoming stream ended");
        self.finish(&end, handler.handled);
    }

    fn handler(&self, established: &Established, management: Management, sends: bool) -> Handler {
        Handler {
            link: Arc::clone(&self.link),
            shared: Arc::clone(&self.shared),
            further: Further::new(&self.link, &self.shared, established),
            proof: Proof::new(established, &self.shared.trust),
            incoming: Some(self.number),
            sends,
            receives: true,
            lang: established.lang.clone(),
            management,
            rests_until: None,
            handled: 0,
        }
    }

    /// Waits for the first word of a peer that was offered acknowledgements: it may go on with an earlier session. `None`
    /// if it says nothing.
    async fn first_word(&self, connection: &mut Connection, established: &Established) -> Option<FirstWord> {
        if !established.stream_management {
            return Some(FirstWord::Other);
        }
        tokio::select! {
            // What has been said counts, however late it is looked at.
            biased;
            word = connection.first_word() => Some(word),
            () = self.cut.cancelled() => None,
            () = self.shared.tasks.shutdown_token().cancelled() => None,
            () = sleep(FIRST_WORD) => None,
        }
    }

    /// Goes on with an earlier session of the same pair of domains, when that has ended for certain.
    async fn resume(&self, previd: String, h: u32) -> Management {
        if let Some(ended) = self.link.cut_session(&previd) {
            // If it does not end it is not kept either, and the peer is told so.
            let _ = timeout(END_OF_EARLIER, ended.cancelled()).await;
        }
        let mut state = self.link.lock();
        let ticket = match state.take_kept(&previd) {
            Ok(ticket) if self.take_over(&mut state, &previd, h) => ticket,
            Ok(ticket) => return Management::Refused(Some(ticket.handled)),
            Err(handled) => return Management::Refused(handled),
        };
        state.resumed += 1;
        if let Some(stream) = state.incoming.get_mut(&self.number) {
            stream.ticket = Some(previd);
        }
        Management::Resumed { ticket, acknowledged: h }
    }

    /// Has what was lost in that session sent again; fails if the peer counts more than there was.
    fn take_over(&self, state: &mut State, id: &str, h: u32) -> bool {
        if state.owner.as_deref() != Some(id) {
            return true;
        }
        let is_acknowledged = self.link.outbox.acknowledge(h).is_ok();
        if is_acknowledged {
            self.link.outbox.give_back();
        }
        is_acknowledged
    }

    /// Lets the stream empty the queue once its peer has been heard: from one that was offered acknowledgements and has not
    /// asked for them yet none would come, and what was sent to it would be lost with the stream.
    fn offer(&self, serve: &CancellationToken, max_bytes: Option<u64>, is_heard: bool) {
        if let Some(stream) = self.link.lock().incoming.get_mut(&self.number) {
            (stream.serve, stream.max_bytes) = (Some(serve.clone()), max_bytes);
        }
        if is_heard {
            self.link.heard(self.number, &self.shared);
        }
    }

    /// The stream is over: its session is kept, and somebody else has to empty the queue if it did.
    fn finish(&self, end: &End, handled: u32) {
        let mut state = self.link.lock();
        let Some(stream) = state.incoming.remove(&self.number) else { return };
        if let Some(id) = stream.ticket {
            let is_closed = *end == End::Stream(SessionEnd::Closed);
            let kept = if is_closed { Duration::ZERO } else { self.shared.timeouts.resume };
            let mut session = Resumable::new(id, kept);
            session.end(handled);
            state.keep(session);
        }
        let mut given_up = GivenUp::default();
        if matches!(state.phase, Phase::Served { by } if by == self.number) {
            given_up = self.hand_over(&mut state, end);
        }
        drop(state);
        self.link.release_riders(&self.shared);
        // Only now: who waits to go on with this session finds everything in order.
        stream.ended.cancel();
        self.link.bounce(&self.shared, given_up.in_doubt, &in_doubt());
        self.link.bounce(&self.shared, given_up.too_large, &too_large());
        self.link.bounce(&self.shared, given_up.unsent, &shutting_down());
    }

    /// Finds somebody else to empty the queue, or gives the peer time to come back.
    fn hand_over(&self, state: &mut State, end: &End) -> GivenUp {
        let mut given_up = GivenUp::default();
        let may_return = end.is_loss() || matches!(end, End::Stream(SessionEnd::LocalError(_)));
        state.phase = Phase::Idle;
        if self.shared.tasks.shutdown_token().is_cancelled() {
            given_up.unsent = self.link.outbox.take_all();
        } else if let Some(too_large) = self.link.serve_by_incoming(state) {
            given_up.too_large = too_large;
        } else if may_return {
            self.await_the_peer(state);
            return given_up;
        } else if state.persistent || !self.link.outbox.is_empty() {
            self.link.dial(state, &self.shared);
        }
        given_up.in_doubt = self.link.outbox.take_unacknowledged();
        given_up
    }

    /// Has a task wait for the peer: a new one, or the one that has waited for it before and has not seen yet that it had
    /// come.
    fn await_the_peer(&self, state: &mut State) {
        state.phase = Phase::Awaited { until: now() + self.shared.timeouts.peer_return };
        if state.at_work {
            return self.link.woken.notify_one();
        }
        state.at_work = true;
        let task = Outgoing { link: Arc::clone(&self.link), shared: Arc::clone(&self.shared) };
        self.shared.tasks.spawn(task.run_unless_the_peer_returns());
    }
}

/// What is given back when a stream is over, for each of the reasons.
#[derive(Default)]
struct GivenUp {
    in_doubt: Vec<Stanza>,
    too_large: Vec<Stanza>,
    unsent: Vec<Stanza>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.link.lock().incoming.remove(&self.number);
    }
}

//! What lies between a local and a remote domain: one queue, at most one stream that empties it, and the incoming ones.
//!
//! A link outlives its streams. Stanzas wait in its queue while it dials; what was not written, or not acknowledged, when
//! a connection broke waits for the next. Only when the remote domain cannot be reached at all, or cannot tell any more
//! what has arrived, are they given back, each of them once.
//!
//! The queue is emptied by one stream at a time: the one that was dialled here or, while there is none, an incoming one
//! that carries stanzas in both directions (XEP-0288). That stream may carry the stanzas of further pairs of domains,
//! whose links then ride on this one (XEP-0344).

mod contact;
mod further;
mod handler;
mod incoming;
mod liveness;
mod outgoing;
mod proof;
mod requests;
mod ride;
mod route;
mod state;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoke_net::{End, Full, Outbox, OutboxLimits};
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::{Condition, Domainpart, JidRef, Origin, Stanza, StanzaError, Undelivered};
use tokio::sync::Notify;

use self::liveness::Liveness;
use self::outgoing::Outgoing;
use self::route::Route;
use self::state::{Phase, State};
use crate::federation::Shared;
use crate::policy::{Allowance, Rate};
use crate::printable::{TOLD_CHARACTERS, printable};
use crate::statistics::LinkStatistics;

pub(crate) use self::contact::Contacts;
pub(crate) use self::incoming::{Incoming, NotRegistered};

/// The pair of domains that a link joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) local: Domainpart,
    pub(crate) remote: Domainpart,
}

impl Pair {
    /// Whether the stanza goes from the one to the other.
    fn is_of(&self, stanza: &Stanza) -> bool {
        let domain = |address: Option<JidRef<'_>>, domain: &Domainpart| {
            address.is_some_and(|address| address.domain() == domain.as_str())
        };
        domain(stanza.from(), &self.local) && domain(stanza.to(), &self.remote)
    }
}

/// One pair of domains.
pub(crate) struct Link {
    pair: Pair,
    /// From where its stanzas come, as the router is told.
    origin: Origin,
    outbox: Outbox,
    stanzas_in: AtomicU64,
    bytes_in: AtomicU64,
    /// What the peer may still send at present, if there is a limit.
    allowance: Option<Mutex<Allowance>>,
    route: Route,
    liveness: Liveness,
    /// Ends a pause of the task that dials.
    woken: Notify,
    /// The stream that was dialled here is to be replaced by a new one.
    renewed: Notify,
    state: Mutex<State>,
}

/// Why a link does not take a stanza.
pub(crate) enum Refused {
    /// The link is gone; a new one would take it.
    Retired(Box<Stanza>),
    Undelivered(Undelivered),
}

impl Link {
    pub(crate) fn new(pair: Pair, queue: OutboxLimits, urgent: Arc<[String]>, rate: Option<Rate>) -> Self {
        Self {
            origin: Origin::Remote(pair.remote.clone()),
            pair,
            outbox: Outbox::new(queue).with_urgent(urgent),
            stanzas_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            allowance: rate.map(|rate| Mutex::new(Allowance::new(rate, now()))),
            route: Route::default(),
            liveness: Liveness::default(),
            woken: Notify::new(),
            renewed: Notify::new(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Whether the stanza answers a ping of ours: then the remote domain is alive, and there is nothing else to it.
    fn takes_answer(&self, stanza: &Stanza) -> bool {
        let is_answer = self.liveness.is_answer(stanza, &self.pair);
        if is_answer {
            self.liveness.heard(now());
        }
        is_answer
    }

    /// Counts what the peer has sent; how long nothing more is to be read of it, if it was too much.
    fn count(&self, stanza: &Stanza) -> Option<Duration> {
        let bytes = stanza.size();
        self.stanzas_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut allowance = self.allowance.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.spend(bytes, now())
    }

    /// Queues a stanza, and dials if there is no stream.
    pub(crate) fn send(self: &Arc<Self>, stanza: Stanza, shared: &Arc<Shared>) -> Result<(), Refused> {
        let mut state = self.lock();
        if let Phase::Riding { on } = &state.phase {
            // Under the lock of both: what ends the ride finds it there.
            return on.send(stanza, shared);
        }
        if let Some(refused) = state.refusal(&stanza) {
            return Err(match refused {
                None => Refused::Retired(Box::new(stanza)),
                Some(error) => Refused::Undelivered(Undelivered::new(stanza, error)),
            });
        }
        self.outbox.push(stanza).map_err(|Full(stanza)| Refused::Undelivered(queue_is_full(*stanza)))?;
        if matches!(state.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.dial(&mut state, shared);
        }
        Ok(())
    }

    /// Keeps a stream to the remote domain from now on, whether there are stanzas for it or not.
    pub(crate) fn persist(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut state = self.lock();
        state.persistent = true;
        if matches!(state.phase, Phase::Idle) {
            self.dial(&mut state, shared);
        }
    }

    /// Has the domain dialled now, by the task that waits or by a new one.
    fn dial(self: &Arc<Self>, state: &mut State, shared: &Arc<Shared>) {
        if state.at_work {
            return self.woken.notify_one();
        }
        state.at_work = true;
        state.phase = Phase::Dialing;
        let task = Outgoing { link: Arc::clone(self), shared: Arc::clone(shared) };
        shared.tasks.spawn(task.run());
    }

    /// Breaks all connections of the pair; says whether there was any.
    pub(crate) fn cut(&self) -> bool {
        let state = self.lock();
        let (outgoing, mut any) = match &state.phase {
            Phase::Open { cut } => (Some(cut), false),
            Phase::Riding { on } => (None, on.cut()),
            _ => (None, false),
        };
        for cut in state.incoming.values().map(|stream| &stream.cut).chain(outgoing) {
            cut.cancel();
            any = true;
        }
        any
    }

    /// Replaces the stream that was dialled here, if there is one, by a new one.
    pub(crate) fn renew(&self) {
        if matches!(self.lock().phase, Phase::Open { .. }) {
            self.renewed.notify_one();
        }
    }

    /// Retires the link if nothing depends on it; says whether it is retired now.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.lock();
        if state.is_unused() && self.outbox.unacknowledged() == 0 {
            state.phase = Phase::Retired;
        }
        matches!(state.phase, Phase::Retired)
    }

    pub(crate) fn statistics(&self) -> LinkStatistics {
        let sent = self.outbox.traffic();
        let state = self.lock();
        LinkStatistics {
            local: self.pair.local.clone(),
            remote: self.pair.remote.clone(),
            state: state.phase.as_public(),
            persistent: state.persistent,
            carried_by: state.phase.carrier().map(|Pair { local, remote }| (local.clone(), remote.clone())),
            queued: self.outbox.len(),
            unacknowledged: self.outbox.unacknowledged(),
            acknowledged: sent.acknowledged,
            stanzas_out: sent.stanzas,
            bytes_out: sent.bytes,
            writes_out: sent.writes,
            incoming_streams: state.incoming.len(),
            stanzas_in: self.stanzas_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            dials: state.dials,
            failures: state.failures,
            resumed: state.resumed,
            not_resumed: state.not_resumed,
            last_failure: state.last_failure.clone(),
            last_report: state.last_report.clone(),
        }
    }

    /// Gives these back, under no lock: their senders may be told by way of this very link.
    fn bounce(&self, shared: &Shared, stanzas: Vec<Stanza>, error: &StanzaError) {
        for stanza in stanzas {
            shared.router.undelivered(Undelivered::new(stanza, error.clone()));
        }
    }

    /// Gives back what was sent and will never be acknowledged.
    fn bounce_unacknowledged(&self, shared: &Shared) {
        self.bounce(shared, self.outbox.take_unacknowledged(), &in_doubt());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn queue_is_full(stanza: Stanza) -> Undelivered {
    let error = StanzaError::new(Condition::ResourceConstraint).with_text("too much waits for this domain already");
    Undelivered::new(stanza, error)
}

/// XEP-0478, section 3: the stream of a peer that was sent too much would be gone.
fn too_large() -> StanzaError {
    StanzaError::new(Condition::PolicyViolation).with_text("the stanza is larger than the remote server accepts")
}

/// XEP-0198, section 4: what was not acknowledged is answered with an error in the end.
fn in_doubt() -> StanzaError {
    StanzaError::new(Condition::RemoteServerTimeout)
        .with_text("the connection broke, and the remote server did not acknowledge the stanza")
}

/// How a stream ended, for the log: what the peer says of it is its own, and may be long.
fn told(end: &End) -> String {
    match end {
        End::Stream(SessionEnd::PeerError(error)) => printable(&format!("the peer reported: {error}"), TOLD_CHARACTERS),
        End::Stream(SessionEnd::LocalError(error)) => format!("closed with {error}"),
        end => format!("{end:?}"),
    }
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

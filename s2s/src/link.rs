//! What lies between a local and a remote domain: one queue, at most one outgoing stream, and the incoming ones.
//!
//! A link outlives its streams. Stanzas wait in its queue while it dials; what was not written when a connection broke
//! waits for the next. Only when the remote domain cannot be reached at all are they given back, each of them once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoke_net::session::{self, Stop};
use convoke_net::{End, Full, Outbox, OutboxLimits, SessionHandler};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Condition, Domainpart, Stanza, StanzaError, Undelivered};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Backoff;
use crate::dialer::{DialError, DialReport, Dialed};
use crate::federation::{Shared, shutting_down};
use crate::statistics::{LinkState, LinkStatistics};

/// A stream that is lost sooner than this was no success. The first time it is dialled again at once all the same; if it
/// happens again and again, the peer cuts what it accepts, and the pauses grow.
const STABLE: Duration = Duration::from_secs(10);

/// The upper end of the first such pause: short, because stanzas wait, and somebody does answer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The pair of domains that a link joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) local: Domainpart,
    pub(crate) remote: Domainpart,
}

/// One pair of domains.
pub(crate) struct Link {
    pair: Pair,
    outbox: Outbox,
    stanzas_in: AtomicU64,
    bytes_in: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// What the peer accepts, in bytes of one stanza (XEP-0478), by its last features.
    peer_max_bytes: Option<u64>,
    /// The incoming streams, each with what cuts it, in the order in which they came.
    incoming: BTreeMap<u64, CancellationToken>,
    next_incoming: u64,
    dials: u64,
    failures: u64,
    /// Failures since the last stream.
    failures_in_a_row: u32,
    /// Streams that were lost early, since the last one that lasted.
    early_losses: u32,
    last_report: Option<Arc<DialReport>>,
    last_failure: Option<String>,
}

/// The outgoing half.
#[derive(Default)]
enum Phase {
    /// No stream, and none is wanted.
    #[default]
    Idle,
    Dialing,
    Open {
        cut: CancellationToken,
    },
    /// The remote domain could not be reached; until then it is not tried again.
    Waiting {
        until: Instant,
        error: StanzaError,
    },
    /// Forgotten: whoever still holds this link has to look up another.
    Retired,
}

/// Why a link does not take a stanza.
pub(crate) enum Refused {
    /// The link is gone; a new one would take it.
    Retired(Box<Stanza>),
    Undelivered(Undelivered),
}

impl Link {
    pub(crate) fn new(pair: Pair, queue: OutboxLimits) -> Self {
        Self {
            pair,
            outbox: Outbox::new(queue),
            stanzas_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Queues a stanza, and dials if there is no stream.
    pub(crate) fn send(self: &Arc<Self>, stanza: Stanza, shared: &Arc<Shared>) -> Result<(), Refused> {
        let mut state = self.lock();
        if let Some(refused) = state.refusal(&stanza) {
            return Err(match refused {
                None => Refused::Retired(Box::new(stanza)),
                Some(error) => Refused::Undelivered(Undelivered::new(stanza, error)),
            });
        }
        self.outbox.push(stanza).map_err(|Full(stanza)| Refused::Undelivered(queue_is_full(*stanza)))?;
        if !matches!(state.phase, Phase::Dialing | Phase::Open { .. }) {
            state.phase = Phase::Dialing;
            let task = Outgoing { link: Arc::clone(self), shared: Arc::clone(shared) };
            shared.tasks.spawn(task.run());
        }
        Ok(())
    }

    /// Takes note of an incoming stream; what is given breaks its connection when cancelled.
    pub(crate) fn register(self: &Arc<Self>) -> Option<Incoming> {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Retired) {
            return None;
        }
        let number = state.next_incoming;
        state.next_incoming += 1;
        let cut = CancellationToken::new();
        state.incoming.insert(number, cut.clone());
        Some(Incoming { link: Arc::clone(self), number, cut })
    }

    /// Breaks all connections of the pair; says whether there was any.
    pub(crate) fn cut(&self) -> bool {
        let state = self.lock();
        let outgoing = match &state.phase {
            Phase::Open { cut } => Some(cut),
            _ => None,
        };
        let mut any = false;
        for cut in state.incoming.values().chain(outgoing) {
            cut.cancel();
            any = true;
        }
        any
    }

    /// Retires the link if nothing depends on it; says whether it is retired now.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.lock();
        let unused = match &state.phase {
            Phase::Idle => true,
            Phase::Waiting { until, .. } => *until <= now(),
            Phase::Dialing | Phase::Open { .. } => false,
            Phase::Retired => return true,
        };
        if unused && state.incoming.is_empty() {
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
            queued: self.outbox.len(),
            stanzas_out: sent.stanzas,
            bytes_out: sent.bytes,
            writes_out: sent.writes,
            incoming_streams: state.incoming.len(),
            stanzas_in: self.stanzas_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            dials: state.dials,
            failures: state.failures,
            last_failure: state.last_failure.clone(),
            last_report: state.last_report.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why the stanza is not taken at present, if so; `Some(None)` when the link is retired.
    fn refusal(&self, stanza: &Stanza) -> Option<Option<StanzaError>> {
        match &self.phase {
            Phase::Retired => return Some(None),
            Phase::Waiting { until, error } if now() < *until => return Some(Some(error.clone())),
            _ => {}
        }
        self.is_too_large(stanza).then(|| Some(too_large()))
    }

    fn is_too_large(&self, stanza: &Stanza) -> bool {
        self.peer_max_bytes.is_some_and(|limit| stanza.bytes().len() as u64 > limit)
    }
}

impl Phase {
    fn as_public(&self) -> LinkState {
        match self {
            Self::Idle | Self::Retired => LinkState::Idle,
            Self::Dialing => LinkState::Dialing,
            Self::Open { .. } => LinkState::Open,
            Self::Waiting { until, .. } if *until <= now() => LinkState::Idle,
            Self::Waiting { .. } => LinkState::Waiting,
        }
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

/// An incoming stream of a link, while it lives.
pub(crate) struct Incoming {
    link: Arc<Link>,
    number: u64,
    /// Breaks the connection.
    pub(crate) cut: CancellationToken,
}

impl Incoming {
    pub(crate) fn count(&self, stanza: &Stanza) {
        self.link.stanzas_in.fetch_add(1, Ordering::Relaxed);
        self.link.bytes_in.fetch_add(stanza.bytes().len() as u64, Ordering::Relaxed);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.link.lock().incoming.remove(&self.number);
    }
}

/// The task of a link that dials or has an outgoing stream.
struct Outgoing {
    link: Arc<Link>,
    shared: Arc<Shared>,
}

impl Outgoing {
    async fn run(self) {
        loop {
            let Some(dialed) = self.dial().await else { return };
            let pause = match dialed {
                Ok(dialed) => match self.carry(dialed).await {
                    Some(pause) => pause,
                    None => return,
                },
                Err(error) => return self.give_up(&error),
            };
            if self.pause(pause).await.is_none() {
                return;
            }
        }
    }

    /// Dials; `None` when the shutdown came first.
    async fn dial(&self) -> Option<Result<Dialed, DialError>> {
        self.link.lock().dials += 1;
        let Pair { local, remote } = &self.link.pair;
        tokio::select! {
            dialed = self.shared.dialer.dial(local, remote) => Some(dialed),
            () = self.shared.tasks.shutdown_token().cancelled() => self.abandon(),
        }
    }

    async fn pause(&self, pause: Duration) -> Option<()> {
        tokio::select! {
            () = sleep(pause) => Some(()),
            () = self.shared.tasks.shutdown_token().cancelled() => self.abandon(),
        }
    }

    /// Runs the stream until it ends; then the pause before the next, or `None` if none is wanted.
    async fn carry(&self, dialed: Dialed) -> Option<Duration> {
        let Pair { local, remote } = &self.link.pair;
        let stop = Stop { shutdown: self.shared.tasks.shutdown_token().clone(), ..Stop::default() };
        self.link.lock().last_report = Some(Arc::clone(&dialed.report));
        let rejected = self.open(&stop.cut, dialed.established.peer_max_bytes);
        self.bounce(rejected, &too_large());
        info!(%local, %remote, tls = dialed.established.tls_version, "outgoing stream established");
        let began = now();
        let settings = self.shared.session_settings();
        let end = session::run(dialed.connection, &self.link.outbox, &mut OneWay, settings, &stop).await;
        info!(%local, %remote, ?end, "outgoing stream ended");
        if self.shared.tasks.shutdown_token().is_cancelled() {
            return self.abandon();
        }
        self.next_pause(&end, now() - began)
    }

    /// The stream is there; gives back what is too large for it.
    fn open(&self, cut: &CancellationToken, peer_max_bytes: Option<u64>) -> Vec<Stanza> {
        let mut state = self.link.lock();
        state.phase = Phase::Open { cut: cut.clone() };
        state.peer_max_bytes = peer_max_bytes;
        state.failures_in_a_row = 0;
        self.link.outbox.take_if(|stanza| state.is_too_large(stanza))
    }

    /// What follows a stream that has ended. One that was lost is dialled again at once: the next stanza will need it.
    fn next_pause(&self, end: &End, lasted: Duration) -> Option<Duration> {
        let mut state = self.link.lock();
        if !end.is_loss() && self.link.outbox.is_empty() {
            state.phase = Phase::Idle;
            state.early_losses = 0;
            return None;
        }
        state.phase = Phase::Dialing;
        state.early_losses = if lasted < STABLE { state.early_losses.saturating_add(1) } else { 0 };
        let again = state.early_losses.saturating_sub(1);
        let backoff = Backoff { first: FIRST_PAUSE, ..self.shared.backoff };
        Some(if again == 0 { Duration::ZERO } else { backoff.draw(again) })
    }

    /// Nobody could be reached: everything that waits is given back, and nothing is tried for a while.
    fn give_up(&self, error: &DialError) {
        let Pair { local, remote } = &self.link.pair;
        warn!(%local, %remote, code = %error.code(), %error, "cannot reach the domain");
        let told = error.to_stanza_error();
        let stanzas = {
            // Under the lock that `send` holds: a stanza is either among these or refused by the new phase.
            let mut state = self.link.lock();
            let stanzas = self.link.outbox.take_all();
            state.fail(error);
            state.phase = if stanzas.is_empty() {
                // Only an attempt to be ready for the next stanza: let that one try again.
                Phase::Idle
            } else {
                let pause = self.shared.backoff.draw(state.failures_in_a_row);
                Phase::Waiting { until: now() + pause, error: told.clone() }
            };
            stanzas
        };
        self.bounce(stanzas, &told);
    }

    /// The shutdown has come: nothing is sent any more.
    fn abandon<T>(&self) -> Option<T> {
        let stanzas = {
            let mut state = self.link.lock();
            state.phase = Phase::Idle;
            self.link.outbox.take_all()
        };
        self.bounce(stanzas, &shutting_down());
        None
    }

    fn bounce(&self, stanzas: Vec<Stanza>, error: &StanzaError) {
        for stanza in stanzas {
            self.shared.router.undelivered(Undelivered::new(stanza, error.clone()));
        }
    }
}

impl State {
    fn fail(&mut self, error: &DialError) {
        self.failures += 1;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.last_failure = Some(error.to_string());
        self.last_report = Some(Arc::clone(error.report()));
    }
}

/// The peer's half of a stream in one direction: nothing may come by it.
struct OneWay;

impl SessionHandler for OneWay {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Err(StreamError::new(StreamCondition::NotAuthorized)
            .with_text("this stream carries stanzas in the other direction only"))
    }
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

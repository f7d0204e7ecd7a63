//! Single-flight group commit: what waits is served together, and told when it is durable.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoke_store::{Batch, Store, StoreError};
use convoke_xmpp::{Jid, Stanza};

use super::clock::Clock;
use super::landing::{Landing, Wake};
use super::work::{Limits, Waiting, Work};
use crate::broker::Census;
use crate::contacts::Contacts;
use crate::delivery::{Counters, Outbox, Outgoing};
use crate::protocol::RequestError;
use crate::state::Undo;

/// How many bytes of requests make one group at most: well within what a store takes in one batch.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// How long to leave a store alone that has failed, before what time or presence brought is done again.
const RETRY: Duration = Duration::from_secs(1);

/// How much of that there is at most. Beyond it, an address may be taken for available that is not.
const MAX_POSTPONED: usize = 10_000;

/// What serves work in memory: one broker, or many that share a store.
pub(super) trait Host: Send {
    /// Before it is at work: where it takes the time from.
    fn set_clock(&mut self, clock: Arc<dyn Clock>);

    /// Before it is at work: who knows the contacts of owners.
    fn set_contacts(&mut self, contacts: Arc<dyn Contacts>);

    /// Does one thing; what comes of it is told once it is durable.
    fn perform(&mut self, work: &Work) -> Vec<Outgoing>;

    /// Whether it is time for [`Work::Expire`].
    fn is_due(&self) -> bool;

    /// When it is, if ever.
    fn next_expiry(&self) -> Option<Instant>;

    /// Makes ready to do something again that the store did not keep, and of which this was not sent; `None` if it comes up
    /// by itself.
    fn retry(&mut self, work: Work, unsent: &[Outgoing]) -> Option<Work>;

    /// All changes since the last call; `None` if there are none.
    fn take_changes(&mut self) -> Option<(Batch, Undos)>;

    /// Takes back changes that the store did not keep, for this reason.
    fn undo(&mut self, undos: Undos, cause: &StoreError);

    /// How much there is.
    fn census(&self) -> Census;

    /// Looks at what the store has of what it failed to keep.
    fn resolve_doubts(&mut self, store: &dyn Store);
}

/// The way back from changes that the store did not keep, by the address of each broker that has changed.
pub(super) type Undos = Vec<(Jid, Undo)>;

/// Serves work in order, in groups of which one at a time is under way to the store.
///
/// While a group is under way everything else waits: nobody sees what is not durable, and a burst shares one
/// synchronisation of the disk. Without a store everything is done at once.
pub(super) struct Commits {
    core: Mutex<Core>,
    landing: Arc<Landing>,
    store: Option<Arc<dyn Store>>,
    counters: Arc<Counters>,
}

struct Core {
    host: Box<dyn Host>,
    waiting: Waiting,
    flight: Option<Group>,
    /// What the store did not keep and nobody can be refused.
    postponed: Vec<Work>,
    /// Until when the service itself leaves a store alone that has failed.
    retry_at: Option<Instant>,
    /// How many make one group at most: few only after a group was more than the store takes at once.
    group_limit: usize,
    /// Whether the store did not keep what it was given last.
    is_failing: bool,
    is_closed: bool,
}

/// Requests that become durable together, or are refused together.
struct Group {
    undo: Undos,
    members: Vec<(Work, Vec<Outgoing>)>,
}

/// What is to be done after a group was served.
enum Next {
    /// Nothing waits, or a group is under way.
    Nothing,
    /// It changed nothing; there may be more.
    Again,
    Commit(Arc<dyn Store>, Batch),
}

impl Commits {
    pub(super) fn new(
        host: Box<dyn Host>,
        store: Option<Arc<dyn Store>>,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        let waiting = Waiting::new(limits);
        let core = Core {
            host,
            waiting,
            flight: None,
            postponed: Vec::new(),
            retry_at: None,
            group_limit: usize::MAX,
            is_failing: false,
            is_closed: false,
        };
        let landing = Arc::default();
        Self { core: Mutex::new(core), landing, store, counters }
    }

    /// What to call when [`Commits::progress`] has something to do.
    pub(super) fn on_wake(&self, wake: Wake) {
        self.landing.set_wake(wake);
    }

    /// Takes work for its turn; gives it back if too much waits, here and in the outbox, or if it is closed.
    pub(super) fn submit(&self, work: Work, outbox: &Outbox) -> Result<(), Work> {
        let mut core = self.core();
        if core.is_closed {
            return Err(work);
        }
        core.waiting.push(work, outbox.len())
    }

    /// Takes work that the service itself came upon.
    pub(super) fn submit_own(&self, work: Work) {
        self.core().waiting.push_anyway(work);
    }

    /// Takes every step that is possible now; what may be told goes to the outbox.
    pub(super) fn progress(&self, now: Instant, outbox: &Outbox) {
        loop {
            let next = self.next(&mut self.core(), now, outbox);
            match next {
                Next::Nothing => return,
                Next::Again => {}
                // No lock is held: the store may call back at once.
                Next::Commit(store, batch) => store.commit(batch, self.landing.callback()),
            }
        }
    }

    /// Takes no more work, and refuses what waits. What is under way is still told.
    pub(super) fn close(&self, outbox: &Outbox) {
        let mut core = self.core();
        core.is_closed = true;
        while let Some(work) = core.waiting.pop() {
            outbox.extend(refused(&work));
        }
    }

    /// Whether a group is under way to the store.
    pub(super) fn is_committing(&self) -> bool {
        self.core().flight.is_some()
    }

    /// Whether the store did not keep what it was given last.
    pub(super) fn is_failing(&self) -> bool {
        self.core().is_failing
    }

    /// What there is at present.
    pub(super) fn census(&self) -> Census {
        self.core().host.census()
    }

    /// When [`Commits::progress`] has something to do by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let core = self.core();
        if core.flight.is_some() {
            return None;
        }
        let retry = core.retry_at.filter(|_| !core.postponed.is_empty());
        let expiry = core.host.next_expiry().map(|expiry| core.retry_at.map_or(expiry, |retry| retry.max(expiry)));
        retry.into_iter().chain(expiry).min()
    }

    /// The host, before it is at work.
    pub(super) fn host_mut(&mut self) -> &mut dyn Host {
        self.core.get_mut().unwrap_or_else(PoisonError::into_inner).host.as_mut()
    }

    fn next(&self, core: &mut Core, now: Instant, outbox: &Outbox) -> Next {
        if core.flight.is_some() {
            let Some(outcome) = self.landing.take() else { return Next::Nothing };
            self.land(core, outcome, now, outbox);
        }
        let members = core.serve(now);
        if members.is_empty() {
            return Next::Nothing;
        }
        match (core.host.take_changes(), &self.store) {
            (Some((batch, undo)), Some(store)) => {
                core.flight = Some(Group { undo, members });
                Next::Commit(store.clone(), batch)
            }
            _ => {
                outbox.extend(members.into_iter().flat_map(|(_, outgoing)| outgoing));
                Next::Again
            }
        }
    }

    /// Tells what came of a group, or refuses it. Under the lock of the core: otherwise two groups could change places.
    fn land(&self, core: &mut Core, outcome: Result<(), StoreError>, now: Instant, outbox: &Outbox) {
        let Some(Group { undo, members }) = core.flight.take() else { return };
        let Err(error) = outcome else {
            self.counters.committed_groups.increment();
            core.is_failing = false;
            return outbox.extend(members.into_iter().flat_map(|(_, outgoing)| outgoing));
        };
        core.host.undo(undo, &error);
        if matches!(error, StoreError::TooLarge { .. }) {
            if members.len() > 1 {
                return core.divide(members);
            }
            self.counters.oversized_requests.increment();
        } else {
            self.counters.failed_groups.increment();
            core.is_failing = true;
            self.store.iter().for_each(|store| core.host.resolve_doubts(&**store));
        }
        outbox.extend(members.iter().filter_map(|(work, _)| refused(work)));
        core.postpone(members, now);
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Serves what waits, up to the size of a group, and first what time has brought.
    fn serve(&mut self, now: Instant) -> Vec<(Work, Vec<Outgoing>)> {
        if self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            self.retry_at = None;
            self.postponed.drain(..).for_each(|work| self.waiting.push_anyway(work));
        }
        let limit = self.group_limit;
        self.group_limit = limit.saturating_mul(2);
        let mut members = Vec::from_iter(self.expire(now));
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && members.len() < limit
            && let Some(work) = self.waiting.pop()
        {
            bytes += work.bytes();
            let outgoing = self.host.perform(&work);
            members.push((work, outgoing));
        }
        members
    }

    fn expire(&mut self, now: Instant) -> Option<(Work, Vec<Outgoing>)> {
        if self.retry_at.is_some() || !self.host.is_due() {
            return None;
        }
        let outgoing = self.host.perform(&Work::Expire);
        if self.host.is_due() {
            // It did not succeed.
            self.retry_at = Some(now + RETRY);
        }
        Some((Work::Expire, outgoing))
    }

    /// Does a group again, in its order and in halves, that was more than the store takes at once: until the one is alone
    /// that is too large by itself.
    fn divide(&mut self, members: Vec<(Work, Vec<Outgoing>)>) {
        self.group_limit = members.len() / 2;
        for (work, unsent) in members.into_iter().rev() {
            let again = if work.request().is_some() { Some(work) } else { self.host.retry(work, &unsent) };
            again.into_iter().for_each(|work| self.waiting.push_front(work));
        }
    }

    /// Keeps what nobody was refused, to do it again.
    fn postpone(&mut self, members: Vec<(Work, Vec<Outgoing>)>, now: Instant) {
        self.retry_at = Some(now + RETRY);
        for (work, unsent) in members {
            if self.postponed.len() < MAX_POSTPONED && work.request().is_none() {
                self.postponed.extend(self.host.retry(work, &unsent));
            }
        }
    }
}

fn refused(work: &Work) -> Option<Outgoing> {
    bounce(work.request()?).map(Outgoing::Answer)
}

/// The answer to a request that cannot be served now, and may be tried again.
pub(super) fn bounce(request: &Stanza) -> Option<Stanza> {
    request.bounce(&RequestError::Busy.into())
}

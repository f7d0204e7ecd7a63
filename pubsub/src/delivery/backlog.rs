//! Subscribers to whom nothing is sent for now, and what waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Bound;
use std::time::Instant;

use convoke_xmpp::{Condition, ErrorType, Jid, StanzaError};

use super::agenda::Agenda;
use super::config::{DeliveryConfig, pause};
use super::is_at;
use super::notice::Pending;
use crate::broker::{NodeId, SubId};

/// All subscribers that are held back.
///
/// A subscriber is held back while its way is full, and after a notification came back. What it is told meanwhile waits,
/// in order and within bounds; nothing overtakes what waits.
pub(super) struct Backlogs {
    config: DeliveryConfig,
    subscribers: BTreeMap<Jid, Backlog>,
    agenda: Agenda<Jid>,
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Backlog {
    /// Those of each node in the order of its changes.
    waiting: VecDeque<Pending>,
    bytes: usize,
    hold: Hold,
    /// The number of the last letter that may have been sent to the subscriber.
    sent_until: u64,
}

/// Why a subscriber is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Its way was full so many times in a row.
    Full { refusals: u32 },
    /// Notifications came back; it is left alone for some time.
    Suspended(Trouble),
    /// One notification is on its way to see whether it comes back, too.
    Trial(Trouble),
}

/// What came back from a subscriber, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    since: Instant,
    bounces: u32,
    /// How many of the last ones came back for good.
    permanent: u32,
}

/// What becomes of a notification for a subscriber that is held back.
pub(super) enum Admission {
    /// It waits.
    Waits,
    /// It took the place of an older one.
    Replaces,
    /// It is to be sent at once, on trial.
    Trial(Pending),
    /// There is no room for it.
    GivenUp,
}

/// What is to be done for a subscriber whose moment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// Send all that waits.
    Everything,
    /// Send one notification on trial.
    OneOnTrial,
}

impl Backlogs {
    pub(super) fn new(config: DeliveryConfig) -> Self {
        Self { config, subscribers: BTreeMap::new(), agenda: Agenda::default(), count: 0, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    pub(super) fn is_held(&self, subscriber: &Jid) -> bool {
        self.subscribers.contains_key(subscriber)
    }

    /// How many subscribers are held back.
    pub(super) fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// How many notifications wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.agenda.next()
    }

    /// Takes a notification for a subscriber that is held back; `room` is what all may hold together.
    pub(super) fn admit(&mut self, subscriber: &Jid, pending: Pending, room: usize, now: Instant) -> Admission {
        let Some(backlog) = self.subscribers.get_mut(subscriber) else {
            return Admission::Trial(pending);
        };
        if let Hold::Suspended(trouble) = backlog.hold
            && backlog.waiting.is_empty()
            && !self.agenda.has(subscriber)
        {
            backlog.hold = Hold::Trial(trouble);
            backlog.sent_until = pending.number();
            self.agenda.set(subscriber.clone(), now + self.config.trial);
            return Admission::Trial(pending);
        }
        let config = self.config.clone();
        let admission = self.change(subscriber, |backlog| backlog.admit(pending, &config, room));
        admission.unwrap_or(Admission::GivenUp)
    }

    /// Takes a notification back that found the subscriber's way full: the first that waits from now on. `false` if
    /// too many subscribers are held back already. `sent_until` is the number of the last letter there is.
    pub(super) fn full(&mut self, subscriber: &Jid, pending: Pending, sent_until: u64, now: Instant) -> bool {
        let Some(backlog) = self.hold(subscriber, Hold::Full { refusals: 0 }, sent_until) else { return false };
        let refusals = match &mut backlog.hold {
            Hold::Full { refusals } => {
                *refusals += 1;
                *refusals
            }
            // It was on trial, and is again.
            Hold::Suspended(trouble) | Hold::Trial(trouble) => {
                backlog.hold = Hold::Suspended(*trouble);
                u32::MAX
            }
        };
        self.put_back(subscriber, pending);
        let pause = pause(self.config.first_retry, self.config.longest_retry, refusals);
        self.agenda.set(subscriber.clone(), now + pause);
        true
    }

    /// Makes a notification the first that waits for a subscriber; `false` if that one is not held back.
    pub(super) fn put_back(&mut self, subscriber: &Jid, pending: Pending) -> bool {
        self.change(subscriber, |backlog| backlog.insert(0, pending)).is_some()
    }

    /// Takes a notification back that came back from a subscriber, to its place in the order of its node; says how much is
    /// given up for want of room.
    pub(super) fn take_back(&mut self, subscriber: &Jid, pending: Pending, room: usize) -> usize {
        let config = self.config.clone();
        self.change(subscriber, |backlog| backlog.take_back(pending, &config, room)).unwrap_or(1)
    }

    /// Notes that a notification came back from the subscriber with this error; `true` if its subscriptions should end.
    /// `sent_until` is the number of the last letter there is.
    pub(super) fn bounced(&mut self, subscriber: &Jid, error: &StanzaError, sent_until: u64, now: Instant) -> bool {
        let fresh = Trouble { since: now, bounces: 0, permanent: 0 };
        let trouble = match self.subscribers.get(subscriber).map(|backlog| backlog.hold) {
            // Sent before the first one came back: it tells nothing new.
            Some(Hold::Suspended(_)) if self.agenda.has(subscriber) => return error.condition == Condition::Gone,
            Some(Hold::Suspended(trouble) | Hold::Trial(trouble)) => trouble,
            Some(Hold::Full { .. }) | None => fresh,
        };
        let permanent = if error.error_type == ErrorType::Cancel { trouble.permanent + 1 } else { 0 };
        let trouble = Trouble { bounces: trouble.bounces + 1, permanent, ..trouble };
        let is_late = now.saturating_duration_since(trouble.since) >= self.config.patience;
        let is_over = if is_late { trouble.bounces } else { permanent } >= self.config.max_bounces;
        if error.condition == Condition::Gone || is_over {
            return true;
        }
        let Some(backlog) = self.hold(subscriber, Hold::Suspended(trouble), sent_until) else { return false };
        backlog.hold = Hold::Suspended(trouble);
        let pause = pause(self.config.first_suspension, self.config.longest_suspension, trouble.bounces);
        self.agenda.set(subscriber.clone(), now + pause);
        false
    }

    /// Notes that somebody with this bare address is at work: what came back from it is forgotten.
    pub(super) fn alive(&mut self, bare: &str, now: Instant) {
        let from_bare_on = self.subscribers.range_mut::<str, _>((Bound::Included(bare), Bound::Unbounded));
        let resources = from_bare_on.take_while(|(jid, _)| jid.as_str().starts_with(bare));
        for (jid, backlog) in resources {
            if jid.bare() == bare && !matches!(backlog.hold, Hold::Full { .. }) {
                backlog.hold = Hold::Full { refusals: 0 };
                self.agenda.set(jid.clone(), now);
            }
        }
    }

    /// The next subscriber whose moment has come.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Jid> {
        self.agenda.take_due(now)
    }

    /// What is to be done for a subscriber whose moment has come, if anything.
    pub(super) fn release_of(&mut self, subscriber: &Jid, now: Instant) -> Option<Release> {
        let backlog = self.subscribers.get_mut(subscriber)?;
        match backlog.hold {
            // The next notification will be the trial.
            Hold::Suspended(_) if backlog.waiting.is_empty() => None,
            Hold::Suspended(trouble) => {
                backlog.hold = Hold::Trial(trouble);
                self.agenda.set(subscriber.clone(), now + self.config.trial);
                Some(Release::OneOnTrial)
            }
            // None of what was sent has come back.
            Hold::Trial(_) => {
                backlog.hold = Hold::Full { refusals: 0 };
                Some(Release::Everything)
            }
            Hold::Full { .. } => Some(Release::Everything),
        }
    }

    /// What came back and waits for the subscriber, each with the number of the last letter that may have been sent.
    pub(super) fn returned(&self, subscriber: &Jid) -> impl Iterator<Item = (&Pending, u64)> {
        let backlog = self.subscribers.get(subscriber).into_iter();
        let waiting = backlog.flat_map(|backlog| backlog.waiting.iter().map(|pending| (pending, backlog.sent_until)));
        waiting.filter(|(pending, _)| pending.is_returned())
    }

    /// Whether what the letter of this number told of a node waits for the subscriber.
    pub(super) fn holds(&self, subscriber: &Jid, source: (&Jid, &NodeId), number: u64) -> bool {
        let backlog = self.subscribers.get(subscriber);
        backlog.is_some_and(|backlog| backlog.waiting.iter().any(|waiting| waiting.is_of(source, number)))
    }

    /// Gives up what waits of these numbers; says how much.
    pub(super) fn drop_letters(&mut self, subscriber: &Jid, numbers: &[u64]) -> usize {
        self.retain(subscriber, |pending| !numbers.contains(&pending.number()))
    }

    /// The first notification that waits for the subscriber.
    pub(super) fn pop(&mut self, subscriber: &Jid) -> Option<Pending> {
        self.change(subscriber, |backlog| {
            let pending = backlog.waiting.pop_front()?;
            backlog.bytes -= pending.bytes();
            backlog.sent_until = backlog.sent_until.max(pending.number());
            Some(pending)
        })?
    }

    /// Stops holding a subscriber back for whom nothing waits; gives up what waits otherwise, and says how much.
    pub(super) fn release(&mut self, subscriber: &Jid) -> usize {
        self.agenda.cancel(subscriber);
        let Some(backlog) = self.subscribers.remove(subscriber) else { return 0 };
        self.bytes -= backlog.bytes;
        self.count -= backlog.waiting.len();
        backlog.waiting.len()
    }

    /// Forgets what waits for a subscription to a node, at its address and at the resources of that, and for no other of
    /// the subscriber.
    pub(super) fn end(&mut self, subscriber: &Jid, source: (&Jid, &NodeId), subid: SubId) {
        let from_bare_on = self.subscribers.range::<str, _>((Bound::Included(subscriber.as_str()), Bound::Unbounded));
        let own = from_bare_on.map(|(jid, _)| jid).take_while(|jid| jid.as_str().starts_with(subscriber.as_str()));
        let own: Vec<_> = own.filter(|jid| is_at(jid, subscriber)).cloned().collect();
        for jid in own {
            self.retain(&jid, |pending| pending.source() != source || pending.outlives(subid));
        }
    }

    /// Gives up everything that waits; says how much.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.count;
        *self = Self::new(self.config.clone());
        count
    }

    fn retain(&mut self, subscriber: &Jid, keeps: impl FnMut(&mut Pending) -> bool) -> usize {
        let before = self.count;
        self.change(subscriber, |backlog| {
            backlog.waiting.retain_mut(keeps);
            backlog.bytes = backlog.waiting.iter().map(Pending::bytes).sum();
        });
        before - self.count
    }

    /// Changes what waits for a subscriber, and keeps account of it; `None` if it is not held back.
    fn change<T>(&mut self, subscriber: &Jid, change: impl FnOnce(&mut Backlog) -> T) -> Option<T> {
        let backlog = self.subscribers.get_mut(subscriber)?;
        let (count, bytes) = (self.count - backlog.waiting.len(), self.bytes - backlog.bytes);
        let outcome = change(backlog);
        (self.count, self.bytes) = (count + backlog.waiting.len(), bytes + backlog.bytes);
        Some(outcome)
    }

    /// The backlog of a subscriber, a new one with this reason if it has none; `None` if there are too many.
    fn hold(&mut self, subscriber: &Jid, hold: Hold, sent_until: u64) -> Option<&mut Backlog> {
        if !self.is_held(subscriber) {
            if self.subscribers.len() >= self.config.max_held_subscribers {
                self.drop_idle();
            }
            if self.subscribers.len() >= self.config.max_held_subscribers {
                return None;
            }
            let backlog = Backlog { waiting: VecDeque::new(), bytes: 0, hold, sent_until };
            self.subscribers.insert(subscriber.clone(), backlog);
        }
        self.subscribers.get_mut(subscriber)
    }

    /// Forgets subscribers in trouble whom nobody has told anything since.
    fn drop_idle(&mut self) {
        let agenda = &self.agenda;
        self.subscribers.retain(|jid, backlog| !backlog.waiting.is_empty() || agenda.has(jid));
    }
}

impl Backlog {
    fn admit(&mut self, pending: Pending, config: &DeliveryConfig, room: usize) -> Admission {
        // Of its node, nothing but the last that waits: an event in between keeps its place.
        let last = self.waiting.iter().rposition(|waiting| waiting.source() == pending.source());
        if let Some(last) = last.filter(|last| self.is_replaced(*last, &pending)) {
            self.absorb(last, pending);
            return Admission::Replaces;
        }
        if !self.has_room(&pending, config, room) {
            return Admission::GivenUp;
        }
        self.insert(self.waiting.len(), pending);
        Admission::Waits
    }

    /// Says how much is given up for it: the oldest changes of its node, of which the newest are worth most.
    fn take_back(&mut self, pending: Pending, config: &DeliveryConfig, room: usize) -> usize {
        if self.is_told_with_another(&pending) {
            return 0;
        }
        let (before, behind) = self.place(&pending);
        if let Some(before) = before.filter(|before| self.is_replaced(*before, &pending)) {
            self.absorb(before, pending);
            return 0;
        }
        if let Some(behind) = behind.filter(|behind| pending.is_state() && pending.can_absorb(&self.waiting[*behind])) {
            self.bytes = self.bytes - self.waiting[behind].bytes() + pending.bytes();
            let newer = mem::replace(&mut self.waiting[behind], pending);
            self.absorb(behind, newer);
            return 0;
        }
        let mut given_up = 0;
        while !self.has_room(&pending, config, room) {
            let before =
                |waiting: &Pending| waiting.source() == pending.source() && waiting.number() < pending.number();
            let Some(oldest) = self.waiting.iter().position(before) else { return given_up + 1 };
            self.bytes -= self.waiting.remove(oldest).map_or(0, |oldest| oldest.bytes());
            given_up += 1;
        }
        let (before, behind) = self.place(&pending);
        self.insert(before.map(|before| before + 1).or(behind).unwrap_or_default(), pending);
        given_up
    }

    /// Whether what waits tells of it already: it came back twice.
    fn is_told_with_another(&self, pending: &Pending) -> bool {
        self.waiting.iter().any(|waiting| waiting.is_of(pending.source(), pending.number()))
    }

    /// The last change of the same node before it that waits, and the first one behind.
    fn place(&self, pending: &Pending) -> (Option<usize>, Option<usize>) {
        let is_before = |waiting: &Pending| waiting.number() < pending.number();
        let of_node = |waiting: &Pending| waiting.source() == pending.source();
        let before = self.waiting.iter().rposition(|waiting| of_node(waiting) && is_before(waiting));
        let behind = self.waiting.iter().position(|waiting| of_node(waiting) && !is_before(waiting));
        (before, behind)
    }

    /// Whether of what waits there nothing need be told but that it was, once this is told.
    fn is_replaced(&self, at: usize, later: &Pending) -> bool {
        let waiting = &self.waiting[at];
        waiting.is_state() && waiting.can_absorb(later)
    }

    fn absorb(&mut self, at: usize, later: Pending) {
        let waiting = &mut self.waiting[at];
        self.bytes -= waiting.bytes();
        waiting.absorb(later);
        self.bytes += waiting.bytes();
    }

    fn has_room(&self, pending: &Pending, config: &DeliveryConfig, room: usize) -> bool {
        self.waiting.len() < config.max_waiting
            && self.bytes + pending.bytes() <= config.max_waiting_bytes
            && pending.bytes() <= room
    }

    fn insert(&mut self, at: usize, pending: Pending) {
        self.bytes += pending.bytes();
        self.waiting.insert(at, pending);
    }
}

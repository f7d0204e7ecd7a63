//! Subscribers to whom nothing is sent for now, and what waits for them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Instant;

use convoke_xmpp::{Condition, ErrorType, Jid, StanzaError};

use super::agenda::Agenda;
use super::config::{DeliveryConfig, pause};
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
    bytes: usize,
}

#[derive(Debug)]
struct Backlog {
    waiting: VecDeque<Pending>,
    bytes: usize,
    hold: Hold,
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
        Self { config, subscribers: BTreeMap::new(), agenda: Agenda::default(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    pub(super) fn is_held(&self, subscriber: &Jid) -> bool {
        self.subscribers.contains_key(subscriber)
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
            self.agenda.set(subscriber.clone(), now + self.config.trial);
            return Admission::Trial(pending);
        }
        let before = backlog.bytes;
        let admission = backlog.admit(pending, &self.config, room);
        self.bytes = self.bytes - before + backlog.bytes;
        admission
    }

    /// Takes a notification back that found the subscriber's way full: the first that waits from now on. `false` if
    /// too many subscribers are held back already.
    pub(super) fn full(&mut self, subscriber: &Jid, pending: Pending, now: Instant) -> bool {
        let Some(backlog) = self.hold(subscriber, Hold::Full { refusals: 0 }) else { return false };
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
        let Some(backlog) = self.subscribers.get_mut(subscriber) else { return false };
        backlog.bytes += pending.bytes();
        self.bytes += pending.bytes();
        backlog.waiting.push_front(pending);
        true
    }

    /// Notes that a notification came back from the subscriber with this error; `true` if its subscriptions should end.
    pub(super) fn bounced(&mut self, subscriber: &Jid, error: &StanzaError, now: Instant) -> bool {
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
        let Some(backlog) = self.hold(subscriber, Hold::Suspended(trouble)) else { return false };
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

    /// The next subscriber whose moment has come, and what is to be done for it.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Jid, Release)> {
        loop {
            let subscriber = self.agenda.take_due(now)?;
            let Some(backlog) = self.subscribers.get_mut(&subscriber) else { continue };
            match backlog.hold {
                // The next notification will be the trial.
                Hold::Suspended(_) if backlog.waiting.is_empty() => {}
                Hold::Suspended(trouble) => {
                    backlog.hold = Hold::Trial(trouble);
                    self.agenda.set(subscriber.clone(), now + self.config.trial);
                    return Some((subscriber, Release::OneOnTrial));
                }
                // None of what was sent has come back.
                Hold::Trial(_) => {
                    backlog.hold = Hold::Full { refusals: 0 };
                    return Some((subscriber, Release::Everything));
                }
                Hold::Full { .. } => return Some((subscriber, Release::Everything)),
            }
        }
    }

    /// The first notification that waits for the subscriber.
    pub(super) fn pop(&mut self, subscriber: &Jid) -> Option<Pending> {
        let backlog = self.subscribers.get_mut(subscriber)?;
        let pending = backlog.waiting.pop_front()?;
        backlog.bytes -= pending.bytes();
        self.bytes -= pending.bytes();
        Some(pending)
    }

    /// Stops holding a subscriber back for whom nothing waits; gives up what waits otherwise, and says how much.
    pub(super) fn release(&mut self, subscriber: &Jid) -> usize {
        self.agenda.cancel(subscriber);
        let Some(backlog) = self.subscribers.remove(subscriber) else { return 0 };
        self.bytes -= backlog.bytes;
        backlog.waiting.len()
    }

    /// Forgets what waits for a subscription to a node, and for no other of the subscriber; says how much.
    pub(super) fn end(&mut self, subscriber: &Jid, source: (&Jid, &NodeId), subid: SubId) -> usize {
        let Some(backlog) = self.subscribers.get_mut(subscriber) else { return 0 };
        let (count, bytes) = (backlog.waiting.len(), backlog.bytes);
        backlog.waiting.retain_mut(|pending| pending.source() != source || pending.outlives(subid));
        backlog.bytes = backlog.waiting.iter().map(Pending::bytes).sum();
        self.bytes = self.bytes - bytes + backlog.bytes;
        count - backlog.waiting.len()
    }

    /// Gives up everything that waits; says how much.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.subscribers.values().map(|backlog| backlog.waiting.len()).sum();
        *self = Self::new(self.config.clone());
        count
    }

    /// The backlog of a subscriber, a new one with this reason if it has none; `None` if there are too many.
    fn hold(&mut self, subscriber: &Jid, hold: Hold) -> Option<&mut Backlog> {
        if !self.is_held(subscriber) {
            if self.subscribers.len() >= self.config.max_held_subscribers {
                self.drop_idle();
            }
            if self.subscribers.len() >= self.config.max_held_subscribers {
                return None;
            }
            self.subscribers.insert(subscriber.clone(), Backlog { waiting: VecDeque::new(), bytes: 0, hold });
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
        let last = self.waiting.iter_mut().rfind(|waiting| waiting.source() == pending.source());
        if let Some(last) = last.filter(|waiting| waiting.is_state() && waiting.can_absorb(&pending)) {
            self.bytes -= last.bytes();
            last.absorb(pending);
            self.bytes += last.bytes();
            return Admission::Replaces;
        }
        let bytes = self.bytes + pending.bytes();
        if self.waiting.len() >= config.max_waiting || bytes > config.max_waiting_bytes || pending.bytes() > room {
            return Admission::GivenUp;
        }
        self.bytes = bytes;
        self.waiting.push_back(pending);
        Admission::Waits
    }
}

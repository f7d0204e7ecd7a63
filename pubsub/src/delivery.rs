//! The way out: answers, and notifications for all who are to have them.
//!
//! A change is written once; each recipient costs a head in front of it. Who cannot take it now has it wait, in order
//! and within bounds; what comes back is sent again where that may help; who never takes anything loses its
//! subscriptions.

mod agenda;
mod backlog;
mod config;
mod digest;
mod notice;
mod outbox;
mod sent;
mod statistics;
mod subids;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_xmpp::{Condition, ErrorType, Jid, Origin, Router, Stanza, StanzaError};

use crate::broker::{NodeId, SubId};
use crate::ids::MessageIds;
use crate::state::{OfAddress, Subscription, Subscriptions};

use backlog::{Admission, Backlogs, Release};
use digest::Digests;
use notice::{Letter, Pending};
use sent::Sent;
use subids::SubIds;

pub use config::DeliveryConfig;
pub(crate) use notice::{Head, Notice};
pub(crate) use outbox::Outbox;
pub(crate) use statistics::Counters;
pub use statistics::PubSubStatistics;

/// One step of the way out.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The answer to a request, addressed.
    Answer(Stanza),
    /// The result of a publication, addressed.
    Published(Stanza),
    /// One change for many recipients.
    Notification { notice: Notice, recipients: Arc<Subscriptions> },
    /// What was sent to this address came back: a message of type error.
    Bounce(Stanza),
    /// Somebody with this bare address is at work.
    Alive(Jid),
    /// A subscription has ended: what waits for it is forgotten.
    Ended { subscriber: Jid, service: Jid, node: NodeId, subid: SubId },
}

/// Everything that is on its way to subscribers.
pub(crate) struct Delivery {
    config: DeliveryConfig,
    ids: MessageIds,
    id: String,
    /// How many letters there were.
    letters: u64,
    sent: Sent,
    backlogs: Backlogs,
    digests: Digests,
    counters: Arc<Counters>,
    dead: Vec<Jid>,
    /// Remote domains whose link had no room in this step: all their recipients would find it full.
    full: Vec<Box<str>>,
}

impl Delivery {
    pub(crate) fn new(config: DeliveryConfig, counters: Arc<Counters>) -> Self {
        let (backlogs, digests) = (Backlogs::new(config.clone()), Digests::new(config.clone()));
        Self {
            sent: Sent::new(config.clone()),
            config,
            ids: MessageIds::default(),
            id: String::new(),
            letters: 0,
            backlogs,
            digests,
            counters,
            dead: Vec::new(),
            full: Vec::new(),
        }
    }

    /// When there is something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.backlogs.next_deadline().into_iter().chain(self.digests.next_deadline()).min()
    }

    /// Whether there is something to do.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Whether nobody is held back.
    pub(crate) fn is_untroubled(&self) -> bool {
        self.backlogs.is_empty()
    }

    /// The subscribers whose subscriptions should end, since the last call.
    pub(crate) fn take_dead(&mut self) -> Vec<Jid> {
        std::mem::take(&mut self.dead)
    }

    /// Takes one step.
    pub(crate) fn step(&mut self, outgoing: Outgoing, now: Instant, router: &dyn Router) {
        self.full.clear();
        match outgoing {
            Outgoing::Answer(stanza) => deliver(stanza, router),
            Outgoing::Published(stanza) => {
                self.counters.publications.increment();
                deliver(stanza, router);
            }
            Outgoing::Notification { notice, recipients } => self.notify(notice, &recipients, now, router),
            Outgoing::Bounce(message) => self.returned(&message, now),
            Outgoing::Alive(bare) => self.backlogs.alive(bare.bare(), now),
            Outgoing::Ended { subscriber, service, node, subid } => self.end(&subscriber, (&service, &node), subid),
        }
    }

    /// Sends what was waiting for its time.
    pub(crate) fn catch_up(&mut self, now: Instant, router: &dyn Router) {
        self.full.clear();
        while let Some((subscriber, digest)) = self.digests.take_due(now) {
            self.send_or_wait(&subscriber, digest, now, router);
        }
        while let Some((subscriber, release)) = self.take_due(now) {
            self.release(&subscriber, release, now, router);
        }
        self.count_waiting();
    }

    /// Sends every digest before its time, and gives up what waits.
    pub(crate) fn close(&mut self, now: Instant, router: &dyn Router) {
        while let Some((subscriber, digest)) = self.digests.take_any() {
            self.send_or_wait(&subscriber, digest, now, router);
        }
        self.counters.given_up.add(self.backlogs.clear());
        self.count_waiting();
    }

    fn count_waiting(&self) {
        self.counters.waiting.set(self.backlogs.count() + self.digests.count());
        self.counters.waiting_bytes.set(self.backlogs.bytes() + self.digests.bytes());
        self.counters.held_subscribers.set(self.backlogs.subscribers());
    }

    fn notify(&mut self, notice: Notice, recipients: &Subscriptions, now: Instant, router: &dyn Router) {
        self.letters += 1;
        let letter = Arc::new(Letter::new(self.letters, notice));
        for (recipient, own) in by_domain(recipients) {
            self.tell(recipient, own, &letter, now, router);
        }
    }

    /// One message for all subscriptions of an address that are to have it now (XEP-0060, section 6.1.6), behind what has
    /// been collected for them; a place in the digest of each of the others.
    fn tell(&mut self, subscriber: &Jid, own: &OfAddress, letter: &Arc<Letter>, now: Instant, router: &dyn Router) {
        let period = |entry: &Subscription| entry.options.digest_period().filter(|_| letter.is_of_items());
        for subscription in own.entries() {
            if let Some(period) = period(subscription) {
                let subids = SubIds::one(subscription.subid, own.are_several());
                self.collect(subscriber, Pending::new(letter.clone(), subids), subscription.subid, period, now, router);
            } else if let Some(digest) = self.digests.take_for(subscriber, letter.source(), subscription.subid) {
                self.send_or_wait(subscriber, digest, now, router);
            }
        }
        let at_once = own.entries().iter().filter(|entry| period(entry).is_none());
        if let Some(subids) = SubIds::new(at_once.map(|entry| entry.subid), own.are_several()) {
            self.send_or_wait(subscriber, Pending::new(letter.clone(), subids), now, router);
        }
    }

    fn collect(
        &mut self,
        subscriber: &Jid,
        pending: Pending,
        subid: SubId,
        period: Duration,
        now: Instant,
        router: &dyn Router,
    ) {
        let room = self.room();
        for digest in self.digests.collect((subscriber, subid), pending, period, room, now) {
            self.send_or_wait(subscriber, digest, now, router);
        }
    }

    /// Sends a notification, unless the subscriber is held back: then it waits.
    fn send_or_wait(&mut self, subscriber: &Jid, pending: Pending, now: Instant, router: &dyn Router) {
        if self.backlogs.is_empty() || !self.backlogs.is_held(subscriber) {
            self.send(subscriber, pending, now, router);
            return;
        }
        match self.backlogs.admit(subscriber, pending.late(), self.room(), now) {
            Admission::Waits => {}
            Admission::Replaces => self.counters.replaced.increment(),
            Admission::GivenUp => self.counters.given_up.increment(),
            Admission::Trial(pending) => {
                self.send(subscriber, pending, now, router);
            }
        }
    }

    /// Hands a notification to the router; `false` if the subscriber is to be left alone from now on.
    fn send(&mut self, subscriber: &Jid, pending: Pending, now: Instant, router: &dyn Router) -> bool {
        if self.full.iter().any(|domain| **domain == *subscriber.domain()) {
            self.defer(subscriber, pending, now);
            return false;
        }
        self.ids.write_next(subscriber, &mut self.id);
        let Err(undelivered) = router.route(pending.message(subscriber, &self.id), &Origin::Local) else {
            self.counters.sent.increment();
            self.sent.note(self.ids.count(), pending);
            return true;
        };
        if undelivered.error.condition == Condition::ResourceConstraint {
            // Here everybody has a mailbox of their own; another domain has one link for all.
            if subscriber.domain() != pending.source().0.domain() {
                self.full.push(subscriber.domain().into());
            }
            self.defer(subscriber, pending, now);
        } else {
            self.judge(subscriber, &undelivered.error, now);
            let is_kept = may_be_sent_again(&undelivered.error)
                && pending.bytes() <= self.room()
                && self.backlogs.put_back(subscriber, pending.late());
            self.counters.given_up.add(usize::from(!is_kept));
        }
        false
    }

    /// Has a notification wait that found the way full.
    fn defer(&mut self, subscriber: &Jid, pending: Pending, now: Instant) {
        if pending.bytes() <= self.room() && self.backlogs.full(subscriber, pending.late(), self.letters, now) {
            self.counters.deferred.increment();
        } else {
            self.counters.given_up.increment();
        }
    }

    fn release(&mut self, subscriber: &Jid, release: Release, now: Instant, router: &dyn Router) {
        if release == Release::OneOnTrial {
            let pending = self.backlogs.pop(subscriber);
            pending.map(|pending| self.send(subscriber, pending, now, router));
            return;
        }
        while let Some(pending) = self.backlogs.pop(subscriber) {
            if !self.send(subscriber, pending, now, router) {
                return;
            }
        }
        self.backlogs.release(subscriber);
    }

    /// The next subscriber whose moment has come.
    ///
    /// What came back is not sent again behind a later change of the same node that went out and did not come back: of
    /// what has arrived, the order is kept.
    fn take_due(&mut self, now: Instant) -> Option<(Jid, Release)> {
        loop {
            let subscriber = self.backlogs.next_due(now)?;
            let returned = self.backlogs.returned(&subscriber);
            let overtaken = returned.filter(|(pending, until)| self.is_overtaken(&subscriber, pending, *until));
            let overtaken = overtaken.map(|(pending, _)| pending.number()).collect::<Vec<_>>();
            self.counters.given_up.add(self.backlogs.drop_letters(&subscriber, &overtaken));
            if let Some(release) = self.backlogs.release_of(&subscriber, now) {
                return Some((subscriber, release));
            }
        }
    }

    /// Whether the subscriber has a later change, up to the letter of this number: it neither waits nor came back.
    fn is_overtaken(&self, subscriber: &Jid, pending: &Pending, until: u64) -> bool {
        let later = self.sent.later(pending).filter(|number| *number <= until);
        let mut arrived = later.filter(|number| {
            let source = pending.source();
            !self.backlogs.holds(subscriber, source, *number) && !self.digests.holds(subscriber, source, *number)
        });
        arrived.next().is_some()
    }

    /// A notification came back, if the id is one that this service gave to a notification for that address.
    fn returned(&mut self, message: &Stanza, now: Instant) {
        let (Some(from), Some(id), Some(error)) = (message.from(), message.id(), message.error()) else { return };
        let from = from.to_owned();
        let Some(count) = self.ids.count_of(id, &from) else { return };
        self.judge(&from, &error, now);
        let pending = self.sent.find(count, &from).filter(|_| may_be_sent_again(&error)).map(Pending::returned);
        let room = self.room();
        let given_up = pending.map_or(1, |pending| self.backlogs.take_back(&from, pending, room));
        self.counters.given_up.add(given_up);
    }

    fn judge(&mut self, subscriber: &Jid, error: &StanzaError, now: Instant) {
        self.counters.bounced.increment();
        if self.backlogs.bounced(subscriber, error, self.letters, now) {
            self.counters.ended_subscribers.increment();
            self.counters.given_up.add(self.backlogs.release(subscriber));
            self.dead.push(subscriber.clone());
        }
    }

    /// A subscription has ended; one of a bare address for its resources, too, some of which may be told by it.
    fn end(&mut self, subscriber: &Jid, source: (&Jid, &NodeId), subid: SubId) {
        self.digests.end(subscriber, source, subid);
        self.backlogs.end(subscriber, source, subid);
        self.sent.end(subscriber, source, self.ids.count());
    }

    /// How much more may wait for all subscribers together.
    fn room(&self) -> usize {
        self.config.max_waiting_bytes_together.saturating_sub(self.backlogs.bytes() + self.digests.bytes())
    }
}

/// Whether an address is the subscriber's, or that of one of its resources.
fn is_at(address: &Jid, subscriber: &Jid) -> bool {
    address == subscriber || (subscriber.is_bare() && address.bare() == subscriber.as_str())
}

/// Whether it may help to send a notification again that came back with this error: not where it is the notification that
/// is wrong for the subscriber, nor where there is nobody any more.
fn may_be_sent_again(error: &StanzaError) -> bool {
    error.error_type != ErrorType::Modify && error.condition != Condition::Gone
}

/// Hands one stanza on; what cannot be delivered goes where such stanzas are answered.
pub(crate) fn deliver(stanza: Stanza, router: &dyn Router) {
    if let Err(undelivered) = router.route(stanza, &Origin::Local) {
        router.undelivered(undelivered);
    }
}

/// The recipients, those of a domain beside each other: its link gets them as one run.
fn by_domain(recipients: &Subscriptions) -> impl Iterator<Item = (&Jid, &OfAddress)> {
    let mut domains = BTreeMap::<&str, Vec<_>>::new();
    for (recipient, own) in recipients.addresses() {
        domains.entry(recipient.domain()).or_default().push((recipient, own));
    }
    domains.into_values().flatten()
}

//! Notifications that are collected for subscribers who want few messages (XEP-0060, `pubsub#digest`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convoke_xmpp::Jid;

use super::agenda::Agenda;
use super::config::DeliveryConfig;
use super::is_at;
use super::notice::Pending;
use crate::broker::{NodeId, SubId};

/// All digests that are being collected.
pub(super) struct Digests {
    config: DeliveryConfig,
    collected: BTreeMap<Key, Pending>,
    agenda: Agenda<Key>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    subscriber: Jid,
    service: Jid,
    node: NodeId,
    subid: SubId,
}

impl Key {
    fn new(subscriber: &Jid, (service, node): (&Jid, &NodeId), subid: SubId) -> Self {
        Self { subscriber: subscriber.clone(), service: service.clone(), node: node.clone(), subid }
    }
}

impl Digests {
    pub(super) fn new(config: DeliveryConfig) -> Self {
        Self { config, collected: BTreeMap::new(), agenda: Agenda::default(), bytes: 0 }
    }

    /// The bytes that are collected.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many digests are being collected.
    pub(super) fn count(&self) -> usize {
        self.collected.len()
    }

    /// Whether the digest of a subscriber of a node has what the letter of this number told.
    pub(super) fn holds(&self, subscriber: &Jid, source: (&Jid, &NodeId), number: u64) -> bool {
        let first = Key::new(subscriber, source, SubId::default());
        let from_first_on = self.collected.range(first..).take_while(|(key, _)| key.subscriber == *subscriber);
        from_first_on.map(|(_, digest)| digest).any(|digest| digest.is_of(source, number))
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.agenda.next()
    }

    /// Collects a notification for one subscription of an address; gives what has to leave now, in order: a digest that
    /// is full.
    pub(super) fn collect(
        &mut self,
        (subscriber, subid): (&Jid, SubId),
        pending: Pending,
        period: Duration,
        room: usize,
        now: Instant,
    ) -> Vec<Pending> {
        let key = Key::new(subscriber, pending.source(), subid);
        let mut leaving = Vec::new();
        let collected = match self.take(&key) {
            Some(mut digest) if digest.can_absorb(&pending) => {
                digest.absorb(pending);
                digest
            }
            before => {
                leaving.extend(before);
                // Its time begins now.
                self.agenda.cancel(&key);
                pending
            }
        };
        if self.is_full(&collected, room) {
            self.agenda.cancel(&key);
            leaving.push(collected);
            return leaving;
        }
        if !self.agenda.has(&key) {
            self.agenda.set(key.clone(), now + period.clamp(self.config.shortest_digest, self.config.longest_digest));
        }
        self.bytes += collected.bytes();
        self.collected.insert(key, collected.late());
        leaving
    }

    /// The next digest whose time is over, and its subscriber.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Jid, Pending)> {
        loop {
            let key = self.agenda.take_due(now)?;
            if let Some(digest) = self.take(&key) {
                return Some((key.subscriber, digest));
            }
        }
    }

    /// Any digest, whether or not its time is over.
    pub(super) fn take_any(&mut self) -> Option<(Jid, Pending)> {
        let key = self.collected.keys().next()?.clone();
        self.agenda.cancel(&key);
        self.take(&key).map(|digest| (key.subscriber, digest))
    }

    /// Takes what is collected for a subscription to a node, whether or not its time is over.
    pub(super) fn take_for(&mut self, subscriber: &Jid, source: (&Jid, &NodeId), subid: SubId) -> Option<Pending> {
        if self.collected.is_empty() {
            return None;
        }
        let key = Key::new(subscriber, source, subid);
        self.agenda.cancel(&key);
        self.take(&key)
    }

    /// Forgets what is collected for a subscription to a node, at its address and at the resources of that.
    pub(super) fn end(&mut self, subscriber: &Jid, source: (&Jid, &NodeId), subid: SubId) {
        let first = Key::new(subscriber, source, SubId::default());
        let from_first_on = self.collected.range(first..).map(|(key, _)| key);
        let own = from_first_on.take_while(|key| key.subscriber.as_str().starts_with(subscriber.as_str()));
        let is_ended = |key: &&Key| {
            is_at(&key.subscriber, subscriber) && (&key.service, &key.node) == source && key.subid == subid
        };
        let ended: Vec<_> = own.filter(is_ended).cloned().collect();
        for key in ended {
            self.agenda.cancel(&key);
            self.take(&key);
        }
    }

    fn take(&mut self, key: &Key) -> Option<Pending> {
        let digest = self.collected.remove(key)?;
        self.bytes -= digest.bytes();
        Some(digest)
    }

    fn is_full(&self, digest: &Pending, room: usize) -> bool {
        digest.changes() >= self.config.max_digest_changes
            || digest.bytes() >= self.config.max_waiting_bytes
            || digest.bytes() > room
    }
}

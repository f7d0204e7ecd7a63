//! What was sent lately, in case it comes back.

use std::collections::VecDeque;

use convoke_xmpp::Jid;

use super::config::DeliveryConfig;
use super::is_at;
use super::notice::Pending;
use crate::broker::NodeId;

/// The notifications that the router took last.
///
/// A letter is kept once for all who got it: what was sent is found again by its count, which its id holds.
pub(super) struct Sent {
    config: DeliveryConfig,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Subscriptions that have ended since the oldest of these was sent.
    ended: VecDeque<Ended>,
}

/// One notification, and the counts under which it went out.
struct Entry {
    first: u64,
    last: u64,
    pending: Pending,
}

struct Ended {
    /// The count of the last notification before.
    count: u64,
    subscriber: Jid,
    service: Jid,
    node: NodeId,
}

impl Sent {
    pub(super) fn new(config: DeliveryConfig) -> Self {
        Self { config, entries: VecDeque::new(), bytes: 0, ended: VecDeque::new() }
    }

    /// Takes note of a notification that went out under this count.
    pub(super) fn note(&mut self, count: u64, pending: Pending) {
        if let Some(entry) = self.entries.back_mut().filter(|entry| entry.pending.is_same_letter(&pending)) {
            entry.last = count;
            return;
        }
        self.bytes += pending.bytes();
        self.entries.push_back(Entry { first: count, last: count, pending });
        while self.entries.len() > self.config.max_remembered || self.bytes > self.config.max_remembered_bytes {
            self.forget_oldest();
        }
    }

    /// Takes note of a subscription that ends after the notification of this count: what comes back of it is not sent again.
    pub(super) fn end(&mut self, subscriber: &Jid, (service, node): (&Jid, &NodeId), count: u64) {
        if self.entries.is_empty() {
            return;
        }
        if self.ended.len() >= self.config.max_remembered {
            *self = Self::new(self.config.clone());
            return;
        }
        let (subscriber, service, node) = (subscriber.clone(), service.clone(), node.clone());
        self.ended.push_back(Ended { count, subscriber, service, node });
    }

    /// What was sent to the subscriber under this count, if that is remembered and the subscription is the same.
    pub(super) fn find(&self, count: u64, subscriber: &Jid) -> Option<&Pending> {
        let at = self.entries.partition_point(|entry| entry.last < count);
        let pending = &self.entries.get(at).filter(|entry| entry.first <= count)?.pending;
        let ended = self.ended.iter().any(|ended| {
            ended.count >= count
                && is_at(subscriber, &ended.subscriber)
                && (&ended.service, &ended.node) == pending.source()
        });
        (!ended).then_some(pending)
    }

    /// The numbers of the letters that told all subscribers of later changes of the same node.
    pub(super) fn later<'a>(&'a self, pending: &'a Pending) -> impl Iterator<Item = u64> + 'a {
        let newest_first = self.entries.iter().rev().map(|entry| &entry.pending);
        let later = newest_first.filter(|sent| sent.is_change() && sent.source() == pending.source());
        later.map(Pending::number).filter(|number| *number > pending.number())
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        self.bytes -= oldest.pending.bytes();
        let first = self.entries.front().map_or(u64::MAX, |entry| entry.first);
        while self.ended.front().is_some_and(|ended| ended.count < first) {
            self.ended.pop_front();
        }
    }
}

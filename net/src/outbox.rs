//! The bounded queue of stanzas that a session's writer takes from.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use convoke_xmpp::Stanza;
use thiserror::Error;
use tokio::sync::Notify;

/// How much an outbox holds; what is beyond is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Stanzas. Default 4,096: with small stanzas the overhead of each counts more than its bytes.
    pub stanzas: usize,
    /// Bytes of stanzas. Default 1 MiB: sixteen full writes of [`BATCH_BYTES`], some seconds of a slow line.
    pub bytes: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { stanzas: 4096, bytes: 1024 * 1024 }
    }
}

/// What the writer takes at a time, in bytes: four full TLS records, so that syscalls and wake-ups are shared by many
/// stanzas, and little enough that what a broken connection leaves in doubt is bounded.
pub const BATCH_BYTES: usize = 64 * 1024;

/// The outbox is full; this is the stanza.
#[derive(Debug, Error)]
#[error("the outbox is full")]
pub struct Full(pub Box<Stanza>);

/// What has gone through an outbox since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Stanzas that the transport has accepted.
    pub stanzas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes to the transport; the fewer for so many stanzas, the better.
    pub writes: u64,
}

/// A bounded queue with many writers and one reader, which outlives the sessions that empty it.
#[derive(Debug, Default)]
pub struct Outbox {
    limits: OutboxLimits,
    queue: Mutex<Queue>,
    filled: Notify,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Queue {
    stanzas: VecDeque<Stanza>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Counters {
    stanzas: AtomicU64,
    bytes: AtomicU64,
    writes: AtomicU64,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(limits: OutboxLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Queues a stanza; gives it back when there is no room. Never blocks.
    ///
    /// An empty outbox takes a stanza of any size: else one larger than the limit could never be sent.
    pub fn push(&self, stanza: Stanza) -> Result<(), Full> {
        let mut queue = self.lock();
        if !queue.has_room(stanza.bytes().len(), &self.limits) {
            return Err(Full(Box::new(stanza)));
        }
        queue.bytes += stanza.bytes().len();
        queue.stanzas.push_back(stanza);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.lock().stanzas.is_empty()
    }

    /// How many stanzas are queued.
    pub fn len(&self) -> usize {
        self.lock().stanzas.len()
    }

    /// Takes everything that is queued, in order: it cannot be sent.
    pub fn take_all(&self) -> Vec<Stanza> {
        let mut queue = self.lock();
        queue.bytes = 0;
        std::mem::take(&mut queue.stanzas).into()
    }

    /// Takes what matches out of the queue, in order: it cannot be sent; the rest stays.
    pub fn take_if(&self, matches: impl Fn(&Stanza) -> bool) -> Vec<Stanza> {
        let mut queue = self.lock();
        let (taken, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut queue.stanzas).into_iter().partition(matches);
        queue.bytes -= taken.iter().map(|stanza| stanza.bytes().len()).sum::<usize>();
        queue.stanzas = kept;
        taken.into()
    }

    /// What has been sent.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            stanzas: read(&self.counters.stanzas),
            bytes: read(&self.counters.bytes),
            writes: read(&self.counters.writes),
        }
    }

    /// Waits until something is queued. There is one reader; it may be disappointed, and then waits again.
    pub(crate) async fn filled(&self) {
        while self.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Takes stanzas of up to [`BATCH_BYTES`] and `most` of them, at least one if there is any.
    pub(crate) fn take_batch(&self, most: usize) -> Vec<Stanza> {
        let mut queue = self.lock();
        let mut bytes = 0;
        let mut fits = |stanza: &&Stanza| {
            let first = bytes == 0;
            bytes += stanza.bytes().len();
            first || bytes <= BATCH_BYTES
        };
        let count = queue.stanzas.iter().take(most).take_while(&mut fits).count();
        let batch: Vec<_> = queue.stanzas.drain(..count).collect();
        queue.bytes -= batch.iter().map(|stanza| stanza.bytes().len()).sum::<usize>();
        batch
    }

    /// Frees the room of the queue when nothing is in it: after a burst it is large.
    pub(crate) fn release(&self) {
        let mut queue = self.lock();
        if queue.stanzas.is_empty() {
            queue.stanzas = VecDeque::new();
        }
    }

    /// Puts stanzas that were not sent back in front, in their order. They were within the limits before.
    pub(crate) fn give_back(&self, stanzas: impl DoubleEndedIterator<Item = Stanza>) {
        let mut queue = self.lock();
        for stanza in stanzas.rev() {
            queue.bytes += stanza.bytes().len();
            queue.stanzas.push_front(stanza);
        }
    }

    pub(crate) fn count_write(&self) {
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_sent(&self, stanza: &Stanza) {
        self.counters.stanzas.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(stanza.bytes().len() as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn has_room(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        self.stanzas.is_empty() || (self.stanzas.len() < limits.stanzas && self.bytes + bytes <= limits.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: usize, body: usize) -> Stanza {
        Stanza::parse(&format!("<message id='{id}'><body>{}</body></message>", "x".repeat(body))).unwrap()
    }

    fn ids(stanzas: &[Stanza]) -> Vec<&str> {
        stanzas.iter().filter_map(Stanza::id).collect()
    }

    #[test]
    fn gives_back_what_is_beyond_its_count_or_its_bytes() {
        let outbox = Outbox::new(OutboxLimits { stanzas: 2, bytes: 10_000 });
        outbox.push(message(1, 1)).unwrap();
        outbox.push(message(2, 1)).unwrap();
        assert_eq!(outbox.push(message(3, 1)).unwrap_err().0.id(), Some("3"));
        let outbox = Outbox::new(OutboxLimits { stanzas: 10, bytes: 200 });
        outbox.push(message(1, 100)).unwrap();
        assert_eq!(outbox.push(message(2, 100)).unwrap_err().0.id(), Some("2"));
    }

    #[test]
    fn takes_a_stanza_of_any_size_when_it_is_empty() {
        let outbox = Outbox::new(OutboxLimits { stanzas: 1, bytes: 10 });
        outbox.push(message(1, 1000)).unwrap();
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn hands_out_batches_of_bounded_size_in_order() {
        let outbox = Outbox::default();
        for id in 0..5 {
            outbox.push(message(id, 30_000)).unwrap();
        }
        assert_eq!(ids(&outbox.take_batch(usize::MAX)), ["0", "1"]);
        assert_eq!(ids(&outbox.take_batch(usize::MAX)), ["2", "3"]);
        assert_eq!(ids(&outbox.take_batch(usize::MAX)), ["4"]);
        assert!(outbox.take_batch(usize::MAX).is_empty());
    }

    #[test]
    fn puts_back_in_front_what_was_not_sent() {
        let outbox = Outbox::default();
        for id in 0..4 {
            outbox.push(message(id, 30_000)).unwrap();
        }
        let batch = outbox.take_batch(usize::MAX);
        outbox.give_back(batch.into_iter());
        assert_eq!(ids(&outbox.take_all()), ["0", "1", "2", "3"]);
        assert!(outbox.is_empty());
    }
}

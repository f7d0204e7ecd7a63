//! The bounded queue of stanzas that a session's writer takes from, and what has been taken and not arrived yet.

mod lanes;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_xmpp::{Kind, Stanza};
use thiserror::Error;
use tokio::sync::Notify;

use self::lanes::Lanes;

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

/// The peer acknowledges more than it was sent: so many, counted as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the peer acknowledges more than the {sent} stanzas that it was sent")]
pub struct AcknowledgedTooMuch {
    /// How many it was sent, modulo 2^32.
    pub sent: u32,
}

/// What has gone through an outbox since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Stanzas that the transport has accepted; one that was sent again counts again.
    pub stanzas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes to the transport; the fewer for so many stanzas, the better.
    pub writes: u64,
    /// Stanzas that the peer has acknowledged.
    pub acknowledged: u64,
}

/// A bounded queue with many writers and one reader, which outlives the sessions that empty it.
///
/// What the reader has taken is *in flight* until the transport has accepted it or, where the peer acknowledges
/// (XEP-0198), until the peer has. Unacknowledged stanzas count for the limits.
#[derive(Debug, Default)]
pub struct Outbox {
    limits: OutboxLimits,
    urgent: Arc<[String]>,
    queue: Mutex<Queue>,
    filled: Notify,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Lanes,
    /// In the order in which they were sent.
    in_flight: VecDeque<Stanza>,
    /// How many of them, in front, nobody will acknowledge.
    unmanaged: usize,
    /// The bytes of the others.
    unacknowledged_bytes: usize,
    /// How many stanzas the peer has acknowledged, as it counts.
    acknowledged: u32,
}

#[derive(Debug, Default)]
struct Counters {
    stanzas: AtomicU64,
    bytes: AtomicU64,
    writes: AtomicU64,
    acknowledged: AtomicU64,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(limits: OutboxLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Lets stanzas whose first child is in one of these namespaces overtake others than those of the same two bare
    /// addresses, as presence does anyway.
    pub fn with_urgent(self, namespaces: Arc<[String]>) -> Self {
        Self { urgent: namespaces, ..self }
    }

    /// Queues a stanza; gives it back when there is no room. Never blocks.
    ///
    /// An empty outbox takes a stanza of any size: else one larger than the limit could never be sent. In a full one the
    /// newest availability of a sender takes the place of an earlier one to the same recipient.
    pub fn push(&self, stanza: Stanza) -> Result<(), Full> {
        let mut queue = self.lock();
        if !queue.has_room(stanza.size(), &self.limits) && !queue.waiting.supersede(&stanza) {
            return Err(Full(Box::new(stanza)));
        }
        queue.waiting.push(stanza, |stanza| self.is_urgent(stanza));
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    fn is_urgent(&self, stanza: &Stanza) -> bool {
        let listed = |(_, namespace): (&str, &str)| self.urgent.iter().any(|urgent| urgent == namespace);
        matches!(stanza.kind(), Kind::Presence(_)) || stanza.payload_name().is_some_and(listed)
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// How many stanzas are queued.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// How many stanzas have been sent that the peer has not acknowledged yet, though it will.
    pub fn unacknowledged(&self) -> usize {
        self.lock().unacknowledged()
    }

    /// Takes everything that is queued, in order: it cannot be sent.
    pub fn take_all(&self) -> Vec<Stanza> {
        self.take_if(|_| true)
    }

    /// Takes what matches out of the queue, in order: it cannot be sent; the rest stays.
    pub fn take_if(&self, matches: impl Fn(&Stanza) -> bool) -> Vec<Stanza> {
        self.lock().waiting.take_if(matches)
    }

    /// Takes everything that was sent and not acknowledged, in order: nobody will ever tell what has become of it.
    pub fn take_unacknowledged(&self) -> Vec<Stanza> {
        let mut queue = self.lock();
        queue.unacknowledged_bytes = 0;
        let unmanaged = queue.unmanaged;
        queue.in_flight.split_off(unmanaged).into()
    }

    /// Their bytes.
    pub(crate) fn in_doubt(&self) -> usize {
        self.lock().unacknowledged_bytes
    }

    /// The peer has handled so many stanzas, as it counts: modulo 2^32, from the beginning of the session on. Gives the
    /// bytes of those that it had not acknowledged before.
    pub fn acknowledge(&self, handled: u32) -> Result<usize, AcknowledgedTooMuch> {
        let mut queue = self.lock();
        let (count, sent) = (handled.wrapping_sub(queue.acknowledged), queue.sent());
        if count as usize > queue.acknowledgeable() {
            return Err(AcknowledgedTooMuch { sent });
        }
        queue.acknowledged = handled;
        let freed: usize = queue.in_flight.drain(..count as usize).map(|stanza| stanza.size()).sum();
        queue.unacknowledged_bytes -= freed;
        drop(queue);
        self.counters.acknowledged.fetch_add(count.into(), Ordering::Relaxed);
        Ok(freed)
    }

    /// Another session with acknowledgements begins or goes on: the peer has counted so far, and the next stanza that is
    /// sent is the next that it counts.
    pub(crate) fn count_from(&self, acknowledged: u32) {
        self.lock().acknowledged = acknowledged;
    }

    /// Puts everything in flight back in front, in its order: it is to be sent again.
    pub fn give_back(&self) {
        let mut queue = self.lock();
        (queue.unmanaged, queue.unacknowledged_bytes) = (0, 0);
        while let Some(stanza) = queue.in_flight.pop_back() {
            queue.waiting.push_first(stanza);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// What has been sent.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            stanzas: read(&self.counters.stanzas),
            bytes: read(&self.counters.bytes),
            writes: read(&self.counters.writes),
            acknowledged: read(&self.counters.acknowledged),
        }
    }

    /// Waits until something is queued. There is one reader; it may be disappointed, and then waits again.
    pub(crate) async fn filled(&self) {
        while self.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Hands out stanzas of up to [`BATCH_BYTES`] and `most` of them, at least one if there is any; says how many.
    ///
    /// They are in flight from now on: until [`Outbox::acknowledge`] if `managed`, else until [`Outbox::accepted`].
    pub(crate) fn take_batch(&self, most: usize, managed: bool, mut each: impl FnMut(&Stanza)) -> usize {
        let mut queue = self.lock();
        let Queue { waiting, in_flight, unmanaged, unacknowledged_bytes, .. } = &mut *queue;
        let count = waiting.take(most, |stanza| {
            each(&stanza);
            *unacknowledged_bytes += if managed { stanza.size() } else { 0 };
            in_flight.push_back(stanza);
        });
        *unmanaged += if managed { 0 } else { count };
        count
    }

    /// The transport has accepted so many more of the stanzas that nobody will acknowledge: they are sent.
    pub(crate) fn accepted(&self, count: usize) {
        let mut queue = self.lock();
        let count = count.min(queue.unmanaged);
        queue.unmanaged -= count;
        queue.in_flight.drain(..count);
    }

    /// Frees the room of what is empty: after a burst it is large.
    pub(crate) fn release(&self) {
        let mut queue = self.lock();
        queue.waiting.release();
        if queue.in_flight.is_empty() {
            queue.in_flight = VecDeque::new();
        }
    }

    pub(crate) fn count_write(&self, stanzas: usize, bytes: usize) {
        self.counters.writes.fetch_add(1, Ordering::Relaxed);
        self.counters.stanzas.fetch_add(stanzas as u64, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn has_room(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        let stanzas = self.waiting.len() + self.unacknowledged();
        let held = self.waiting.bytes() + self.unacknowledged_bytes;
        stanzas == 0 || (stanzas < limits.stanzas && held + bytes <= limits.bytes)
    }

    fn unacknowledged(&self) -> usize {
        self.in_flight.len() - self.unmanaged
    }

    /// What the peer can have: it has nothing that is behind something else that is still here.
    fn acknowledgeable(&self) -> usize {
        if self.unmanaged == 0 { self.in_flight.len() } else { 0 }
    }

    fn sent(&self) -> u32 {
        self.acknowledged.wrapping_add(self.acknowledgeable() as u32)
    }
}

#[cfg(test)]
mod tests;

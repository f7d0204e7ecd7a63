//! What waits for the router, in the order in which it came about.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use convoke_xmpp::{Jid, Router};

use super::{Delivery, Outgoing};

/// A queue that one thread at a time empties into the router.
///
/// Whoever finds it unattended empties it, also what others add meanwhile. So the order of a node's events is the
/// order of its changes, and a router that calls the service back, from within, waits for no lock.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

struct Queue {
    steps: VecDeque<Outgoing>,
    /// In the hands of whoever attends to the queue.
    delivery: Option<Box<Delivery>>,
    next_deadline: Option<Instant>,
    is_untroubled: bool,
}

impl Outbox {
    pub(crate) fn new(delivery: Delivery) -> Self {
        let mut queue = Queue { steps: VecDeque::new(), delivery: None, next_deadline: None, is_untroubled: true };
        queue.leave(Some(Box::new(delivery)));
        Self { queue: Mutex::new(queue) }
    }

    /// How many steps wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().steps.len()
    }

    /// When something that waits for its time is due; as of the last time that the queue was empty.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.lock().next_deadline
    }

    /// Whether nobody is held back; as of the last time that the queue was empty.
    pub(crate) fn is_untroubled(&self) -> bool {
        self.lock().is_untroubled
    }

    /// Adds what one request brought about.
    pub(crate) fn extend(&self, outgoing: impl IntoIterator<Item = Outgoing>) {
        self.lock().steps.extend(outgoing);
    }

    /// Hands everything to the router that is due, unless another thread is doing so; gives the subscribers whose
    /// subscriptions should end.
    pub(crate) fn drain(&self, now: Instant, router: &dyn Router) -> Vec<Jid> {
        let Some(mut attendance) = Attendance::begin(self) else { return Vec::new() };
        let mut dead = Vec::new();
        while let Some(delivery) = attendance.delivery.as_mut() {
            while let Some(step) = self.pop() {
                delivery.step(step, now, router);
            }
            delivery.catch_up(now, router);
            dead.append(&mut delivery.take_dead());
            attendance.leave_if_done(now);
        }
        dead
    }

    /// Ends what waits for its time.
    pub(crate) fn close(&self, now: Instant, router: &dyn Router) {
        if let Some(mut attendance) = Attendance::begin(self)
            && let Some(delivery) = attendance.delivery.as_mut()
        {
            delivery.close(now, router);
        }
    }

    fn pop(&self) -> Option<Outgoing> {
        self.lock().steps.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to empty the queue; given back when it is empty, or when the router panics.
struct Attendance<'a> {
    outbox: &'a Outbox,
    delivery: Option<Box<Delivery>>,
}

impl<'a> Attendance<'a> {
    fn begin(outbox: &'a Outbox) -> Option<Self> {
        let delivery = outbox.lock().delivery.take()?;
        Some(Self { outbox, delivery: Some(delivery) })
    }

    /// Leaves if nothing is to be done. Finding nothing and leaving are one, so that nothing added in between stays
    /// behind.
    fn leave_if_done(&mut self, now: Instant) {
        let is_due = self.delivery.as_ref().is_some_and(|delivery| delivery.is_due(now));
        let mut queue = self.outbox.lock();
        if queue.steps.is_empty() && !is_due {
            queue.leave(self.delivery.take());
        }
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if self.delivery.is_some() {
            self.outbox.lock().leave(self.delivery.take());
        }
    }
}

impl Queue {
    fn leave(&mut self, delivery: Option<Box<Delivery>>) {
        self.is_untroubled = delivery.as_ref().is_none_or(|delivery| delivery.is_untroubled());
        self.next_deadline = delivery.as_ref().and_then(|delivery| delivery.next_deadline());
        self.delivery = delivery;
    }
}

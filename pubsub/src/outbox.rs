//! What waits for the router: answers and notifications, in the order in which they came about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_xmpp::{Origin, Router, Stanza};

use crate::ids::MessageIds;
use crate::state::Subscriptions;

/// One step of the way out.
pub(crate) enum Outgoing {
    /// The answer to a request, addressed.
    Answer(Stanza),
    /// One message for many recipients.
    Notification { message: Stanza, recipients: Arc<Subscriptions> },
}

/// A queue that one thread at a time empties into the router.
///
/// Whoever finds it unattended empties it, also what others add meanwhile. So the order of a node's events is the
/// order of its changes, and a router that calls the service back, from within, waits for no lock.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    ids: MessageIds,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    is_attended: bool,
}

impl Outbox {
    /// An outbox that is full when this many steps wait.
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: Mutex::default(), ids: MessageIds::new(), limit }
    }

    /// Whether no further request should be served for now.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().waiting.len() >= self.limit
    }

    /// Adds what one request brought about.
    pub(crate) fn extend(&self, outgoing: impl IntoIterator<Item = Outgoing>) {
        self.lock().waiting.extend(outgoing);
    }

    /// Hands everything to the router, unless another thread is doing so.
    pub(crate) fn drain(&self, router: &dyn Router) {
        let Some(mut attendance) = Attendance::begin(self) else { return };
        while let Some(outgoing) = attendance.next() {
            match outgoing {
                Outgoing::Answer(stanza) => deliver(stanza, router),
                Outgoing::Notification { message, recipients } => self.notify(&message, &recipients, router),
            }
        }
    }

    fn notify(&self, message: &Stanza, recipients: &Subscriptions, router: &dyn Router) {
        for recipient in recipients.keys() {
            deliver(message.with_to(recipient).with_id(&self.ids.next()), router);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands one stanza on; what cannot be delivered goes where such stanzas are answered.
pub(crate) fn deliver(stanza: Stanza, router: &dyn Router) {
    if let Err(undelivered) = router.route(stanza, &Origin::Local) {
        router.undelivered(undelivered);
    }
}

/// The right to empty the queue; given back when it is empty, or when the router panics.
struct Attendance<'a> {
    outbox: &'a Outbox,
    is_over: bool,
}

impl<'a> Attendance<'a> {
    fn begin(outbox: &'a Outbox) -> Option<Self> {
        let mut queue = outbox.lock();
        if queue.is_attended {
            return None;
        }
        queue.is_attended = true;
        Some(Self { outbox, is_over: false })
    }

    /// The next step. Finding none and leaving are one, so that nothing added in between stays behind.
    fn next(&mut self) -> Option<Outgoing> {
        let mut queue = self.outbox.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.is_attended = false;
            self.is_over = true;
        }
        next
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.outbox.lock().is_attended = false;
        }
    }
}

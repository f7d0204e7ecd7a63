//! What waits to be written: bounded in batches and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::acknowledgement::Acknowledgement;
use crate::batch::MAX_BATCH_BYTES;
use crate::{Batch, OnDurable, StoreError};

/// The most batches that wait for the disk (4,096): some tenths of a second of small batches, far beyond any healthy backlog.
pub const QUEUE_BATCHES: usize = 4096;

/// The most bytes that wait for the disk (64 MiB): room for four batches of the largest size, so that one such batch never blocks the rest.
pub const QUEUE_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// A batch on its way to the disk and the answer it is owed.
pub(super) struct Pending {
    pub(super) batch: Batch,
    pub(super) acknowledgement: Acknowledgement,
}

impl Pending {
    pub(super) fn new(batch: Batch, on_durable: OnDurable) -> Self {
        Self { batch, acknowledgement: Acknowledgement::new(on_durable) }
    }
}

/// The queue between everybody who commits and the one thread that writes.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Pending>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Lets a batch wait, or answers at once why it may not.
    pub(super) fn push(&self, pending: Pending) {
        let refused = self.try_push(pending);
        // Answered without the lock: the callback may commit again.
        if let Err((pending, error)) = refused {
            pending.acknowledgement.answer(Err(error));
        }
    }

    /// Takes everything that waits; blocks while nothing does. `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<VecDeque<Pending>> {
        let mut state = self
            .changed
            .wait_while(self.state(), |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.bytes = 0;
        let group = std::mem::take(&mut state.waiting);
        (!group.is_empty()).then_some(group)
    }

    /// Takes nothing more; what waits already is still handed out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn try_push(&self, pending: Pending) -> Result<(), (Pending, StoreError)> {
        let mut state = self.state();
        if let Some(error) = state.refusal(&pending.batch) {
            return Err((pending, error));
        }
        state.bytes += pending.batch.bytes();
        state.waiting.push_back(pending);
        self.changed.notify_one();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refusal(&self, batch: &Batch) -> Option<StoreError> {
        let waiting = self.waiting.len();
        if self.closed {
            Some(StoreError::Stopped)
        } else if waiting >= QUEUE_BATCHES || self.bytes + batch.bytes() > QUEUE_BYTES {
            Some(StoreError::Busy { waiting })
        } else {
            None
        }
    }
}

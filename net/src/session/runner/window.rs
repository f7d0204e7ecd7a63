//! How much may be in doubt: what was sent in a session with acknowledgements (XEP-0198) and not acknowledged yet.
//!
//! The operating system takes megabytes at once from whoever has a long queue. A connection that breaks then has sent them
//! in vain, and the question what has arrived waits behind them, for longer than an answer may take where the line is slow.
//! So a session begins with little, and goes on as TCP does (RFC 5681, section 3.1): what is acknowledged in time makes room
//! for twice as much. That costs a good line nothing, for TCP begins with less and grows no faster.

use std::time::{Duration, Instant};

use crate::outbox::BATCH_BYTES;

/// Room for one batch, which is never quite full, and not for another.
const FIRST: usize = BATCH_BYTES / 2;

/// An answer that takes longer than this part of what it may take is late.
const LATE: u32 = 6;

/// The room for what is in doubt, in bytes of stanzas; another batch is sent while there is any.
#[derive(Debug)]
pub(super) struct Window {
    bytes: usize,
    asked_at: Option<Instant>,
    late_after: Duration,
}

impl Window {
    /// Of a session whose questions are to be answered in this time.
    pub(super) fn new(answer: Duration) -> Self {
        Self { bytes: FIRST, asked_at: None, late_after: answer / LATE }
    }

    /// Whether more may be sent while so many bytes are in doubt.
    pub(super) fn has_room(&self, in_doubt: usize) -> bool {
        in_doubt < self.bytes
    }

    /// The peer is asked what has arrived.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// So many bytes are in doubt no more. An answer that is late has waited behind too much.
    pub(super) fn acknowledged(&mut self, bytes: usize, now: Instant) {
        let is_late = self.asked_at.take().is_some_and(|at| at + self.late_after < now);
        self.bytes = match is_late {
            true => (self.bytes / 2).max(FIRST),
            false => self.bytes.saturating_add(bytes),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends batches of this size as long as there is room; says how many.
    fn batches(window: &Window, bytes: usize) -> usize {
        (0..).take_while(|count| window.has_room(count * bytes)).count()
    }

    #[test]
    fn begins_with_one_batch_and_goes_on_with_twice_as_much_as_was_acknowledged() {
        let start = Instant::now();
        for batch in [BATCH_BYTES, BATCH_BYTES - 100] {
            let mut window = Window::new(30 * SECOND);
            for doublings in 0..10 {
                let sent = batches(&window, batch);
                assert_eq!(sent, 1 << doublings, "{batch}");
                window.asked(start);
                window.acknowledged(sent * batch, start + 5 * SECOND);
            }
        }
    }

    #[test]
    fn halves_where_answers_are_late_and_never_below_one_batch() {
        let start = Instant::now();
        let mut window = Window::new(30 * SECOND);
        window.acknowledged(7 * BATCH_BYTES, start);
        for sent in [8, 4, 2, 1, 1] {
            assert_eq!(batches(&window, BATCH_BYTES), sent);
            window.asked(start);
            window.acknowledged(BATCH_BYTES, start + 5 * SECOND + Duration::from_millis(1));
        }
        // What nobody asked for cannot be late.
        window.acknowledged(BATCH_BYTES, start + 60 * SECOND);
        assert_eq!(batches(&window, BATCH_BYTES), 2);
    }
}

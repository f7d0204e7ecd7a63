//! How fast a peer has to read what is written to it.

use std::time::{Duration, Instant};

use crate::outbox::BATCH_BYTES;

/// Gives the peer a time for every [`BATCH_BYTES`], or for whatever less is waiting.
///
/// A little progress does not extend the time: a peer that reads one byte now and then would else hold a full queue for
/// ever.
#[derive(Debug)]
pub(crate) struct Pace {
    allowed: Duration,
    by: Instant,
    /// Bytes since the time began to run.
    passed: usize,
}

impl Pace {
    pub(crate) fn new(allowed: Duration, now: Instant) -> Self {
        Self { allowed, by: now + allowed, passed: 0 }
    }

    /// There is something to write, and there was nothing before.
    pub(crate) fn begin(&mut self, now: Instant) {
        *self = Self::new(self.allowed, now);
    }

    /// The transport has accepted so many bytes.
    pub(crate) fn progress(&mut self, now: Instant, bytes: usize) {
        self.passed += bytes;
        if self.passed >= BATCH_BYTES {
            self.begin(now);
        }
    }

    /// When the peer must have read enough.
    pub(crate) fn deadline(&self) -> Instant {
        self.by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_progress_extends_nothing_and_a_whole_batch_does() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(60 * second, start);
        for at in 1..=50 {
            pace.progress(start + at * second, 1000);
        }
        assert_eq!(pace.deadline(), start + 60 * second);
        pace.progress(start + 51 * second, BATCH_BYTES - 50_000);
        assert_eq!(pace.deadline(), start + 111 * second);
    }
}

//! When a domain is asked about again.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Backoff;

/// Longer than any look-up takes: a task that died has not taken its domain with it.
pub(super) const LOOKUP_TIME: Duration = Duration::from_secs(120);

/// The part of the lifetime of evidence after which it is renewed at the earliest.
const EARLIEST: f64 = 0.5;

/// How much later at most: those whose evidence came at the same moment are not asked about at the same moment again.
const SPREAD: f64 = 0.25;

/// When a domain is due, and how often in a row asking about it has failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) at: Instant,
    failures: u32,
}

impl Default for Due {
    fn default() -> Self {
        Self::now()
    }
}

impl Due {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), failures: 0 }
    }

    /// Well before evidence ends that is good for so long.
    pub(super) fn within(lifetime: Duration) -> Self {
        // Without random numbers there is no spread.
        let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        Self { at: Instant::now() + lifetime.mul_f64(EARLIEST + SPREAD * random), failures: 0 }
    }

    /// After a pause that grows with the failures; what still counts for so long is tried to be renewed before its end.
    pub(super) fn failed(&mut self, backoff: &Backoff, left: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff.draw(self.failures);
        let pause = left.map_or(pause, |left| pause.min(left));
        self.at = Instant::now() + pause;
        pause
    }
}

//! What to do while connections cannot be accepted: pause, and say so now and then.

use std::time::{Duration, Instant};

/// The first pause; it doubles up to [`LONGEST_PAUSE`]. Out of file descriptors, the next attempt fails as the first did,
/// and trying at once would only burn a processor.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often it is said. An administrator needs one line; who causes the trouble must not fill the disk.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Failures to accept connections, in a row and since the last report.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    in_a_row: u32,
    unreported: u64,
    reported: Option<Instant>,
}

impl Trouble {
    /// An attempt has failed; says how long to pause before the next.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(16));
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.unreported += 1;
        pause.min(LONGEST_PAUSE)
    }

    /// An attempt has succeeded. When to report next does not change: trouble may come and go many times a second.
    pub(crate) fn over(&mut self) {
        self.in_a_row = 0;
    }

    /// How many failures to report, if it is time to.
    pub(crate) fn report(&mut self, now: Instant) -> Option<u64> {
        if self.reported.is_some_and(|at| now < at + REPORT_EVERY) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_begin_anew_after_a_success() {
        let mut trouble = Trouble::default();
        let pauses: Vec<_> = (0..9).map(|_| trouble.failed().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        trouble.over();
        assert_eq!(trouble.failed(), FIRST_PAUSE);
    }

    #[test]
    fn trouble_that_comes_and_goes_is_reported_once_a_minute() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let mut reports = Vec::new();
        for second in 0..120 {
            trouble.failed();
            trouble.over();
            reports.extend(trouble.report(start + Duration::from_secs(second)));
        }
        assert_eq!(reports, [1, 60]);
    }
}

//! What the demonstration has shown.

use std::time::Duration;

use convoke::cloud::{BatchStatistics, Departure};

use super::faults::{Detections, Fault};
use super::house::{Federation, LEASE, LENDERS, PING_AFTER, PING_TIMEOUT, VOLUNTEERS};
use super::{Outcomes, RIGHT, TASKS};

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) set_up: Duration,
    pub(crate) took: Duration,
    /// What the REST client was told.
    pub(crate) sum: u128,
    pub(crate) statistics: BatchStatistics,
    pub(crate) outcomes: Outcomes,
    pub(crate) federation: Federation,
    pub(crate) detections: Detections,
}

impl Report {
    /// Whether the sum is exact and nothing was lost or doubled.
    pub(crate) fn is_right(&self) -> bool {
        self.sum == RIGHT && self.outcomes.sum == RIGHT && self.lost() == 0 && self.outcomes.doubled == 0
    }

    fn lost(&self) -> u64 {
        TASKS - self.outcomes.done.len() as u64
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let verdict = if self.is_right() { "right" } else { "WRONG" };
        println!("pi(6*10^8) = {} ({verdict}; {RIGHT} is the number)\n", self.sum);
        for (name, value) in self.rows() {
            println!("  {name:<34} {value}");
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let made = |fault| self.detections.made.get(&fault).copied().unwrap_or(0);
        let mut rows = vec![
            ("domains, volunteers", format!("3, {}", VOLUNTEERS * LENDERS.len())),
            ("set up, worked", format!("{:.2} s, {:.2} s", self.set_up.as_secs_f64(), self.took.as_secs_f64())),
            (
                "lease, ping after, ping timeout",
                format!("{LEASE:?}, {PING_AFTER:?}, {PING_TIMEOUT:?} (short, for the demonstration)"),
            ),
            (
                "crashed, frozen, left, links cut",
                format!(
                    "{}, {}, {}, {}",
                    made(Fault::Crash),
                    made(Fault::Freeze),
                    made(Fault::Leave),
                    made(Fault::CutLink)
                ),
            ),
            ("tasks lost", self.lost().to_string()),
            ("tasks doubled", self.outcomes.doubled.to_string()),
            ("results fenced", self.outcomes.fenced.to_string()),
            ("results again, superseded", format!("{}, {}", self.statistics.duplicates, self.statistics.superseded)),
            ("attempts per task", format!("{:.4}", self.statistics.attempts as f64 / TASKS as f64)),
            ("leases granted", self.outcomes.leases.to_string()),
        ];
        rows.extend(self.detection_rows());
        rows.extend(self.link_rows());
        rows
    }

    fn detection_rows(&self) -> Vec<(&'static str, String)> {
        let of = |wanted: &[Fault]| {
            let noticed = self.detections.noticed.iter().filter(|(fault, ..)| wanted.contains(fault));
            let mut delays: Vec<_> = noticed.map(|(.., delay)| *delay).collect();
            delays.sort();
            delays
        };
        let show = |delays: Vec<Duration>| match (percentile(&delays, 50), percentile(&delays, 99)) {
            (Some(half), Some(most)) => {
                format!("{:.1} ms, {:.1} ms ({} noticed)", millis(half), millis(most), delays.len())
            }
            _ => "none noticed".to_owned(),
        };
        let by = |why| self.detections.noticed.iter().filter(|(_, verdict, _)| *verdict == why).count();
        vec![
            ("failure detection p50, p99", show(of(&[Fault::Crash, Fault::Freeze]))),
            ("  of crashes", show(of(&[Fault::Crash]))),
            ("  of freezes", show(of(&[Fault::Freeze]))),
            (
                "  verdicts died, silent, goodbye",
                format!("{}, {}, {}", by(Departure::SessionDied), by(Departure::Silent), by(Departure::Goodbye)),
            ),
            ("false alarms", self.detections.false_alarms.to_string()),
        ]
    }

    fn link_rows(&self) -> Vec<(&'static str, String)> {
        let links = &self.federation.links;
        let stanzas: u64 = links.iter().map(|link| link.stanzas_out).sum();
        let bytes: u64 = links.iter().map(|link| link.bytes_out).sum();
        let writes: u64 = links.iter().map(|link| link.writes_out).sum();
        let dials: u64 = links.iter().map(|link| link.dials).sum();
        vec![
            ("stanzas, bytes per task over s2s", format!("{:.2}, {:.0}", per_task(stanzas), per_task(bytes))),
            ("stanzas per write", format!("{:.2}", stanzas as f64 / writes.max(1) as f64)),
            ("links dialled, dials", format!("{}, {dials}", links.iter().filter(|link| link.dials > 0).count())),
            ("verdicts by publish-subscribe", self.federation.verdicts.to_string()),
        ]
    }
}

fn per_task(count: u64) -> f64 {
    count as f64 / TASKS as f64
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which so many hundredths lie (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let sorted: Vec<_> = (1..=10).map(Duration::from_secs).collect();
        assert_eq!(percentile(&sorted, 50), Some(Duration::from_secs(5)));
        assert_eq!(percentile(&sorted, 99), Some(Duration::from_secs(10)));
        assert_eq!(percentile(&[], 50), None);
    }
}

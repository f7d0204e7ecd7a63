//! The work: counting primes in a slice by a segmented sieve.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke::cloud::{Task, TaskError, Worker};

/// Counts the primes of `LOW..HIGH`, at the pace of a volunteer's machine.
#[derive(Clone)]
pub(super) struct Primes {
    small: Arc<[u64]>,
    pace: Duration,
}

impl Primes {
    /// A worker for slices below `limit` that takes at least `pace` for each.
    pub(super) fn new(limit: u64) -> Self {
        let small = (2..=limit.isqrt()).filter(|n| (2..=n.isqrt()).all(|d| n % d != 0)).collect();
        Self { small, pace: Duration::ZERO }
    }

    /// The same worker on a machine of another pace.
    pub(super) fn paced(&self, pace: Duration) -> Self {
        Self { small: Arc::clone(&self.small), pace }
    }
}

#[async_trait]
impl Worker for Primes {
    async fn run(&self, task: Task) -> Result<String, TaskError> {
        let bounds = task.input.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let Some((low, high)) = bounds else { return Err(TaskError::Input(task.input)) };
        let small = Arc::clone(&self.small);
        let counted = tokio::task::spawn_blocking(move || count(&small, low, high));
        let (counted, ()) = tokio::join!(counted, tokio::time::sleep(self.pace));
        counted.map(|count| count.to_string()).map_err(|error| TaskError::Resource(error.to_string()))
    }
}

/// How many primes there are in `low..high`; `small` holds all primes up to the root of `high`.
fn count(small: &[u64], low: u64, high: u64) -> u64 {
    let mut is_composite = vec![false; usize::try_from(high.saturating_sub(low)).unwrap_or(0)];
    for &prime in small.iter().take_while(|&&prime| prime * prime < high) {
        let first = (low.div_ceil(prime) * prime).max(prime * prime);
        for multiple in (first..high).step_by(usize::try_from(prime).unwrap_or(usize::MAX)) {
            is_composite[(multiple - low) as usize] = true;
        }
    }
    let none_below_two = 2_u64.saturating_sub(low).min(high.saturating_sub(low));
    is_composite.iter().filter(|composite| !**composite).count() as u64 - none_below_two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_a_plain_division_test_does() {
        let primes = Primes::new(10_000);
        let plain = |low: u64, high: u64| (low.max(2)..high).filter(|n| (2..=n.isqrt()).all(|d| n % d != 0)).count();
        for (low, high) in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 10), (0, 1000), (990, 1010), (9_000, 10_000)] {
            assert_eq!(count(&primes.small, low, high), plain(low, high) as u64, "{low}..{high}");
        }
    }
}

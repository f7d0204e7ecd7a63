//! What `cargo xtask simulate` runs: many seeds, on as many threads as there are processors.

use std::env;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::certificates::Certificates;
use crate::course;
use crate::ledger::Tally;

/// `convoke-simulation FIRST COUNT`: simulates these seeds and reports; `convoke-simulation SEED` tells all of one.
pub(crate) fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = env::args().skip(1).map(|argument| argument.parse().ok()).collect();
    let held = match numbers.as_deref() {
        Some([seed]) => replay(*seed),
        Some([first, count]) => simulate(*first, *count),
        _ => {
            eprintln!("usage: convoke-simulation SEED | FIRST COUNT");
            return ExitCode::from(2);
        }
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed and shows all that happened.
fn replay(seed: u64) -> bool {
    let ledger = course::run(seed, &Arc::new(Certificates::new()));
    ledger.trace.iter().for_each(|line| println!("{line}"));
    println!("{}", ledger.tally);
    ledger.violations.iter().for_each(|violation| println!("{violation}"));
    ledger.violations.is_empty()
}

fn simulate(first: u64, count: u64) -> bool {
    let (certificates, began) = (Arc::new(Certificates::new()), Instant::now());
    let (next, total) = (AtomicU64::new(first), Mutex::new(Total::default()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - first >= count {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| course::run(seed, &certificates)));
                    let mut total = total.lock().unwrap();
                    match outcome {
                        Ok(ledger) => total.add(seed, &ledger.tally, &ledger.violations),
                        Err(_) => total.add(seed, &Tally::default(), &["a panic, told above"]),
                    }
                }
            });
        }
    });
    total.into_inner().unwrap().tell(count, began.elapsed().as_secs_f64())
}

/// What all seeds come to.
#[derive(Default)]
struct Total {
    tally: Tally,
    failed: u64,
}

impl Total {
    fn add(&mut self, seed: u64, tally: &Tally, violations: &[impl Display]) {
        self.tally.add(tally);
        if violations.is_empty() {
            return;
        }
        self.failed += 1;
        println!("seed {seed} failed; replay it by `cargo xtask simulate --seed {seed}`");
        violations.iter().take(5).for_each(|violation| println!("  {violation}"));
    }

    fn tell(&self, count: u64, seconds: f64) -> bool {
        println!("{count} seeds in {seconds:.1} s, {} failed: {}", self.failed, self.tally);
        self.failed == 0
    }
}

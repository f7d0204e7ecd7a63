//! Steps with a heading, a time and a result; the first failure ends the run with one line.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a step does; the error is one line that names what failed and the remedy.
pub(crate) type Work = fn() -> Result<(), String>;

/// One step: its name and its work.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

/// Runs the steps in order, stops at the first failure, and prints the count at the end.
pub(crate) fn run(steps: &[Step]) -> ExitCode {
    let start = Instant::now();
    let outcome = steps.iter().enumerate().try_for_each(|(index, step)| run_step(index, steps.len(), step));
    match outcome {
        Ok(()) => {
            println!("\nin {}\n{} passed, 0 failed", seconds(start.elapsed()), steps.len());
            ExitCode::SUCCESS
        }
        Err(Failure { passed, line }) => {
            eprintln!("\nFAILED {line}");
            println!("{passed} passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

struct Failure {
    passed: usize,
    line: String,
}

fn run_step(index: usize, count: usize, step: &Step) -> Result<(), Failure> {
    println!("\n=== {}/{count} {}", index + 1, step.name);
    let start = Instant::now();
    (step.work)().map_err(|reason| Failure { passed: index, line: format!("{}: {reason}", step.name) })?;
    println!("--- {}: passed in {}", step.name, seconds(start.elapsed()));
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Step, run_step};

    #[test]
    fn a_failed_step_says_its_name_and_how_many_passed_before() {
        let step = Step { name: "formatting", work: || Err("run cargo fmt".to_owned()) };
        let failure = run_step(3, 5, &step).err().unwrap();
        assert_eq!((failure.passed, failure.line.as_str()), (3, "formatting: run cargo fmt"));
    }
}

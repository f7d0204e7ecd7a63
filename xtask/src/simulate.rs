//! `cargo xtask simulate`: three federated domains on a simulated network, the same course for the same seed.

use crate::command::cargo_with;

/// How many seeds the tests run.
const SEEDS: u64 = 200;

/// Puts turmoil in the place of TCP, has tokio seed its choices, and takes random numbers from the simulation. Nobody else
/// sets these, and so they have a target directory of their own.
const FLAGS: (&str, &str) =
    ("RUSTFLAGS", "--cfg convoke_simulation --cfg tokio_unstable --cfg getrandom_backend=\"custom\" --deny warnings");
const DIRECTORY: (&str, &str) = ("CARGO_TARGET_DIR", "target/simulation");

/// Which seeds to run.
#[derive(clap::Args)]
pub(crate) struct Seeds {
    /// How many seeds, from zero on or from `--seed`.
    #[arg(long)]
    seeds: Option<u64>,
    /// One seed; alone, all that happens in it is told.
    #[arg(long)]
    seed: Option<u64>,
}

impl Seeds {
    /// What the simulation takes as arguments: one seed to replay, or the first and how many.
    fn arguments(&self) -> Vec<String> {
        match (self.seed, self.seeds) {
            (Some(seed), None) => vec![seed.to_string()],
            (first, count) => vec![first.unwrap_or(0).to_string(), count.unwrap_or(SEEDS).to_string()],
        }
    }
}

/// Simulates these seeds; a failing one is named with how to replay it.
pub(crate) fn run(seeds: &Seeds) -> Result<(), String> {
    let arguments = seeds.arguments();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    simulation("run", &[&["--quiet", "--"], &arguments[..]].concat())
}

/// A step of the tests: that a seed takes one course, that what may not be is seen, and then the seeds.
pub(crate) fn check() -> Result<(), String> {
    simulation("test", &[])?;
    run(&Seeds { seeds: None, seed: None })
}

fn simulation(task: &str, arguments: &[&str]) -> Result<(), String> {
    let build = [task, "--package", "convoke-simulation", "--profile", "simulation"];
    cargo_with(&[&build[..], arguments].concat(), &[FLAGS, DIRECTORY])
}

#[cfg(test)]
mod tests {
    use super::Seeds;

    #[test]
    fn one_seed_is_replayed_and_several_are_counted_from_the_first() {
        let arguments = |seed, seeds| Seeds { seeds, seed }.arguments().join(" ");
        assert_eq!(arguments(Some(7), None), "7");
        assert_eq!(arguments(Some(7), Some(3)), "7 3");
        assert_eq!(arguments(None, Some(3)), "0 3");
        assert_eq!(arguments(None, None), "0 200");
    }
}

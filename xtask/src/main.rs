//! Convoke's own commands: `cargo xtask test` is what a contributor and the continuous integration run.

mod bench;
mod command;
mod fuzz;
mod judges;
mod kill;
mod layers;
mod report;
mod simulate;
mod system;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Convoke's own commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need and runs every check there is, up to the first failure.
    Test,
    /// Fuzzes led by coverage, with a nightly toolchain and cargo-fuzz.
    Fuzz {
        /// For how long, each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// One target alone.
        #[arg(long)]
        target: Option<String>,
    },
    /// Runs three federated domains on a simulated network, where a seed decides what goes wrong.
    Simulate(simulate::Seeds),
    /// Kills publish-subscribe services under load, and looks whether anything that they acknowledged is lost.
    Kill(kill::Campaign),
    /// Measures, beside other libraries where there are some.
    Bench {
        /// What to measure.
        group: bench::Group,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Test => test::run(),
        Task::Fuzz { seconds, target } => told(fuzz::run(seconds, target.as_deref())),
        Task::Simulate(seeds) => told(simulate::run(&seeds)),
        Task::Kill(campaign) => told(kill::run(&campaign)),
        Task::Bench { group } => told(bench::run(group)),
    }
}

fn told(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

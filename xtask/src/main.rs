//! Convoke's own commands: `cargo xtask test` is what a contributor and the continuous integration run.

mod command;
mod judges;
mod layers;
mod report;
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
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Test => test::run(),
    }
}

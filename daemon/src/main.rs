//! The daemon: serves domains, makes development certificates, manages gateway tokens, checks servers.

mod caller;
mod certs;
mod check;
mod cli;
mod config;
mod demo;
mod dial;
mod evidence;
mod failure;
mod logging;
mod serve;
mod signals;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{CheckCommand, Cli, Command, TokenCommand};
use failure::Failure;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Certs(arguments) => Ok(certs::run(&arguments)?),
        Command::Token(TokenCommand::Add(arguments)) => Ok(token::add(&arguments)?),
        Command::Dial(arguments) => Ok(dial::run(&arguments)?),
        Command::Check(CheckCommand::S2s(arguments)) => Ok(check::s2s(&arguments)?),
        Command::Demo => Ok(demo::run()?),
    }
}

//! Why a command ended without success, as one line and an exit code.

use std::process::ExitCode;

use thiserror::Error;

use crate::certs::CertsError;
use crate::check::CheckError;
use crate::config::ConfigError;
use crate::demo::DemoError;
use crate::dial::DialError;
use crate::logging::LogError;
use crate::serve::ServeError;
use crate::token::TokenAddError;

/// The exit code for what is wrong with the configuration or the command line (clap's own code for the latter).
const WRONG_INPUT: u8 = 2;
/// The exit code for what went wrong although the input was right.
const FAILED: u8 = 1;

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// RUST_LOG is wrong.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The environment did not let the daemon serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No certificates were made, or not all.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// No token was added.
    #[error(transparent)]
    Token(#[from] TokenAddError),
    /// A domain was not dialled, or not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A server could not be checked, or does not keep the rules.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The demonstration failed.
    #[error(transparent)]
    Demo(#[from] DemoError),
}

impl Failure {
    /// Prints the failure as one line on stderr and gives the exit code that says whose fault it is.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("convoke: {}", one_line(&self.to_string()));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Log(_) => WRONG_INPUT,
            Self::Token(error) if error.is_wrong_input() => WRONG_INPUT,
            Self::Dial(error) if error.is_wrong_input() => WRONG_INPUT,
            Self::Check(error) if error.is_wrong_input() => WRONG_INPUT,
            Self::Serve(_) | Self::Certs(_) | Self::Token(_) | Self::Dial(_) | Self::Check(_) | Self::Demo(_) => FAILED,
        }
    }
}

/// The text without line breaks and other control characters, which a quoted value or a path may hold.
pub(crate) fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_failure_is_one_line_whatever_it_quotes() {
        assert_eq!(one_line("bad name \"a\nb\u{1b}[2J\"\n"), "bad name \"a b [2J\"");
    }
}

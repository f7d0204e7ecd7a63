//! Logs: to stderr, as text or as one JSON object a line.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogConfig, LogFormat};

/// The variable that overrides the filter of the configuration, for a closer look without an edit.
const OVERRIDE: &str = "RUST_LOG";

/// Why logs cannot be written as wished.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum LogError {
    /// The environment's filter is malformed.
    #[error("RUST_LOG={value:?} is no log filter: {error}; use one such as info or convoke=debug,warn, or unset it")]
    Filter {
        /// The value of the variable.
        value: OsString,
        /// What is wrong with it.
        #[source]
        error: ParseError,
    },
    /// The environment's filter is not UTF-8.
    #[error("RUST_LOG={value:?} is not UTF-8; use a filter such as info or convoke=debug,warn, or unset it")]
    NotUnicode {
        /// The value of the variable.
        value: OsString,
    },
}

/// Sends the logs of this process to stderr from now on.
pub(crate) fn start(config: &LogConfig) -> Result<(), LogError> {
    let filter = environment_filter()?.unwrap_or_else(|| config.filter.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Only one subscriber is ever set, by the one command that logs; a second would be refused and change nothing.
    let _ = match config.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}

/// The filter of the environment; an empty one counts as none.
fn environment_filter() -> Result<Option<EnvFilter>, LogError> {
    let Some(value) = env::var_os(OVERRIDE).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.to_str().map(parse_filter) {
        Some(Ok(filter)) => Ok(Some(filter)),
        Some(Err(error)) => Err(LogError::Filter { value, error }),
        None => Err(LogError::NotUnicode { value }),
    }
}

/// Reads a filter such as `info` or `convoke=debug,warn`.
pub(crate) fn parse_filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

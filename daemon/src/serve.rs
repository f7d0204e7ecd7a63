//! `convoke serve`: the domains of a configuration file, until a signal.

mod daemon;
mod error;
mod gateway;
mod listeners;
mod metrics;
mod names;
mod reload;
mod roles;
mod summary;

use std::io::{self, Write as _};

use tokio::runtime::Builder;
use tracing::{info, warn};

use crate::cli::ServeArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::logging;
use crate::signals::Signals;

pub(crate) use error::ServeError;

use daemon::Daemon;
use summary::Summary;

/// Checks the configuration, and serves unless a check was all that was wanted.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    if arguments.check {
        let summary = Summary { file: &arguments.config, config: &config };
        return Ok(write!(io::stdout(), "{summary}").map_err(ServeError::Output)?);
    }
    logging::start(&config.log)?;
    Ok(serve(config)?)
}

fn serve(config: Config) -> Result<(), ServeError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(until_signal(config));
    // Everything that matters has ended, or was given up: a blocked look-up of a name shall not hold the exit up.
    runtime.shutdown_background();
    outcome
}

async fn until_signal(config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::install().map_err(ServeError::Signals)?;
    for unused in &config.unused {
        warn!("{unused}");
    }
    let mut daemon = Daemon::start(config).await?;
    let outcome = tokio::select! {
        signal = signals.next() => {
            info!(signal, "shutting down; a second signal ends at once");
            Ok(())
        }
        error = daemon.failed() => Err(error),
    };
    tokio::select! {
        () = daemon.stop() => outcome,
        signal = signals.next() => Err(ServeError::SecondSignal { signal }),
    }
}

//! Publish-subscribe, beside Prosody's and ejabberd's: `cargo xtask bench pubsub`.

use std::process::ExitCode;

use convoke_benches::{Effort, pubsub};

fn main() -> ExitCode {
    match pubsub::measure(Effort::from_arguments(), env!("CARGO_BIN_EXE_convoke-bench-server").as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

//! Federation, beside Prosody and ejabberd: `cargo xtask bench s2s`.

use std::process::ExitCode;

use convoke_benches::{Effort, s2s};

fn main() -> ExitCode {
    match s2s::measure(Effort::from_arguments(), env!("CARGO_BIN_EXE_convoke-bench-server").as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

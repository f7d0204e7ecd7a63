//! A federation of three domains on a simulated network, where a seed decides all that is left to chance: delays,
//! partitions, restarts, what is sent when, and what an attacker tries.
//!
//! The domains run the real `convoke_s2s::Federation` with real TLS; only the TCP below is turmoil's and the
//! clock is virtual. `cargo xtask simulate` builds and runs this; the same seed takes the same course.

#[cfg(convoke_simulation)]
mod certificates;
#[cfg(convoke_simulation)]
mod command;
#[cfg(convoke_simulation)]
mod course;
#[cfg(all(convoke_simulation, test))]
mod dialling;
#[cfg(convoke_simulation)]
mod intruder;
#[cfg(convoke_simulation)]
mod ledger;
#[cfg(convoke_simulation)]
mod names;
#[cfg(convoke_simulation)]
mod node;
#[cfg(convoke_simulation)]
mod plan;
#[cfg(convoke_simulation)]
mod random;
#[cfg(convoke_simulation)]
mod world;

#[cfg(convoke_simulation)]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(convoke_simulation))]
fn main() -> std::process::ExitCode {
    eprintln!("this was built for the real network; run `cargo xtask simulate`");
    std::process::ExitCode::FAILURE
}

//! `cargo xtask bench`: what Convoke costs, beside what others cost in the same process.

use clap::ValueEnum;

use crate::command::cargo;
use crate::system;

/// What to measure.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Group {
    /// Stream reader, router, relay between two domains, and idle sessions.
    Core,
    /// Federation: set-up and CPU time, beside Prosody and ejabberd.
    S2s,
    /// Publish-subscribe: fan-out to another domain, beside Prosody's and ejabberd's.
    Pubsub,
}

/// Measures, and prints a table and a line `ratio NAME VALUE` for each ratio; a busy machine is told, not refused.
pub(crate) fn run(group: Group) -> Result<(), String> {
    match group {
        Group::Core => cargo(&["bench", "--package", "convoke-benches", "--bench", "core", "--bench", "memory"]),
        Group::S2s => beside_peers("s2s"),
        Group::Pubsub => beside_peers("pubsub"),
    }
}

fn beside_peers(bench: &str) -> Result<(), String> {
    system::ensure_prosody()?;
    system::ensure_ejabberd()?;
    cargo(&["bench", "--package", "convoke-benches", "--bench", bench])
}

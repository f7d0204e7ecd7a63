//! `cargo xtask test`: everything that must hold.

use std::process::ExitCode;

use crate::command::{cargo, cargo_with};
use crate::report::{self, Step};
use crate::{judges, layers, simulate, system};

/// In the order in which a failure is cheapest to find; what they need comes first.
const STEPS: &[Step] = &[
    Step { name: "tools: rustfmt and clippy", work: system::ensure_components },
    Step { name: "peer: Prosody for the federation tests", work: system::ensure_prosody },
    Step { name: "peer: ejabberd for the federation tests", work: system::ensure_ejabberd },
    Step { name: "peer: slixmpp for the publish-subscribe tests", work: system::ensure_slixmpp },
    Step { name: "judge: expat, for what is well-formed", work: judges::ensure_expat },
    Step { name: "judge: the XML conformance suite", work: judges::ensure_suite },
    Step { name: "formatting", work: || cargo(&["fmt", "--all", "--check"]) },
    Step { name: "no tokio below net", work: layers::check_tokio_free },
    Step { name: "clippy, warnings denied", work: clippy },
    Step { name: "tests, among them the layering; examples compile too", work: tests },
    Step { name: "documentation examples", work: || cargo(&["test", "--workspace", "--doc"]) },
    Step { name: "documentation, warnings denied", work: documentation },
    Step { name: "fuzz targets: their corpus, and the same 100,000 mutants each time", work: mutants },
    Step { name: "a simulated federation: 200 seeds of delays, partitions and restarts", work: simulate::check },
    Step { name: "the main job: three federated domains compute", work: || cargo(&["run", "--release", "--", "demo"]) },
];

/// Runs every step and reports.
pub(crate) fn run() -> ExitCode {
    report::run(STEPS)
}

/// The whole with all that is optional, and the library with only some of that.
fn clippy() -> Result<(), String> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    ["ring", "ring,s2s", "ring,pubsub"].iter().try_for_each(|features| {
        let library = ["clippy", "--package", "convoke", "--lib", "--no-default-features", "--features", features];
        cargo(&[&library[..], &["--", "-D", "warnings"]].concat())
    })
}

/// The examples are run by a test, as programs; `--all-targets` builds them as test harnesses alone.
fn tests() -> Result<(), String> {
    cargo(&["build", "--workspace", "--examples"])?;
    cargo(&["test", "--workspace", "--all-targets"])
}

/// As fast as what is shipped; `tests` runs the corpus with overflow checks too. A seed and a number, not a time: whether
/// a commit passes is not left to chance. New ground is for `cargo xtask fuzz`.
fn mutants() -> Result<(), String> {
    cargo(&["run", "--release", "--package", "convoke-fuzz", "--", "--seed", "1", "--mutants", "100000"])
}

fn documentation() -> Result<(), String> {
    cargo_with(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])
}

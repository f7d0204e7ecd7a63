//! `cargo xtask fuzz`: the fuzz targets led by coverage, where a nightly toolchain is there.

use std::fs;

use crate::command::{at_root, cargo, show, succeeds};

/// The cargo-fuzz project; the bodies of its targets are in the crate above it.
const PROJECT: &str = "fuzz/libfuzzer";

/// What runs cargo-fuzz: it needs a toolchain other than the one that runs this.
const NIGHTLY: [&str; 3] = ["run", "nightly", "cargo"];

/// The version of cargo-fuzz that is known to work.
const CARGO_FUZZ: [&str; 5] = ["install", "cargo-fuzz", "--version", "0.13.2", "--locked"];

const NO_NIGHTLY: &str = "coverage-guided fuzzing needs a nightly toolchain: `rustup toolchain install nightly`, then again; \
    without one, `cargo run --release -p convoke-fuzz` mutates by chance";

/// Longer inputs find nothing that small limits do not, and slow everything down.
const LONGEST_INPUT: &str = "-max_len=4096";

/// Runs one target, or each of them, for so many seconds, and stops at the first failure.
///
/// What is found is kept in `target/fuzz/corpus`; the committed corpus is read, not changed.
pub(crate) fn run(seconds: u64, target: Option<&str>) -> Result<(), String> {
    let targets = targets()?;
    let chosen: Vec<_> = targets.iter().filter(|name| target.is_none_or(|target| target == **name)).collect();
    if chosen.is_empty() {
        return Err(format!("there is no such target; there are {}", targets.join(", ")));
    }
    ensure_tools()?;
    chosen.iter().try_for_each(|target| fuzz(target, seconds))
}

fn ensure_tools() -> Result<(), String> {
    if !succeeds("rustup", &[&NIGHTLY[..], &["--version"]].concat()) {
        return Err(NO_NIGHTLY.to_owned());
    }
    if succeeds("rustup", &[&NIGHTLY[..], &["fuzz", "--version"]].concat()) {
        return Ok(());
    }
    cargo(&CARGO_FUZZ)
}

fn fuzz(target: &str, seconds: u64) -> Result<(), String> {
    let (found, committed) = (format!("target/fuzz/corpus/{target}"), format!("fuzz/corpus/{target}"));
    let directory = at_root(&found);
    fs::create_dir_all(&directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    let time = format!("-max_total_time={seconds}");
    let project = ["fuzz", "run", "--fuzz-dir", PROJECT, "--target-dir", "target/fuzz"];
    let libfuzzer = ["--", &time, LONGEST_INPUT, "-dict=fuzz/xmpp.dict", "-print_final_stats=1"];
    show(nightly().args(project).args([target, &found, &committed]).args(libfuzzer))
}

fn nightly() -> std::process::Command {
    let mut command = std::process::Command::new("rustup");
    // Cargo names itself to what it runs, and would be taken for the nightly one.
    command.args(NIGHTLY).current_dir(at_root(".")).env_remove("CARGO");
    command
}

/// The targets there are: the files of the project.
fn targets() -> Result<Vec<String>, String> {
    let directory = at_root(PROJECT).join("fuzz_targets");
    let entries = fs::read_dir(&directory).map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{run, targets};

    #[test]
    fn the_targets_are_those_of_the_project() {
        let targets = targets().unwrap();
        assert!(targets.contains(&"reader".to_owned()) && targets.contains(&"negotiation".to_owned()), "{targets:?}");
    }

    #[test]
    fn an_unknown_target_is_answered_with_those_there_are() {
        let reason = run(1, Some("nothing")).unwrap_err();
        assert!(reason.contains("jid") && reason.contains("reader"), "{reason}");
    }
}

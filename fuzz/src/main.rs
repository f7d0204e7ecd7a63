//! Runs the fuzz targets on any toolchain: the committed corpus, then mutants of it by chance.
//!
//! The seed is printed and can be set, so that a failure can be had again; the input of a failure is kept.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use clap::Parser;
use convoke_fuzz::{Mutator, TARGETS, Target, tokens};

/// Runs the fuzz targets over their corpus and over mutants of it.
#[derive(Parser)]
struct Arguments {
    /// For how long, all targets together.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many mutants of each target instead, fewer of those that cost more: with a seed, the same ones on every machine.
    #[arg(long, conflicts_with = "seconds")]
    mutants: Option<u64>,
    /// Where chance begins; drawn from the clock if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// One target alone.
    #[arg(long)]
    target: Option<String>,
    /// Runs these inputs of the target instead, as when one has failed.
    #[arg(long, requires = "target")]
    input: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(executions) => {
            println!("{executions} executions, no failure");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<u64, String> {
    let chosen = chosen(arguments.target.as_deref())?;
    if !arguments.input.is_empty() {
        return replay(&chosen, &arguments.input);
    }
    let seed = arguments.seed.unwrap_or_else(seed_of_now);
    println!("seed {seed}");
    let share = Duration::from_secs(arguments.seconds) / chosen.len() as u32;
    let bound = arguments.mutants.map_or(Bound::Time(share), Bound::Mutants);
    chosen.iter().map(|target| fuzz(target, seed, bound)).sum()
}

/// When one target has had enough.
#[derive(Clone, Copy)]
enum Bound {
    Time(Duration),
    Mutants(u64),
}

impl Bound {
    fn is_reached(self, start: Instant, mutants: u64) -> bool {
        match self {
            Self::Time(time) => start.elapsed() >= time,
            Self::Mutants(most) => mutants >= most,
        }
    }
}

fn chosen(name: Option<&str>) -> Result<Vec<Target>, String> {
    let chosen: Vec<_> = TARGETS.iter().filter(|target| name.is_none_or(|name| name == target.name)).copied().collect();
    if chosen.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!("there is no such target; there are {}", names.join(", ")));
    }
    Ok(chosen)
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

fn replay(chosen: &[Target], paths: &[PathBuf]) -> Result<u64, String> {
    for path in paths {
        let input = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        chosen.iter().try_for_each(|target| execute(target, &input))?;
    }
    Ok(paths.len() as u64)
}

/// One target up to its bound; the number of its executions.
fn fuzz(target: &Target, seed: u64, bound: Bound) -> Result<u64, String> {
    let corpus = target.corpus().map_err(|error| format!("cannot read the corpus of {}: {error}", target.name))?;
    corpus.iter().try_for_each(|input| execute(target, input))?;
    let start = Instant::now();
    let mut mutator = Mutator::new(seed, tokens());
    let mut mutants = 0;
    while !bound.is_reached(start, mutants * target.cost) {
        let input = mutator.next_input(&corpus);
        execute(target, &input).map_err(|reason| format!("{reason}, seed {seed}, mutant {mutants}"))?;
        mutants += 1;
    }
    let executions = corpus.len() as u64 + mutants;
    println!("{:>18} {executions:>9} executions, {} of them the corpus", target.name, corpus.len());
    Ok(executions)
}

fn execute(target: &Target, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (target.body)(input))).map_err(|_| {
        let kept = keep(target, input);
        let place = kept.map_or_else(|error| format!("not kept: {error}"), |path| path.display().to_string());
        format!("{} fails on \"{}\" ({place})", target.name, input.escape_ascii())
    })
}

/// Writes a failing input where nothing removes it but a cleaning of the build.
fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz-failures");
    fs::create_dir_all(&directory)?;
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = directory.join(format!("{}-{:016x}", target.name, hasher.finish()));
    fs::write(&path, input)?;
    Ok(path)
}

//! A scheduler borrows nodes of two federated domains, its own and another, and counts the primes below a million.
//!
//! `cargo run --example scheduler`

mod support;

use async_trait::async_trait;
use convoke::Domain;
use convoke::cloud::{Scheduler, SchedulerConfig, SchedulerEvent, Task, TaskError, Volunteer, Worker};
use support::{PATIENCE, Result, Site};

const LAB: &str = "lab.example";
const HOME: &str = "home.example";
const SLICES: u64 = 100;
const SLICE: u64 = 10_000;

/// Counts the primes of `LOW..HIGH`.
struct Primes;

#[async_trait]
impl Worker for Primes {
    async fn run(&self, task: Task) -> std::result::Result<String, TaskError> {
        let bounds = task.input.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let (low, high) = bounds.ok_or(TaskError::Input(task.input))?;
        let count = tokio::task::spawn_blocking(move || (low..high).filter(|number| is_prime(*number)).count()).await;
        count.map(|count| count.to_string()).map_err(|error| TaskError::Resource(error.to_string()))
    }
}

fn is_prime(number: u64) -> bool {
    number >= 2 && (2..=number.isqrt()).all(|divisor| !number.is_multiple_of(divisor))
}

#[tokio::main]
async fn main() -> Result<()> {
    let site = Site::new().await?;
    // Both domains lend to the laboratory: what is one's own is borrowed like anything else.
    let lab = site.lender(LAB, LAB).await?;
    let home = site.lender(HOME, LAB).await?;
    let mut volunteers = join(&lab, &["ada", "ben"])?;
    volunteers.extend(join(&home, &["alice", "bob", "carol"])?);

    let managers = vec![lab.address("resources")?, home.address("resources")?];
    let scheduler = Scheduler::start(&lab, SchedulerConfig { managers, ..SchedulerConfig::default() })?;
    tokio::time::timeout(PATIENCE, count_primes(&scheduler)).await??;

    for volunteer in volunteers {
        let name = volunteer.jid().clone();
        println!("{name} did {} slices", volunteer.leave().await.done);
    }
    lab.shutdown(PATIENCE).await;
    home.shutdown(PATIENCE).await;
    Ok(())
}

fn join(domain: &Domain, names: &[&str]) -> Result<Vec<Volunteer>> {
    let join = |name: &&str| Ok(Volunteer::builder(domain, name, "desk").worker("primes", Primes).join()?);
    names.iter().map(join).collect()
}

/// Submits the slices and reports until the batch is finished.
async fn count_primes(scheduler: &Scheduler) -> Result<()> {
    // Who watches before submitting misses nothing.
    let mut events = scheduler.watch();
    let slice = |number: u64| Task {
        id: format!("slice{number}"),
        kind: "primes".to_owned(),
        input: format!("{}..{}", number * SLICE, (number + 1) * SLICE),
    };
    // The outputs are numbers, and their sum is what we want.
    let batch = scheduler.submit("primes", (0..SLICES).map(slice), true).await?;
    let mut done = 0;
    loop {
        match events.recv().await? {
            SchedulerEvent::Leased { manager, nodes, .. } => println!("{manager} lent {} nodes", nodes.len()),
            SchedulerEvent::Done { .. } => {
                done += 1;
                if done % 25 == 0 {
                    println!("{done} of {SLICES} slices are done");
                }
            }
            SchedulerEvent::Failed { task, error, .. } => println!("{task} failed: {error}"),
            SchedulerEvent::NodeLost { node, why, tasks } => println!("{node} is gone ({why:?}) with {tasks} tasks"),
            SchedulerEvent::Finished { .. } => break,
            _ => {}
        }
    }
    let statistics = batch.finished().await.ok_or("the scheduler has ended")?;
    println!("{} tasks, {} attempts, {} failed", statistics.tasks, statistics.attempts, statistics.failed);
    println!("there are {} primes below a million", statistics.sum.ok_or("an output was no number")?);
    Ok(())
}

//! `convoke demo`: the main job on one machine, with nothing faked.
//!
//! Three domains find each other through a DNS server, federate by certificates of a fresh authority, and share the work:
//! a REST client of `client.example` submits a batch, the scheduler there borrows nodes from `north.example` and
//! `south.example`, volunteers crash, freeze and leave, a link is cut, and the sum must be right all the same.

mod faults;
mod house;
mod primes;
mod report;
mod rest;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use convoke::cloud::SchedulerEvent;
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use faults::Faults;
use house::House;
use report::Report;

/// The work: how many primes there are below 6 * 10^8, in slices of 100,000.
pub(crate) const LIMIT: u64 = 600_000_000;
/// What one task covers.
pub(crate) const SLICE: u64 = 100_000;
/// How many tasks that makes.
pub(crate) const TASKS: u64 = LIMIT / SLICE;
/// The right answer (OEIS A006880 and its tables; checked by a plain sieve).
pub(crate) const RIGHT: u128 = 31_324_703;
/// The name of the batch.
const BATCH: &str = "pi-6e8";
/// A run that takes longer is stuck: twice the minute that two cores are to need, since others may be using them.
const DEADLINE: Duration = Duration::from_secs(120);

/// Why the demonstration could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DemoError {
    /// A part could not be started.
    #[error("{what} could not be started: {error}")]
    Start {
        /// Which part.
        what: &'static str,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The REST client got no proper answer.
    #[error("the gateway gave no proper answer to {request}: {reason}")]
    Rest {
        /// To what.
        request: &'static str,
        /// What came instead.
        reason: String,
    },
    /// The demonstration watched too slowly and cannot tell the truth.
    #[error("{0} events were missed, so nothing is proved")]
    Missed(u64),
    /// A part ended before the work was done.
    #[error("{0} ended before the work was done")]
    Ended(&'static str),
    /// The work was done, but not rightly; the table says how.
    #[error("the sum is wrong, or something was lost or doubled")]
    Wrong,
    /// It took too long.
    #[error("the work was not done within {0:?}: {1}")]
    Late(Duration, String),
}

impl DemoError {
    /// Wraps the error of a part that did not start.
    fn start<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Start { what, error: Box::new(error) }
    }
}

/// Runs the demonstration and prints its table; fails unless the sum is exact and nothing was lost or doubled.
pub(crate) fn run() -> Result<(), DemoError> {
    let runtime = tokio::runtime::Runtime::new().map_err(DemoError::start("the runtime"))?;
    let report = runtime.block_on(perform())?;
    report.print();
    if report.is_right() { Ok(()) } else { Err(DemoError::Wrong) }
}

async fn perform() -> Result<Report, DemoError> {
    let started = Instant::now();
    let mut house = House::start().await?;
    let set_up = started.elapsed();
    let mut events = house.scheduler.watch();
    let client = rest::Client::new(&house.gateway, &house.token)?;
    let notices = client.events().await?;
    let began = Instant::now();
    client.submit(house.scheduler.jid(), BATCH).await?;
    let mut faults = Faults::new();
    let watched = tokio::time::timeout(DEADLINE, watch(&mut house, &mut faults, &mut events)).await;
    let outcomes = watched.map_err(|_| DemoError::Late(DEADLINE, house.describe()))??;
    let sum = tokio::time::timeout(DEADLINE, notices.finished(BATCH)).await;
    let sum = sum.map_err(|_| DemoError::Late(DEADLINE, "no event came from the gateway".to_owned()))??;
    let took = began.elapsed();
    let statistics = house.scheduler.statistics(BATCH).await.ok_or(DemoError::Ended("the scheduler"))?;
    let federation = house.federation();
    let report = Report { set_up, took, sum, statistics, outcomes, federation, detections: faults.into_detections() };
    house.shutdown().await;
    Ok(report)
}

/// What was seen of the work, counted apart from the scheduler's own figures.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Tasks whose result counted, by name.
    pub(crate) done: HashSet<String>,
    /// Results that counted although their task was done already.
    pub(crate) doubled: u64,
    /// The sum of the results that counted.
    pub(crate) sum: u128,
    /// Results that were refused.
    pub(crate) fenced: u64,
    /// Leases that were granted.
    pub(crate) leases: u64,
    /// Nodes that are lent to the scheduler now.
    pub(crate) nodes: u64,
}

/// Follows the work to its end, and makes trouble on the way.
async fn watch(
    house: &mut House,
    faults: &mut Faults,
    events: &mut Receiver<SchedulerEvent>,
) -> Result<Outcomes, DemoError> {
    let bar = progress_bar();
    let mut outcomes = Outcomes::default();
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => return Err(DemoError::Missed(missed)),
            Err(RecvError::Closed) => return Err(DemoError::Ended("the scheduler")),
        };
        if let SchedulerEvent::NodeLost { node, why, .. } = &event {
            faults.detected(node, *why);
        }
        if let SchedulerEvent::Finished { .. } = event {
            bar.finish_and_clear();
            return Ok(outcomes);
        }
        outcomes.count(event);
        faults.make(outcomes.done.len() as u64, house).await;
        bar.set_position(outcomes.done.len() as u64);
        bar.set_message(format!(
            "{} volunteers, {} lent by {} leases",
            house.volunteers(),
            outcomes.nodes,
            outcomes.leases
        ));
    }
}

impl Outcomes {
    fn count(&mut self, event: SchedulerEvent) {
        match event {
            SchedulerEvent::Done { task, output, .. } => {
                self.sum += output.parse::<u128>().unwrap_or(0);
                self.doubled += u64::from(!self.done.insert(task));
            }
            SchedulerEvent::Fenced { .. } => self.fenced += 1,
            SchedulerEvent::Leased { nodes, .. } => {
                self.leases += 1;
                self.nodes += nodes.len() as u64;
            }
            SchedulerEvent::NodeLost { .. } => self.nodes = self.nodes.saturating_sub(1),
            _ => {}
        }
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(TASKS);
    let template = "{bar:40} {pos}/{len} slices, {elapsed}, {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

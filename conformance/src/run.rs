//! Runs cases and gathers what they came to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::case::{Case, Section};
use crate::cases::cases;
use crate::report::{Outcome, Report};
use crate::setup::Setup;
use crate::verdict::Verdict;

/// Which cases are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those whose identifier, name or source contains this text, in any case of letters. Default all.
    pub only: Option<String>,
    /// Those of the short set alone. Default no.
    pub short: bool,
}

impl Selection {
    /// Whether this case is one of them.
    pub fn contains(&self, case: &Case) -> bool {
        let text = format!("{} {} {}", case.id(), case.name, case.source).to_lowercase();
        let named = self.only.as_ref().is_none_or(|only| text.contains(&only.to_lowercase()));
        named && (case.short || !self.short)
    }
}

/// Why nothing was run.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The server under test cannot be connected to.
    #[error("cannot connect to the server of {domain} at {addresses}: {reason}")]
    Unreachable {
        /// The domain.
        domain: String,
        /// The addresses that were tried.
        addresses: String,
        /// What happened at the last one.
        reason: String,
    },
    /// No case is selected.
    #[error("no case is selected")]
    NoCases,
}

/// Runs the selected cases; `progress` is told each outcome as it comes.
///
/// Those in which the server under test dials are run one after the other, all others a few at a time
/// ([`Setup::parallel`]). The report has them in the order of [`cases`]. Fails when there is nothing to report.
pub async fn run(setup: Setup, selection: &Selection, mut progress: impl FnMut(&Outcome)) -> Result<Report, RunError> {
    let (dialled, probing): (Vec<_>, Vec<_>) =
        cases().filter(|case| selection.contains(case)).partition(|case| case.section == Section::Dialling);
    if dialled.is_empty() && probing.is_empty() {
        return Err(RunError::NoCases);
    }
    reachable(&setup).await?;
    let (setup, started) = (Arc::new(setup), SystemTime::now());
    let mut outcomes = some_at_a_time(&setup, probing, setup.parallel.max(1), &mut progress).await;
    outcomes.extend(some_at_a_time(&setup, dialled, 1, &mut progress).await);
    Ok(Report::new(&setup, started, outcomes))
}

async fn some_at_a_time(
    setup: &Arc<Setup>,
    cases: Vec<&'static Case>,
    at_a_time: usize,
    progress: &mut impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut waiting: VecDeque<_> = cases.into_iter().enumerate().collect();
    let (mut running, mut tasks, mut outcomes) = (JoinSet::new(), HashMap::new(), Vec::new());
    loop {
        while let Some((at, case)) = (running.len() < at_a_time).then(|| waiting.pop_front()).flatten() {
            let task = running.spawn(tried(Arc::clone(setup), case));
            tasks.insert(task.id(), (at, case));
        }
        let Some(joined) = running.join_next_with_id().await else { break };
        let id = joined.as_ref().map_or_else(|error| error.id(), |(id, _)| *id);
        let Some((at, case)) = tasks.remove(&id) else { continue };
        let outcome = joined.map_or_else(|error| Outcome::unfinished(case, &error), |(_, outcome)| outcome);
        progress(&outcome);
        outcomes.push((at, outcome));
    }
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

async fn tried(setup: Arc<Setup>, case: &'static Case) -> Outcome {
    let (deadline, begun) = (setup.deadline, Instant::now());
    let bench = Bench::new(setup, case.key);
    let verdict = match timeout(deadline, case.run(&bench)).await {
        Ok(judgement) => judgement.into(),
        Err(_) => Verdict::Inconclusive { why: format!("not done within {} s", deadline.as_secs()) },
    };
    Outcome::new(case, verdict, begun.elapsed(), bench.transcript())
}

async fn reachable(setup: &Setup) -> Result<(), RunError> {
    let mut reason = "it has none".to_owned();
    for address in &setup.target.addresses {
        match timeout(setup.patience, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = "no answer in time".to_owned(),
        }
    }
    let addresses: Vec<_> = setup.target.addresses.iter().map(ToString::to_string).collect();
    Err(RunError::Unreachable { domain: setup.target.domain.to_string(), addresses: addresses.join(", "), reason })
}

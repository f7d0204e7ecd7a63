//! What a run came to, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::task::JoinError;

use crate::case::{Case, Level, Section};
use crate::setup::Setup;
use crate::verdict::Verdict;

/// What one case came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The identifier of the case.
    pub id: String,
    /// What the case is about.
    pub section: Section,
    /// The rule, as a sentence.
    pub name: &'static str,
    /// Where the rule stands.
    pub source: &'static str,
    /// How binding the rule is.
    pub level: Level,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// What was said (`->`), heard (`<-`) and done (`--`), a line each.
    pub transcript: String,
}

impl Outcome {
    pub(crate) fn new(case: &Case, verdict: Verdict, took: Duration, transcript: String) -> Self {
        Self {
            id: case.id(),
            section: case.section,
            name: case.name,
            source: case.source,
            level: case.level,
            verdict,
            milliseconds: took.as_millis().try_into().unwrap_or(u64::MAX),
            transcript,
        }
    }

    /// The outcome of a case whose task did not come to its end: the checker's own fault, and told all the same.
    pub(crate) fn unfinished(case: &Case, error: &JoinError) -> Self {
        let verdict = Verdict::Inconclusive { why: format!("the checker failed: {error}") };
        Self::new(case, verdict, Duration::ZERO, String::new())
    }

    /// Whether a rule is broken that MUST be kept.
    pub fn breaks_a_must(&self) -> bool {
        self.level == Level::Must && self.verdict.is_failure()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, source, level, verdict, .. } = self;
        writeln!(f, "{:<12} {level:<8} {name}", verdict.word())?;
        writeln!(f, "             {id}: {source}")?;
        write!(f, "             {}", verdict.reason())
    }
}

/// How many cases came to which verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// [`Verdict::Passed`].
    pub passed: usize,
    /// [`Verdict::Tolerated`].
    pub tolerated: usize,
    /// [`Verdict::Failed`], of rules that MUST be kept.
    pub failed_must: usize,
    /// [`Verdict::Failed`], of all other rules.
    pub failed_should: usize,
    /// [`Verdict::Inconclusive`].
    pub inconclusive: usize,
    /// [`Verdict::Skipped`].
    pub skipped: usize,
}

impl Counts {
    fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            *match outcome.verdict {
                Verdict::Passed { .. } => &mut counts.passed,
                Verdict::Tolerated { .. } => &mut counts.tolerated,
                Verdict::Failed { .. } if outcome.level == Level::Must => &mut counts.failed_must,
                Verdict::Failed { .. } => &mut counts.failed_should,
                Verdict::Inconclusive { .. } => &mut counts.inconclusive,
                Verdict::Skipped { .. } => &mut counts.skipped,
            } += 1;
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, tolerated, failed_must, failed_should, inconclusive, skipped } = self;
        write!(f, "{passed:>6} {tolerated:>9} {failed_must:>11} {failed_should:>13} {inconclusive:>12} {skipped:>7}")
    }
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The domain under test.
    pub domain: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The domain of the checker.
    pub checked_by: String,
    /// When the run began, in seconds since 1970.
    pub at: u64,
    /// The outcomes of all cases together.
    pub counts: Counts,
    /// The outcomes, in the order of the cases.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(setup: &Setup, at: SystemTime, outcomes: Vec<Outcome>) -> Self {
        Self {
            domain: setup.target.domain.to_string(),
            addresses: setup.target.addresses.iter().map(ToString::to_string).collect(),
            checked_by: setup.us.domain.to_string(),
            at: at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs()),
            counts: Counts::of(&outcomes),
            outcomes,
        }
    }

    /// Whether no rule is broken that MUST be kept.
    pub fn is_conformant(&self) -> bool {
        !self.outcomes.iter().any(Outcome::breaks_a_must)
    }

    /// The outcome of the case with this identifier.
    pub fn outcome(&self, id: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.id == id)
    }
}

const HEADING: &str = "section            passed tolerated failed MUST failed SHOULD inconclusive skipped";

/// A table of the sections, and below it what has not passed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}, checked by {}\n", self.domain, self.addresses.join(", "), self.checked_by)?;
        writeln!(f, "{HEADING}")?;
        let mut sections: BTreeMap<Section, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.outcomes {
            sections.entry(outcome.section).or_default().push(outcome);
        }
        for (section, outcomes) in &sections {
            writeln!(f, "{section:<18} {}", Counts::of(outcomes.iter().copied()))?;
        }
        writeln!(f, "{:<18} {}", "all", self.counts)?;
        for outcomes in sections.values() {
            for outcome in outcomes.iter().filter(|outcome| is_worth_telling(outcome)) {
                writeln!(f, "\n{outcome}")?;
            }
        }
        Ok(())
    }
}

fn is_worth_telling(outcome: &Outcome) -> bool {
    outcome.level == Level::Measured || !matches!(outcome.verdict, Verdict::Passed { .. } | Verdict::Skipped { .. })
}

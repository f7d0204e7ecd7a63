//! What a case came to.

use std::fmt;

use serde::Serialize;

/// The verdict on one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The rule is kept.
    Passed {
        /// What was seen, in words.
        seen: String,
    },
    /// The rule is kept, but not in the way that the standard recommends.
    Tolerated {
        /// What was seen, and what is recommended.
        why: String,
    },
    /// The rule is broken.
    Failed {
        /// What was seen, and what the standard wants.
        why: String,
    },
    /// The rule could not be tried to its end.
    Inconclusive {
        /// What was in the way.
        why: String,
    },
    /// The rule was not tried.
    Skipped {
        /// What is missing.
        why: String,
    },
}

impl Verdict {
    /// The verdict in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed { .. } => "passed",
            Self::Tolerated { .. } => "tolerated",
            Self::Failed { .. } => "failed",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// What was seen, or what is missing, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Passed { seen } => seen,
            Self::Tolerated { why } | Self::Failed { why } | Self::Inconclusive { why } | Self::Skipped { why } => why,
        }
    }

    /// Whether the rule is broken.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.reason())
    }
}

/// What the code of a case gives: what it saw, or why that is no pass.
pub(crate) type Judgement = Result<String, Finding>;

/// Why a case has not passed.
#[derive(Debug)]
pub(crate) enum Finding {
    Tolerated(String),
    Failed(String),
    Inconclusive(String),
    Skipped(String),
}

impl From<Judgement> for Verdict {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Ok(seen) => Self::Passed { seen },
            Err(Finding::Tolerated(why)) => Self::Tolerated { why },
            Err(Finding::Failed(why)) => Self::Failed { why },
            Err(Finding::Inconclusive(why)) => Self::Inconclusive { why },
            Err(Finding::Skipped(why)) => Self::Skipped { why },
        }
    }
}

/// A failure, in words.
pub(crate) fn failed<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Failed(why.into()))
}

/// Something in the way, in words.
pub(crate) fn inconclusive<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Inconclusive(why.into()))
}

/// The rule is kept, in a way that is not recommended.
pub(crate) fn tolerated<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Tolerated(why.into()))
}

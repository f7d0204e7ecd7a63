//! What is told of batches.

use thiserror::Error;

use super::OPEN_TASKS;

/// What a batch has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BatchStatistics {
    /// Tasks that were submitted.
    pub tasks: u64,
    /// Tasks whose result counts.
    pub done: u64,
    /// Tasks that failed by their own fault, as often as is allowed.
    pub failed: u64,
    /// Attempts that were begun. Of an earlier run those are counted that led to the end of a task.
    pub attempts: u64,
    /// Results that were refused because their attempt had been given up, whatever they said.
    pub fenced: u64,
    /// Results that came again after they had counted.
    pub duplicates: u64,
    /// Results that came for a task that had failed, or again with another output.
    pub superseded: u64,
    /// The sum of the outputs, if the submitter asked for it.
    pub sum: Option<u128>,
}

impl BatchStatistics {
    /// Whether every task is done or has failed.
    pub fn is_finished(&self) -> bool {
        self.done + self.failed == self.tasks
    }
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// There is a batch of that name.
    #[error("there is a batch `{0}` already")]
    Exists(String),
    /// Two tasks of the batch have the same name.
    #[error("there are two tasks `{0}`")]
    Twice(String),
    /// With this batch there would be too many tasks that are not done.
    #[error("more than {OPEN_TASKS} tasks would be open")]
    TooMany,
    /// The store did not keep it. If the disk took it all the same, and then not that it was to be forgotten, a later run
    /// finds it.
    #[error("the batch could not be made durable")]
    NotDurable,
    /// The scheduler has ended.
    #[error("the scheduler has ended")]
    Ended,
}

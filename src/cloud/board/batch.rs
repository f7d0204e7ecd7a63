//! One batch: its tasks, how far each is, and what they come to.

use std::collections::HashMap;

use convoke_xmpp::Jid;

use super::BatchStatistics;
use crate::cloud::task::{Attempt, Submission, Task, TaskError};

#[derive(Debug)]
pub(super) struct Batch {
    tasks: HashMap<String, Entry>,
    /// Whether the outputs are numbers that are added up.
    sums: bool,
    statistics: BatchStatistics,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) task: Task,
    /// Its place in the submission.
    pub(super) index: u32,
    pub(super) attempts: u32,
    /// Errors that were the task's own fault.
    pub(super) faults: u32,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Open,
    Running {
        attempt: Attempt,
        node: Jid,
    },
    /// It has come to this, which is not yet durable.
    Keeping(Outcome),
    /// Which attempt counts, and what it gave.
    Done {
        attempt: Attempt,
        output: String,
    },
    Failed,
}

/// What a task has come to, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud) struct Outcome {
    /// The attempt that counts.
    pub(in crate::cloud) attempt: Attempt,
    /// The node that made it.
    pub(in crate::cloud) by: Jid,
    /// The output, or why the task has failed.
    pub(in crate::cloud) result: Result<String, TaskError>,
}

impl Batch {
    /// A batch of which no task is done.
    pub(super) fn new(submission: Submission) -> Self {
        let sum = submission.sums.then_some(0);
        let statistics = BatchStatistics { tasks: submission.tasks.len() as u64, sum, ..BatchStatistics::default() };
        let entry = |(index, task): (u32, Task)| {
            (task.id.clone(), Entry { task, index, attempts: 0, faults: 0, state: State::Open })
        };
        Self { tasks: (0..).zip(submission.tasks).map(entry).collect(), sums: submission.sums, statistics }
    }

    pub(super) fn statistics(&self) -> BatchStatistics {
        self.statistics
    }

    pub(super) fn statistics_mut(&mut self) -> &mut BatchStatistics {
        &mut self.statistics
    }

    /// How many tasks are neither done nor failed.
    pub(super) fn open(&self) -> u64 {
        self.statistics.tasks - self.statistics.done - self.statistics.failed
    }

    pub(super) fn entry(&self, task: &str) -> Option<&Entry> {
        self.tasks.get(task)
    }

    pub(super) fn entry_mut(&mut self, task: &str) -> Option<&mut Entry> {
        self.tasks.get_mut(task)
    }

    /// Where a sum is wanted, an output that is no number must not pass for nothing.
    pub(super) fn check_output(&self, output: String) -> Result<String, TaskError> {
        match number(&output) {
            None if self.sums => Err(TaskError::Input("the output is no number".to_owned())),
            _ => Ok(output),
        }
    }

    /// The task has come to this; gives how many attempts it took.
    pub(super) fn conclude(&mut self, outcome: &Outcome) -> Option<u32> {
        let entry = self.tasks.get_mut(&outcome.attempt.task)?;
        // What it was given is not needed any more; what came of it is.
        entry.task.input = String::new();
        entry.state = match &outcome.result {
            Ok(output) => {
                self.statistics.done += 1;
                let added = self.statistics.sum.zip(number(output));
                self.statistics.sum = added.map_or(self.statistics.sum, |(sum, n)| Some(sum + u128::from(n)));
                State::Done { attempt: outcome.attempt.clone(), output: output.clone() }
            }
            Err(_) => {
                self.statistics.failed += 1;
                State::Failed
            }
        };
        Some(entry.attempts)
    }

    /// The same of an earlier run, whose other attempts are not known any more.
    pub(super) fn restore(&mut self, outcome: &Outcome) {
        if let Some(entry) = self.tasks.get_mut(&outcome.attempt.task) {
            entry.attempts = outcome.attempt.number;
            self.statistics.attempts += u64::from(outcome.attempt.number);
            self.conclude(outcome);
        }
    }
}

fn number(output: &str) -> Option<u64> {
    output.trim().parse().ok()
}

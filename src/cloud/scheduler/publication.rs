//! What a scheduler publishes: how far the tasks of each batch are, and the results that count.

use std::collections::VecDeque;

use convoke_xmpp::Jid;

use crate::cloud::posts::Posts;
use crate::cloud::task::Attempt;
use crate::component::ComponentHandle;
use crate::nodes::{TaskResult, TaskStage, TaskState};

/// Of how many batches the nodes are kept; those of the batch that was submitted first are deleted first.
const BATCHES: usize = 100;

/// The published state of a board.
pub(super) struct Publication {
    posts: Posts,
    /// The batches that have nodes, in the order of their submission.
    batches: VecDeque<String>,
}

impl Publication {
    pub(super) fn new(scheduler: ComponentHandle, service: Option<Jid>) -> Self {
        Self { posts: Posts::new(scheduler, service), batches: VecDeque::new() }
    }

    /// A batch was taken: its nodes are made.
    pub(super) fn submitted(&mut self, batch: &str) {
        if !self.posts.is_active() {
            return;
        }
        self.posts.create_part::<TaskState>(batch);
        self.posts.create_part::<TaskResult>(batch);
        // A name that is used again is that of the newer batch.
        self.batches.retain(|other| other != batch);
        self.batches.push_back(batch.to_owned());
        if self.batches.len() > BATCHES
            && let Some(oldest) = self.batches.pop_front()
        {
            self.posts.delete_part::<TaskState>(&oldest);
            self.posts.delete_part::<TaskResult>(&oldest);
        }
    }

    /// An attempt begins on this node.
    pub(super) fn running(&mut self, attempt: &Attempt, node: &Jid) {
        self.state(attempt, || TaskStage::Running { node: node.clone() });
    }

    /// An attempt was given up, and the task is open again.
    pub(super) fn reopened(&mut self, attempt: &Attempt) {
        self.state(attempt, || TaskStage::Open);
    }

    /// A result counts.
    pub(super) fn done(&mut self, attempt: &Attempt, output: &str, by: &Jid) {
        self.state(attempt, || TaskStage::Done);
        let batch = &attempt.batch;
        self.posts.publish_part(batch, || TaskResult::new(&attempt.task, output, by.clone()));
    }

    /// A task failed for good.
    pub(super) fn failed(&mut self, attempt: &Attempt) {
        self.state(attempt, || TaskStage::Failed);
    }

    /// Lets publications come to their end; for ever if there are none. Cancel-safe.
    pub(super) async fn progress(&mut self) {
        self.posts.progress().await;
    }

    fn state(&mut self, attempt: &Attempt, stage: impl FnOnce() -> TaskStage) {
        let (task, number) = (&attempt.task, attempt.number);
        let state = || TaskState { task: task.clone(), attempt: number, stage: stage() };
        self.posts.publish_part(&attempt.batch, state);
    }
}

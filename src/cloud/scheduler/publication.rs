//! What a scheduler publishes: how far the tasks of each batch are, and the results that count.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;

use convoke_xmpp::Jid;

use crate::cloud::board::Outcome;
use crate::cloud::posts::Posts;
use crate::cloud::task::Attempt;
use crate::component::ComponentHandle;
use crate::nodes::{NodeItem, TaskResult, TaskStage, TaskState};

/// Of how many batches the nodes are kept; those of the batch that was submitted first are deleted first.
pub(super) const BATCHES: usize = 100;

/// The published state of a board.
///
/// What an earlier run has left at a service that keeps it on disk is looked for once: how far its tasks were is not true
/// any more, and is deleted; which results counted stays true, and is kept as if their batches were older ones of this run.
pub(super) struct Publication {
    posts: Posts,
    /// The batches that have nodes, in the order of their submission.
    batches: VecDeque<String>,
    /// The nodes of earlier runs, until they are known.
    left: Option<Pin<Box<dyn Future<Output = Vec<String>> + Send>>>,
}

impl Publication {
    pub(super) fn new(scheduler: ComponentHandle, service: Option<Jid>) -> Self {
        let posts = Posts::new(scheduler, service);
        let left: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(posts.owned());
        Self { left: posts.is_active().then_some(left), posts, batches: VecDeque::new() }
    }

    /// A batch was taken: its nodes are made.
    pub(super) fn submitted(&mut self, batch: &str) {
        if !self.posts.is_active() {
            return;
        }
        self.posts.create_part::<TaskState>(batch);
        self.posts.create_part::<TaskResult>(batch);
        self.add(batch);
    }

    /// A batch of an earlier run is gone on with, or was finished by it: what was told of results is still true, and how
    /// far the tasks are is of interest until they are all at their end.
    pub(super) fn restored(&mut self, batch: &str, outcomes: &[Outcome], is_finished: bool) {
        if !self.posts.is_active() {
            return;
        }
        self.posts.keep_part::<TaskResult>(batch);
        if is_finished {
            self.posts.delete_part::<TaskState>(batch);
        } else {
            self.posts.create_part::<TaskState>(batch);
        }
        for Outcome { attempt, by, result } in outcomes {
            if let Ok(output) = result {
                self.posts.publish_part(batch, || TaskResult::new(&attempt.task, output, by.clone()));
            }
            if !is_finished {
                let stage = if result.is_ok() { TaskStage::Done } else { TaskStage::Failed };
                self.state(attempt, || stage);
            }
        }
        self.add(batch);
    }

    fn add(&mut self, batch: &str) {
        // A name that is used again is that of the newer batch.
        self.batches.retain(|other| other != batch);
        self.batches.push_back(batch.to_owned());
        self.delete_oldest();
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
        tokio::select! {
            () = self.posts.progress() => {}
            owned = found(&mut self.left) => {
                self.left = None;
                self.take_over(&owned);
            }
        }
    }

    fn take_over(&mut self, owned: &[String]) {
        let of_this_run: HashSet<_> = self.batches.iter().cloned().collect();
        let is_left = |batch: &&str| !of_this_run.contains(*batch);
        for batch in owned.iter().filter_map(|node| part::<TaskState>(node)).filter(is_left) {
            self.posts.delete_part::<TaskState>(batch);
        }
        for batch in owned.iter().filter_map(|node| part::<TaskResult>(node)).filter(is_left) {
            self.batches.push_front(batch.to_owned());
        }
        self.delete_oldest();
    }

    fn delete_oldest(&mut self) {
        while self.batches.len() > BATCHES
            && let Some(oldest) = self.batches.pop_front()
        {
            self.posts.delete_part::<TaskState>(&oldest);
            self.posts.delete_part::<TaskResult>(&oldest);
        }
    }

    fn state(&mut self, attempt: &Attempt, stage: impl FnOnce() -> TaskStage) {
        let (task, number) = (&attempt.task, attempt.number);
        let state = || TaskState { task: task.clone(), attempt: number, stage: stage() };
        self.posts.publish_part(&attempt.batch, state);
    }
}

/// Waits for what there is to find; for ever if that is known.
async fn found<T>(left: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match left {
        Some(left) => left.await,
        None => std::future::pending().await,
    }
}

/// Which of many nodes of that type it is, if it is one.
fn part<T: NodeItem>(node: &str) -> Option<&str> {
    node.strip_prefix(T::NODE)?.strip_prefix('/')
}

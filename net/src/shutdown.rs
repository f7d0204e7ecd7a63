//! Owned tasks, and their end: first asked, then made to.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A set of tasks that ends with whoever drains it. Cheap to clone: all clones are the same set.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
    shutdown: CancellationToken,
    abort: CancellationToken,
    aborted: Arc<AtomicUsize>,
}

/// How a graceful shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Tasks that had not ended by themselves when the time was over.
    pub aborted: usize,
}

impl Drained {
    /// Whether everything ended by itself.
    pub fn is_graceful(self) -> bool {
        self.aborted == 0
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty set; its tasks run on the runtime that this is called on, whoever spawns them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            runtime: Handle::current(),
            shutdown: CancellationToken::new(),
            abort: CancellationToken::new(),
            aborted: Arc::default(),
        }
    }

    /// Spawns a task into the set. After the set was drained the task does not start.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        let aborted = Arc::clone(&self.aborted);
        // On the heap once: within an async block it would stand twice, as what is captured and as what is awaited.
        let task = Box::pin(task);
        let task = async move {
            tokio::select! {
                biased;
                () = abort.cancelled() => {
                    aborted.fetch_add(1, Ordering::Relaxed);
                }
                () = task => {}
            }
        };
        self.tracker.spawn_on(task, &self.runtime);
    }

    /// Cancelled when shutdown begins: stop accepting, say goodbye.
    pub fn shutdown_token(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Begins shutdown, waits until all tasks have ended, and at the deadline ends those that have not.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.shutdown.cancel();
        self.tracker.close();
        if timeout(deadline, self.tracker.wait()).await.is_err() {
            self.abort.cancel();
            // They only have to notice: no task blocks.
            self.tracker.wait().await;
        }
        Drained { aborted: self.aborted.load(Ordering::Relaxed) }
    }

    /// Ends all tasks at once, without a word to anybody.
    pub fn abort(&self) {
        self.shutdown.cancel();
        self.abort.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn waits_for_tasks_that_end_when_asked() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown_token().clone();
        tasks.spawn(async move { shutdown.cancelled().await });
        assert!(tasks.drain(Duration::from_secs(10)).await.is_graceful());
    }

    #[tokio::test(start_paused = true)]
    async fn ends_tasks_that_do_not_listen_at_the_deadline() {
        let tasks = Tasks::new();
        tasks.spawn(pending());
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained { aborted: 1 });
    }
}

//! The scheduler, `scheduler@D`: borrows nodes wherever it may, and has each task done once.

mod batches;
mod dispatch;
mod keeping;
mod leases;
mod publication;
mod results;

use std::sync::Arc;
use std::time::Duration;

use convoke_store::Store;
use convoke_xmpp::Jid;
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::dispatch::Dispatch;
use super::board::{BatchStatistics, SubmitError};
use super::client::LeaseError;
use super::journal::{Journal, JournalError, Kept};
use super::lease::LeaseRef;
use super::offer::Departure;
use super::task::{self, Submission, Task, TaskError};
use crate::component::Component;
use crate::discovery::About;
use crate::domain::{Domain, DomainError};

/// How the scheduler borrows and dispatches.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// The resource managers that it asks for nodes, in any domain.
    pub managers: Vec<Jid>,
    /// How many nodes it wants of each manager at most. Default 100.
    pub nodes: u32,
    /// The time to live that it wishes for its leases; `None` takes the manager's.
    pub ttl: Option<Duration>,
    /// How long an order or request may take. Default 5 s: an order is answered when it is accepted, not when it is done.
    pub request_timeout: Duration,
    /// How long an attempt may take before its task is given to another node. Default 30 min: a worker that hangs on
    /// a node that answers pings is found out by nothing else.
    pub attempt_timeout: Duration,
    /// How often a task may fail by its own fault. Default 3.
    pub max_faults: u32,
    /// The publish-subscribe service that is told how far tasks are and which results count
    /// ([`TaskState`](crate::nodes::TaskState), [`TaskResult`](crate::nodes::TaskResult)). Default `None`: it costs three
    /// publications for each task.
    pub publish_to: Option<Jid>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            managers: Vec::new(),
            nodes: 100,
            ttl: None,
            request_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30 * 60),
            max_faults: 3,
            publish_to: None,
        }
    }
}

/// What the scheduler has seen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SchedulerEvent {
    /// A manager lent nodes.
    Leased {
        /// Who.
        manager: Jid,
        /// The lease.
        lease: LeaseRef,
        /// The nodes.
        nodes: Vec<Jid>,
    },
    /// A manager lent nothing.
    Refused {
        /// Who.
        manager: Jid,
        /// Why.
        error: LeaseError,
    },
    /// A node is out of reach, with its domain: it keeps its task and its lease, and gets no other task.
    Suspect {
        /// Its full JID.
        node: Jid,
        /// Why.
        why: Departure,
    },
    /// A suspect node is in reach again.
    Recovered {
        /// Its full JID.
        node: Jid,
    },
    /// A node is no longer ours.
    NodeLost {
        /// Its full JID.
        node: Jid,
        /// Why.
        why: Departure,
        /// How many tasks ran there and are ready again.
        tasks: usize,
    },
    /// A result counts.
    Done {
        /// The batch.
        batch: String,
        /// The task.
        task: String,
        /// The output.
        output: String,
        /// How many attempts it took.
        attempts: u32,
    },
    /// A task failed for good.
    Failed {
        /// The batch.
        batch: String,
        /// The task.
        task: String,
        /// Why.
        error: TaskError,
    },
    /// A result was refused: its attempt is not the present one.
    Fenced {
        /// Who sent it.
        node: Jid,
        /// The epoch that it named.
        epoch: u64,
    },
    /// A batch is finished.
    Finished {
        /// The batch.
        batch: String,
        /// What it came to.
        statistics: BatchStatistics,
    },
}

/// Why a scheduler that keeps its work did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// What it had kept cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The component could not be made.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// A running scheduler; it ends with its domain.
#[derive(Debug, Clone)]
pub struct Scheduler {
    jid: Jid,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<SchedulerEvent>,
}

/// A batch that was taken.
#[derive(Debug)]
pub struct Batch {
    finished: oneshot::Receiver<BatchStatistics>,
}

#[derive(Debug)]
enum Command {
    Submit { submission: Submission, taken: oneshot::Sender<Result<Batch, SubmitError>> },
    Watch { batch: String, watching: oneshot::Sender<Option<Batch>> },
    Statistics { batch: String, reading: oneshot::Sender<Option<BatchStatistics>> },
}

/// How many commands wait; callers wait for room.
const COMMAND_CAPACITY: usize = 64;
/// How many events a slow watcher may be behind before it is told that it missed some.
const EVENT_CAPACITY: usize = 16_384;

impl Scheduler {
    /// Starts `scheduler@D`. Its work ends with the process.
    pub fn start(domain: &Domain, config: SchedulerConfig) -> Result<Self, DomainError> {
        let component = Self::component(domain)?;
        let journal = Journal::none(component.jid().clone());
        Ok(Self::run(domain, component, config, journal, Vec::new()))
    }

    /// The same with its batches in a store, which it may share with everybody else who uses it: it goes on with those that
    /// are not finished, under new leases, and remembers those that are.
    ///
    /// A batch is taken, and a result acknowledged and told of, once it is durable. What was being done when an earlier run
    /// ended is done anew, and what comes of it then is fenced; faults of a task are counted anew. Who submitted a batch
    /// over the wire is told of its end, by the run that brings it, and now and then by the next one again. Reads everything
    /// back before it returns.
    pub fn start_durable(
        domain: &Domain,
        config: SchedulerConfig,
        store: Arc<dyn Store>,
    ) -> Result<Self, SchedulerError> {
        let component = Self::component(domain)?;
        let (journal, kept) = Journal::open(component.jid().clone(), store)?;
        Ok(Self::run(domain, component, config, journal, kept))
    }

    fn component(domain: &Domain) -> Result<Component, DomainError> {
        domain.component_about("scheduler", About::new("component", "generic", "scheduler").feature(task::NAMESPACE))
    }

    fn run(domain: &Domain, component: Component, config: SchedulerConfig, journal: Journal, kept: Vec<Kept>) -> Self {
        let jid = component.jid().clone();
        let (commands, inbox) = mpsc::channel(COMMAND_CAPACITY);
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        domain.spawn(Dispatch::new(component, config, journal, events.clone()).run(inbox, kept));
        Self { jid, commands, events }
    }

    /// Its address.
    pub fn jid(&self) -> &Jid {
        &self.jid
    }

    /// Submits a batch; with `sums` the outputs are numbers whose sum is wanted.
    pub async fn submit(
        &self,
        batch: &str,
        tasks: impl IntoIterator<Item = Task>,
        sums: bool,
    ) -> Result<Batch, SubmitError> {
        let (taken, answer) = oneshot::channel();
        let submission = Submission { batch: batch.to_owned(), tasks: tasks.into_iter().collect(), sums };
        let command = Command::Submit { submission, taken };
        self.commands.send(command).await.map_err(|_| SubmitError::Ended)?;
        answer.await.map_err(|_| SubmitError::Ended)?
    }

    /// A batch that was taken before, by this run or an earlier one; `None` if there is none of that name.
    pub async fn batch(&self, batch: &str) -> Option<Batch> {
        let (watching, answer) = oneshot::channel();
        self.commands.send(Command::Watch { batch: batch.to_owned(), watching }).await.ok()?;
        answer.await.ok()?
    }

    /// What a batch has come to; `None` if there is none of that name.
    pub async fn statistics(&self, batch: &str) -> Option<BatchStatistics> {
        let (reading, answer) = oneshot::channel();
        self.commands.send(Command::Statistics { batch: batch.to_owned(), reading }).await.ok()?;
        answer.await.ok()?
    }

    /// Every event from now on. A watcher that falls behind is told how many it missed.
    pub fn watch(&self) -> broadcast::Receiver<SchedulerEvent> {
        self.events.subscribe()
    }
}

impl Batch {
    /// Waits until every task is done or has failed; `None` if the scheduler ends before.
    pub async fn finished(self) -> Option<BatchStatistics> {
        self.finished.await.ok()
    }
}

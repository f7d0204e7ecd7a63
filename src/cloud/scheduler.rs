//! The scheduler, `scheduler@D`: borrows nodes wherever it may, and has each task done once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use convoke_xmpp::{Condition, Element, Jid, JidRef, Kind, MessageType, Origin, PresenceType, Stanza, StanzaError};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use super::board::{BatchStatistics, Board, Judgement};
use super::client::{HeldLease, LeaseClient, LeaseError};
use super::lease::{self, LeaseRef, Renewal, expired, fenced};
use super::offer::Departure;
use super::resources::sleep_until;
use super::task::{self, Attempt, Submission, Task, TaskError, Verdict};
use crate::component::{Component, ComponentHandle, RequestError};
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
    /// How often a task may fail by its own fault. Default 3.
    pub max_faults: u32,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { managers: Vec::new(), nodes: 100, ttl: None, request_timeout: Duration::from_secs(5), max_faults: 3 }
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

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// There is a batch of that name.
    #[error("there is a batch `{0}` already")]
    Exists(String),
    /// The scheduler has ended.
    #[error("the scheduler has ended")]
    Ended,
}

/// A running scheduler; it ends with its domain.
#[derive(Debug, Clone)]
pub struct Scheduler {
    jid: Jid,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<SchedulerEvent>,
}

/// A batch that was submitted here.
#[derive(Debug)]
pub struct Batch {
    finished: oneshot::Receiver<BatchStatistics>,
}

#[derive(Debug)]
enum Command {
    Submit { submission: Submission, taken: oneshot::Sender<Result<Batch, SubmitError>> },
    Statistics { batch: String, reading: oneshot::Sender<Option<BatchStatistics>> },
}

/// How many commands wait; callers wait for room.
const COMMAND_CAPACITY: usize = 64;
/// How many events a slow watcher may be behind before it is told that it missed some.
const EVENT_CAPACITY: usize = 16_384;

impl Scheduler {
    /// Starts `scheduler@D`.
    pub fn start(domain: &Domain, config: SchedulerConfig) -> Result<Self, DomainError> {
        let about = About::new("component", "generic", "scheduler").feature(task::NAMESPACE);
        let component = domain.component_about("scheduler", about)?;
        let jid = component.jid().clone();
        let (commands, inbox) = mpsc::channel(COMMAND_CAPACITY);
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        domain.spawn(Dispatch::new(component, config, events.clone()).run(inbox));
        Ok(Self { jid, commands, events })
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

/// A manager and what it lent.
struct Manager {
    client: LeaseClient,
    leases: BTreeMap<LeaseRef, HeldLease>,
    /// The request that is on its way or to be asked again, by its name.
    asking: Option<String>,
    ask_at: Instant,
    renewing: bool,
    renew_at: Option<Instant>,
    hopeless: bool,
}

/// A node that is ours for now.
struct Slot {
    lease: LeaseRef,
    manager: Jid,
    busy: Option<Attempt>,
}

enum Completed {
    Asked { manager: Jid, result: Result<HeldLease, LeaseError> },
    Renewed { manager: Jid, sent: Instant, result: Result<(Duration, Vec<Renewal>), LeaseError> },
    Ordered { node: Jid, attempt: Attempt, result: Result<(), RequestError> },
    Released,
}

/// Who waits for the end of a batch.
#[derive(Default)]
struct Waiting {
    local: Option<oneshot::Sender<BatchStatistics>>,
    remote: Option<Jid>,
}

struct Dispatch {
    component: Component,
    config: SchedulerConfig,
    board: Board,
    managers: BTreeMap<Jid, Manager>,
    slots: BTreeMap<Jid, Slot>,
    idle: HashSet<Jid>,
    running: JoinSet<Completed>,
    waiting: HashMap<String, Waiting>,
    events: broadcast::Sender<SchedulerEvent>,
}

impl Dispatch {
    fn new(component: Component, config: SchedulerConfig, events: broadcast::Sender<SchedulerEvent>) -> Self {
        let manager = |jid: &Jid| {
            let client = LeaseClient::new(component.handle(), jid.clone(), config.request_timeout);
            let manager = Manager {
                client,
                leases: BTreeMap::new(),
                asking: None,
                ask_at: Instant::now(),
                renewing: false,
                renew_at: None,
                hopeless: false,
            };
            (jid.clone(), manager)
        };
        let managers = config.managers.iter().map(manager).collect();
        let board = Board::new(config.max_faults);
        Self {
            component,
            config,
            board,
            managers,
            slots: BTreeMap::new(),
            idle: HashSet::new(),
            running: JoinSet::new(),
            waiting: HashMap::new(),
            events,
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.component.available([]);
        loop {
            self.keep_leases();
            self.dispatch();
            let next = self.next_time();
            tokio::select! {
                received = self.component.receive() => match received {
                    Some((stanza, origin)) => self.handle(&stanza, &origin),
                    None => return,
                },
                Some(Ok(completed)) = self.running.join_next() => self.completed(completed),
                Some(command) = commands.recv() => self.command(command),
                () = sleep_until(next) => {}
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Submit { submission, taken } => {
                let (local, finished) = oneshot::channel();
                let answer = self.submit(submission, Waiting { local: Some(local), remote: None });
                let _caller_gone = taken.send(answer.map(|()| Batch { finished }));
            }
            Command::Statistics { batch, reading } => {
                let _caller_gone = reading.send(self.board.statistics(&batch));
            }
        }
    }

    fn submit(&mut self, submission: Submission, waiting: Waiting) -> Result<(), SubmitError> {
        let name = submission.batch.clone();
        if !self.board.submit(submission) {
            return Err(SubmitError::Exists(name));
        }
        self.waiting.insert(name.clone(), waiting);
        for manager in self.managers.values_mut() {
            (manager.hopeless, manager.ask_at) = (false, Instant::now());
        }
        self.finish_if_done(&name);
        Ok(())
    }

    // Stanzas

    fn handle(&mut self, stanza: &Stanza, origin: &Origin) {
        let Some(from) = stanza.from().map(JidRef::to_owned) else { return };
        match stanza.kind() {
            Kind::Iq(_) if stanza.is_request() => {
                let answer = self.answer(&from, stanza, origin);
                self.component.reply(stanza, answer);
            }
            Kind::Presence(PresenceType::Unavailable) => self.lose(&from, Departure::from_presence(stanza)),
            Kind::Presence(PresenceType::Subscribe) => {
                let own = *origin == Origin::Local;
                let answer = if own { PresenceType::Subscribed } else { PresenceType::Unsubscribed };
                self.component.presence(answer, &from.to_bare());
            }
            Kind::Message(_) if stanza.has_payload("lost", lease::NAMESPACE) => self.told_of_loss(&from, stanza),
            _ => {}
        }
    }

    fn answer(&mut self, from: &Jid, stanza: &Stanza, origin: &Origin) -> Result<Option<Element>, StanzaError> {
        let payload = stanza.payload().ok_or(Condition::BadRequest)?;
        match (payload.name(), payload.namespace()) {
            ("result", task::NAMESPACE) => self.take_result(from, &payload).map(Some),
            ("submit", task::NAMESPACE) => self.take_submission(from, &payload, origin).map(Some),
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    /// Only entities of this process's domains may give it work.
    fn take_submission(&mut self, from: &Jid, payload: &Element, origin: &Origin) -> Result<Element, StanzaError> {
        if *origin != Origin::Local {
            return Err(Condition::Forbidden.into());
        }
        let submission = Submission::from_element(payload)?;
        let (batch, tasks) = (submission.batch.clone(), submission.tasks.len());
        let waiting = Waiting { local: None, remote: Some(from.clone()) };
        self.submit(submission, waiting)
            .map_err(|error| StanzaError::new(Condition::Conflict).with_text(error.to_string()))?;
        Ok(Element::new("submitted", task::NAMESPACE).attr("batch", batch).attr("tasks", tasks))
    }

    fn take_result(&mut self, from: &Jid, payload: &Element) -> Result<Element, StanzaError> {
        let (attempt, outcome) = task::result_from_element(payload)?;
        let judgement = self.board.result(from, &attempt, outcome);
        if !matches!(judgement, Judgement::Fenced { .. } | Judgement::Unknown) {
            self.free(from, &attempt);
        }
        let verdict = match judgement {
            Judgement::Done { output, attempts } => {
                let (batch, task) = (attempt.batch.clone(), attempt.task.clone());
                self.tell(SchedulerEvent::Done { batch, task, output, attempts });
                Verdict::Committed
            }
            Judgement::Failed { error } => {
                let (batch, task) = (attempt.batch.clone(), attempt.task.clone());
                self.tell(SchedulerEvent::Failed { batch, task, error });
                Verdict::Committed
            }
            Judgement::Again => Verdict::Committed,
            Judgement::Known(verdict) => verdict,
            Judgement::Fenced { now } => {
                self.tell(SchedulerEvent::Fenced { node: from.clone(), epoch: attempt.lease.epoch });
                return Err(fenced(attempt.lease.epoch, now));
            }
            Judgement::Unknown => return Err(expired()),
        };
        self.finish_if_done(&attempt.batch);
        Ok(task::ack(&attempt, verdict))
    }

    fn free(&mut self, node: &Jid, attempt: &Attempt) {
        if let Some(slot) = self.slots.get_mut(node)
            && slot.busy.as_ref() == Some(attempt)
        {
            slot.busy = None;
            self.idle.insert(node.clone());
        }
    }

    /// A manager says that one of its nodes is gone.
    fn told_of_loss(&mut self, from: &Jid, stanza: &Stanza) {
        let Some(payload) = stanza.payload() else { return };
        let Ok(lease) = LeaseRef::from_element(&payload) else { return };
        let Ok(node) = lease::address(&payload, "node") else { return };
        let why = payload.attribute("why").and_then(Departure::parse).unwrap_or(Departure::SessionDied);
        let ours = self.slots.get(&node).is_some_and(|slot| slot.manager == *from && slot.lease == lease);
        if ours {
            self.lose(&node, why);
        }
    }

    fn lose(&mut self, node: &Jid, why: Departure) {
        let Some(slot) = self.slots.remove(node) else { return };
        self.idle.remove(node);
        let tasks = self.board.node_lost(node);
        if let Some(manager) = self.managers.get_mut(&slot.manager) {
            if let Some(held) = manager.leases.get_mut(&slot.lease) {
                held.grant.nodes.retain(|n| n != node);
            }
            manager.ask_at = manager.ask_at.min(Instant::now());
        }
        self.tell(SchedulerEvent::NodeLost { node: node.clone(), why, tasks });
    }

    fn finish_if_done(&mut self, batch: &str) {
        let Some(statistics) = self.board.statistics(batch).filter(BatchStatistics::is_finished) else { return };
        let Some(waiting) = self.waiting.remove(batch) else { return };
        if let Some(local) = waiting.local {
            let _caller_gone = local.send(statistics);
        }
        if let Some(remote) = waiting.remote {
            let payload = Element::new("finished", task::NAMESPACE)
                .attr("batch", batch)
                .attr("tasks", statistics.tasks)
                .attr("failed", statistics.failed)
                .attr_opt("sum", statistics.sum);
            let message = Stanza::message(MessageType::Normal).with_to(&remote).with_payload(payload);
            self.component.route(message.with_from(self.component.jid()));
        }
        self.tell(SchedulerEvent::Finished { batch: batch.to_owned(), statistics });
    }

    // Leases

    /// Expires, renews, requests or gives back, as the work demands.
    fn keep_leases(&mut self) {
        let now = Instant::now();
        let names: Vec<Jid> = self.managers.keys().cloned().collect();
        for name in &names {
            self.expire_leases(name, now);
            if self.board.open() == 0 {
                self.release_leases(name);
            } else {
                self.renew_leases(name, now);
                self.ask_for_nodes(name, now);
            }
        }
    }

    fn expire_leases(&mut self, manager: &Jid, now: Instant) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        let due = |held: &HeldLease| held.use_until <= now;
        let gone: Vec<_> = entry.leases.iter().filter(|(_, held)| due(held)).map(|(lease, _)| lease.clone()).collect();
        for lease in gone {
            self.end_lease(manager, &lease);
        }
    }

    fn end_lease(&mut self, manager: &Jid, lease: &LeaseRef) {
        let held = self.managers.get_mut(manager).and_then(|entry| entry.leases.remove(lease));
        for node in held.into_iter().flat_map(|held| held.grant.nodes) {
            self.lose(&node, Departure::LeaseEnded);
        }
    }

    fn release_leases(&mut self, manager: &Jid) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        for (lease, held) in std::mem::take(&mut entry.leases) {
            for node in &held.grant.nodes {
                self.slots.remove(node);
                self.idle.remove(node);
            }
            let client = entry.client.clone();
            self.running.spawn(async move {
                if let Err(error) = client.release(&lease).await {
                    tracing::debug!(%error, "a lease was not taken back; it expires by itself");
                }
                Completed::Released
            });
        }
    }

    fn renew_leases(&mut self, manager: &Jid, now: Instant) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        if entry.renewing || entry.leases.is_empty() || entry.renew_at.is_none_or(|at| at > now) {
            return;
        }
        entry.renewing = true;
        let (client, leases) = (entry.client.clone(), entry.leases.keys().cloned().collect::<Vec<_>>());
        let manager = manager.clone();
        self.running.spawn(async move {
            let sent = Instant::now();
            let result = client.renew(&leases).await;
            Completed::Renewed { manager, sent, result }
        });
    }

    fn ask_for_nodes(&mut self, manager: &Jid, now: Instant) {
        let open = u32::try_from(self.board.open()).unwrap_or(u32::MAX);
        let Some(entry) = self.managers.get_mut(manager) else { return };
        let held: usize = entry.leases.values().map(|held| held.grant.nodes.len()).sum();
        let wanted = self.config.nodes.min(open).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if wanted == 0 || entry.asking.is_some() || entry.hopeless || entry.ask_at > now {
            return;
        }
        let req = self.component.new_id();
        entry.asking = Some(req.clone());
        let (client, ttl, manager) = (entry.client.clone(), self.config.ttl, manager.clone());
        self.running.spawn(async move {
            let result = client.request(&req, wanted, ttl).await;
            Completed::Asked { manager, result }
        });
    }

    // What was asked has an answer

    fn completed(&mut self, completed: Completed) {
        match completed {
            Completed::Asked { manager, result } => self.asked(&manager, result),
            Completed::Renewed { manager, sent, result } => self.renewed(&manager, sent, result),
            Completed::Ordered { node, attempt, result } => self.ordered(&node, &attempt, result),
            Completed::Released => {}
        }
    }

    fn asked(&mut self, manager: &Jid, result: Result<HeldLease, LeaseError>) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        entry.asking = None;
        match result {
            Ok(held) => {
                entry.schedule_renewal(held.grant.ttl);
                let (lease, nodes) = (held.grant.lease.clone(), held.grant.nodes.clone());
                entry.leases.insert(lease.clone(), held);
                for node in &nodes {
                    let slot = Slot { lease: lease.clone(), manager: manager.clone(), busy: None };
                    self.slots.insert(node.clone(), slot);
                    self.idle.insert(node.clone());
                }
                self.tell(SchedulerEvent::Leased { manager: manager.clone(), lease, nodes });
            }
            Err(error) => {
                match error.retry() {
                    Some(pause) => entry.ask_at = Instant::now() + pause.min(Duration::from_secs(60)),
                    None => entry.hopeless = true,
                }
                self.tell(SchedulerEvent::Refused { manager: manager.clone(), error });
            }
        }
    }

    fn renewed(&mut self, manager: &Jid, sent: Instant, result: Result<(Duration, Vec<Renewal>), LeaseError>) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        entry.renewing = false;
        let Ok((ttl, renewals)) = result else {
            // The lease lives on until its time is over; until then it is tried again.
            entry.renew_at = Some(Instant::now() + Duration::from_millis(200));
            return;
        };
        entry.schedule_renewal(ttl);
        for renewal in renewals {
            match renewal {
                Renewal::Renewed(lease) => {
                    if let Some(held) = self.managers.get_mut(manager).and_then(|e| e.leases.get_mut(&lease)) {
                        held.renewed(sent, ttl);
                    }
                }
                Renewal::Lost(lease) => self.end_lease(manager, &lease),
            }
        }
    }

    /// An order was accepted, must be sent again, or is void.
    fn ordered(&mut self, node: &Jid, attempt: &Attempt, result: Result<(), RequestError>) {
        let Err(error) = result else { return };
        if !self.board.is_current(attempt) {
            return;
        }
        tracing::debug!(%node, task = attempt.task, %error, "an order was not accepted");
        self.board.refused(attempt);
        if is_temporary(&error) {
            // Whether the node is gone is for its manager to say; the task does not wait for that.
            self.free(node, attempt);
        } else {
            self.lose(node, Departure::Silent);
        }
    }

    // Orders

    fn dispatch(&mut self) {
        while self.board.ready() > 0 {
            let Some(node) = self.idle.iter().next().cloned() else { return };
            self.idle.remove(&node);
            let Some(slot) = self.slots.get_mut(&node) else { continue };
            let Some((attempt, task)) = self.board.next(&node, &slot.lease) else { continue };
            slot.busy = Some(attempt.clone());
            let (handle, timeout) = (self.component.handle(), self.config.request_timeout);
            self.running.spawn(async move {
                let result = order(&handle, &node, &attempt, &task, timeout).await;
                Completed::Ordered { node, attempt, result }
            });
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let waiting = self.board.open() > 0;
        let times = self.managers.values().flat_map(|entry| {
            let ask = (waiting && entry.asking.is_none() && !entry.hopeless).then_some(entry.ask_at);
            let renew = if entry.renewing { None } else { entry.renew_at };
            let expire = entry.leases.values().map(|held| held.use_until).min();
            let held = !entry.leases.is_empty();
            [ask.filter(|at| *at > Instant::now()), renew.filter(|_| held && waiting), expire]
        });
        times.flatten().min()
    }

    fn tell(&self, event: SchedulerEvent) {
        let _nobody_watches = self.events.send(event);
    }
}

impl Manager {
    /// A third of the time to live: two renewals may get lost.
    fn schedule_renewal(&mut self, ttl: Duration) {
        let at = Instant::now() + ttl / 3;
        self.renew_at =
            Some(self.renew_at.filter(|before| *before > Instant::now()).map_or(at, |before| before.min(at)));
    }
}

/// Orders until the node has accepted: the same order again does no harm.
async fn order(
    handle: &ComponentHandle,
    node: &Jid,
    attempt: &Attempt,
    task: &Task,
    timeout: Duration,
) -> Result<(), RequestError> {
    const TRIES: u32 = 5;
    let mut pause = Duration::from_millis(50);
    let mut tries = 0;
    loop {
        tries += 1;
        match handle.set(node, task::assign(attempt, task), timeout / TRIES).await {
            Ok(_) => return Ok(()),
            Err(error) if tries == TRIES || !is_temporary(&error) => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Whether the same order may be accepted a little later: the answer got lost, the link is being made anew, or the
/// notice of the lease is still on its way to the node.
fn is_temporary(error: &RequestError) -> bool {
    match error.stanza_error() {
        None => matches!(error, RequestError::TimedOut { .. }),
        Some(error) => error.error_type == convoke_xmpp::ErrorType::Wait,
    }
}

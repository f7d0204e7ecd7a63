//! The task that owns a scheduler's board, nodes and leases.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use convoke_xmpp::{Condition, Jid, JidRef, Kind, Origin, PresenceType, Stanza};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::batches::Waiting;
use super::keeping::Keeping;
use super::leases::Manager;
use super::publication::Publication;
use super::{Command, SchedulerConfig, SchedulerEvent};
use crate::cloud::board::Board;
use crate::cloud::client::{HeldLease, LeaseError};
use crate::cloud::journal::{Journal, Kept};
use crate::cloud::lease::{self, LeaseRef, Renewal};
use crate::cloud::offer::Departure;
use crate::cloud::resources::sleep_until;
use crate::cloud::task::{self, Attempt, Task};
use crate::component::{Component, ComponentHandle, RequestError};

/// A node that is ours for now.
pub(super) struct Slot {
    pub(super) lease: LeaseRef,
    pub(super) manager: Jid,
    /// What it works on, and since when.
    pub(super) busy: Option<(Attempt, Instant)>,
}

/// How long a node rests that could not do a task: it fails faster than others work, and would be given all of it.
const REST: Duration = Duration::from_secs(1);

pub(super) enum Completed {
    Asked { manager: Jid, req: String, wanted: u32, result: Result<HeldLease, LeaseError> },
    Renewed { manager: Jid, sent: Instant, result: Result<(Duration, Vec<Renewal>), LeaseError> },
    Ordered { node: Jid, attempt: Attempt, result: Result<(), RequestError> },
    Released,
}

pub(super) struct Dispatch {
    pub(super) component: Component,
    pub(super) config: SchedulerConfig,
    pub(super) board: Board,
    pub(super) managers: BTreeMap<Jid, Manager>,
    pub(super) slots: BTreeMap<Jid, Slot>,
    pub(super) idle: HashSet<Jid>,
    /// Nodes of ours that are out of reach with their domain. They are left alone until they are back or their lease ends.
    suspect: HashSet<Jid>,
    /// Nodes that get no task before a time.
    resting: HashMap<Jid, Instant>,
    /// When an attempt may have taken too long.
    overdue_at: Option<Instant>,
    pub(super) running: JoinSet<Completed>,
    pub(super) journal: Journal,
    /// What waits for the disk: as much as the store lets wait, which refuses what is beyond.
    pub(super) keeping: JoinSet<Keeping>,
    /// The batches that are not durable yet, with how many tasks each has.
    pub(super) taking: HashMap<String, u64>,
    /// Who waits for the end of which batch.
    pub(super) waiting: HashMap<String, Waiting>,
    pub(super) publication: Publication,
    events: broadcast::Sender<SchedulerEvent>,
}

impl Dispatch {
    pub(super) fn new(
        component: Component,
        config: SchedulerConfig,
        journal: Journal,
        events: broadcast::Sender<SchedulerEvent>,
    ) -> Self {
        let manager = |jid: &Jid| (jid.clone(), Manager::new(component.handle(), jid.clone(), &config));
        let managers = config.managers.iter().map(manager).collect();
        let board = Board::new(config.max_faults);
        let publication = Publication::new(component.handle(), config.publish_to.clone());
        Self {
            component,
            config,
            board,
            managers,
            slots: BTreeMap::new(),
            idle: HashSet::new(),
            suspect: HashSet::new(),
            resting: HashMap::new(),
            overdue_at: None,
            running: JoinSet::new(),
            journal,
            keeping: JoinSet::new(),
            taking: HashMap::new(),
            waiting: HashMap::new(),
            publication,
            events,
        }
    }

    /// Goes on with what earlier runs have kept, until the domain is shut down.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, kept: Vec<Kept>) {
        self.component.available([]);
        self.restore(kept);
        loop {
            let now = Instant::now();
            self.keep_leases(now);
            self.give_up_overdue(now);
            self.wake_rested(now);
            self.dispatch(now);
            let next = self.next_time(now);
            tokio::select! {
                received = self.component.receive() => match received {
                    Some((stanza, origin)) => self.handle(&stanza, &origin),
                    None => break,
                },
                Some(Ok(completed)) = self.running.join_next() => self.completed(completed),
                Some(Ok(keeping)) = self.keeping.join_next() => self.kept(keeping),
                Some(command) = commands.recv() => self.command(command),
                () = self.publication.progress() => {}
                () = sleep_until(next) => {}
            }
        }
        self.release_all();
        self.keep_the_last().await;
    }

    fn handle(&mut self, stanza: &Stanza, origin: &Origin) {
        let Some(from) = stanza.from().map(JidRef::to_owned) else { return };
        match stanza.kind() {
            Kind::Iq(_) if stanza.is_request() => self.handle_request(&from, stanza, origin),
            Kind::Presence(PresenceType::Unavailable) => match origin {
                Origin::RouteLost(_) => self.suspect(from),
                _ => self.lose(&from, Departure::from_presence(stanza)),
            },
            Kind::Presence(PresenceType::Available) => self.recover(&from),
            Kind::Presence(PresenceType::Subscribe) => {
                let own = *origin == Origin::Local;
                let answer = if own { PresenceType::Subscribed } else { PresenceType::Unsubscribed };
                self.component.presence(answer, &from.to_bare());
            }
            Kind::Message(_) if stanza.has_payload("lost", lease::NAMESPACE) => self.told_of_loss(&from, stanza),
            _ => {}
        }
    }

    fn handle_request(&mut self, from: &Jid, request: &Stanza, origin: &Origin) {
        let payload = request.payload();
        match payload.as_ref().map(|payload| (payload, payload.name(), payload.namespace())) {
            Some((payload, "result", task::NAMESPACE)) => self.take_result(from, request, payload),
            Some((payload, "submit", task::NAMESPACE)) => self.take_submission(request, payload, origin),
            Some(_) => self.component.reply(request, Err(Condition::ServiceUnavailable.into())),
            None => self.component.reply(request, Err(Condition::BadRequest.into())),
        }
    }

    /// The node has done with an attempt; one that failed rests before the next.
    pub(super) fn free(&mut self, node: &Jid, attempt: &Attempt, rests: bool) {
        let Some(slot) = self.slots.get_mut(node) else { return };
        if slot.busy.as_ref().is_none_or(|(busy, _)| busy != attempt) {
            return;
        }
        slot.busy = None;
        if rests {
            self.resting.insert(node.clone(), Instant::now() + REST);
        } else {
            self.offer(node.clone());
        }
    }

    fn wake_rested(&mut self, now: Instant) {
        let rested: Vec<_> = self.resting.extract_if(|_, until| *until <= now).map(|(node, _)| node).collect();
        rested.into_iter().for_each(|node| self.offer(node));
    }

    /// The node may be given a task, unless it is out of reach.
    fn offer(&mut self, node: Jid) {
        if !self.suspect.contains(&node) {
            self.idle.insert(node);
        }
    }

    /// The way to the node's domain is lost. What it works on may be finished all the same, and its lease goes on until
    /// it ends by itself on both sides.
    fn suspect(&mut self, node: Jid) {
        if self.slots.contains_key(&node) && self.suspect.insert(node.clone()) {
            self.idle.remove(&node);
            self.tell(SchedulerEvent::Suspect { node, why: Departure::RouteLost });
        }
    }

    /// The node is heard of again.
    pub(super) fn recover(&mut self, node: &Jid) {
        if !self.suspect.remove(node) {
            return;
        }
        self.tell(SchedulerEvent::Recovered { node: node.clone() });
        let is_free = self.slots.get(node).is_some_and(|slot| slot.busy.is_none()) && !self.resting.contains_key(node);
        if is_free {
            self.idle.insert(node.clone());
        }
    }

    /// A node whose attempt takes too long is given up: its worker hangs, or nobody told that it is gone.
    fn give_up_overdue(&mut self, now: Instant) {
        if self.overdue_at.is_none_or(|at| at > now) {
            return;
        }
        let timeout = self.config.attempt_timeout;
        let begun = |slot: &Slot| slot.busy.as_ref().and_then(|(_, since)| since.checked_add(timeout));
        let overdue = |(_, slot): &(&Jid, &Slot)| begun(slot).is_some_and(|at| at <= now);
        let late: Vec<_> = self.slots.iter().filter(overdue).map(|(node, _)| node.clone()).collect();
        for node in late {
            tracing::warn!(%node, "an attempt took too long");
            self.lose(&node, Departure::Silent);
        }
        self.overdue_at = self.slots.values().filter_map(begun).min();
    }

    /// A node is not ours any more.
    pub(super) fn forget(&mut self, node: &Jid) -> Option<Slot> {
        self.idle.remove(node);
        self.suspect.remove(node);
        self.resting.remove(node);
        self.slots.remove(node)
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

    pub(super) fn lose(&mut self, node: &Jid, why: Departure) {
        let Some(slot) = self.forget(node) else { return };
        let tasks = self.board.node_lost(node);
        if let Some((attempt, _)) = slot.busy.as_ref().filter(|_| tasks > 0) {
            self.publication.reopened(attempt);
        }
        let was_last = self.managers.get_mut(&slot.manager).is_some_and(|manager| manager.lost(&slot.lease, node));
        if was_last {
            self.release(&slot.manager, &slot.lease);
        }
        self.tell(SchedulerEvent::NodeLost { node: node.clone(), why, tasks });
    }

    fn completed(&mut self, completed: Completed) {
        match completed {
            Completed::Asked { manager, req, wanted, result } => self.asked(&manager, req, wanted, result),
            Completed::Renewed { manager, sent, result } => self.renewed(&manager, sent, result),
            Completed::Ordered { node, attempt, result } => self.ordered(&node, &attempt, result),
            Completed::Released => {}
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
        self.publication.reopened(attempt);
        if is_temporary(&error) {
            // Whether the node is gone is for its manager to say; the task does not wait for that.
            self.free(node, attempt, true);
        } else {
            let manager = self.slots.get(node).map(|slot| slot.manager.clone());
            self.lose(node, Departure::Silent);
            if let Some(manager) = manager.and_then(|manager| self.managers.get_mut(&manager)) {
                manager.ask_later();
            }
        }
    }

    fn dispatch(&mut self, now: Instant) {
        while let Some(node) = self.idle.iter().next().cloned() {
            let Some(slot) = self.slots.get_mut(&node) else {
                self.idle.remove(&node);
                continue;
            };
            let Some((attempt, task)) = self.board.next(&node, &slot.lease) else { return };
            self.idle.remove(&node);
            self.publication.running(&attempt, &node);
            slot.busy = Some((attempt.clone(), now));
            self.overdue_at = self.overdue_at.or_else(|| now.checked_add(self.config.attempt_timeout));
            let (handle, timeout) = (self.component.handle(), self.config.request_timeout);
            self.running.spawn(async move {
                let result = order(&handle, &node, &attempt, &task, timeout).await;
                Completed::Ordered { node, attempt, result }
            });
        }
    }

    /// When there is something to do without being told. What was due at `now` has been done.
    fn next_time(&self, now: Instant) -> Option<Instant> {
        let waiting = self.board.open() > 0;
        let managers = self.managers.values().filter_map(|manager| manager.next_time(now, waiting));
        managers.chain(self.resting.values().copied()).chain(self.overdue_at).min()
    }

    pub(super) fn tell(&self, event: SchedulerEvent) {
        let _nobody_watches = self.events.send(event);
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

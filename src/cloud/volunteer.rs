//! A volunteer: a node that joins by presence, obeys its leaseholder and works.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use convoke_xmpp::{Condition, Element, ErrorType, Jid, JidRef, Kind, Origin, PresenceType, Stanza, StanzaError};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::lease::{self, LeaseRef, expired, fenced};
use super::offer::{Offer, bye};
use super::task::{self, Attempt, Task, TaskError};
use crate::component::Component;
use crate::domain::{Domain, DomainError};

/// Does tasks of one kind.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// The output of a task. What takes long on the processor belongs on a blocking thread.
    async fn run(&self, task: Task) -> Result<String, TaskError>;
}

/// What a volunteer has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VolunteerReport {
    /// Results that got a verdict.
    pub done: u64,
    /// Results that were refused as belonging to an older epoch.
    pub fenced: u64,
    /// Attempts that ended with their lease.
    pub aborted: u64,
}

/// A running volunteer. Dropping it ends its session without a word, as a crash would.
#[derive(Debug)]
pub struct Volunteer {
    jid: Jid,
    paused: watch::Sender<bool>,
    leave: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<VolunteerReport>,
}

/// Collects what a volunteer offers, then lets it join.
pub struct VolunteerBuilder {
    domain: Domain,
    user: String,
    resource: String,
    offer: Offer,
    workers: HashMap<String, Arc<dyn Worker>>,
    slots: usize,
}

impl VolunteerBuilder {
    /// What the node has; the default is the least.
    pub fn offer(mut self, offer: Offer) -> Self {
        self.offer = offer;
        self
    }

    /// How many tasks run at a time; the default is one.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// Installs a worker for tasks of this kind.
    pub fn worker(mut self, kind: &str, worker: impl Worker) -> Self {
        self.workers.insert(kind.to_owned(), Arc::new(worker));
        self
    }

    /// Joins: becomes available to the domain's resource manager and monitor.
    pub fn join(self) -> Result<Volunteer, DomainError> {
        let component = self.domain.session(&self.user, &self.resource)?;
        let jid = component.jid().clone();
        let (paused, is_paused) = watch::channel(false);
        let (leave, left) = oneshot::channel();
        let node = Node {
            component,
            workers: self.workers,
            slots: self.slots,
            lease: None,
            introduced_to: None,
            working: JoinSet::new(),
            aborts: HashMap::new(),
            reporting: JoinSet::new(),
            unreported: HashSet::new(),
            paused: is_paused,
            report: VolunteerReport::default(),
        };
        node.announce(&self.offer);
        let task = tokio::spawn(node.run(left));
        Ok(Volunteer { jid, paused, leave: Some(leave), task })
    }
}

impl Volunteer {
    /// Begins to describe the volunteer `user@domain/resource`.
    pub fn builder(domain: &Domain, user: &str, resource: &str) -> VolunteerBuilder {
        VolunteerBuilder {
            domain: domain.clone(),
            user: user.to_owned(),
            resource: resource.to_owned(),
            offer: Offer::default(),
            workers: HashMap::new(),
            slots: 1,
        }
    }

    /// Its full JID.
    pub fn jid(&self) -> &Jid {
        &self.jid
    }

    /// Says goodbye and ends: what it was doing is handed to others.
    pub async fn leave(mut self) -> VolunteerReport {
        if let Some(leave) = self.leave.take() {
            let _already_ended = leave.send(());
        }
        (&mut self.task).await.unwrap_or_default()
    }

    /// Stops answering anything, as a stopped process does, until [`Volunteer::resume`]. For rehearsals.
    pub fn pause(&self) {
        let _already_ended = self.paused.send(true);
    }

    /// Goes on after [`Volunteer::pause`], not knowing what happened meanwhile.
    pub fn resume(&self) {
        let _already_ended = self.paused.send(false);
    }
}

impl Drop for Volunteer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How many results may wait for their verdicts. A node whose holders take orders back to back and results never is
/// not worth more of its memory; they are told to wait.
const OUTBOX: usize = 256;

struct Node {
    component: Component,
    workers: HashMap<String, Arc<dyn Worker>>,
    slots: usize,
    /// The lease that the manager told of last, and its holder.
    lease: Option<(LeaseRef, Jid)>,
    /// The holder that sees this node's availability.
    introduced_to: Option<Jid>,
    working: JoinSet<(Attempt, Jid, Result<String, TaskError>)>,
    /// What is being worked on, for whom.
    aborts: HashMap<Attempt, (AbortHandle, Jid)>,
    reporting: JoinSet<(Attempt, Reported)>,
    /// Attempts whose result has no verdict yet: an order for them is not done again.
    unreported: HashSet<Attempt>,
    paused: watch::Receiver<bool>,
    report: VolunteerReport,
}

enum Reported {
    Verdict,
    Fenced,
    GivenUp,
}

impl Node {
    fn announce(&self, offer: &Offer) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let node = offer.to_element(u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        for name in ["monitor", "resources"] {
            if let Ok(to) = Jid::from_parts(Some(name), self.component.jid().domain(), None) {
                self.component.available_to(&to, [node.clone()]);
            }
        }
    }

    async fn run(mut self, mut left: oneshot::Receiver<()>) -> VolunteerReport {
        let mut paused = self.paused.clone();
        loop {
            tokio::select! {
                resumed = paused.wait_for(|paused| !paused) => if resumed.is_err() {
                    return self.report;
                },
                _ = &mut left => return self.say_goodbye(),
            }
            tokio::select! {
                // A pause takes effect at once, not with the next stanza.
                _ = paused.changed() => {}
                received = self.component.receive() => match received {
                    Some((stanza, origin)) => self.handle(&stanza, &origin),
                    None => return self.report,
                },
                Some(done) = self.working.join_next() => match done {
                    Ok((attempt, holder, outcome)) => self.finished(attempt, holder, outcome),
                    Err(error) => self.broke_off(&error),
                },
                Some(Ok((attempt, reported))) = self.reporting.join_next() => self.reported(&attempt, &reported),
                _ = &mut left => return self.say_goodbye(),
            }
        }
    }

    fn say_goodbye(self) -> VolunteerReport {
        self.component.unavailable([bye()]);
        self.report
    }

    fn handle(&mut self, stanza: &Stanza, origin: &Origin) {
        if matches!(stanza.kind(), Kind::Presence(PresenceType::Subscribe)) {
            let Some(from) = stanza.from().map(JidRef::to_bare) else { return };
            let own = *origin == Origin::Local;
            self.component.presence(if own { PresenceType::Subscribed } else { PresenceType::Unsubscribed }, &from);
        }
        if !stanza.is_request() {
            return;
        }
        let (Some(from), Some(payload)) = (stanza.from().map(JidRef::to_owned), stanza.payload()) else { return };
        let answer = match (payload.name(), payload.namespace()) {
            ("notice", lease::NAMESPACE) => self.notice(&from, origin, &payload),
            ("ended", lease::NAMESPACE) => self.ended(&from, origin, &payload),
            ("assign", task::NAMESPACE) => self.assign(&from, &payload),
            _ => Err(Condition::ServiceUnavailable.into()),
        };
        self.component.reply(stanza, answer);
    }

    /// Only the manager of the node's own domain says who holds it.
    fn check_manager(&self, from: &Jid, origin: &Origin) -> Result<(), StanzaError> {
        let own = from.local() == Some("resources") && from.domain() == self.component.jid().domain();
        if own && *origin == Origin::Local { Ok(()) } else { Err(Condition::NotAuthorized.into()) }
    }

    fn notice(&mut self, from: &Jid, origin: &Origin, payload: &Element) -> Result<Option<Element>, StanzaError> {
        self.check_manager(from, origin)?;
        let reference = LeaseRef::from_attributes(payload)?;
        let holder = lease::address(payload, "holder")?;
        if let Some((current, _)) = &self.lease
            && current.epoch > reference.epoch
        {
            return Err(fenced(reference.epoch, current.epoch));
        }
        self.abort_all();
        self.introduce(holder.to_bare());
        self.lease = Some((reference, holder));
        Ok(None)
    }

    /// The holder sees this node's availability itself: should the session die, it is told without a detour. The one
    /// before does not any more.
    fn introduce(&mut self, holder: Jid) {
        if let Some(before) = self.introduced_to.replace(holder.clone()).filter(|before| *before != holder) {
            self.component.unavailable_to(&before);
        }
        self.component.available_to(&holder, []);
    }

    fn ended(&mut self, from: &Jid, origin: &Origin, payload: &Element) -> Result<Option<Element>, StanzaError> {
        self.check_manager(from, origin)?;
        let reference = LeaseRef::from_attributes(payload)?;
        if self.lease.as_ref().is_some_and(|(current, _)| *current == reference) {
            self.lease = None;
            self.abort_all();
        }
        Ok(None)
    }

    fn abort_all(&mut self) {
        for (_, (abort, _)) in self.aborts.drain() {
            abort.abort();
        }
    }

    fn assign(&mut self, from: &Jid, payload: &Element) -> Result<Option<Element>, StanzaError> {
        let (attempt, task) = task::assign_from_element(payload)?;
        self.check_lease(from, &attempt.lease)?;
        // At-least-once delivery: the same order again is accepted and not done again.
        if self.aborts.contains_key(&attempt) || self.unreported.contains(&attempt) {
            return Ok(None);
        }
        let worker = self.workers.get(&task.kind).ok_or_else(|| task::unknown_kind(&task.kind))?.clone();
        if self.aborts.len() >= self.slots || self.unreported.len() >= OUTBOX {
            return Err(StanzaError::new(Condition::ResourceConstraint).with_text("all slots are busy"));
        }
        let (id, holder) = (attempt.clone(), from.clone());
        let abort = self.working.spawn(async move {
            let outcome = worker.run(task).await;
            (id, holder, outcome)
        });
        self.aborts.insert(attempt, (abort, from.clone()));
        Ok(None)
    }

    fn check_lease(&self, from: &Jid, asked: &LeaseRef) -> Result<(), StanzaError> {
        let Some((current, holder)) = &self.lease else {
            // The notice may still be on its way: the holder tries again.
            return Err(StanzaError::new(Condition::NotAuthorized).with_type(ErrorType::Wait));
        };
        if asked.epoch < current.epoch {
            return Err(fenced(asked.epoch, current.epoch));
        }
        if asked != current {
            return Err(StanzaError::new(Condition::NotAuthorized).with_type(ErrorType::Wait));
        }
        if holder.bare() != from.bare() {
            return Err(StanzaError::new(Condition::NotAuthorized).with_text("another entity holds this node"));
        }
        Ok(())
    }

    /// The lease ended under it, or the worker panicked: the holder is told of the latter, for its task's sake.
    fn broke_off(&mut self, error: &JoinError) {
        let is_it = |(_, (abort, _)): &(&Attempt, &(AbortHandle, Jid))| abort.id() == error.id();
        let found = self.aborts.iter().find(is_it).map(|(attempt, (_, holder))| (attempt.clone(), holder.clone()));
        match found {
            Some((attempt, holder)) if error.is_panic() => {
                // Counted as the task's fault: one that makes every worker panic must come to an end.
                self.finished(attempt, holder, Err(TaskError::Input("the worker panicked".to_owned())));
            }
            _ => self.report.aborted += 1,
        }
    }

    fn finished(&mut self, attempt: Attempt, holder: Jid, outcome: Result<String, TaskError>) {
        self.aborts.remove(&attempt);
        self.unreported.insert(attempt.clone());
        let (handle, paused) = (self.component.handle(), self.paused.clone());
        self.reporting.spawn(async move {
            let reported = report(&handle, paused, &holder, &attempt, &outcome).await;
            (attempt, reported)
        });
    }

    fn reported(&mut self, attempt: &Attempt, reported: &Reported) {
        self.unreported.remove(attempt);
        match reported {
            Reported::Verdict => self.report.done += 1,
            Reported::Fenced => self.report.fenced += 1,
            Reported::GivenUp => {}
        }
    }
}

/// Tells a result until there is a verdict: finished work is never thrown away because an answer got lost.
async fn report(
    handle: &crate::component::ComponentHandle,
    mut paused: watch::Receiver<bool>,
    holder: &Jid,
    attempt: &Attempt,
    outcome: &Result<String, TaskError>,
) -> Reported {
    const PATIENCE: Duration = Duration::from_secs(2);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);
    /// With doubling pauses: more than an hour.
    const TRIES: u32 = 64;
    let mut pause = Duration::from_millis(100);
    for _ in 0..TRIES {
        if paused.wait_for(|paused| !paused).await.is_err() {
            return Reported::GivenUp;
        }
        match handle.set(holder, task::result(attempt, outcome), PATIENCE).await {
            Ok(_) => return Reported::Verdict,
            Err(error) => match error.stanza_error() {
                Some(error) if error.condition == Condition::Conflict => return Reported::Fenced,
                Some(error) if error.condition == Condition::ItemNotFound || *error == expired() => {
                    return Reported::GivenUp;
                }
                _ => {}
            },
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Reported::GivenUp
}

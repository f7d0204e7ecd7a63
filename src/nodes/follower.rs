//! Follows one node: subscribes, takes a snapshot, tells every change, and finds out what it has missed.
//!
//! ```text
//! Subscribing ─► Listing ─► Following        the first time, and whenever catching up is not possible
//!      │                        │ overflow, gap, route restored, nothing heard for long
//!      ▲────────────────────────┘
//!      └──► CatchingUp ─► Following          where the service numbers its changes
//! Waiting ─► Subscribing                     after a refusal, a little longer each time
//! ```
//!
//! There is no task behind it: it moves while somebody awaits [`Follower::next`], and meanwhile notifications wait in its
//! inbox. It subscribes before it lists, so that nothing falls between the two, and it does so each time: a service that
//! has forgotten the subscription, as one that keeps nothing on disk does when it starts anew, has it again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use convoke_pubsub::client::{self, Change, Event, Item};
use convoke_xmpp::{Element, IqType, Jid, RouteChange};
use tokio::time::Instant;

use super::event::Interruption;
use super::inbox::{Arrival, Bounds, Inbox};
use super::notification::Notification;
use super::page::{Page, items_after};
use super::position::{Position, Relation};
use super::snapshot::{Listing, Snapshot};
use super::subscription::SubscriptionConfig;
use crate::component::{ComponentHandle, RequestError};

/// What a node tells, its items as they are on the wire.
#[derive(Debug)]
pub(super) enum RawEvent {
    Snapshot(Vec<Item>),
    Change(Change),
    Purged,
    Deleted { redirect: Option<String> },
    Gap { missed: Option<u64> },
    Interrupted(Interruption),
    Resumed,
}

type Answer = Pin<Box<dyn Future<Output = Result<Option<Element>, RequestError>> + Send>>;

enum Stage {
    Subscribing(Answer),
    Listing(Listing, Answer),
    CatchingUp(CatchUp, Answer),
    Following { check_at: Instant },
    Waiting { until: Instant },
    Ended,
}

/// What is asked for to fill a gap.
struct CatchUp {
    /// What was known when it was asked.
    base: Position,
    /// The newest item that was known; the answer begins behind it.
    after: Option<String>,
}

pub(super) struct Follower {
    handle: ComponentHandle,
    service: Jid,
    node: String,
    config: SubscriptionConfig,
    inbox: Arc<Inbox>,
    stage: Stage,
    /// The last change that was told; `None` before the first snapshot and where changes are not numbered.
    seen: Option<Position>,
    /// The id of the item that was published last, if it is known and still there.
    newest: Option<String>,
    /// Why nothing is heard, once that was told.
    interruption: Option<Interruption>,
    pause: Duration,
    ready: VecDeque<RawEvent>,
}

/// After the first refusal; then twice as long each time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// When a route is back, all who follow nodes there ask again: not all at the same moment.
const SPREAD: Duration = Duration::from_secs(2);

impl Follower {
    /// Begins to follow: the subscription is on its way when this returns.
    pub(super) fn start(handle: ComponentHandle, service: Jid, node: String, config: SubscriptionConfig) -> Self {
        let bounds = Bounds { notifications: config.max_waiting, bytes: config.max_waiting_bytes };
        let inbox = Arc::new(Inbox::new(handle.jid().clone(), service.clone(), node.clone(), bounds));
        handle.inboxes().add(inbox.clone());
        let mut follower = Self {
            handle,
            service,
            node,
            config,
            inbox,
            stage: Stage::Ended,
            seen: None,
            newest: None,
            interruption: None,
            pause: SHORTEST_PAUSE,
            ready: VecDeque::new(),
        };
        follower.subscribe();
        follower
    }

    /// The next event; `None` once the entity was shut down. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<RawEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if matches!(self.stage, Stage::Ended) {
                return None;
            }
            self.step().await;
        }
    }

    /// Waits for one thing to happen, and acts on it.
    async fn step(&mut self) {
        match &mut self.stage {
            Stage::Subscribing(answer) => {
                let result = answer.await;
                self.subscribed(result);
            }
            Stage::Listing(listing, answer) => {
                let result = answer.await;
                let listing = std::mem::take(listing);
                self.listed(listing, result);
            }
            Stage::CatchingUp(catch_up, answer) => {
                let result = answer.await;
                let catch_up = CatchUp { base: catch_up.base.clone(), after: catch_up.after.take() };
                self.caught_up(&catch_up, result);
            }
            Stage::Following { check_at } => {
                let check_at = *check_at;
                tokio::select! {
                    biased;
                    arrival = self.inbox.next() => self.arrived(arrival),
                    () = tokio::time::sleep_until(check_at) => self.subscribe(),
                }
            }
            Stage::Waiting { until } => {
                let until = *until;
                tokio::select! {
                    arrival = self.inbox.next() => self.arrived_meanwhile(&arrival),
                    () = tokio::time::sleep_until(until) => self.subscribe(),
                }
            }
            Stage::Ended => {}
        }
    }

    fn subscribe(&mut self) {
        let payload = client::subscribe(&self.node, self.handle.jid());
        self.stage = Stage::Subscribing(self.ask(IqType::Set, payload));
    }

    fn subscribed(&mut self, result: Result<Option<Element>, RequestError>) {
        match (result, self.seen.clone()) {
            (Err(error), _) => self.interrupted(error.into()),
            (Ok(_), Some(base)) => self.catch_up(base),
            (Ok(_), None) => self.list(),
        }
    }

    /// Asks for everything. What waits is part of it.
    fn list(&mut self) {
        self.inbox.clear();
        let first_page = self.ask(IqType::Get, items_after(&self.node, None));
        self.stage = Stage::Listing(Listing::default(), first_page);
    }

    fn listed(&mut self, mut listing: Listing, result: Result<Option<Element>, RequestError>) {
        let page = match read_page(result) {
            Ok(page) => page,
            // The item behind which the next page begins may be gone (XEP-0059, section 2.2): begin anew, a little later.
            Err(Interruption::Request(RequestError::Refused { .. })) if !listing.is_empty() => {
                return self.retry();
            }
            Err(interruption) => return self.interrupted(interruption),
        };
        let (more_behind, until) = (page.more_behind.clone(), page.position.clone());
        listing.add(page);
        match more_behind {
            Some(last) => {
                let next_page = self.ask(IqType::Get, items_after(&self.node, Some(&last)));
                self.stage = Stage::Listing(listing, next_page);
            }
            None => self.tell_snapshot(listing, until),
        }
    }

    fn tell_snapshot(&mut self, listing: Listing, until: Option<Position>) {
        // While the pages were asked for, the node may have changed: the changes wait in the inbox.
        let waiting = |until: &Position| self.inbox.take_until(until);
        let Snapshot { items, position: seen, is_whole } = listing.complete(until, waiting);
        (self.seen, self.newest) = (seen, items.last().map(|item| item.id.clone()));
        self.interruption = None;
        self.ready.push_back(RawEvent::Snapshot(items));
        if is_whole {
            return self.follow();
        }
        // Behind which item the missing ones are is not known.
        self.newest = None;
        self.subscribe();
    }

    /// Asks for what came after the newest item that is known, or at least where the node is now.
    fn catch_up(&mut self, base: Position) {
        let after = self.newest.clone();
        let payload = match &after {
            Some(newest) => items_after(&self.node, Some(newest)),
            None => client::newest_items(&self.node, 1),
        };
        self.stage = Stage::CatchingUp(CatchUp { base, after }, self.ask(IqType::Get, payload));
    }

    /// Each change that was missed is the publication of one of the items behind the newest known one, if there are as
    /// many of those as changes. Else something was retracted or published twice: a snapshot tells the outcome.
    fn caught_up(&mut self, asked: &CatchUp, result: Result<Option<Element>, RequestError>) {
        let page = match read_page(result) {
            Ok(page) => page,
            // The newest item may be gone (XEP-0059, section 2.2), or the node.
            Err(Interruption::Request(RequestError::Refused { .. })) => return self.start_over(None),
            Err(interruption) => return self.interrupted(interruption),
        };
        let Some(now) = page.position.filter(|now| now.incarnation == asked.base.incarnation) else {
            return self.start_over(None);
        };
        self.tell_what_waits(&now);
        // What waited may have told the end of the node.
        let Some(seen) = self.seen.as_ref().map(|seen| seen.sequence) else { return };
        let missed = now.sequence.saturating_sub(seen);
        if missed == 0 {
            return self.resume();
        }
        let behind = asked.base.sequence.checked_add(page.items.len() as u64);
        if asked.after.is_none() || page.more_behind.is_some() || behind != Some(now.sequence) {
            return self.start_over(Some(missed));
        }
        self.ready.push_back(RawEvent::Gap { missed: Some(missed) });
        let known = page.items.len().saturating_sub(usize::try_from(missed).unwrap_or(usize::MAX));
        page.items.into_iter().skip(known).for_each(|item| self.tell_change(Change::Published(item)));
        self.seen = Some(now);
        self.follow();
    }

    /// The notifications that the service sent before its answer.
    fn tell_what_waits(&mut self, now: &Position) {
        for waiting in self.inbox.take_until(now) {
            if self.relate(&waiting) == Relation::Next {
                self.tell(waiting);
            }
        }
    }

    fn resume(&mut self) {
        if self.interruption.take().is_some() {
            self.ready.push_back(RawEvent::Resumed);
        }
        self.follow();
    }

    /// There is a gap that only a snapshot fills.
    fn start_over(&mut self, missed: Option<u64>) {
        self.ready.push_back(RawEvent::Gap { missed });
        (self.seen, self.newest) = (None, None);
        self.list();
    }

    /// All is well.
    fn follow(&mut self) {
        self.interruption = None;
        self.pause = SHORTEST_PAUSE;
        self.listen();
    }

    fn listen(&mut self) {
        self.stage = Stage::Following { check_at: Instant::now() + self.config.check_after };
    }

    fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Notification(notification) => self.notified(notification),
            Arrival::Overflow(dropped) => self.resynchronise(Some(dropped)),
            Arrival::Route(RouteChange::Lost) => self.tell_interruption(Interruption::RouteLost),
            Arrival::Route(RouteChange::Restored) => self.route_restored(),
            Arrival::Closed => self.stage = Stage::Ended,
        }
    }

    fn notified(&mut self, notification: Notification) {
        if notification.unsubscribed.as_deref() == Some(self.handle.jid().as_str()) {
            return self.subscribe();
        }
        match self.relate(&notification) {
            Relation::Known => self.listen(),
            Relation::Next => {
                self.listen();
                self.tell(notification);
            }
            // It is asked for again with what is missing before it.
            Relation::Ahead => self.subscribe(),
        }
    }

    fn relate(&self, notification: &Notification) -> Relation {
        notification.relate(self.seen.as_ref())
    }

    /// Something was missed. Where changes are numbered, what it was comes out by asking.
    fn resynchronise(&mut self, missed: Option<u64>) {
        if self.seen.is_none() {
            self.ready.push_back(RawEvent::Gap { missed });
        }
        self.subscribe();
    }

    fn route_restored(&mut self) {
        if self.seen.is_none() {
            self.ready.push_back(RawEvent::Gap { missed: None });
        }
        self.wait(spread());
    }

    /// While it waits to ask again, notifications are of no use: it asks for all it has missed.
    fn arrived_meanwhile(&mut self, arrival: &Arrival) {
        match arrival {
            Arrival::Closed => self.stage = Stage::Ended,
            Arrival::Route(RouteChange::Restored) => self.wait(spread()),
            _ => {}
        }
    }

    fn tell(&mut self, notification: Notification) {
        if let Some(span) = notification.span {
            self.seen = Some(span.last);
        }
        match notification.event {
            Some(Event::Items { changes, .. }) => changes.into_iter().for_each(|change| self.tell_change(change)),
            Some(Event::Purged { .. }) => {
                self.newest = None;
                self.ready.push_back(RawEvent::Purged);
            }
            Some(Event::Deleted { redirect, .. }) => {
                (self.seen, self.newest) = (None, None);
                self.ready.push_back(RawEvent::Deleted { redirect });
                self.wait(SHORTEST_PAUSE);
            }
            _ => {}
        }
    }

    fn tell_change(&mut self, change: Change) {
        match &change {
            Change::Published(item) => self.newest = Some(item.id.clone()),
            Change::Retracted(id) if self.newest.as_ref() == Some(id) => self.newest = None,
            _ => {}
        }
        self.ready.push_back(RawEvent::Change(change));
    }

    fn interrupted(&mut self, interruption: Interruption) {
        if matches!(interruption, Interruption::Request(RequestError::Closed { .. })) {
            self.stage = Stage::Ended;
            return;
        }
        self.tell_interruption(interruption);
        self.retry();
    }

    fn retry(&mut self) {
        self.wait(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Once: the same again is no news.
    fn tell_interruption(&mut self, interruption: Interruption) {
        if self.interruption.as_ref() != Some(&interruption) {
            self.interruption = Some(interruption.clone());
            self.ready.push_back(RawEvent::Interrupted(interruption));
        }
    }

    fn wait(&mut self, pause: Duration) {
        self.stage = Stage::Waiting { until: Instant::now() + pause };
    }

    fn ask(&self, kind: IqType, payload: Element) -> Answer {
        Box::pin(self.handle.request(&self.service, kind, payload, self.config.request_timeout))
    }
}

impl Drop for Follower {
    /// Unsubscribes, unless somebody else in this entity follows the node; the answer is of no interest.
    fn drop(&mut self) {
        if !self.handle.inboxes().remove(&self.inbox) {
            drop(self.ask(IqType::Set, client::unsubscribe(&self.node, self.handle.jid())));
        }
    }
}

fn read_page(result: Result<Option<Element>, RequestError>) -> Result<Page, Interruption> {
    result?.as_ref().and_then(Page::read).ok_or(Interruption::Answer)
}

/// Without random numbers there is no spread.
fn spread() -> Duration {
    SPREAD.mul_f64(f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX))
}

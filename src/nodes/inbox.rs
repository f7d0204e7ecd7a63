//! Where notifications wait for whoever follows a node.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use convoke_xmpp::{Domainpart, Jid, JidRef, RouteChange, Stanza};
use tokio::sync::Notify;

use super::notification::{Notification, is_notification};
use super::position::Position;

/// The inboxes behind one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    all: RwLock<Vec<Arc<Inbox>>>,
}

/// The notifications of one node that wait for one follower.
///
/// It is bounded by number and bytes. What comes while it is full is dropped and counted: the follower learns of it
/// behind what waits ([`Arrival::Overflow`]), and asks for what it has missed.
#[derive(Debug)]
pub(super) struct Inbox {
    follower: Jid,
    service: Jid,
    node: String,
    bounds: Bounds,
    state: Mutex<State>,
    arrived: Notify,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) notifications: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Notification>,
    bytes: usize,
    dropped: u64,
    route: Option<RouteChange>,
    closed: bool,
}

/// What an inbox gives.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The next notification.
    Notification(Notification),
    /// So many were dropped here.
    Overflow(u64),
    /// The way to the service has changed.
    Route(RouteChange),
    /// The entity was shut down.
    Closed,
}

impl Inboxes {
    pub(super) fn add(&self, inbox: Arc<Inbox>) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).push(inbox);
    }

    /// Takes an inbox away; says whether another one still follows the same node.
    pub(super) fn remove(&self, inbox: &Arc<Inbox>) -> bool {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !Arc::ptr_eq(other, inbox));
        all.iter().any(|other| other.is_of(&inbox.service, &inbox.node))
    }

    /// Puts a notification where it is awaited; gives back every other stanza.
    ///
    /// Everybody can send such a message: only one from the service that was subscribed to counts.
    pub(crate) fn take(&self, stanza: Stanza) -> Option<Stanza> {
        if !is_notification(&stanza) || !self.awaits(stanza.from()) {
            return Some(stanza);
        }
        let Some((node, notification)) = Notification::read(&stanza) else { return Some(stanza) };
        let found = self.find(stanza.from(), &node);
        let Some((last, others)) = found.split_last() else { return Some(stanza) };
        for inbox in others {
            // Two followers of one node in one entity are rare: reading once more is simpler than sharing.
            if let Some((_, again)) = Notification::read(&stanza) {
                inbox.put(again);
            }
        }
        last.put(notification);
        None
    }

    /// Tells those who follow nodes of that domain.
    pub(crate) fn route_changed(&self, local: &Domainpart, remote: &Domainpart, change: RouteChange) {
        let concerned = |inbox: &&Arc<Inbox>| {
            inbox.follower.domain() == local.as_str() && inbox.service.domain() == remote.as_str()
        };
        self.read().iter().filter(concerned).for_each(|inbox| inbox.change(|state| state.route = Some(change)));
    }

    pub(crate) fn close(&self) {
        self.read().iter().for_each(|inbox| inbox.change(|state| state.closed = true));
    }

    fn awaits(&self, from: Option<JidRef<'_>>) -> bool {
        self.read().iter().any(|inbox| from == Some(inbox.service.as_ref()))
    }

    fn find(&self, from: Option<JidRef<'_>>, node: &str) -> Vec<Arc<Inbox>> {
        let of_node = |inbox: &&Arc<Inbox>| from == Some(inbox.service.as_ref()) && inbox.node == node;
        self.read().iter().filter(of_node).cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Inbox>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    pub(super) fn new(follower: Jid, service: Jid, node: String, bounds: Bounds) -> Self {
        Self { follower, service, node, bounds, state: Mutex::default(), arrived: Notify::new() }
    }

    /// What comes next, in the order of its coming; that the entity is closed comes last. Cancel-safe.
    pub(super) async fn next(&self) -> Arrival {
        loop {
            let arrived = self.arrived.notified();
            if let Some(arrival) = self.lock().next() {
                return arrival;
            }
            arrived.await;
        }
    }

    /// The notifications at the front that a state of the node includes.
    pub(super) fn take_until(&self, position: &Position) -> Vec<Notification> {
        let mut state = self.lock();
        let included = |waiting: &Notification| waiting.span.as_ref().is_none_or(|span| position.includes(&span.last));
        let mut taken = Vec::new();
        while state.queue.front().is_some_and(included) {
            taken.extend(state.pop());
        }
        taken
    }

    /// Forgets what waits: it is about to be asked for.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        (state.bytes, state.dropped) = (0, 0);
        state.queue.clear();
    }

    fn put(&self, notification: Notification) {
        self.change(|state| {
            let is_full = state.queue.len() >= self.bounds.notifications
                || (!state.queue.is_empty() && state.bytes + notification.bytes > self.bounds.bytes);
            // Behind a gap nothing is of use until what was missed has been asked for.
            if is_full || state.dropped > 0 {
                state.dropped += 1;
            } else {
                state.bytes += notification.bytes;
                state.queue.push_back(notification);
            }
        });
    }

    fn is_of(&self, service: &Jid, node: &str) -> bool {
        self.service == *service && self.node == node
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Arrival> {
        if let Some(notification) = self.pop() {
            return Some(Arrival::Notification(notification));
        }
        if self.dropped > 0 {
            return Some(Arrival::Overflow(std::mem::take(&mut self.dropped)));
        }
        match self.route.take() {
            Some(change) => Some(Arrival::Route(change)),
            None => self.closed.then_some(Arrival::Closed),
        }
    }

    fn pop(&mut self) -> Option<Notification> {
        let notification = self.queue.pop_front()?;
        self.bytes -= notification.bytes;
        Some(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "pubsub@b.example";

    fn inboxes(bounds: Bounds) -> (Inboxes, Arc<Inbox>) {
        let jid = |text| Jid::new(text).unwrap();
        let inbox = Arc::new(Inbox::new(jid("reader@a.example"), jid(SERVICE), "n".to_owned(), bounds));
        let inboxes = Inboxes::default();
        inboxes.add(inbox.clone());
        (inboxes, inbox)
    }

    fn notification(from: &str, kind: &str, node: &str, id: usize) -> Stanza {
        let event = format!(
            "<event xmlns='http://jabber.org/protocol/pubsub#event'>\
             <items node='{node}'><item id='{id}'><x xmlns='urn:x'/></item></items></event>"
        );
        Stanza::parse(&format!("<message from='{from}' type='{kind}'>{event}</message>")).unwrap()
    }

    #[test]
    fn only_what_the_service_tells_of_the_node_is_taken() {
        let (inboxes, inbox) = inboxes(Bounds { notifications: 8, bytes: 8_000 });
        for (from, kind, node, taken) in [
            (SERVICE, "headline", "n", true),
            (SERVICE, "normal", "n", true),
            (SERVICE, "error", "n", false),
            (SERVICE, "headline", "m", false),
            ("pubsub@evil.example", "headline", "n", false),
            ("pubsub@b.example/x", "headline", "n", false),
        ] {
            assert_eq!(inboxes.take(notification(from, kind, node, 1)).is_none(), taken, "{from} {kind} {node}");
        }
        assert!(
            inboxes.take(Stanza::parse(&format!("<message from='{SERVICE}'><body/></message>")).unwrap()).is_some()
        );
        assert_eq!(inbox.lock().queue.len(), 2);
        assert!(!inboxes.remove(&inbox));
        assert!(inboxes.take(notification(SERVICE, "headline", "n", 1)).is_some());
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_told_behind_what_waits() {
        let bytes = notification(SERVICE, "headline", "n", 0).size();
        for bounds in [Bounds { notifications: 3, bytes: 1 << 20 }, Bounds { notifications: 99, bytes: 3 * bytes }] {
            let (inboxes, inbox) = inboxes(bounds);
            (0..5).for_each(|id| assert!(inboxes.take(notification(SERVICE, "headline", "n", id)).is_none()));
            assert!(matches!(inbox.next().await, Arrival::Notification(_)));
            // There is room again, but what comes now is behind a gap.
            assert!(inboxes.take(notification(SERVICE, "headline", "n", 5)).is_none());
            assert!(matches!(inbox.next().await, Arrival::Notification(_)));
            assert!(matches!(inbox.next().await, Arrival::Notification(_)));
            assert!(matches!(inbox.next().await, Arrival::Overflow(3)));
            assert!(inboxes.take(notification(SERVICE, "headline", "n", 6)).is_none());
            assert!(matches!(inbox.next().await, Arrival::Notification(_)));
            inboxes.close();
            assert!(matches!(inbox.next().await, Arrival::Closed));
        }
    }

    #[tokio::test]
    async fn a_route_concerns_those_who_follow_nodes_at_its_end() {
        let (inboxes, inbox) = inboxes(Bounds { notifications: 3, bytes: 1000 });
        let domain = |name| Domainpart::new(name).unwrap();
        inboxes.route_changed(&domain("a.example"), &domain("c.example"), RouteChange::Lost);
        inboxes.route_changed(&domain("c.example"), &domain("b.example"), RouteChange::Lost);
        assert!(inbox.lock().next().is_none());
        inboxes.route_changed(&domain("a.example"), &domain("b.example"), RouteChange::Lost);
        assert!(matches!(inbox.next().await, Arrival::Route(RouteChange::Lost)));
    }
}

//! What a role publishes: on its way beside the role's own work, which never waits for it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use convoke_pubsub::client;
use convoke_xmpp::{Condition, Element, ErrorType, Jid};
use tokio::task::JoinSet;

use crate::component::{ComponentHandle, RequestError};
use crate::nodes::{Node, NodeItem};

/// How many publications are under way at a time. Beyond it the newest of each item waits.
const UNDER_WAY: usize = 64;
/// How many items may wait to be published. Beyond it the change is given up; the first is logged.
const WAITING: usize = 4_096;
/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// After which time a service that is away is asked again.
const LATER: Duration = Duration::from_secs(30);

/// Publications to one service, each node's in their order. With no service, nothing is published.
///
/// A node is made before its first item, and one that an earlier run has left is emptied, unless it is asked for as it is:
/// what it held is not known any more. What is refused is given up: the next change of the item is published anew.
pub(crate) struct Posts {
    component: ComponentHandle,
    service: Option<Jid>,
    under_way: JoinSet<Posted>,
    waiting: HashMap<Target, Post>,
    order: VecDeque<Target>,
    /// The nodes that are there, or are being made.
    made: HashSet<String>,
    /// How many nodes are being made: nothing else is sent meanwhile, since it might be for one of them.
    making: usize,
    /// How much was given up since the last publication that succeeded.
    given_up: u64,
}

/// What a publication is about: an item, or the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    node: String,
    item: Option<String>,
}

impl Target {
    fn node(name: &str) -> Self {
        Self { node: name.to_owned(), item: None }
    }
}

struct Post {
    kind: Kind,
    payload: Element,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a node.
    Creation,
    /// Of an item.
    Publication,
    /// Of an item or a node; it may be gone already.
    Removal,
}

/// What becomes of the items that an earlier run has left in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Purged,
    Kept,
}

struct Posted {
    target: Target,
    kind: Kind,
    result: Result<(), RequestError>,
}

impl Posts {
    pub(crate) fn new(component: ComponentHandle, service: Option<Jid>) -> Self {
        Self {
            component,
            service,
            under_way: JoinSet::new(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            made: HashSet::new(),
            making: 0,
            given_up: 0,
        }
    }

    /// Whether anything is published at all.
    pub(crate) fn is_active(&self) -> bool {
        self.service.is_some()
    }

    /// Makes the node of that type, so that it can be subscribed to before anything is published there.
    pub(crate) fn create<T: NodeItem>(&mut self) {
        if let Some(service) = self.service.clone() {
            self.make(&Node::<T>::at(service), Left::Purged);
        }
    }

    /// The same for one of many nodes of that type.
    pub(crate) fn create_part<T: NodeItem>(&mut self, part: &str) {
        if let Some(service) = self.service.clone() {
            self.make(&Node::<T>::part(service, part), Left::Purged);
        }
    }

    /// The same, and what an earlier run has published there stays.
    pub(crate) fn keep_part<T: NodeItem>(&mut self, part: &str) {
        if let Some(service) = self.service.clone() {
            self.make(&Node::<T>::part(service, part), Left::Kept);
        }
    }

    /// Publishes an item, sooner or later; a newer one of the same id may take its place.
    pub(crate) fn publish<T: NodeItem>(&mut self, item: &T) {
        if let Some(service) = self.service.clone() {
            self.publish_at(&Node::at(service), item);
        }
    }

    /// The same at one of many nodes of that type; the item is made only if it is published.
    pub(crate) fn publish_part<T: NodeItem>(&mut self, part: &str, item: impl FnOnce() -> T) {
        if let Some(service) = self.service.clone() {
            self.publish_at(&Node::part(service, part), &item());
        }
    }

    /// Deletes one of many nodes of that type, whichever run has made it.
    pub(crate) fn delete_part<T: NodeItem>(&mut self, part: &str) {
        let Some(service) = self.service.clone() else { return };
        let node = Node::<T>::part(service, part);
        self.made.remove(node.name());
        self.put(Target::node(node.name()), Post { kind: Kind::Removal, payload: client::delete(node.name()) });
    }

    /// The names of the nodes that this role owns at the service, of earlier runs too (XEP-0060, section 5.7); asks until
    /// the service answers. None if it refuses to say.
    pub(crate) fn owned(&self) -> impl Future<Output = Vec<String>> + Send + use<> {
        let (component, service) = (self.component.clone(), self.service.clone());
        async move {
            let Some(service) = service else { return Vec::new() };
            loop {
                match component.get(&service, client::own_affiliations(None), PATIENCE).await {
                    Ok(answer) => return answer.as_ref().map(owned).unwrap_or_default(),
                    Err(error) if may_answer_later(&error) => tokio::time::sleep(LATER).await,
                    Err(_) => return Vec::new(),
                }
            }
        }
    }

    /// Makes the node of that type hold these items: publishes what has changed since the last time, and retracts what
    /// is gone.
    pub(crate) fn mirror<T: NodeItem + PartialEq>(&mut self, mirror: &mut Mirror<T>, items: impl Iterator<Item = T>) {
        let Some(service) = self.service.clone() else { return };
        let node = Node::<T>::at(service);
        // Somebody deleted it, or the service has forgotten everything.
        if !self.made.contains(node.name()) {
            mirror.told.clear();
        }
        let now: BTreeMap<String, T> = items.map(|item| (item.id().into_owned(), item)).collect();
        for id in mirror.told.keys().filter(|id| !now.contains_key(*id)) {
            let target = Target { node: node.name().to_owned(), item: Some(id.clone()) };
            self.put(target, Post { kind: Kind::Removal, payload: client::retract(node.name(), id) });
        }
        for (_, item) in now.iter().filter(|(id, item)| mirror.told.get(*id) != Some(*item)) {
            self.publish_at(&node, item);
        }
        mirror.told = now;
    }

    /// Waits until one publication has come to its end, and sends what waited for that; for ever if none is under way.
    /// Cancel-safe.
    pub(crate) async fn progress(&mut self) {
        match self.under_way.join_next().await {
            Some(Ok(posted)) => self.ended(posted),
            // It was aborted with the runtime.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
        self.send();
    }

    fn make<T: NodeItem>(&mut self, node: &Node<T>, left: Left) {
        if !self.made.insert(node.name().to_owned()) {
            return;
        }
        // Its name is used again before it was deleted.
        self.waiting.remove(&Target::node(node.name()));
        self.making += 1;
        // Sent at once: whoever subscribes afterwards finds the node.
        let created = self.component.create_node(node, PATIENCE);
        let (component, node) = (self.component.clone(), node.clone());
        self.under_way.spawn(async move {
            let result = match created.await {
                Err(error) if condition(&error) == Some(Condition::Conflict) => match left {
                    Left::Purged => component.purge(&node, PATIENCE).await,
                    Left::Kept => Ok(()),
                },
                created => created,
            };
            Posted { target: Target::node(node.name()), kind: Kind::Creation, result }
        });
    }

    fn publish_at<T: NodeItem>(&mut self, node: &Node<T>, item: &T) {
        self.make(node, Left::Purged);
        let id = item.id();
        let payload = client::publish(node.name(), Some(&id), item.payload());
        let target = Target { node: node.name().to_owned(), item: Some(id.into_owned()) };
        self.put(target, Post { kind: Kind::Publication, payload });
    }

    fn put(&mut self, target: Target, post: Post) {
        if self.service.is_none() {
            return;
        }
        if self.order.len() >= WAITING && !self.waiting.contains_key(&target) {
            return self.give_up(&target, &"too much waits to be published");
        }
        if self.waiting.insert(target.clone(), post).is_none() {
            self.order.push_back(target);
        }
        self.send();
    }

    fn send(&mut self) {
        let Some(service) = self.service.clone() else { return };
        while self.making == 0 && self.under_way.len() < UNDER_WAY {
            let Some(target) = self.order.pop_front() else { return };
            let Some(Post { kind, payload }) = self.waiting.remove(&target) else { continue };
            let answer = self.component.set(&service, payload, PATIENCE);
            self.under_way.spawn(async move {
                let result = answer.await.map(drop);
                Posted { target, kind, result }
            });
        }
    }

    fn ended(&mut self, posted: Posted) {
        self.making -= usize::from(posted.kind == Kind::Creation);
        let Err(error) = posted.result else { return self.succeeded() };
        match (posted.kind, condition(&error)) {
            (_, None) if matches!(error, RequestError::Closed { .. }) => {}
            (Kind::Removal, Some(Condition::ItemNotFound)) => {}
            (Kind::Creation, _) | (Kind::Publication, Some(Condition::ItemNotFound)) => {
                self.made.remove(&posted.target.node);
                self.give_up(&posted.target, &error);
            }
            _ => self.give_up(&posted.target, &error),
        }
    }

    fn succeeded(&mut self) {
        if self.given_up > 0 {
            tracing::info!(given_up = self.given_up, "publishing succeeds again");
            self.given_up = 0;
        }
    }

    /// Logged once until something succeeds: a service that is away would fill the log.
    fn give_up(&mut self, target: &Target, why: &dyn std::fmt::Display) {
        if self.given_up == 0 {
            let (service, item) = (self.service.as_ref().map(Jid::as_str), target.item.as_deref());
            tracing::warn!(service, node = target.node, item, "not published: {why}");
        }
        self.given_up += 1;
    }
}

fn condition(error: &RequestError) -> Option<Condition> {
    error.stanza_error().map(|error| error.condition)
}

/// Whether the service is out of reach, or busy, and so says nothing about the request.
fn may_answer_later(error: &RequestError) -> bool {
    match error {
        RequestError::Refused { error, .. } => {
            let away = [Condition::RemoteServerNotFound, Condition::RemoteServerTimeout, Condition::ServiceUnavailable];
            error.error_type == ErrorType::Wait || away.contains(&error.condition)
        }
        RequestError::TimedOut { .. } => true,
        RequestError::Closed { .. } => false,
    }
}

fn owned(answer: &Element) -> Vec<String> {
    let all = client::parse_affiliations(answer).unwrap_or_default().into_iter();
    all.filter(|entry| entry.affiliation == "owner").filter_map(|entry| entry.node).collect()
}

/// What a node was made to hold.
pub(crate) struct Mirror<T> {
    told: BTreeMap<String, T>,
}

impl<T> Mirror<T> {
    /// Forgets what was told: everything is published again the next time.
    pub(crate) fn refresh(&mut self) {
        self.told.clear();
    }
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self { told: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use convoke_xmpp::{Stanza, StanzaError};

    use super::*;
    use crate::nodes::{Health, HealthVerdict};
    use crate::{Component, Domain};

    /// A role that publishes, and a service that the test plays.
    struct Stage {
        posts: Posts,
        service: Component,
        _role: Component,
        _domain: Domain,
    }

    impl Stage {
        async fn new() -> Self {
            let domain = Domain::builder("a.example").start().await.unwrap();
            let (service, role) = (domain.component("pubsub").unwrap(), domain.component("role").unwrap());
            let posts = Posts::new(role.handle(), Some(service.jid().clone()));
            Self { posts, service, _role: role, _domain: domain }
        }

        /// The next request as `verb item`, answered so.
        async fn serve(&mut self, answer: Result<(), Condition>) -> String {
            let request = tokio::select! {
                received = self.service.receive() => received.unwrap().0,
                () = async { loop { self.posts.progress().await } } => unreachable!(),
            };
            self.service.reply(&request, answer.map(|()| None).map_err(StanzaError::from));
            said(&request)
        }

        /// Lets the answers come in until nothing is under way; fails if a request goes out.
        async fn settle(&mut self) {
            while !self.posts.under_way.is_empty() {
                self.posts.progress().await;
            }
        }
    }

    fn said(request: &Stanza) -> String {
        let payload = request.payload().unwrap();
        let verb = payload.children().next().unwrap();
        let item = verb.children().next().and_then(|item| item.attribute("id")).unwrap_or_default();
        let verdict = verb.children().next().and_then(|item| item.children().next()?.attribute("verdict"));
        [verb.name(), item, verdict.unwrap_or_default()].join(" ").trim_end().to_owned()
    }

    fn health(node: &str, verdict: HealthVerdict) -> Health {
        Health { node: Jid::new(node).unwrap(), verdict }
    }

    #[tokio::test]
    async fn the_newest_of_each_item_waits_until_its_node_is_there() {
        let mut stage = Stage::new().await;
        let lost = HealthVerdict::Lost(crate::cloud::Departure::Goodbye);
        for verdict in [lost, HealthVerdict::Ok, lost, HealthVerdict::Ok] {
            stage.posts.publish(&health("x@a", verdict));
            stage.posts.publish(&health("y@a", lost));
        }
        assert_eq!(stage.serve(Err(Condition::Conflict)).await, "create");
        assert_eq!(stage.serve(Ok(())).await, "purge");
        assert_eq!(stage.serve(Ok(())).await, "publish x@a ok");
        assert_eq!(stage.serve(Ok(())).await, "publish y@a lost");
        stage.settle().await;
        assert_eq!((stage.posts.order.len(), stage.posts.given_up), (0, 0));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_given_up_and_what_waits_is_not() {
        let mut stage = Stage::new().await;
        (0..WAITING + 7).for_each(|n| stage.posts.publish(&health(&format!("v{n}@a"), HealthVerdict::Ok)));
        // An item that waits already needs no room.
        stage.posts.publish(&health("v0@a", HealthVerdict::Ok));
        assert_eq!(stage.posts.given_up, 7);
        assert_eq!(stage.serve(Ok(())).await, "create");
        for n in 0..WAITING {
            assert_eq!(stage.serve(Ok(())).await, format!("publish v{n}@a ok"));
            assert!(stage.posts.under_way.len() <= UNDER_WAY);
        }
        stage.settle().await;
        assert_eq!(stage.posts.given_up, 0, "publishing succeeds again");
    }

    #[tokio::test]
    async fn a_node_that_the_service_has_forgotten_is_made_again_with_all_that_it_should_hold() {
        let mut stage = Stage::new().await;
        let mut mirror = Mirror::default();
        let two = || ["x@a", "y@a"].map(|node| health(node, HealthVerdict::Ok)).into_iter();
        stage.posts.mirror(&mut mirror, two());
        for expected in ["create", "publish x@a ok", "publish y@a ok"] {
            assert_eq!(stage.serve(Ok(())).await, expected);
        }
        // That an item is gone already says nothing of the node.
        stage.posts.mirror(&mut mirror, two().take(1));
        assert_eq!(stage.serve(Err(Condition::ItemNotFound)).await, "retract y@a");
        stage.settle().await;
        stage.posts.mirror(&mut mirror, two());
        assert_eq!(stage.serve(Err(Condition::ItemNotFound)).await, "publish y@a ok");
        stage.settle().await;
        stage.posts.mirror(&mut mirror, two());
        for expected in ["create", "publish x@a ok", "publish y@a ok"] {
            assert_eq!(stage.serve(Ok(())).await, expected);
        }
        stage.settle().await;
        stage.posts.mirror(&mut mirror, two());
        assert!(stage.posts.under_way.is_empty(), "nothing has changed");
    }

    #[tokio::test]
    async fn without_a_service_nothing_is_published() {
        let domain = Domain::builder("a.example").start().await.unwrap();
        let role = domain.component("role").unwrap();
        let mut posts = Posts::new(role.handle(), None);
        posts.create::<Health>();
        posts.publish(&health("x@a", HealthVerdict::Ok));
        posts.mirror(&mut Mirror::default(), std::iter::once(health("x@a", HealthVerdict::Ok)));
        assert!(!posts.is_active() && posts.under_way.is_empty() && posts.order.is_empty());
    }
}

//! A node as its follower sees it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use convoke_pubsub::client::{Change, Item};

use super::event::NodeEvent;
use super::follower::{Follower, RawEvent};
use super::{ItemError, Node, NodeItem};
use crate::component::ComponentHandle;

/// How a node is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionConfig {
    /// How many notifications wait for the reader at most. Default 1,024. What comes beyond is dropped, told as
    /// [`NodeEvent::Gap`], and asked for again.
    pub max_waiting: usize,
    /// How many bytes they have at most, as XML. Default 1 MiB; a single larger one is taken.
    pub max_waiting_bytes: usize,
    /// How long the service may take to answer. Default 20 s: it may be reached for the first time.
    pub request_timeout: Duration,
    /// After how long without any news it is made sure that there are none, and that the subscription is still there.
    /// Default 5 min: two requests. A service that does not number its changes is asked for a snapshot.
    pub check_after: Duration,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            max_waiting: 1_024,
            max_waiting_bytes: 1 << 20,
            request_timeout: Duration::from_secs(20),
            check_after: Duration::from_secs(300),
        }
    }
}

/// A subscription to a node whose items are of type `T`; made by [`ComponentHandle::subscribe`].
///
/// It survives the loss of the way to the service and the restart of the service. It does its work while
/// [`Subscription::next`] is awaited. Dropping it unsubscribes.
pub struct Subscription<T> {
    node: Node<T>,
    follower: Follower,
    ready: VecDeque<NodeEvent<T>>,
}

impl ComponentHandle {
    /// Follows a node, from a snapshot on.
    ///
    /// The address that subscribes is this entity's. The entity may follow many nodes, and a node several times. Whether
    /// it is received from ([`Component::receive`](crate::Component::receive)) or not makes no difference.
    pub fn subscribe<T: NodeItem>(&self, node: &Node<T>, config: SubscriptionConfig) -> Subscription<T> {
        let (service, name) = (node.service().clone(), node.name().to_owned());
        let follower = Follower::start(self.clone(), service, name, config);
        Subscription { node: node.clone(), follower, ready: VecDeque::new() }
    }
}

impl<T: NodeItem> Subscription<T> {
    /// The node.
    pub fn node(&self) -> &Node<T> {
        &self.node
    }

    /// The next event; `None` once the entity was shut down. Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NodeEvent<T>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let event = self.follower.next().await?;
            self.read(event);
        }
    }

    fn read(&mut self, event: RawEvent) {
        let event = match event {
            RawEvent::Snapshot(items) => return self.read_snapshot(items),
            RawEvent::Change(Change::Published(item)) => {
                read_item::<T>(&item).map_or_else(|error| unreadable(item.id, error), NodeEvent::Published)
            }
            RawEvent::Change(Change::Retracted(id)) => NodeEvent::Retracted(id),
            RawEvent::Change(_) => return,
            RawEvent::Purged => NodeEvent::Purged,
            RawEvent::Deleted { redirect } => NodeEvent::Deleted { redirect },
            RawEvent::Gap { missed } => NodeEvent::Gap { missed },
            RawEvent::Interrupted(interruption) => NodeEvent::Interrupted(interruption),
            RawEvent::Resumed => NodeEvent::Resumed,
        };
        self.ready.push_back(event);
    }

    /// What is unreadable is told behind the snapshot, which replaces everything before it.
    fn read_snapshot(&mut self, items: Vec<Item>) {
        let mut readable = Vec::with_capacity(items.len());
        let mut rest = Vec::new();
        for item in items {
            match read_item(&item) {
                Ok(value) => readable.push(value),
                Err(error) => rest.push(unreadable(item.id, error)),
            }
        }
        self.ready.push_back(NodeEvent::Snapshot(readable));
        self.ready.extend(rest);
    }
}

fn read_item<T: NodeItem>(item: &Item) -> Result<T, ItemError> {
    T::read(&item.id, item.payload.as_ref().ok_or(ItemError::NoPayload)?)
}

fn unreadable<T>(id: String, error: ItemError) -> NodeEvent<T> {
    NodeEvent::Unreadable { id, error }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscription").field(&self.node).finish()
    }
}

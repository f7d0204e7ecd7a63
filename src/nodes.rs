//! Publish-subscribe nodes whose items are values: published, retracted, and followed from a snapshot on.
//!
//! A type that implements [`NodeItem`] says what an item looks like on the wire; a [`Node`] says where its items are.
//! [`ComponentHandle::publish`](crate::ComponentHandle::publish) puts an item there,
//! [`ComponentHandle::subscribe`](crate::ComponentHandle::subscribe) follows the node, in any domain: first comes what
//! is there, then every change, and what was missed is never hidden ([`NodeEvent::Gap`]).
//!
//! ```no_run
//! # async fn run(component: convoke::Component, service: convoke::xmpp::Jid) {
//! use convoke::nodes::{Health, Node, NodeEvent, SubscriptionConfig};
//!
//! let mut health = component.subscribe(&Node::<Health>::at(service), SubscriptionConfig::default());
//! while let Some(event) = health.next().await {
//!     match event {
//!         NodeEvent::Snapshot(all) => println!("{} verdicts", all.len()),
//!         NodeEvent::Published(verdict) => println!("{} is {}", verdict.node, verdict.verdict.as_str()),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # }
//! ```
//!
//! The cloud's own nodes are [`Offered`], [`DomainTotals`], [`Lent`], [`TaskState`], [`TaskResult`], [`Health`] and
//! [`LinkReport`]; `docs/nodes.md` shows each of them on the wire.

#[cfg(feature = "pubsub")]
mod event;
#[cfg(feature = "pubsub")]
mod follower;
#[cfg(feature = "pubsub")]
mod inbox;
mod item;
mod node;
#[cfg(feature = "pubsub")]
mod notification;
#[cfg(feature = "pubsub")]
mod page;
#[cfg(feature = "pubsub")]
mod position;
#[cfg(feature = "pubsub")]
mod publisher;
mod schema;
#[cfg(feature = "pubsub")]
mod snapshot;
#[cfg(feature = "pubsub")]
mod subscription;
#[cfg(test)]
#[cfg(feature = "pubsub")]
mod tests;

#[cfg(feature = "pubsub")]
pub use event::{Interruption, NodeEvent};
#[cfg(feature = "pubsub")]
pub(crate) use inbox::Inboxes;
pub use item::{Fields, ItemError, NodeItem};
pub use node::Node;
pub use schema::{
    Availability, DomainTotals, Health, HealthVerdict, Lent, LinkCondition, LinkReport, Offered, TaskResult, TaskStage,
    TaskState,
};
#[cfg(feature = "pubsub")]
pub use subscription::{Subscription, SubscriptionConfig};

//! XMPP messaging middleware for volunteer clouds.
//!
//! A [`Domain`] is what a program embeds: a router, presence, and the entities of one XMPP domain. Its components and
//! volunteers are [`Component`]s: they send, ask, receive, and know each other's availability by presence. Other
//! domains are reached by federation. What they publish is shared by [`nodes`].

pub mod cloud;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod component;
mod discovery;
mod domain;
mod mailbox;
pub mod nodes;
mod presence;
mod router;
mod shards;
#[cfg(test)]
mod tests;

pub use component::{Component, ComponentHandle, RequestError};
#[cfg(feature = "gateways")]
pub use convoke_gateways as gateways;
pub use convoke_net as net;
#[cfg(feature = "pubsub")]
pub use convoke_pubsub as pubsub;
#[cfg(feature = "s2s")]
pub use convoke_s2s as s2s;
pub use convoke_store as store;
pub use convoke_xmpp as xmpp;
pub use discovery::About;
pub use domain::{Domain, DomainBuilder, DomainError};
pub use router::RouterStatistics;

/// The feature by which a domain says that it speaks the volunteer cloud's protocols.
const ROLE_NAMESPACE: &str = "urn:convoke:role:0";

//! The publish-subscribe service of Convoke (XEP-0060): a pure broker and its protocol mapping.
//!
//! Five rooms, each of which knows only those before it:
//!
//! * `state`: nodes, their subscriptions, affiliations and items in memory, and the journal of their changes, which go to
//!   a store and can be taken back.
//! * `broker`: what may be done with them. Operations go in, an answer and notifications come out. It knows no XML beyond the opaque payload of an item.
//! * `protocol`: what stanzas mean as operations, and what answers, refusals and events look like on the wire.
//! * `delivery`: the way out, from one change of a node to the messages of all its subscribers.
//! * `service`: [`PubSubService`], the entity that takes stanzas, has the store keep what they change, and gives its
//!   answers to a router.
//!
//! [`client`] is the other side: payloads of requests, and events read from notifications.
//!
//! There is no I/O and no task in here. Time comes from a [`Clock`].

mod broker;
pub mod client;
mod config;
mod contacts;
mod delivery;
mod form;
mod ids;
mod protocol;
mod service;
mod state;
mod timestamp;

/// The namespace of the position of a node: how far its history has come.
pub(crate) const POSITION: &str = "urn:convoke:pubsub:0";

pub use config::{
    AccessModel, Creators, ItemReply, NodeConfig, NodeFull, NotificationType, PubSubConfig, PublishModel, SendLast,
};
pub use contacts::{Contacts, NoContacts};
pub use delivery::{DeliveryConfig, PubSubStatistics};
pub use service::{Clock, PubSubService, SystemClock};
pub use state::OpenError;

//! The volunteer cloud: who offers nodes, who borrows them for how long, and what runs on them.
//!
//! * [`ResourceManager`] (`resources@D`) knows the nodes of its domain by presence and lends them: request, grant, renew,
//!   release, expire. Every lease carries an *epoch* that was made durable before the grant left; a node obeys only the
//!   lease it was told of last, and results of older epochs are fenced.
//! * [`Monitor`] (`monitor@D`) pings the nodes and tells why one is gone.
//! * [`Scheduler`] (`scheduler@D`) borrows nodes in any domain, hands out tasks, and commits each result once.
//! * [`Volunteer`] is a node: it joins by presence, obeys its leaseholder and keeps a result until the verdict.
//!
//! Where there is a publish-subscribe service, the first three tell there what they know ([`crate::nodes`]).
//!
//! The wire formats are in [`lease`] and [`task`]; the rules are in `ledger` and `board`, which know no clock and no I/O.
//! What outlives a process is the manager's epoch, and in `journal` the batches of a scheduler that was given a store.

mod board;
mod client;
mod duration;
mod journal;
pub mod lease;
mod ledger;
mod monitor;
mod offer;
#[cfg_attr(not(feature = "pubsub"), path = "cloud/posts/off.rs")]
mod posts;
mod resources;
mod scheduler;
pub mod task;
#[cfg(test)]
mod tests;
mod volunteer;

pub use board::{BatchStatistics, SubmitError};
pub use client::{LeaseClient, LeaseError};
pub(crate) use duration::{format as write_duration, parse as parse_duration};
pub use journal::JournalError;
pub use ledger::{Allowance, LeaseTimes};
pub use monitor::{Monitor, MonitorConfig, MonitorEvent};
pub(crate) use offer::NAMESPACE as OFFER_NAMESPACE;
pub use offer::{Departure, Offer};
pub use resources::{ResourceManager, ResourceManagerConfig, ResourceManagerError, ResourceStatistics};
pub use scheduler::{Batch, Scheduler, SchedulerConfig, SchedulerError, SchedulerEvent};
pub use task::{Task, TaskError};
pub use volunteer::{Volunteer, VolunteerBuilder, VolunteerReport, Worker};

/// The namespaces whose stanzas do not wait behind the bulk of others.
#[cfg(feature = "s2s")]
pub(crate) const URGENT: [&str; 2] = [lease::NAMESPACE, offer::NAMESPACE];

//! The cloud's own nodes: what their items say. `docs/nodes.md` shows each on the wire, and is checked against them.

mod domain;
mod health;
mod lease;
mod link;
mod offer;
mod result;
mod task;

pub use domain::DomainTotals;
pub use health::{Health, HealthVerdict};
pub use lease::Lent;
pub use link::{LinkCondition, LinkReport};
pub use offer::{Availability, Offered};
pub use result::TaskResult;
pub use task::{TaskStage, TaskState};

/// Until somebody deletes the node, with every item; a new subscriber takes a snapshot, not the last item.
const KEEPS_ALL: &[(&str, &str)] = &[
    ("pubsub#persist_items", "true"),
    ("pubsub#max_items", "max"),
    ("pubsub#send_last_published_item", "never"),
    ("pubsub#notify_retract", "true"),
];

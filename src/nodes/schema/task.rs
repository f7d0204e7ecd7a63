//! How far the tasks of a batch are.

use std::borrow::Cow;

use convoke_xmpp::{Element, Jid};

use crate::cloud::task::NAMESPACE;
use crate::nodes::{Fields, ItemError, NodeItem};

/// How far a task is; the item's id is the name of the task, its node is `urn:convoke:tasks/BATCH`.
///
/// A task without an item is open too: nobody has worked on it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// The task.
    pub task: String,
    /// Its attempt, counted from 1.
    pub attempt: u32,
    /// How far it is.
    pub stage: TaskStage,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskStage {
    /// Its attempt was given up, and nobody works on it.
    Open,
    /// A node works on it.
    Running {
        /// The full JID of the node.
        node: Jid,
    },
    /// Its result counts.
    Done,
    /// It failed for good.
    Failed,
}

impl NodeItem for TaskState {
    const NODE: &'static str = "urn:convoke:tasks";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("pubsub#persist_items", "true"),
        ("pubsub#max_items", "max"),
        ("pubsub#item_expire", "86400"),
        ("pubsub#send_last_published_item", "never"),
        ("pubsub#notify_retract", "true"),
    ];

    fn id(&self) -> Cow<'_, str> {
        (&*self.task).into()
    }

    fn payload(&self) -> Element {
        let (stage, node) = match &self.stage {
            TaskStage::Open => ("open", None),
            TaskStage::Running { node } => ("running", Some(node)),
            TaskStage::Done => ("done", None),
            TaskStage::Failed => ("failed", None),
        };
        let state = Element::new("state", NAMESPACE).attr("task", &self.task).attr("try", self.attempt);
        state.attr("is", stage).attr_opt("node", node)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "state", NAMESPACE)?;
        let stage = match fields.text("is")? {
            "open" => TaskStage::Open,
            "running" => TaskStage::Running { node: fields.value("node")? },
            "done" => TaskStage::Done,
            "failed" => TaskStage::Failed,
            other => return Err(ItemError::Invalid { attribute: "is", value: other.to_owned() }),
        };
        Ok(Self { task: fields.same_as_id("task", id)?.to_owned(), attempt: fields.value("try")?, stage })
    }
}

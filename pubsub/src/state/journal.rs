//! What has changed since the changes were taken last, and the way back.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use convoke_store::{Batch, Store, StoreError};
use convoke_xmpp::Jid;

use super::node::NodeName;
use super::record::{Part, Record, TABLE};
use super::{Item, Moved, Node, State, Subscription};
use crate::broker::{Affiliation, SubId};
use crate::config::NodeConfig;

/// The changes of some operations.
pub(crate) struct Changes {
    /// What the store has to keep; empty if nothing has changed.
    pub(crate) batch: Batch,
    /// How to take the changes back if it does not.
    pub(crate) undo: Undo,
}

/// The way back to the state before some changes.
#[must_use = "changes that were not kept must be taken back"]
pub(crate) struct Undo {
    steps: Vec<Step>,
    /// Records that were in doubt before.
    doubtful: BTreeSet<Record>,
}

/// A moment to which the changes since can be taken back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

/// Each change since the changes were taken last.
#[derive(Default)]
pub(super) struct Journal {
    steps: Vec<Step>,
    /// Records that the store may have as they never became, since it failed to say what it had done with them.
    doubtful: BTreeSet<Record>,
}

/// One change: what it concerns, and what was there before.
pub(super) enum Step {
    /// A node was created, or removed with all that it had.
    Node {
        node: NodeName,
        before: Option<Box<Node>>,
    },
    Config {
        node: NodeName,
        before: NodeConfig,
    },
    Affiliation {
        node: NodeName,
        jid: Jid,
        before: Option<Affiliation>,
    },
    Subscription {
        node: NodeName,
        jid: Jid,
        subid: SubId,
        number: u64,
        before: Option<Subscription>,
    },
    Item {
        node: NodeName,
        number: u64,
        before: Option<Arc<Item>>,
        /// Whether there is a record of it.
        is_persistent: bool,
    },
    Position {
        node: NodeName,
        before: u64,
    },
    /// It became known where a node has gone, or was forgotten.
    Moved {
        node: NodeName,
        before: Option<Box<Moved>>,
    },
}

impl Journal {
    pub(super) fn note(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn created(&mut self, node: &Node) {
        self.note(Step::Node { node: node.name.clone(), before: None });
    }

    pub(super) fn removed(&mut self, node: Node) {
        self.note(Step::Node { node: node.name.clone(), before: Some(Box::new(node)) });
    }

    pub(super) fn moved(&mut self, node: &NodeName, before: Option<Moved>) {
        self.note(Step::Moved { node: node.clone(), before: before.map(Box::new) });
    }
}

impl State {
    /// This moment, for [`State::return_to`].
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.journal.steps.len())
    }

    /// Takes back every change since then; no changes may have been taken in between.
    pub(crate) fn return_to(&mut self, mark: Mark) {
        while self.journal.steps.len() > mark.0
            && let Some(step) = self.journal.steps.pop()
        {
            self.take_back(step);
        }
    }

    /// Whether anything has changed since the changes were taken last.
    pub(crate) fn has_changes(&self) -> bool {
        !self.journal.steps.is_empty()
    }

    /// All changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let Journal { steps, doubtful } = mem::take(&mut self.journal);
        let mut records = doubtful.clone();
        steps.iter().for_each(|step| step.add_records(&mut records));
        let batch = records.iter().fold(Batch::new(), |batch, record| {
            let key = record.key(&self.address);
            match self.value(record) {
                Some(value) => batch.put(TABLE, key, value),
                None => batch.delete(TABLE, key),
            }
        });
        Changes { batch, undo: Undo { steps, doubtful } }
    }

    /// Takes back the changes that the store did not keep, for this reason; nothing may have changed since they were taken.
    ///
    /// A store that fails may have written a batch all the same. The next changes then write the records of this one too,
    /// as they are in memory: the store never shows, at a later start, what was refused here.
    pub(crate) fn undo(&mut self, undo: Undo, cause: &StoreError) {
        self.journal.doubtful.extend(undo.doubtful);
        let is_certain = matches!(cause, StoreError::TooLarge { .. } | StoreError::Busy { .. });
        for step in undo.steps.into_iter().rev() {
            if !is_certain {
                step.add_records(&mut self.journal.doubtful);
            }
            self.take_back(step);
        }
    }

    /// Compares what is in doubt with the store: only what is otherwise there is written with the next changes.
    ///
    /// Mostly a store that fails has written nothing. To write it all anew could be more than the disk has room for: the
    /// items of a large node, say, that was to be deleted. What cannot be read stays in doubt.
    pub(crate) fn resolve_doubts(&mut self, store: &dyn Store) {
        let mut doubtful = mem::take(&mut self.journal.doubtful);
        doubtful.retain(|record| {
            let kept = store.get(TABLE, &record.key(self.address()));
            kept.map_or(true, |kept| kept != self.value(record))
        });
        self.journal.doubtful = doubtful;
    }

    fn take_back(&mut self, step: Step) {
        match step {
            Step::Node { node, before } => self.take_back_node(&node, before),
            Step::Config { node, before } => self.with(&node, |node| node.config = before),
            Step::Affiliation { node, jid, before } => self.with(&node, |node| {
                match before {
                    Some(affiliation) => node.affiliations.insert(jid, affiliation),
                    None => node.affiliations.remove(&jid),
                };
            }),
            Step::Subscription { node, jid, subid, before, .. } => self.with(&node, |node| {
                let subscriptions = Arc::make_mut(&mut node.subscriptions);
                match before {
                    Some(subscription) => subscriptions.insert(jid, subscription),
                    None => subscriptions.remove(&jid, subid),
                };
            }),
            Step::Item { node, number, before, .. } => self.take_back_item(&node, number, before),
            Step::Position { node, before } => self.with(&node, |node| node.sequence = before),
            Step::Moved { node, before } => self.take_back_moved(&node, before),
        }
    }

    fn take_back_node(&mut self, name: &NodeName, before: Option<Box<Node>>) {
        match before {
            Some(node) => {
                self.usages.add_all(node.items());
                self.nodes.insert(name.id.clone(), *node);
            }
            None => {
                if let Some(node) = self.nodes.remove(&name.id) {
                    self.usages.remove_all(node.items());
                }
            }
        }
    }

    fn take_back_item(&mut self, name: &NodeName, number: u64, before: Option<Arc<Item>>) {
        let Some(node) = self.nodes.get_mut(&name.id) else { return };
        match before {
            Some(item) => {
                self.usages.add(&item);
                node.items.insert(item);
            }
            None => {
                if let Some(item) = node.items.remove(number) {
                    self.usages.subtract(&item);
                }
            }
        }
    }

    /// Steps are taken back in the opposite order, so the node of a step is there.
    fn with(&mut self, name: &NodeName, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(&name.id) {
            change(node);
        }
    }
}

impl Step {
    /// Adds the records that the change concerns.
    fn add_records(&self, records: &mut BTreeSet<Record>) {
        let mut add = |node: &NodeName, part| {
            records.insert(Record { node: node.clone(), part });
        };
        match self {
            Self::Node { node, before } => {
                add(node, Part::Node);
                add(node, Part::Position);
                before.iter().flat_map(|node| node.parts()).for_each(|part| add(node, part));
            }
            Self::Config { node, .. } => add(node, Part::Node),
            Self::Affiliation { node, jid, .. } => add(node, Part::Affiliation(jid.clone())),
            Self::Subscription { node, jid, subid, number, .. } => {
                add(node, Part::Subscription(*number, jid.clone(), *subid));
            }
            Self::Item { is_persistent: false, .. } => {}
            Self::Item { node, number, .. } => add(node, Part::Item(*number)),
            Self::Position { node, .. } => add(node, Part::Position),
            Self::Moved { node, .. } => add(node, Part::Moved),
        }
    }
}

impl Node {
    /// The parts of it, besides itself and its position, that have records.
    fn parts(&self) -> impl Iterator<Item = Part> {
        let affiliations = self.affiliations.keys().cloned().map(Part::Affiliation);
        let subscriptions = self.subscriptions.iter();
        let subscriptions =
            subscriptions.map(|(jid, entry)| Part::Subscription(entry.number, jid.clone(), entry.subid));
        let items = self.items.iter().filter(|item| item.is_persistent()).map(|item| Part::Item(item.number()));
        affiliations.chain(subscriptions).chain(items)
    }
}

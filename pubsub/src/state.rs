//! Nodes and items as the broker sees them, in memory, and the journal of their changes.
//!
//! The state is read freely and changed only through [`State::create`], [`State::remove`] and [`State::edit`]. Each
//! change writes down what was there before. So whoever owns the state can take the changes of one or of many
//! operations as one [`Batch`](convoke_store::Batch) for the store, and take them back if the store did not keep it.
//!
//! What the store gets is never described twice: the journal knows *which* records an operation touched, and their
//! values are those of the state when the changes are taken. A record that was touched a hundred times is written once.
//!
//! Every record stands for itself: a publication writes its item, deletes the one that it replaces, and writes the
//! position of its node, however large the node is. Records of many services lie side by side in one table of one store;
//! the service's address begins each key.

mod codec;
mod editor;
mod error;
mod item;
mod items;
mod journal;
mod load;
mod moved;
mod node;
mod record;
mod settings;
mod subscriptions;
mod usage;

use std::collections::BTreeMap;
use std::time::SystemTime;

use convoke_store::Store;
use convoke_xmpp::Jid;

use crate::broker::NodeId;
use crate::config::NodeConfig;

use journal::Journal;
use moved::MovedNodes;
use usage::Usages;

pub(crate) use codec::{Damage, Reader, Stored, Writer};
pub(crate) use editor::NodeEditor;
pub use error::OpenError;
pub(crate) use item::{Item, NewItem, self_contained};
pub(crate) use items::Items;
pub(crate) use journal::{Changes, Undo};
pub(crate) use moved::Moved;
pub(crate) use node::{Node, Position};
pub(crate) use subscriptions::{OfAddress, Subscription, Subscriptions};
pub(crate) use usage::Usage;

/// All that one service knows.
pub(crate) struct State {
    address: Jid,
    nodes: BTreeMap<NodeId, Node>,
    /// Those that are no more; none has the name of one that there is.
    moved: MovedNodes,
    /// Greater than the number of every node that there is, or of which it is known where it has gone.
    next_node: u64,
    usages: Usages,
    journal: Journal,
}

impl State {
    /// The state of a service without nodes.
    pub(crate) fn new(address: Jid) -> Self {
        let (usages, journal) = (Usages::default(), Journal::default());
        Self { address, nodes: BTreeMap::new(), moved: MovedNodes::new(), next_node: 1, usages, journal }
    }

    /// Reads back what the store has of the service at this address; nothing is the state of a new service.
    pub(crate) fn open(store: &dyn Store, address: Jid) -> Result<Self, OpenError> {
        load::load(store, address)
    }

    /// The address of the service.
    pub(crate) fn address(&self) -> &Jid {
        &self.address
    }

    /// The node of that name.
    pub(crate) fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// All nodes, by name.
    pub(crate) fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    /// What the items of all nodes take up.
    pub(crate) fn usage(&self) -> Usage {
        self.usages.service()
    }

    /// What the items of one publisher, a bare address, take up in all nodes.
    pub(crate) fn usage_of(&self, publisher: &Jid) -> Usage {
        self.usages.of(publisher)
    }

    /// Makes a node in place of one that has its name; its incarnation tells it from every other.
    pub(crate) fn create(
        &mut self,
        id: NodeId,
        creator: Jid,
        config: NodeConfig,
        incarnation: String,
        now: SystemTime,
    ) -> NodeEditor<'_> {
        self.remove(&id);
        self.forget_moved(&id);
        let node = Node::new(self.take_node_number(), id.clone(), creator, now, config, incarnation);
        self.journal.created(&node);
        let node = self.nodes.entry(id).or_insert(node);
        NodeEditor::new(node, &mut self.usages, &mut self.journal)
    }

    /// Removes a node with all that it has, if it is there.
    pub(crate) fn remove(&mut self, id: &NodeId) {
        if let Some(node) = self.nodes.remove(id) {
            self.usages.remove_all(node.items());
            self.journal.removed(node);
        }
    }

    fn take_node_number(&mut self) -> u64 {
        let number = self.next_node;
        self.next_node += 1;
        number
    }

    /// The node of that name, to change it.
    pub(crate) fn edit(&mut self, id: &NodeId) -> Option<NodeEditor<'_>> {
        let node = self.nodes.get_mut(id)?;
        Some(NodeEditor::new(node, &mut self.usages, &mut self.journal))
    }
}

#[cfg(test)]
mod tests;

//! Nodes that live on elsewhere.

use std::collections::BTreeMap;

use super::node::NodeName;
use super::{Node, State};
use crate::broker::NodeId;

/// Nodes that are gone, by the name that they had.
pub(super) type MovedNodes = BTreeMap<NodeId, Moved>;

/// A node that is gone, and has left word where to.
///
/// What it was decides who learns of it: its configuration and its affiliations are there, its items and subscriptions
/// are not.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(super) node: Node,
    pub(super) uri: String,
}

impl Moved {
    /// The node as far as it still matters.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Where it lives on.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

impl State {
    /// Where the node of that name has gone, if there is none now and it has left word.
    pub(crate) fn moved(&self, id: &NodeId) -> Option<&Moved> {
        self.moved.get(id)
    }

    /// How many nodes have left word.
    pub(crate) fn moved_nodes(&self) -> usize {
        self.moved.len()
    }

    /// Removes a node with all that it has, if it is there, and keeps in mind where it lives on: of so many nodes at
    /// most, the last that have gone.
    pub(crate) fn move_away(&mut self, id: &NodeId, uri: String, limit: usize) {
        let number = self.take_node_number();
        let Some(trace) = self.node(id).map(|node| node.trace(number)) else { return };
        self.remove(id);
        if limit == 0 {
            return;
        }
        while self.moved.len() >= limit
            && let Some(oldest) = self.oldest_moved()
        {
            self.forget_moved(&oldest);
        }
        self.journal.moved(&trace.name, None);
        self.moved.insert(id.clone(), Moved { node: trace, uri });
    }

    /// There is a node of that name again, or too many have gone since.
    pub(super) fn forget_moved(&mut self, id: &NodeId) {
        if let Some(moved) = self.moved.remove(id) {
            let name = moved.node.name.clone();
            self.journal.moved(&name, Some(moved));
        }
    }

    pub(super) fn take_back_moved(&mut self, name: &NodeName, before: Option<Box<Moved>>) {
        match before {
            Some(moved) => self.moved.insert(name.id.clone(), *moved),
            None => self.moved.remove(&name.id),
        };
    }

    fn oldest_moved(&self) -> Option<NodeId> {
        self.moved.iter().min_by_key(|(_, moved)| moved.node.name.number).map(|(id, _)| id.clone())
    }
}

//! One leaf node: what it is, who is what to it, who hears of it, and its items.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::Jid;

use super::item::whole_micros;
use super::{Items, Subscriptions};
use crate::broker::{Affiliation, NodeId};
use crate::config::NodeConfig;

/// A leaf node, to be read; it is changed through a [`NodeEditor`](super::NodeEditor).
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) name: NodeName,
    creator: Jid,
    created: SystemTime,
    incarnation: Arc<str>,
    pub(super) config: NodeConfig,
    pub(super) sequence: u64,
    /// By bare address; whoever is missing has none.
    pub(super) affiliations: BTreeMap<Jid, Affiliation>,
    /// Shared with the notifications that are on their way.
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) items: Items,
    /// Greater than the number of every item and every subscription that there is.
    pub(super) next_number: u64,
}

/// What a node is called: by people, and in the keys of records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeName {
    pub(super) number: u64,
    pub(super) id: NodeId,
}

/// Where the history of a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Differs between a node and another one that has its name before or after it.
    pub(crate) incarnation: Arc<str>,
    /// How many changes subscribers have been told of since the node was created.
    pub(crate) sequence: u64,
}

impl Node {
    pub(super) fn new(
        number: u64,
        id: NodeId,
        creator: Jid,
        created: SystemTime,
        config: NodeConfig,
        incarnation: String,
    ) -> Self {
        Self {
            name: NodeName { number, id },
            creator,
            created: whole_micros(created),
            incarnation: incarnation.into(),
            config,
            sequence: 0,
            affiliations: BTreeMap::new(),
            subscriptions: Arc::default(),
            items: Items::default(),
            next_number: 1,
        }
    }

    /// Its name.
    pub(crate) fn id(&self) -> &NodeId {
        &self.name.id
    }

    /// The bare address of whoever created it.
    pub(crate) fn creator(&self) -> &Jid {
        &self.creator
    }

    /// When it was created, to the microsecond.
    pub(crate) fn created(&self) -> SystemTime {
        self.created
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Where its history stands.
    pub(crate) fn position(&self) -> Position {
        Position { incarnation: self.incarnation.clone(), sequence: self.sequence }
    }

    /// The affiliation of a bare address.
    pub(crate) fn affiliation(&self, bare: &str) -> Affiliation {
        self.affiliations.get(bare).copied().unwrap_or(Affiliation::None)
    }

    /// All affiliations but `none`, by bare address.
    pub(crate) fn affiliations(&self) -> impl ExactSizeIterator<Item = (&Jid, Affiliation)> {
        self.affiliations.iter().map(|(jid, affiliation)| (jid, *affiliation))
    }

    /// Its subscriptions.
    pub(crate) fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }

    /// Its items.
    pub(crate) fn items(&self) -> &Items {
        &self.items
    }

    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// What is left of it when it is gone, under another number: neither items nor subscriptions.
    pub(super) fn trace(&self, number: u64) -> Self {
        let (creator, incarnation) = (self.creator.clone(), self.incarnation.to_string());
        let config = self.config.clone();
        let mut trace = Self::new(number, self.name.id.clone(), creator, self.created, config, incarnation);
        trace.affiliations = self.affiliations.clone();
        trace
    }

    pub(super) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

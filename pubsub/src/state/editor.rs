//! Changes of one node, each of which goes into the journal.

use std::mem;
use std::sync::Arc;

use convoke_xmpp::Jid;

use super::journal::{Journal, Step};
use super::node::NodeName;
use super::usage::Usages;
use super::{Item, NewItem, Node, Position, Subscription};
use crate::broker::{Affiliation, SubId, SubscriptionState};
use crate::config::{NodeConfig, SubscriptionOptions};

/// A node that may be changed.
///
/// It checks nothing: what is allowed, and how much, is the broker's to know.
pub(crate) struct NodeEditor<'a> {
    node: &'a mut Node,
    usages: &'a mut Usages,
    journal: &'a mut Journal,
}

impl<'a> NodeEditor<'a> {
    pub(super) fn new(node: &'a mut Node, usages: &'a mut Usages, journal: &'a mut Journal) -> Self {
        Self { node, usages, journal }
    }

    /// The node as it is now.
    pub(crate) fn node(&self) -> &Node {
        self.node
    }

    /// Gives it another configuration.
    pub(crate) fn configure(&mut self, config: NodeConfig) {
        let before = mem::replace(&mut self.node.config, config);
        self.note(|node| Step::Config { node, before });
    }

    /// Gives a bare address this affiliation; [`Affiliation::None`] takes it away.
    pub(crate) fn affiliate(&mut self, jid: Jid, affiliation: Affiliation) {
        let before = match affiliation {
            Affiliation::None => self.node.affiliations.remove(&jid),
            _ => self.node.affiliations.insert(jid.clone(), affiliation),
        };
        if before.unwrap_or(Affiliation::None) != affiliation {
            self.note(|node| Step::Affiliation { node, jid, before });
        }
    }

    /// Subscribes an address, or gives its subscription of that SubID this state and these options.
    pub(crate) fn subscribe(&mut self, jid: Jid, subid: SubId, state: SubscriptionState, options: SubscriptionOptions) {
        let existing = self.node.subscriptions.get(&jid, subid).map(|subscription| subscription.number);
        let number = existing.unwrap_or_else(|| self.node.take_number());
        let subscription = Subscription { number, subid, state, options };
        let before = Arc::make_mut(&mut self.node.subscriptions).insert(jid.clone(), subscription);
        self.note(|node| Step::Subscription { node, jid, subid, number, before });
    }

    /// Ends a subscription of an address; gives it back if there was one.
    pub(crate) fn unsubscribe(&mut self, jid: &Jid, subid: SubId) -> Option<Subscription> {
        // A look first: to make a shared map one's own is not cheap.
        let number = self.node.subscriptions.get(jid, subid)?.number;
        let before = Arc::make_mut(&mut self.node.subscriptions).remove(jid, subid);
        let (jid, step_before) = (jid.clone(), before.clone());
        self.note(|node| Step::Subscription { node, jid, subid, number, before: step_before });
        before
    }

    /// Adds an item as the newest, in place of the one that has its id; in memory alone if the node is transient.
    pub(crate) fn put_item(&mut self, new: NewItem) -> Arc<Item> {
        self.remove_item(&new.id);
        let number = self.node.take_number();
        let is_persistent = self.node.config.persist_items;
        let item = Arc::new(Item::new(number, new, is_persistent));
        self.node.items.insert(item.clone());
        self.usages.add(&item);
        self.note(|node| Step::Item { node, number, before: None, is_persistent });
        item
    }

    /// Removes the item of that id; gives it back if there was one.
    pub(crate) fn remove_item(&mut self, id: &str) -> Option<Arc<Item>> {
        let number = self.node.items.get(id)?.number();
        let item = self.node.items.remove(number)?;
        self.usages.subtract(&item);
        let (before, is_persistent) = (Some(item.clone()), item.is_persistent());
        self.note(|node| Step::Item { node, number, before, is_persistent });
        Some(item)
    }

    /// Counts a change that subscribers are told of; gives the position of the node from now on.
    pub(crate) fn advance(&mut self) -> Position {
        let before = self.node.sequence;
        self.node.sequence += 1;
        self.note(|node| Step::Position { node, before });
        self.node.position()
    }

    fn note(&mut self, step: impl FnOnce(NodeName) -> Step) {
        self.journal.note(step(self.node.name.clone()));
    }
}

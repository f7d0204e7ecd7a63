//! Nodes, subscriptions, affiliations and items: operations in, an answer and notifications out.
//!
//! Nothing in here knows stanzas, sockets or time. An operation either does everything it says or refuses and changes
//! nothing.

mod affiliation;
mod context;
mod items;
mod node;
mod operation;
mod refusal;
// The configuration forms use all of it.
#[allow(dead_code)]
mod subscription;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use convoke_xmpp::{Domainpart, Jid};

use crate::config::{Creators, PubSubConfig, SendLast};

use affiliation::Action;
use node::Node;

pub(crate) use affiliation::Affiliation;
pub(crate) use context::Context;
pub(crate) use items::{Item, ItemStore, MemoryItems};
pub(crate) use node::{NodeId, NodeInfo};
pub(crate) use operation::{Answer, Change, NewItem, Notification, Operation, Outcome, Requester, Selection};
pub(crate) use refusal::Refusal;
#[allow(unused_imports)]
pub(crate) use subscription::{Subscription, SubscriptionState};

/// The state of one publish-subscribe service.
pub(crate) struct Broker<S> {
    domain: Domainpart,
    config: PubSubConfig,
    nodes: BTreeMap<NodeId, Node>,
    items: S,
}

impl<S: ItemStore> Broker<S> {
    /// A service of this domain, without nodes.
    pub(crate) fn new(domain: Domainpart, config: PubSubConfig, items: S) -> Self {
        Self { domain, config, nodes: BTreeMap::new(), items }
    }

    /// Performs one operation.
    pub(crate) fn apply(
        &mut self,
        requester: &Requester,
        operation: Operation,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        match operation {
            Operation::Create { node } => self.create(requester, node, context),
            Operation::Delete { node, redirect } => self.delete(requester, node, redirect),
            Operation::Publish { node, item } => self.publish(requester, node, item, context),
            Operation::Retract { node, id, notify } => self.retract(requester, node, &id, notify),
            Operation::Subscribe { node, jid } => self.subscribe(requester, node, jid),
            Operation::Unsubscribe { node, jid } => self.unsubscribe(requester, node, jid),
            Operation::Items { node, selection } => self.items(requester, node, &selection),
            Operation::Affiliations { node } => self.affiliations(requester, node),
            Operation::ChangeAffiliations { node, changes } => self.change_affiliations(requester, &node, changes),
            Operation::ListNodes => Ok(self.list_nodes(requester).into()),
            Operation::ListItems { node } => self.list_items(requester, node),
            Operation::Describe { node } => self.describe(node),
        }
    }

    fn create(
        &mut self,
        requester: &Requester,
        asked: Option<NodeId>,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if !self.may_create(requester) {
            return Err(Refusal::Forbidden);
        }
        if asked.as_ref().is_some_and(|node| self.nodes.contains_key(node)) {
            return Err(Refusal::NodeExists);
        }
        if self.nodes.len() >= self.config.max_nodes {
            return Err(Refusal::TooManyNodes);
        }
        let node = match asked {
            Some(node) => node,
            None => NodeId::from_generated(context.ids.fresh()?),
        };
        self.nodes.insert(node.clone(), Node::new(requester.jid.to_bare()));
        Ok(Answer::Created { node }.into())
    }

    fn may_create(&self, requester: &Requester) -> bool {
        match &self.config.creators {
            Creators::Anyone => true,
            Creators::OwnDomain => requester.is_local && requester.jid.domain() == self.domain.as_str(),
            Creators::Domains(domains) => domains.contains(requester.jid.domain()),
        }
    }

    fn delete(&mut self, requester: &Requester, node: NodeId, redirect: Option<String>) -> Result<Outcome, Refusal> {
        let recipients = self.permitted(&node, requester, Action::Manage)?.subscribers().clone();
        self.items.clear(&node);
        self.nodes.remove(&node);
        Ok(Outcome::done([Notification { node, change: Change::Deleted { redirect }, recipients }]))
    }

    fn publish(
        &mut self,
        requester: &Requester,
        node: NodeId,
        new: NewItem,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let recipients = self.permitted(&node, requester, Action::Publish)?.subscribers().clone();
        if new.payload_bytes > self.config.max_payload_bytes {
            return Err(Refusal::PayloadTooBig);
        }
        let generated = new.id.is_none();
        let id = new.id.map_or_else(|| context.ids.fresh(), Ok)?;
        let item = Arc::new(Item::new(id, requester.jid.to_bare(), new.payload, new.payload_bytes));
        let retracted = self.store(&node, &item)?.filter(|_| self.config.node.notify_retract);
        let answer = Answer::Published { node: node.clone(), generated: generated.then(|| item.id().to_owned()) };
        let changes = retracted.map(|old| Change::Retracted { id: old.id().to_owned() });
        let changes = changes.into_iter().chain([Change::Published { item }]);
        let notify = |change| Notification { node: node.clone(), change, recipients: recipients.clone() };
        Ok(Outcome { answer, notifications: changes.map(notify).collect() })
    }

    /// Stores an item, in place of the one with its id or, if the node is full, of the oldest, which is given back.
    fn store(&mut self, node: &NodeId, item: &Arc<Item>) -> Result<Option<Arc<Item>>, Refusal> {
        let replaced = self.items.get(node, item.id());
        let is_full = self.items.count(node) >= self.config.max_items_per_node.max(1);
        let oldest = if replaced.is_none() && is_full { self.items.oldest(node) } else { None };
        let freed = replaced.iter().chain(&oldest).map(|item| item.bytes()).sum::<usize>();
        if self.items.bytes() - freed + item.bytes() > self.config.max_stored_bytes {
            return Err(Refusal::StorageFull);
        }
        if let Some(oldest) = &oldest {
            self.items.remove(node, oldest.id());
        }
        self.items.put(node, item.clone());
        Ok(oldest)
    }

    fn retract(
        &mut self,
        requester: &Requester,
        node: NodeId,
        id: &str,
        notify: Option<bool>,
    ) -> Result<Outcome, Refusal> {
        let entry = self.permitted(&node, requester, Action::RetractOwn)?;
        let item = self.items.get(&node, id).ok_or(Refusal::NoSuchItem)?;
        if item.publisher().as_str() != requester.jid.bare() {
            entry.permit(requester, Action::RetractAny)?;
        }
        let recipients = entry.subscribers().clone();
        self.items.remove(&node, id);
        let change = Change::Retracted { id: id.to_owned() };
        let notify = notify.unwrap_or(self.config.node.notify_retract);
        Ok(Outcome::done(notify.then_some(Notification { node, change, recipients })))
    }

    fn subscribe(&mut self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::JidMismatch);
        }
        self.permitted(&node, requester, Action::Subscribe)?;
        let limit = self.config.max_subscriptions_per_node;
        self.node_mut(&node)?.subscribe(jid.clone(), limit)?;
        let notifications = self.last_item(&node, &jid).into_iter().collect();
        Ok(Outcome { answer: Answer::Subscribed { node, jid }, notifications })
    }

    fn last_item(&self, node: &NodeId, jid: &Jid) -> Option<Notification> {
        let item = match self.config.node.send_last_published_item {
            SendLast::OnSubscribe | SendLast::OnSubscribeAndPresence => self.items.newest(node, 1).pop()?,
            SendLast::Never => return None,
        };
        let recipients = Arc::new(BTreeSet::from([jid.clone()]));
        Some(Notification { node: node.clone(), change: Change::Published { item }, recipients })
    }

    fn unsubscribe(&mut self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        let entry = self.node_mut(&node)?;
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::Forbidden);
        }
        entry.unsubscribe(&jid)?;
        Ok(Answer::Unsubscribed { node, jid }.into())
    }

    fn items(&self, requester: &Requester, node: NodeId, selection: &Selection) -> Result<Outcome, Refusal> {
        self.permitted(&node, requester, Action::Retrieve)?;
        let items = match selection {
            Selection::All => self.items.newest(&node, usize::MAX),
            Selection::Newest(limit) => self.items.newest(&node, *limit),
            Selection::Ids(ids) => ids.iter().filter_map(|id| self.items.get(&node, id)).collect(),
        };
        Ok(Answer::Items { node, items }.into())
    }

    fn affiliations(&self, requester: &Requester, node: NodeId) -> Result<Outcome, Refusal> {
        let affiliations = self.permitted(&node, requester, Action::Manage)?.affiliations();
        let affiliations = affiliations.map(|(jid, affiliation)| (jid.clone(), affiliation)).collect();
        Ok(Answer::Affiliations { node, affiliations }.into())
    }

    fn change_affiliations(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        changes: Vec<(Jid, Affiliation)>,
    ) -> Result<Outcome, Refusal> {
        self.permitted(node, requester, Action::Manage)?;
        let limit = self.config.max_affiliations_per_node;
        self.node_mut(node)?.change_affiliations(changes, limit)?;
        Ok(Answer::Done.into())
    }

    fn list_nodes(&self, requester: &Requester) -> Answer {
        let is_visible = |node: &Node| node.permit(requester, Action::Subscribe).is_ok();
        let visible = self.nodes.iter().filter(|(_, node)| is_visible(node));
        Answer::Nodes { nodes: visible.map(|(id, _)| id.clone()).collect() }
    }

    fn list_items(&self, requester: &Requester, node: NodeId) -> Result<Outcome, Refusal> {
        self.permitted(&node, requester, Action::Retrieve)?;
        let items = self.items.newest(&node, usize::MAX);
        Ok(Answer::ItemIds { node, items }.into())
    }

    fn describe(&self, node: NodeId) -> Result<Outcome, Refusal> {
        let info = self.node(&node)?.info(self.config.max_items_per_node);
        Ok(Answer::Described { node, info }.into())
    }

    fn permitted(&self, node: &NodeId, requester: &Requester, action: Action) -> Result<&Node, Refusal> {
        let node = self.node(node)?;
        node.permit(requester, action)?;
        Ok(node)
    }

    fn node(&self, node: &NodeId) -> Result<&Node, Refusal> {
        self.nodes.get(node).ok_or(Refusal::NoSuchNode)
    }

    fn node_mut(&mut self, node: &NodeId) -> Result<&mut Node, Refusal> {
        self.nodes.get_mut(node).ok_or(Refusal::NoSuchNode)
    }
}

//! Nodes, subscriptions, affiliations and items: operations in, an answer and notifications out.
//!
//! Nothing in here knows stanzas, sockets or time. An operation either does everything it says or refuses and changes
//! nothing.

mod affiliation;
mod context;
mod node;
mod operation;
mod quota;
mod refusal;
mod subscription;

use std::sync::Arc;

use convoke_store::{Store, StoreError};
use convoke_xmpp::Jid;

use crate::config::{Creators, PubSubConfig, SendLast, SubscriptionOptions};
use crate::state::{Changes, Item, NewItem, Node, NodeEditor, OpenError, State, Subscriptions, Undo};

use affiliation::Action;

pub(crate) use affiliation::Affiliation;
pub(crate) use context::Context;
pub(crate) use node::{NodeId, NodeInfo};
pub(crate) use operation::{Answer, Change, NewEntry, Notification, Operation, Outcome, Requester, Selection};
pub(crate) use refusal::Refusal;
pub(crate) use subscription::SubscriptionState;

/// One publish-subscribe service.
pub(crate) struct Broker {
    config: PubSubConfig,
    state: State,
}

impl Broker {
    /// A service at this address, without nodes.
    pub(crate) fn new(address: Jid, config: PubSubConfig) -> Self {
        Self { config, state: State::new(address) }
    }

    /// The service at this address as the store has it; nothing is a new service.
    pub(crate) fn open(store: &dyn Store, address: Jid, config: PubSubConfig) -> Result<Self, OpenError> {
        Ok(Self { config, state: State::open(store, address)? })
    }

    /// What all operations since the last call have changed.
    pub(crate) fn take_changes(&mut self) -> Changes {
        self.state.take_changes()
    }

    /// Takes back changes that the store did not keep, for this reason; no operation may have been performed since.
    pub(crate) fn undo(&mut self, undo: Undo, cause: &StoreError) {
        self.state.undo(undo, cause);
    }

    /// Performs one operation: all of it, or nothing.
    pub(crate) fn apply(
        &mut self,
        requester: &Requester,
        operation: Operation,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let mark = self.state.mark();
        let outcome = self.perform(requester, operation, context);
        if outcome.is_err() {
            self.state.return_to(mark);
        }
        outcome
    }

    fn perform(
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
        if asked.as_ref().is_some_and(|node| self.state.node(node).is_some()) {
            return Err(Refusal::NodeExists);
        }
        if self.state.nodes().len() >= self.config.max_nodes {
            return Err(Refusal::TooManyNodes);
        }
        let node = match asked {
            Some(node) => node,
            None => NodeId::from_generated(context.ids.fresh()?),
        };
        let (creator, incarnation) = (requester.jid.to_bare(), context.ids.fresh()?);
        let mut editor = self.state.create(node.clone(), creator.clone(), self.config.node.clone(), incarnation);
        editor.affiliate(creator, Affiliation::Owner);
        Ok(Answer::Created { node }.into())
    }

    fn may_create(&self, requester: &Requester) -> bool {
        match &self.config.creators {
            Creators::Anyone => true,
            Creators::OwnDomain => requester.is_local && requester.jid.domain() == self.state.address().domain(),
            Creators::Domains(domains) => domains.contains(requester.jid.domain()),
        }
    }

    fn delete(&mut self, requester: &Requester, node: NodeId, redirect: Option<String>) -> Result<Outcome, Refusal> {
        let mut editor = self.permitted_mut(&node, requester, Action::Manage)?;
        let notification = notification(&mut editor, Change::Deleted { redirect });
        self.state.remove(&node);
        Ok(Outcome::done([notification]))
    }

    fn publish(
        &mut self,
        requester: &Requester,
        node: NodeId,
        entry: NewEntry,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.permitted(&node, requester, Action::Publish)?;
        if entry.payload.len() > self.config.max_payload_bytes {
            return Err(Refusal::PayloadTooBig);
        }
        let is_generated = entry.id.is_none();
        let id = entry.id.map_or_else(|| context.ids.fresh(), Ok)?;
        let generated = is_generated.then(|| id.clone());
        let publisher = requester.jid.to_bare();
        let new = NewItem { id, publisher, published: context.now, payload: entry.payload };
        let notifications = self.store(&node, new)?;
        Ok(Outcome { answer: Answer::Published { node, generated }, notifications })
    }

    /// Stores an item, in place of the one with its id or, if the node is full, of the oldest.
    fn store(&mut self, node: &NodeId, new: NewItem) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let replaced = entry.items().get(&new.id);
        let surplus = match replaced {
            Some(_) => 0,
            None => (entry.items().len() + 1).saturating_sub(quota::max_items(&self.config, entry)),
        };
        let oldest: Vec<_> = entry.items().iter().take(surplus).cloned().collect();
        let displaced: Vec<&Item> = replaced.into_iter().chain(&oldest).map(|item| &**item).collect();
        quota::check(&self.state, &self.config, entry, &new, &displaced)?;
        let tells_retractions = self.config.node.notify_retract;
        let mut editor = self.edit(node)?;
        let mut notifications = Vec::new();
        for old in oldest {
            editor.remove_item(old.id());
            if tells_retractions {
                notifications.push(notification(&mut editor, Change::Retracted { id: old.id().to_owned() }));
            }
        }
        let item = editor.put_item(new);
        notifications.push(notification(&mut editor, Change::Published { item }));
        Ok(notifications)
    }

    fn retract(
        &mut self,
        requester: &Requester,
        node: NodeId,
        id: &str,
        notify: Option<bool>,
    ) -> Result<Outcome, Refusal> {
        let entry = self.permitted(&node, requester, Action::RetractOwn)?;
        let item = entry.items().get(id).ok_or(Refusal::NoSuchItem)?;
        if item.publisher().as_str() != requester.jid.bare() {
            permit(entry, requester, Action::RetractAny)?;
        }
        let notify = notify.unwrap_or(self.config.node.notify_retract);
        let mut editor = self.edit(&node)?;
        editor.remove_item(id);
        let change = || Change::Retracted { id: id.to_owned() };
        Ok(Outcome::done(notify.then(|| notification(&mut editor, change()))))
    }

    fn subscribe(&mut self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::JidMismatch);
        }
        let limit = self.config.max_subscriptions_per_node;
        let mut editor = self.permitted_mut(&node, requester, Action::Subscribe)?;
        let subscriptions = editor.node().subscriptions();
        // One that exists stays as it is (XEP-0060, section 6.1.6).
        if !subscriptions.contains_key(&jid) {
            if subscriptions.len() >= limit {
                return Err(Refusal::TooManySubscriptions);
            }
            editor.subscribe(jid.clone(), SubscriptionState::Subscribed, SubscriptionOptions::default());
        }
        let notifications = self.last_item(&node, &jid).into_iter().collect();
        Ok(Outcome { answer: Answer::Subscribed { node, jid }, notifications })
    }

    fn last_item(&self, id: &NodeId, jid: &Jid) -> Option<Notification> {
        let node = self.state.node(id)?;
        let item = match self.config.node.send_last_published_item {
            SendLast::OnSubscribe | SendLast::OnSubscribeAndPresence => node.items().iter().next_back()?.clone(),
            SendLast::Never => return None,
        };
        let subscription = node.subscriptions().get(jid)?.clone();
        let recipients = Arc::new(Subscriptions::from([(jid.clone(), subscription)]));
        let change = Change::Published { item };
        Some(Notification { node: id.clone(), change, position: node.position(), recipients })
    }

    fn unsubscribe(&mut self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        let mut editor = self.edit(&node)?;
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::Forbidden);
        }
        editor.unsubscribe(&jid).ok_or(Refusal::NotSubscribed)?;
        Ok(Answer::Unsubscribed { node, jid }.into())
    }

    fn items(&self, requester: &Requester, node: NodeId, selection: &Selection) -> Result<Outcome, Refusal> {
        let items = self.permitted(&node, requester, Action::Retrieve)?.items();
        let items = match selection {
            Selection::All => items.iter().cloned().collect(),
            Selection::Newest(limit) => items.iter().skip(items.len().saturating_sub(*limit)).cloned().collect(),
            Selection::Ids(ids) => ids.iter().filter_map(|id| items.get(id)).cloned().collect(),
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
        let limit = self.config.max_affiliations_per_node;
        let mut editor = self.permitted_mut(node, requester, Action::Manage)?;
        let limit = limit.max(editor.node().affiliations().len());
        for (jid, affiliation) in changes {
            editor.affiliate(jid.to_bare(), affiliation);
        }
        let node = editor.node();
        if node.affiliations().len() > limit {
            return Err(Refusal::TooManyAffiliations);
        }
        if !node.affiliations().any(|(_, affiliation)| affiliation == Affiliation::Owner) {
            return Err(Refusal::LastOwner);
        }
        drop_excluded_subscribers(&mut editor);
        Ok(Answer::Done.into())
    }

    fn list_nodes(&self, requester: &Requester) -> Answer {
        let visible = self.state.nodes().filter(|node| permit(node, requester, Action::Subscribe).is_ok());
        Answer::Nodes { nodes: visible.map(|node| node.id().clone()).collect() }
    }

    fn list_items(&self, requester: &Requester, node: NodeId) -> Result<Outcome, Refusal> {
        let items = self.permitted(&node, requester, Action::Retrieve)?.items();
        let items = items.iter().cloned().collect();
        Ok(Answer::ItemIds { node, items }.into())
    }

    fn describe(&self, node: NodeId) -> Result<Outcome, Refusal> {
        let entry = self.node(&node)?;
        let info = NodeInfo::of(entry, quota::max_items(&self.config, entry));
        Ok(Answer::Described { node, info }.into())
    }

    fn permitted(&self, node: &NodeId, requester: &Requester, action: Action) -> Result<&Node, Refusal> {
        let node = self.node(node)?;
        permit(node, requester, action)?;
        Ok(node)
    }

    fn permitted_mut(
        &mut self,
        node: &NodeId,
        requester: &Requester,
        action: Action,
    ) -> Result<NodeEditor<'_>, Refusal> {
        self.permitted(node, requester, action)?;
        self.edit(node)
    }

    fn node(&self, node: &NodeId) -> Result<&Node, Refusal> {
        self.state.node(node).ok_or(Refusal::NoSuchNode)
    }

    fn edit(&mut self, node: &NodeId) -> Result<NodeEditor<'_>, Refusal> {
        self.state.edit(node).ok_or(Refusal::NoSuchNode)
    }
}

fn permit(node: &Node, requester: &Requester, action: Action) -> Result<(), Refusal> {
    let affiliation = node.affiliation(requester.jid.bare());
    if affiliation.may(action) { Ok(()) } else { Err(Refusal::Forbidden) }
}

/// Tells all subscribers of a change, which has its place in the history of the node from now on.
fn notification(editor: &mut NodeEditor<'_>, change: Change) -> Notification {
    let position = editor.advance();
    let node = editor.node();
    Notification { node: node.id().clone(), change, position, recipients: node.subscriptions().clone() }
}

/// Who may no longer subscribe no longer hears anything.
fn drop_excluded_subscribers(editor: &mut NodeEditor<'_>) {
    let node = editor.node();
    let is_excluded = |jid: &&Jid| !node.affiliation(jid.bare()).may(Action::Subscribe);
    let excluded: Vec<_> = node.subscriptions().keys().filter(is_excluded).cloned().collect();
    for jid in excluded {
        editor.unsubscribe(&jid);
    }
}

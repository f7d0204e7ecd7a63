//! Nodes, subscriptions, affiliations and items: operations in, an answer and notifications out.
//!
//! Nothing in here knows stanzas, sockets or a clock. An operation either does everything it says or refuses and changes
//! nothing.

mod access;
mod affiliation;
mod affiliations;
mod approval;
mod availability;
mod census;
mod configuration;
mod context;
mod expiry;
mod form;
mod node;
mod nodes;
mod notice;
mod operation;
mod outcome;
mod page;
mod publication;
mod quota;
mod refusal;
mod retrieval;
mod subscribers;
mod subscription;
mod subscriptions;

use convoke_store::{Store, StoreError};
use convoke_xmpp::Jid;

use crate::config::PubSubConfig;
use crate::state::{Changes, Node, NodeEditor, OpenError, State, Undo};

use access::Access;
use availability::Availability;
use expiry::Expiries;
use notice::{Audience, told_owners};
use subscription::SubIdPolicy;

pub(crate) use affiliation::Affiliation;
pub(crate) use availability::Presence;
pub(crate) use census::Census;
pub(crate) use context::{Context, Followers, NoFollowers};
pub(crate) use form::Submission;
pub(crate) use node::{NodeId, NodeInfo};
pub(crate) use operation::{NewEntry, Operation, Payload, Requester, Selection};
pub(crate) use outcome::{AffiliationInfo, Answer, Change, Notification, Outcome, Style};
pub(crate) use page::{Page, PageRequest, PageStart};
pub(crate) use refusal::Refusal;
pub(crate) use subscription::{SubId, SubscriptionInfo, SubscriptionName, SubscriptionState};

/// One publish-subscribe service.
pub(crate) struct Broker {
    config: PubSubConfig,
    state: State,
    availability: Availability,
    expiries: Expiries,
}

impl Broker {
    /// A service at this address, without nodes.
    pub(crate) fn new(address: Jid, config: PubSubConfig) -> Self {
        Self::with(State::new(address), config)
    }

    /// The service at this address as the store has it; nothing is a new service.
    pub(crate) fn open(store: &dyn Store, address: Jid, config: PubSubConfig) -> Result<Self, OpenError> {
        Ok(Self::with(State::open(store, address)?, config))
    }

    fn with(state: State, config: PubSubConfig) -> Self {
        let availability = Availability::new(config.max_available);
        let mut expiries = Expiries::default();
        expiries.note_all(state.nodes());
        Self { config, state, availability, expiries }
    }

    /// Whether operations since the last call of [`Broker::take_changes`] have changed anything.
    pub(crate) fn has_changes(&self) -> bool {
        self.state.has_changes()
    }

    /// Whether there are no nodes, nor word of any.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.nodes().len() == 0 && self.state.moved_nodes() == 0
    }

    /// What all operations since the last call have changed.
    pub(crate) fn take_changes(&mut self) -> Changes {
        self.state.take_changes()
    }

    /// Takes back changes that the store did not keep, for this reason; no operation may have been performed since.
    pub(crate) fn undo(&mut self, undo: Undo, cause: &StoreError) {
        self.state.undo(undo, cause);
        // What the changes had replaced may end earlier than what they had put in its place.
        self.expiries.note_all(self.state.nodes());
    }

    /// Looks at what the store has of changes that were taken back, so that nothing needs to be written to make sure.
    pub(crate) fn resolve_doubts(&mut self, store: &dyn Store) {
        self.state.resolve_doubts(store);
    }

    /// Ends all subscriptions of an address that takes no notifications any more (XEP-0060, section 12.4); owners are
    /// told who want to know.
    pub(crate) fn remove_subscriber(&mut self, jid: &Jid) -> Vec<Notification> {
        let subids = self.subids();
        let mut over = Vec::new();
        for node in self.state.nodes() {
            over.extend(node.subscriptions().of(jid.as_str()).iter().map(|own| subids.info(node, jid, own).ended()));
        }
        let end = |info: SubscriptionInfo| {
            let mut editor = self.state.edit(&info.node)?;
            editor.unsubscribe(jid, info.subid);
            told_owners(editor.node(), info)
        };
        over.into_iter().filter_map(end).collect()
    }

    /// Performs one operation: all of it, or nothing.
    pub(crate) fn apply(
        &mut self,
        requester: &Requester,
        operation: Operation,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let (mark, node) = (self.state.mark(), operation.node().cloned());
        self.perform(requester, operation, context).map_err(|refusal| {
            self.state.return_to(mark);
            match (refusal, node) {
                (Refusal::NoSuchNode, Some(node)) => self.absent(&node, &requester.jid, context),
                (refusal, _) => refusal,
            }
        })
    }

    fn perform(
        &mut self,
        requester: &Requester,
        operation: Operation,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        use Operation as Op;
        match operation {
            Op::ListNodes { page } => self.list_nodes(requester, page.as_ref(), context),
            Op::Describe { node } => self.describe(requester, node, context),
            Op::ListItems { node, page } => self.list_items(requester, node, page.as_ref(), context),
            Op::OwnSubscriptions { node } => self.own_subscriptions(requester, node),
            Op::OwnAffiliations { node } => self.own_affiliations(requester, node),
            Op::Subscribe { node, jid, options } => self.subscribe(requester, node, jid, options, context),
            Op::Unsubscribe { node, subscription } => self.unsubscribe(requester, &node, &subscription),
            Op::Options { node, subscription } => self.options(requester, &node, &subscription),
            Op::SetOptions { node, subscription, options } => {
                self.set_options(requester, &node, &subscription, options, context)
            }
            Op::DefaultOptions { node } => self.default_options(node),
            Op::Items { node, subid, selection, page } => {
                self.items(requester, node, subid.as_deref(), &selection, page.as_ref(), context)
            }
            Op::Publish { node, item, options } => self.publish(requester, node, item, options, context),
            Op::Retract { node, id, notify } => self.retract(requester, &node, &id, notify, context),
            Op::Create { node, config } => self.create(requester, node, config, context),
            Op::Configuration { node } => self.configuration(requester, node, context),
            Op::Configure { node, config } => self.configure(requester, &node, config, context),
            Op::DefaultConfiguration => Ok(self.default_configuration()),
            Op::Delete { node, redirect } => self.delete(requester, &node, redirect, context),
            Op::Purge { node } => self.purge(requester, &node, context),
            Op::Authorize { node, subscription, is_allowed } => {
                self.authorize(requester, &node, &subscription, is_allowed, context)
            }
            Op::PendingNodes => self.pending_nodes(requester, context),
            Op::SendPending { node } => self.send_pending(requester, &node, context),
            Op::Subscriptions { node, page } => self.subscriptions(requester, node, page.as_ref(), context),
            Op::ChangeSubscriptions { node, changes } => self.change_subscriptions(requester, node, changes, context),
            Op::Affiliations { node, page } => self.affiliations(requester, node, page.as_ref(), context),
            Op::ChangeAffiliations { node, changes } => self.change_affiliations(requester, node, changes, context),
        }
    }

    fn subids(&self) -> SubIdPolicy {
        SubIdPolicy::new(self.config.multi_subscribe)
    }

    /// An entity before a node.
    fn access<'a>(&'a self, node: &NodeId, jid: &'a Jid, context: &'a Context<'_>) -> Result<Access<'a>, Refusal> {
        Ok(Access::new(self.node(node)?, jid, context.contacts))
    }

    fn node(&self, node: &NodeId) -> Result<&Node, Refusal> {
        self.state.node(node).ok_or(Refusal::NoSuchNode)
    }

    fn edit(&mut self, node: &NodeId) -> Result<NodeEditor<'_>, Refusal> {
        self.state.edit(node).ok_or(Refusal::NoSuchNode)
    }

    /// That node, or all of them.
    fn nodes_or(&self, node: Option<&NodeId>) -> Result<Vec<&Node>, Refusal> {
        match node {
            Some(node) => Ok(vec![self.node(node)?]),
            None => Ok(self.state.nodes().collect()),
        }
    }
}

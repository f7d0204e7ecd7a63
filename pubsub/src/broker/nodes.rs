//! Nodes come and go: creation (XEP-0060, section 8.1), deletion (8.4) and purge (8.5).

use convoke_xmpp::Jid;

use super::access::Access;
use super::form::{self, Submission};
use super::{Affiliation, Answer, Audience, Broker, Change, Context, NodeId, Outcome, Refusal, Requester};
use crate::config::{Creators, NodeConfig};

impl Broker {
    pub(super) fn create(
        &mut self,
        requester: &Requester,
        asked: Option<NodeId>,
        submission: Option<Submission>,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.check_creator(requester)?;
        if asked.is_none() && !self.config.instant_nodes {
            return Err(Refusal::NodeIdRequired);
        }
        if asked.as_ref().is_some_and(|node| self.state.node(node).is_some()) {
            return Err(Refusal::NodeExists);
        }
        let config = match submission {
            Some(Submission::Fields(fields)) => form::configure(&self.default_config(), &fields, &self.config)?,
            Some(Submission::Cancelled) | None => self.default_config(),
        };
        let node = match asked {
            Some(node) => node,
            None => NodeId::from_generated(context.ids.fresh()?),
        };
        self.add_node(requester, &node, config, context)?;
        Ok(Answer::Created { node }.into())
    }

    /// Adds a node that belongs to the requester.
    pub(super) fn add_node(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        config: NodeConfig,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        if self.state.nodes().len() >= self.config.max_nodes {
            return Err(Refusal::TooManyNodes);
        }
        let (creator, incarnation) = (requester.jid.to_bare(), context.ids.fresh()?);
        let mut editor = self.state.create(node.clone(), creator.clone(), config, incarnation, context.now);
        editor.affiliate(creator, Affiliation::Owner);
        Ok(())
    }

    /// The configuration that a node has where its creator does not say otherwise, within the limits of the service.
    pub(super) fn default_config(&self) -> NodeConfig {
        let mut config = self.config.node.clone();
        config.max_payload_size = config.max_payload_size.min(self.config.max_payload_bytes);
        config.max_items = config.max_items.map(|max| max.min(self.config.max_items_per_node).max(1));
        config
    }

    fn check_creator(&self, requester: &Requester) -> Result<(), Refusal> {
        match self.may_create(requester) {
            true => Ok(()),
            false if self.config.creators.may_exist() => Err(Refusal::Forbidden),
            false => Err(Refusal::CreationUnsupported),
        }
    }

    pub(super) fn may_create(&self, requester: &Requester) -> bool {
        match &self.config.creators {
            Creators::Anyone => true,
            Creators::Account => requester.jid.bare() == self.state.address().as_str(),
            Creators::OwnDomain => requester.is_local && requester.jid.domain() == self.state.address().domain(),
            Creators::Domains(domains) => domains.contains(requester.jid.domain()),
        }
    }

    pub(super) fn delete(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        redirect: Option<String>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(node, &requester.jid, context)?.ownership()?;
        let tells = self.node(node)?.config().notify_delete;
        let change = Change::Deleted { redirect: redirect.clone() };
        let told = if tells { self.tell(node, change, Audience::Everybody, context)? } else { None };
        match redirect {
            Some(uri) => self.state.move_away(node, uri, self.config.max_moved_nodes),
            None => self.state.remove(node),
        }
        Ok(Outcome::done(told))
    }

    /// Why there is nothing to be done with a node that is not there: it has moved, for those who were welcome at it
    /// (sections 6.1.3.11 and 8.4.1); for everybody else it never was.
    pub(super) fn absent(&self, node: &NodeId, who: &Jid, context: &Context<'_>) -> Refusal {
        let moved = self.state.moved(node);
        let moved = moved.filter(|moved| Access::new(moved.node(), who, context.contacts).is_welcome());
        moved.map_or(Refusal::NoSuchNode, |moved| Refusal::Moved { uri: moved.uri().to_owned() })
    }

    pub(super) fn purge(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(node, &requester.jid, context)?.ownership()?;
        let entry = self.node(node)?;
        if !entry.config().persist_items {
            return Err(Refusal::ItemsNotPersistent);
        }
        let tells = entry.config().notify_retract;
        self.clear(node)?;
        let told = if tells { self.tell(node, Change::Purged, Audience::Subscribers, context)? } else { None };
        Ok(Outcome::done(told))
    }

    /// Removes all items of a node.
    pub(super) fn clear(&mut self, node: &NodeId) -> Result<(), Refusal> {
        let ids: Vec<String> = self.node(node)?.items().iter().map(|item| item.id().to_owned()).collect();
        let mut editor = self.edit(node)?;
        for id in ids {
            editor.remove_item(&id);
        }
        Ok(())
    }
}

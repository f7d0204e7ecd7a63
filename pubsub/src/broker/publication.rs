//! Items come and go: publication (XEP-0060, section 7.1) and retraction (7.2).

use std::sync::Arc;

use super::{
    Answer, Audience, Broker, Change, Context, NewEntry, NodeId, Notification, Outcome, Refusal, Requester, form, quota,
};
use crate::config::{AccessModel, NodeConfig, NodeFull};
use crate::form::Fields;
use crate::state::{Item, NewItem};

impl Broker {
    pub(super) fn publish(
        &mut self,
        requester: &Requester,
        node: NodeId,
        entry: Option<NewEntry>,
        options: Fields,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.prepare(requester, &node, &options, context)?;
        let mut notifications = self.settle_contacts(&node, context)?;
        let config = self.node(&node)?.config();
        let Some(entry) = suitable(entry, config, self.config.max_payload_bytes)? else {
            notifications.extend(self.tell(&node, Change::Announced, Audience::Subscribers, context)?);
            return Ok(Outcome { answer: Answer::Published { node, generated: None }, notifications });
        };
        let is_generated = entry.id.is_none();
        let id = entry.id.map_or_else(|| context.ids.fresh(), Ok)?;
        let generated = is_generated.then(|| id.clone());
        let payload = entry.payload.map(|payload| payload.xml).unwrap_or_default();
        let new = NewItem { id, publisher: requester.jid.to_bare(), published: context.now, payload };
        notifications.extend(self.take_in(&node, new, context)?);
        Ok(Outcome { answer: Answer::Published { node, generated }, notifications })
    }

    /// Ends the subscriptions of those whom the rosters of owners do not admit any more (XEP-0163, section 7.1): these change
    /// without a word to the service, so that it looks when there is something to hear.
    fn settle_contacts(&mut self, node: &NodeId, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        match self.node(node)?.config().access_model {
            AccessModel::Presence | AccessModel::Roster => self.settle(node, context),
            AccessModel::Open | AccessModel::Authorize | AccessModel::Whitelist => Ok(Vec::new()),
        }
    }

    /// Makes sure that the requester may publish, to a node that is as it takes for granted; creates one that does not
    /// exist, if the service does so (sections 7.1.4 and 7.1.5).
    fn prepare(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        options: &Fields,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        if let Some(entry) = self.state.node(node) {
            self.access(node, &requester.jid, context)?.publication()?;
            return form::check_preconditions(entry.config(), options);
        }
        if !self.config.auto_create || !self.may_create(requester) {
            return Err(Refusal::NoSuchNode);
        }
        form::check_known(options)?;
        let config = form::configure(&self.default_config(), options, &self.config)?;
        self.add_node(requester, node, config, context)
    }

    /// Keeps an item as the node keeps items, and tells of it.
    fn take_in(&mut self, node: &NodeId, new: NewItem, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let config = self.node(node)?.config();
        let (is_persistent, lifetime) = (config.persist_items, config.item_expire);
        let mut notifications = Vec::new();
        let has_room = if is_persistent {
            notifications = self.make_room(node, &new, context)?;
            true
        } else {
            self.make_room_for_last(node, &new)?
        };
        let item = if has_room {
            self.expiries.note(lifetime, context.now);
            self.edit(node)?.put_item(new)
        } else {
            Arc::new(Item::unkept(new))
        };
        notifications.extend(self.tell(node, Change::Published { item }, Audience::Subscribers, context)?);
        Ok(notifications)
    }

    /// Removes what a transient node had last; tells whether there is room for another one in memory. Where there is none,
    /// it is told all the same: to keep it was never promised.
    fn make_room_for_last(&mut self, node: &NodeId, new: &NewItem) -> Result<bool, Refusal> {
        self.clear(node)?;
        let entry = self.node(node)?;
        let is_wanted = quota::capacity(&self.config, entry) > 0;
        Ok(is_wanted && quota::check(&self.state, &self.config, entry, new, &[]).is_ok())
    }

    /// Removes the oldest items of a full node, unless one is replaced (section 7.1.2.5).
    fn make_room(&mut self, node: &NodeId, new: &NewItem, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let replaced = entry.items().get(&new.id);
        let surplus = match replaced {
            Some(_) => 0,
            None => (entry.items().len() + 1).saturating_sub(quota::capacity(&self.config, entry)),
        };
        if surplus > 0 && entry.config().publish_node_full == NodeFull::Reject {
            return Err(Refusal::NodeFull);
        }
        let oldest: Vec<_> = entry.items().iter().take(surplus).cloned().collect();
        let displaced: Vec<&Item> = replaced.into_iter().chain(&oldest).map(|item| &**item).collect();
        quota::check(&self.state, &self.config, entry, new, &displaced)?;
        let is_silent = entry.config().publish_node_full == NodeFull::DiscardOldest;
        self.drop_items(node, &oldest, is_silent, context)
    }

    /// Removes items, and tells of it where the node does: nobody has been told that a transient node has any.
    pub(super) fn drop_items(
        &mut self,
        node: &NodeId,
        items: &[Arc<Item>],
        is_silent: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let is_told = self.node(node)?.config().notify_retract && !is_silent;
        let mut notifications = Vec::new();
        for item in items {
            self.edit(node)?.remove_item(item.id());
            if is_told && item.is_persistent() {
                let change = Change::Retracted { id: item.id().to_owned() };
                notifications.extend(self.tell(node, change, Audience::Subscribers, context)?);
            }
        }
        Ok(notifications)
    }

    pub(super) fn retract(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        id: &str,
        notify: Option<bool>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let access = self.access(node, &requester.jid, context)?;
        let entry = self.node(node)?;
        access.publication()?;
        if !entry.config().persist_items {
            return Err(Refusal::ItemsNotPersistent);
        }
        let item = entry.items().get(id).ok_or(Refusal::NoSuchItem)?;
        if item.publisher().as_str() != requester.jid.bare() {
            access.ownership()?;
        }
        let is_told = notify.unwrap_or(entry.config().notify_retract);
        self.edit(node)?.remove_item(id);
        let change = Change::Retracted { id: id.to_owned() };
        let told = if is_told { self.tell(node, change, Audience::Subscribers, context)? } else { None };
        Ok(Outcome::done(told))
    }
}

/// What is published, if it is what the node takes (sections 7.1.3.5 to 7.1.3.7): `None` for a mere announcement.
fn suitable(entry: Option<NewEntry>, config: &NodeConfig, limit: usize) -> Result<Option<NewEntry>, Refusal> {
    let Some(entry) = entry else {
        let takes_none = !config.persist_items && !config.deliver_payloads;
        return if takes_none { Ok(None) } else { Err(Refusal::ItemRequired) };
    };
    if !config.persist_items && !config.deliver_payloads {
        return Err(Refusal::ItemForbidden);
    }
    match &entry.payload {
        None if config.deliver_payloads => Err(Refusal::PayloadRequired),
        Some(payload) if payload.xml.len() > config.max_payload_size.min(limit) => Err(Refusal::PayloadTooBig),
        Some(payload) if !config.payload_type.is_empty() && payload.namespace != config.payload_type => {
            Err(Refusal::InvalidPayload)
        }
        _ => Ok(Some(entry)),
    }
}

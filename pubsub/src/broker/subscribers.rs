//! Subscriptions as an owner manages them (XEP-0060, section 8.8), and as they follow what a node is.

use convoke_xmpp::Jid;

use super::access::Admission;
use super::notice::subscription_changed;
use super::{
    Answer, Broker, Context, NodeId, Notification, Outcome, Page, PageRequest, Refusal, Requester, SubId,
    SubscriptionInfo, SubscriptionName, SubscriptionState,
};
use crate::config::SubscriptionOptions;

impl Broker {
    pub(super) fn subscriptions(
        &self,
        requester: &Requester,
        node: NodeId,
        page: Option<&PageRequest>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        let entry = self.node(&node)?;
        let subscribed = entry.subscriptions().iter();
        let subscribed = subscribed.filter(|(_, subscription)| subscription.state == SubscriptionState::Subscribed);
        let entries = subscribed.map(|(jid, subscription)| self.subids().info(entry, jid, subscription)).collect();
        let page = Page::of(entries, page, |info: &SubscriptionInfo, id| info.list_id() == id)?;
        Ok(Answer::Subscriptions { node, page }.into())
    }

    /// Changes subscriptions by an owner's word; those that cannot be are told, the others are changed (section
    /// 8.8.2.4).
    pub(super) fn change_subscriptions(
        &mut self,
        requester: &Requester,
        node: NodeId,
        changes: Vec<(SubscriptionName, Option<SubscriptionState>)>,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        let (mut notifications, mut refused) = (Vec::new(), Vec::new());
        for (name, state) in changes {
            match self.impose(&node, &name, state, context)? {
                Some(told) => notifications.extend(told),
                None => refused.extend(self.as_they_are(&node, &name)?),
            }
        }
        let answer =
            if refused.is_empty() { Answer::Done } else { Answer::SubscriptionsRefused { node, entries: refused } };
        Ok(Outcome { answer, notifications })
    }

    /// The subscriptions that a request may have meant which could not be granted: all of the address, if it does not say
    /// which.
    fn as_they_are(&self, node: &NodeId, name: &SubscriptionName) -> Result<Vec<SubscriptionInfo>, Refusal> {
        let entry = self.node(node)?;
        let own = entry.subscriptions().of(name.jid.as_str());
        let own = match self.subids().choose(own, name.subid.as_deref()) {
            Ok(Some(chosen)) => std::slice::from_ref(chosen),
            Err(Refusal::SubIdRequired) => own,
            Ok(None) | Err(_) => return Ok(vec![SubscriptionInfo::none(node, &name.jid)]),
        };
        Ok(own.iter().map(|subscription| self.subids().info(entry, &name.jid, subscription)).collect())
    }

    /// Changes one subscription; `None` if it cannot be so.
    fn impose(
        &mut self,
        node: &NodeId,
        name: &SubscriptionName,
        state: Option<SubscriptionState>,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<Notification>>, Refusal> {
        let own = self.node(node)?.subscriptions().of(name.jid.as_str());
        let Ok(before) = self.subids().choose(own, name.subid.as_deref()) else { return Ok(None) };
        let before = before.map(|subscription| (subscription.subid, subscription.state));
        match (state, before) {
            (None, None) => Ok(Some(Vec::new())),
            (None, Some((subid, _))) => self.end_subscription(node, &name.jid, subid).map(Some),
            (Some(state), Some((_, before))) if state == before => Ok(Some(Vec::new())),
            (Some(SubscriptionState::Pending), _) => Ok(None),
            (Some(SubscriptionState::Subscribed), Some((subid, _))) => {
                self.approve(node, &name.jid, subid, context).map(Some)
            }
            (Some(SubscriptionState::Subscribed), None) => self.enlist(node, &name.jid, context),
        }
    }

    /// Subscribes an address by an owner's word; `None` if it cannot be. That word is an approval, and puts nobody on a whitelist
    /// or into a roster.
    fn enlist(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<Notification>>, Refusal> {
        let has_room = self.node(node)?.subscriptions().len() < self.config.max_subscriptions_per_node;
        if !has_room || self.access(node, jid, context)?.subscription().is_err() {
            return Ok(None);
        }
        let subid = SubId::new(context.ids.bits()?);
        self.approve(node, jid, subid, context).map(Some)
    }

    /// Makes a subscription count, and tells of it; one that there is not, with the options that it has by default.
    pub(super) fn approve(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        subid: SubId,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let before = self.node(node)?.subscriptions().get(jid, subid);
        let options = before.map_or_else(SubscriptionOptions::default, |subscription| subscription.options.clone());
        let info = self.put_subscription(node, jid, subid, SubscriptionState::Subscribed, options)?;
        let entry = self.node(node)?;
        let last = self.last_item(entry, &info, context);
        Ok(subscription_changed(entry, info).chain(last).collect())
    }

    /// Ends a subscription, and tells of it.
    pub(super) fn end_subscription(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        subid: SubId,
    ) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let subscription = entry.subscriptions().get(jid, subid).ok_or(Refusal::NotSubscribed)?;
        let info = self.subids().info(entry, jid, subscription).ended();
        let mut editor = self.edit(node)?;
        editor.unsubscribe(jid, subid);
        Ok(subscription_changed(editor.node(), info).collect())
    }

    /// Brings the subscriptions in accord with what the node is from now on: who may no longer subscribe is no
    /// subscriber, who needs no approval has it.
    pub(super) fn settle(&mut self, node: &NodeId, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let mut steps = Vec::new();
        for (jid, subscription) in entry.subscriptions().iter() {
            match (self.access(node, jid, context)?.subscription(), subscription.state) {
                (Err(_), _) => steps.push((jid.clone(), subscription.subid, false)),
                (Ok(Admission::Granted), SubscriptionState::Pending) => {
                    steps.push((jid.clone(), subscription.subid, true));
                }
                (Ok(_), _) => {}
            }
        }
        let mut notifications = Vec::new();
        for (jid, subid, is_admitted) in steps {
            notifications.extend(match is_admitted {
                true => self.approve(node, &jid, subid, context)?,
                false => self.end_subscription(node, &jid, subid)?,
            });
        }
        Ok(notifications)
    }
}

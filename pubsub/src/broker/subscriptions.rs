//! Subscriptions: by those who subscribe (XEP-0060, sections 5.6 and 6.1 to 6.4), and by owners (8.8).

use convoke_xmpp::Jid;

use super::access::{Admission, subscriptions_of};
use super::form::{self, Submission};
use super::notice::{notice, notice_to_owners, subscription_changed, told_owners};
use super::{
    Answer, Broker, Change, Context, Entry, NodeId, Notification, Outcome, Page, PageRequest, Refusal, Requester,
    SubscriptionState,
};
use crate::config::{Expiry, SendLast, SubscriptionOptions};
use crate::state::{Item, Node};

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        requester: &Requester,
        node: NodeId,
        jid: Jid,
        submission: Option<Submission>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::JidMismatch);
        }
        let entry = self.node(&node)?;
        if !entry.config().subscribe {
            return Err(Refusal::SubscribingDisabled);
        }
        let admission = self.access(&node, &jid, context)?.subscription()?;
        let existing = entry.subscriptions().get(&jid).cloned();
        if existing.as_ref().is_some_and(|subscription| subscription.state == SubscriptionState::Pending) {
            return Err(Refusal::SubscriptionPending);
        }
        if existing.is_none() && entry.subscriptions().len() >= self.config.max_subscriptions_per_node {
            return Err(Refusal::TooManySubscriptions);
        }
        // One that exists stays what it is (section 6.1.6).
        let state = match (&existing, admission) {
            (Some(_), _) | (None, Admission::Granted) => SubscriptionState::Subscribed,
            (None, Admission::NeedsApproval) => SubscriptionState::Pending,
        };
        let before = existing.as_ref().map(|subscription| subscription.options.clone()).unwrap_or_default();
        let chosen = chosen(&before, submission, context)?;
        self.put_subscription(&node, &jid, state, chosen.clone().unwrap_or(before))?;
        let notifications = self.welcome(&node, &jid, state, existing.is_none(), context)?;
        Ok(Outcome { answer: Answer::Subscribed { node, jid, state, options: chosen }, notifications })
    }

    fn put_subscription(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        state: SubscriptionState,
        options: SubscriptionOptions,
    ) -> Result<(), Refusal> {
        if let Expiry::At(moment) = options.expire {
            self.expiries.note_at(moment);
        }
        self.edit(node)?.subscribe(jid.clone(), state, options);
        Ok(())
    }

    /// What follows a subscription: the last item for the subscriber, a request or a word for the owners.
    fn welcome(
        &self,
        node: &NodeId,
        jid: &Jid,
        state: SubscriptionState,
        is_new: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        if state == SubscriptionState::Pending {
            let request = notice_to_owners(entry, Change::Authorization { subscriber: jid.clone() });
            return Ok(request.into_iter().collect());
        }
        let word = is_new.then(|| told_owners(entry, jid, Some(state))).flatten();
        Ok(self.last_item(entry, jid, context).into_iter().chain(word).collect())
    }

    /// The last published item for a subscriber that has just come (section 6.1.7).
    pub(super) fn last_item(&self, node: &Node, jid: &Jid, context: &Context<'_>) -> Option<Notification> {
        if node.config().send_last_published_item == SendLast::Never {
            return None;
        }
        let subscription = node.subscriptions().get(jid)?;
        let item = node.items().iter().next_back()?;
        self.listens(node, jid, subscription, context).then(|| recalled(node, jid, item))
    }

    pub(super) fn unsubscribe(&mut self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        let mut editor = self.edit(&node)?;
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::Forbidden);
        }
        editor.unsubscribe(&jid).ok_or(Refusal::NotSubscribed)?;
        let notifications = told_owners(editor.node(), &jid, None).into_iter().collect();
        Ok(Outcome { answer: Answer::Unsubscribed { node, jid }, notifications })
    }

    pub(super) fn options(&self, requester: &Requester, node: NodeId, jid: Jid) -> Result<Outcome, Refusal> {
        let (_, options) = self.own_subscription(requester, &node, &jid)?;
        Ok(Answer::Options { node, jid, options }.into())
    }

    pub(super) fn set_options(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        jid: &Jid,
        submission: Submission,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let (state, before) = self.own_subscription(requester, node, jid)?;
        if let Some(options) = chosen(&before, Some(submission), context)? {
            self.put_subscription(node, jid, state, options)?;
        }
        Ok(Answer::Done.into())
    }

    fn own_subscription(
        &self,
        requester: &Requester,
        node: &NodeId,
        jid: &Jid,
    ) -> Result<(SubscriptionState, SubscriptionOptions), Refusal> {
        let entry = self.node(node)?;
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::Forbidden);
        }
        let subscription = entry.subscriptions().get(jid).ok_or(Refusal::NoSuchSubscriber)?;
        Ok((subscription.state, subscription.options.clone()))
    }

    pub(super) fn default_options(&self, node: Option<NodeId>) -> Result<Outcome, Refusal> {
        node.as_ref().map(|node| self.node(node)).transpose()?;
        Ok(Answer::DefaultOptions { node, options: SubscriptionOptions::default() }.into())
    }

    pub(super) fn own_subscriptions(&self, requester: &Requester, node: Option<NodeId>) -> Result<Outcome, Refusal> {
        let bare = requester.jid.bare();
        let nodes = self.nodes_or(node.as_ref())?;
        let entries = nodes.into_iter().flat_map(|node| {
            let own = subscriptions_of(node, bare);
            own.map(|(jid, subscription)| Entry::new(node, jid, subscription.state)).collect::<Vec<_>>()
        });
        Ok(Answer::OwnSubscriptions { node, page: Page::whole(entries.collect()) }.into())
    }

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
        let entries = subscribed.map(|(jid, subscription)| Entry::new(entry, jid, subscription.state)).collect();
        let page = Page::of(entries, page, |entry: &Entry<SubscriptionState>| entry.jid.as_str())?;
        Ok(Answer::Subscriptions { node, page }.into())
    }

    /// Changes subscriptions by an owner's word; those that cannot be are told, the others are changed (section
    /// 8.8.2.4).
    pub(super) fn change_subscriptions(
        &mut self,
        requester: &Requester,
        node: NodeId,
        changes: Vec<(Jid, Option<SubscriptionState>)>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        let (mut notifications, mut refused) = (Vec::new(), Vec::new());
        for (jid, state) in changes {
            match self.impose(&node, &jid, state, context)? {
                Some(told) => notifications.extend(told),
                None => {
                    let before = self.node(&node)?.subscriptions().get(&jid).map(|subscription| subscription.state);
                    refused.push((jid, before));
                }
            }
        }
        let answer =
            if refused.is_empty() { Answer::Done } else { Answer::SubscriptionsRefused { node, entries: refused } };
        Ok(Outcome { answer, notifications })
    }

    /// Changes one subscription; `None` if it cannot be so.
    fn impose(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        state: Option<SubscriptionState>,
        context: &Context<'_>,
    ) -> Result<Option<Vec<Notification>>, Refusal> {
        let entry = self.node(node)?;
        let before = entry.subscriptions().get(jid).cloned();
        match (state, before) {
            (None, None) => Ok(Some(Vec::new())),
            (None, Some(_)) => self.end_subscription(node, jid).map(Some),
            (Some(state), Some(before)) if state == before.state => Ok(Some(Vec::new())),
            (Some(SubscriptionState::Pending), _) => Ok(None),
            (Some(SubscriptionState::Subscribed), Some(_)) => self.approve(node, jid, context).map(Some),
            (Some(SubscriptionState::Subscribed), None) => {
                let has_room = entry.subscriptions().len() < self.config.max_subscriptions_per_node;
                if !has_room || self.access(node, jid, context)?.subscription() == Err(Refusal::Forbidden) {
                    return Ok(None);
                }
                self.approve(node, jid, context).map(Some)
            }
        }
    }

    /// Makes a subscription count, and tells of it.
    pub(super) fn approve(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let options = self.node(node)?.subscriptions().get(jid).map(|subscription| subscription.options.clone());
        let state = SubscriptionState::Subscribed;
        self.put_subscription(node, jid, state, options.unwrap_or_default())?;
        let entry = self.node(node)?;
        let last = self.last_item(entry, jid, context);
        Ok(subscription_changed(entry, jid, Some(state)).chain(last).collect())
    }

    /// Ends a subscription, and tells of it.
    pub(super) fn end_subscription(&mut self, node: &NodeId, jid: &Jid) -> Result<Vec<Notification>, Refusal> {
        let mut editor = self.edit(node)?;
        editor.unsubscribe(jid);
        Ok(subscription_changed(editor.node(), jid, None).collect())
    }

    /// Brings the subscriptions in accord with what the node is from now on: who may no longer subscribe is no
    /// subscriber, who needs no approval has it.
    pub(super) fn settle(&mut self, node: &NodeId, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let mut steps = Vec::new();
        for (jid, subscription) in entry.subscriptions().iter() {
            match (self.access(node, jid, context)?.subscription(), subscription.state) {
                (Err(_), _) => steps.push((jid.clone(), false)),
                (Ok(Admission::Granted), SubscriptionState::Pending) => steps.push((jid.clone(), true)),
                (Ok(_), _) => {}
            }
        }
        let mut notifications = Vec::new();
        for (jid, is_admitted) in steps {
            let told =
                if is_admitted { self.approve(node, &jid, context)? } else { self.end_subscription(node, &jid)? };
            notifications.extend(told);
        }
        Ok(notifications)
    }
}

/// An item that was published before, for one subscriber.
pub(super) fn recalled(node: &Node, to: &Jid, item: &std::sync::Arc<Item>) -> Notification {
    let position = Some(node.position());
    Notification { position, ..notice(node, to, Change::Recalled { item: item.clone() }) }
}

/// The options that a form chooses; `None` if it chooses nothing.
fn chosen(
    before: &SubscriptionOptions,
    submission: Option<Submission>,
    context: &Context<'_>,
) -> Result<Option<SubscriptionOptions>, Refusal> {
    match submission {
        Some(Submission::Fields(fields)) => form::choose(before, &fields, context.now).map(Some),
        Some(Submission::Cancelled) | None => Ok(None),
    }
}

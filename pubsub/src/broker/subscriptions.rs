//! Subscriptions by those who subscribe (XEP-0060, sections 5.6 and 6.1 to 6.4).

use std::sync::Arc;

use convoke_xmpp::Jid;

use super::access::Admission;
use super::form::{self, Submission};
use super::notice::{Audience, notice_to_owners, notification, told_owners};
use super::{
    Answer, Broker, Change, Context, NodeId, Notification, Outcome, Page, Refusal, Requester, SubId, SubscriptionInfo,
    SubscriptionName, SubscriptionState,
};
use crate::config::{Expiry, SendLast, SubscriptionOptions};
use crate::state::{Item, Node, OfAddress, Subscription, Subscriptions};

/// The subscriptions of one address to one node: each is named in every notification that it brings about.
const MAX_SUBSCRIPTIONS_PER_ADDRESS: usize = 16;

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        requester: &Requester,
        node: NodeId,
        jid: Jid,
        submission: Option<Submission>,
        context: &mut Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if jid.bare() != requester.jid.bare() {
            return Err(Refusal::JidMismatch);
        }
        if !self.node(&node)?.config().subscribe {
            return Err(Refusal::SubscribingDisabled);
        }
        let admission = self.access(&node, &jid, context)?.subscription()?;
        let existing = self.continued(&node, &jid)?;
        // One that exists stays what it is (section 6.1.6).
        let state = match (&existing, admission) {
            (Some(_), _) | (None, Admission::Granted) => SubscriptionState::Subscribed,
            (None, Admission::NeedsApproval) => SubscriptionState::Pending,
        };
        let is_new = existing.is_none();
        let (subid, before) = match existing {
            Some(subscription) => (subscription.subid, subscription.options),
            None => (SubId::new(context.ids.bits()?), SubscriptionOptions::default()),
        };
        let options = chosen(&before, submission, context)?;
        let info = self.put_subscription(&node, &jid, subid, state, options.clone().unwrap_or(before))?;
        let notifications = self.welcome(&info, is_new, context)?;
        Ok(Outcome { answer: Answer::Subscribed { subscription: info, options }, notifications })
    }

    /// The subscription of an address that a request to subscribe means, where each address has but one; `None` if there
    /// will be another one, for which there is room.
    fn continued(&self, node: &NodeId, jid: &Jid) -> Result<Option<Subscription>, Refusal> {
        let all = self.node(node)?.subscriptions();
        let own = all.of(jid.as_str());
        if own.iter().any(|subscription| subscription.state == SubscriptionState::Pending) {
            return Err(Refusal::SubscriptionPending);
        }
        if !self.config.multi_subscribe && !own.is_empty() {
            return Ok(own.first().cloned());
        }
        let has_room = all.len() < self.config.max_subscriptions_per_node && own.len() < MAX_SUBSCRIPTIONS_PER_ADDRESS;
        if has_room { Ok(None) } else { Err(Refusal::TooManySubscriptions) }
    }

    /// Makes a subscription of an address, or changes the one of this SubID.
    pub(super) fn put_subscription(
        &mut self,
        node: &NodeId,
        jid: &Jid,
        subid: SubId,
        state: SubscriptionState,
        options: SubscriptionOptions,
    ) -> Result<SubscriptionInfo, Refusal> {
        if let Expiry::At(moment) = options.expire {
            self.expiries.note_at(moment);
        }
        self.edit(node)?.subscribe(jid.clone(), subid, state, options);
        let entry = self.node(node)?;
        let subscription = entry.subscriptions().get(jid, subid).ok_or(Refusal::NotSubscribed)?;
        Ok(self.subids().info(entry, jid, subscription))
    }

    /// What follows a subscription: the last item for the subscriber, a request or a word for the owners.
    fn welcome(
        &self,
        subscription: &SubscriptionInfo,
        is_new: bool,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(&subscription.node)?;
        if subscription.state == Some(SubscriptionState::Pending) {
            let change = Change::Authorization { subscription: subscription.clone() };
            return Ok(notice_to_owners(entry, change).into_iter().collect());
        }
        let word = is_new.then(|| told_owners(entry, subscription.clone())).flatten();
        Ok(self.last_item(entry, subscription, context).into_iter().chain(word).collect())
    }

    /// The last published item for a subscription that has just begun (section 6.1.7).
    pub(super) fn last_item(
        &self,
        node: &Node,
        subscription: &SubscriptionInfo,
        context: &Context<'_>,
    ) -> Option<Notification> {
        if node.config().send_last_published_item == SendLast::Never {
            return None;
        }
        let SubscriptionInfo { jid, subid, .. } = subscription;
        let is_new = |entry: &Subscription| entry.subid == *subid && self.listens(node, jid, entry, context);
        let new = node.subscriptions().at(jid.as_str())?.filtered(is_new)?;
        let mut recipients = Subscriptions::of_one(jid.clone(), new);
        let followers = context.followers.of(node.id());
        self.address_resources(node, &mut recipients, &followers, Audience::Subscribers, context);
        let item = node.items().iter().next_back()?;
        (!recipients.is_empty()).then(|| recalled_to(node, recipients, item))
    }

    pub(super) fn unsubscribe(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        name: &SubscriptionName,
    ) -> Result<Outcome, Refusal> {
        let subscription = self.own_subscription(requester, node, name)?.ok_or(Refusal::NotSubscribed)?;
        let info = self.subids().info(self.node(node)?, &name.jid, subscription).ended();
        let mut editor = self.edit(node)?;
        editor.unsubscribe(&info.jid, info.subid);
        let notifications = told_owners(editor.node(), info.clone()).into_iter().collect();
        Ok(Outcome { answer: Answer::Unsubscribed { subscription: info }, notifications })
    }

    pub(super) fn options(
        &self,
        requester: &Requester,
        node: &NodeId,
        name: &SubscriptionName,
    ) -> Result<Outcome, Refusal> {
        let subscription = self.own_subscription(requester, node, name)?.ok_or(Refusal::NoSuchSubscriber)?;
        let options = subscription.options.clone();
        let subscription = self.subids().info(self.node(node)?, &name.jid, subscription);
        Ok(Answer::Options { subscription, options }.into())
    }

    pub(super) fn set_options(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        name: &SubscriptionName,
        submission: Submission,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let own = self.own_subscription(requester, node, name)?.ok_or(Refusal::NoSuchSubscriber)?;
        let Subscription { subid, state, .. } = *own;
        if let Some(options) = chosen(&own.options, Some(submission), context)? {
            self.put_subscription(node, &name.jid, subid, state, options)?;
        }
        Ok(Answer::Done.into())
    }

    /// The subscription of the requester that a request means; `None` if the address has none.
    fn own_subscription(
        &self,
        requester: &Requester,
        node: &NodeId,
        name: &SubscriptionName,
    ) -> Result<Option<&Subscription>, Refusal> {
        let entry = self.node(node)?;
        if name.jid.bare() != requester.jid.bare() {
            return Err(Refusal::Forbidden);
        }
        self.subids().choose(entry.subscriptions().of(name.jid.as_str()), name.subid.as_deref())
    }

    /// Makes sure that the SubID in a request for items is that of a subscription of the requester, and that there is one
    /// where the requester has several subscriptions (sections 6.5.9.1 and 6.5.9.2).
    ///
    /// They are those of its full address, or else of its bare one. Nothing of the items depends on which of them it is.
    pub(super) fn check_subid(&self, requester: &Requester, node: &Node, subid: Option<&str>) -> Result<(), Refusal> {
        let all = node.subscriptions();
        let full = all.of(requester.jid.as_str());
        let own = if full.is_empty() { all.of(requester.jid.bare()) } else { full };
        let is_of_another = |subid: &str| all.of_bare(requester.jid.bare()).any(|(_, entry)| entry.subid.is(subid));
        match self.subids().choose(own, subid) {
            Err(Refusal::InvalidSubId) if subid.is_some_and(is_of_another) => Ok(()),
            chosen => chosen.map(drop),
        }
    }

    pub(super) fn default_options(&self, node: Option<NodeId>) -> Result<Outcome, Refusal> {
        node.as_ref().map(|node| self.node(node)).transpose()?;
        Ok(Answer::DefaultOptions { node, options: SubscriptionOptions::default() }.into())
    }

    pub(super) fn own_subscriptions(&self, requester: &Requester, node: Option<NodeId>) -> Result<Outcome, Refusal> {
        let (bare, subids) = (requester.jid.bare(), self.subids());
        let mut entries = Vec::new();
        for node in self.nodes_or(node.as_ref())? {
            entries.extend(node.subscriptions().of_bare(bare).map(|(jid, own)| subids.info(node, jid, own)));
        }
        Ok(Answer::OwnSubscriptions { node, page: Page::whole(entries) }.into())
    }
}

/// An item that was published before, for an address that has not had it by these subscriptions.
pub(super) fn recalled(node: &Node, to: &Jid, by: OfAddress, item: &Arc<Item>) -> Notification {
    recalled_to(node, Subscriptions::of_one(to.clone(), by), item)
}

fn recalled_to(node: &Node, recipients: Subscriptions, item: &Arc<Item>) -> Notification {
    notification(node, Change::Recalled { item: item.clone() }, Some(node.position()), Arc::new(recipients))
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

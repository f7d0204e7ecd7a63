//! Who is told of what.

use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::Jid;

use super::access::{Access, Admission, owners};
use super::{Broker, Change, Context, NodeId, Notification, Refusal, Style, SubscriptionInfo, SubscriptionState};
use crate::config::{AccessModel, Expiry, NodeConfig};
use crate::state::{Node, Position, Subscription, Subscriptions};

/// Which subscribers a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Those who are to have notifications now.
    Subscribers,
    /// Everybody who has subscribed, approved or not: there is nothing left to be subscribed to.
    Everybody,
}

impl Broker {
    /// Tells of a change, which has its place in the history of the node from now on; `None` if nobody listens.
    ///
    /// Subscribers hear nothing of a node that delivers no notifications; but that it is gone, they do.
    pub(super) fn tell(
        &mut self,
        node: &NodeId,
        change: Change,
        audience: Audience,
        context: &Context<'_>,
    ) -> Result<Option<Notification>, Refusal> {
        // A change that nobody is told of is a gap, which subscribers see once they are told of the next one.
        let position = self.edit(node)?.advance();
        let entry = self.node(node)?;
        if audience == Audience::Subscribers && !entry.config().deliver_notifications {
            return Ok(None);
        }
        let subscribers = match audience {
            Audience::Everybody => entry.subscriptions().clone(),
            Audience::Subscribers => self.listeners(entry, context),
        };
        let recipients = self.with_followers(entry, subscribers, audience, context);
        let notification = || notification(entry, change, Some(position), recipients.clone());
        Ok((!recipients.is_empty()).then(notification))
    }

    /// The subscriptions that are notified now; shared with the node if these are all.
    fn listeners(&self, node: &Node, context: &Context<'_>) -> Arc<Subscriptions> {
        let listens = |jid: &Jid, subscription: &Subscription| self.listens(node, jid, subscription, context);
        let all = node.subscriptions();
        if all.iter().all(|(jid, subscription)| listens(jid, subscription)) {
            return all.clone();
        }
        Arc::new(all.filtered(listens))
    }

    /// Whether a subscriber is to have a notification now (XEP-0060, sections 4.2, 6.3, 13.6 and 15.3).
    pub(super) fn listens(&self, node: &Node, jid: &Jid, subscription: &Subscription, context: &Context<'_>) -> bool {
        let options = &subscription.options;
        subscription.state == SubscriptionState::Subscribed
            && options.deliver
            && !is_over(&options.expire, context.now)
            && self.is_in_reach(node.config(), jid, subscription)
            && may_still_hear(node, jid, context)
    }

    /// Adds those who follow the node.
    fn with_followers(
        &self,
        node: &Node,
        subscribers: Arc<Subscriptions>,
        audience: Audience,
        context: &Context<'_>,
    ) -> Arc<Subscriptions> {
        let mut followers = context.followers.of(node.id());
        if followers.is_empty() {
            return subscribers;
        }
        let mut all = Arc::unwrap_or_clone(subscribers);
        self.address_resources(node, &mut all, &followers, audience, context);
        followers.retain(|who| may_follow(node, who, context));
        all.extend(followers.into_iter().map(|who| (who, Subscription::default())));
        Arc::new(all)
    }

    /// Puts resources in the place of the bare address by whose subscription they are told: those of them that follow the
    /// node (XEP-0163, section 4.3.2). One with a subscription of its own is told by that alone.
    pub(super) fn address_resources(
        &self,
        node: &Node,
        recipients: &mut Subscriptions,
        followers: &[Jid],
        audience: Audience,
        context: &Context<'_>,
    ) {
        let is_told = |who: &Jid, by: &Subscription| match audience {
            Audience::Everybody => true,
            Audience::Subscribers => self.listens(node, who, by, context),
        };
        let told = |who: &Jid| recipients.at(who.bare())?.filtered(|by| is_told(who, by));
        let resources = || followers.iter().filter(|who| is_account_resource(who));
        let alone = resources().filter(|who| node.subscriptions().at(who.as_str()).is_none());
        let told: Vec<_> = alone.filter_map(|who| Some((who.clone(), told(who)?))).collect();
        resources().for_each(|who| recipients.leave_out(who.bare()));
        told.into_iter().for_each(|(who, by)| recipients.put(who, by));
    }

    fn is_in_reach(&self, config: &NodeConfig, jid: &Jid, subscription: &Subscription) -> bool {
        if !config.presence_based_delivery && !subscription.options.needs_presence() {
            return true;
        }
        self.availability.is_one_of(jid, &subscription.options.show_values)
    }
}

/// Whether it is one of the resources that an account may have several of: a domain has one address that counts (XEP-0163,
/// section 4.3.2).
fn is_account_resource(who: &Jid) -> bool {
    !who.is_bare() && who.local().is_some()
}

/// Those who follow the node without a subscription of their own, as far as they may hear of it.
pub(super) fn followers(node: &Node, context: &Context<'_>) -> Vec<Jid> {
    let mut followers = context.followers.of(node.id());
    followers.retain(|who| may_follow(node, who, context));
    followers
}

/// Whether somebody may hear of a node unasked: as if it subscribed, which neither it nor its bare address has.
///
/// The subscription of another resource is for that one alone.
pub(super) fn may_follow(node: &Node, who: &Jid, context: &Context<'_>) -> bool {
    let is_subscribed = |address: &str| !node.subscriptions().of(address).is_empty();
    let is_admitted = || Access::new(node, who, context.contacts).subscription() == Ok(Admission::Granted);
    !is_subscribed(who.as_str()) && !is_subscribed(who.bare()) && is_admitted()
}

pub(super) fn is_over(expiry: &Expiry, now: SystemTime) -> bool {
    matches!(expiry, Expiry::At(moment) if *moment <= now)
}

/// Rosters change without a word to the service: so they are asked each time.
fn may_still_hear(node: &Node, jid: &Jid, context: &Context<'_>) -> bool {
    match node.config().access_model {
        AccessModel::Presence | AccessModel::Roster => Access::new(node, jid, context.contacts).subscription().is_ok(),
        AccessModel::Open | AccessModel::Authorize | AccessModel::Whitelist => true,
    }
}

/// A message to one address that is no part of the history of the node.
pub(super) fn notice(node: &Node, to: &Jid, change: Change) -> Notification {
    let own = node.subscriptions().at(to.as_str()).cloned();
    let own = own.unwrap_or_else(|| Subscription::default().into());
    notification(node, change, None, Arc::new(Subscriptions::of_one(to.clone(), own)))
}

/// A message to all owners.
pub(super) fn notice_to_owners(node: &Node, change: Change) -> Option<Notification> {
    let recipients: Subscriptions = owners(node).map(|owner| (owner.clone(), Subscription::default())).collect();
    (!recipients.is_empty()).then(|| notification(node, change, None, Arc::new(recipients)))
}

/// What a subscriber is told of its subscription, and owners if they want to know (section 13.14).
pub(super) fn subscription_changed(node: &Node, info: SubscriptionInfo) -> impl Iterator<Item = Notification> {
    let told = notice(node, &info.jid, Change::Subscription { subscription: info.clone() });
    [told].into_iter().chain(told_owners(node, info))
}

/// What owners are told who want to know who comes and goes (`pubsub#notify_sub`).
pub(super) fn told_owners(node: &Node, info: SubscriptionInfo) -> Option<Notification> {
    let change = Change::Subscription { subscription: info };
    node.config().notify_sub.then(|| notice_to_owners(node, change)).flatten()
}

pub(super) fn notification(
    node: &Node,
    change: Change,
    position: Option<Position>,
    recipients: Arc<Subscriptions>,
) -> Notification {
    Notification { node: node.id().clone(), change, position, style: Style::of(node), recipients }
}

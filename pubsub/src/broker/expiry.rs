//! What ends by itself: items after `pubsub#item_expire`, subscriptions after `pubsub#expire` (XEP-0060, section
//! 13.19).

use std::time::{Duration, SystemTime};

use super::notice::is_over;
use super::{Broker, Context, NodeId, Notification, Refusal};
use crate::config::Expiry;
use crate::state::Node;

/// The moment before which nothing ends by itself.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    next: Option<SystemTime>,
    /// Until when to wait in any case.
    pause: Option<SystemTime>,
}

/// The time between two looks at what is over. What the store did not keep is not tried again at once.
const PAUSE: Duration = Duration::from_secs(1);

impl Expiries {
    /// Takes note that something lasts so many seconds from now.
    pub(super) fn note(&mut self, lifetime: Option<usize>, now: SystemTime) {
        if let Some(moment) = lifetime.and_then(|seconds| after(now, seconds)) {
            self.note_at(moment);
        }
    }

    pub(super) fn note_at(&mut self, moment: SystemTime) {
        self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
    }

    /// Takes note of all that ends at these nodes.
    pub(super) fn note_all<'a>(&mut self, nodes: impl Iterator<Item = &'a Node>) {
        for node in nodes {
            if let Some(oldest) = node.items().iter().next() {
                self.note(node.config().item_expire, oldest.published());
            }
            for (_, subscription) in node.subscriptions().iter() {
                if let Expiry::At(moment) = subscription.options.expire {
                    self.note_at(moment);
                }
            }
        }
    }
}

fn after(moment: SystemTime, seconds: usize) -> Option<SystemTime> {
    moment.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

impl Broker {
    /// When something may end by itself: [`Broker::expire`] is to be called then.
    pub(crate) fn next_expiry(&self) -> Option<SystemTime> {
        let next = self.expiries.next?;
        Some(self.expiries.pause.map_or(next, |pause| pause.max(next)))
    }

    /// Ends what is over by now, and tells of it.
    pub(crate) fn expire(&mut self, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        if self.next_expiry().is_none_or(|next| next > context.now) {
            return Ok(Vec::new());
        }
        self.expiries.pause = context.now.checked_add(PAUSE);
        let nodes: Vec<NodeId> = self.state.nodes().map(|node| node.id().clone()).collect();
        let mut notifications = Vec::new();
        for node in nodes {
            notifications.extend(self.expire_items(&node, context)?);
            notifications.extend(self.expire_subscriptions(&node, context)?);
        }
        self.expiries.next = None;
        self.expiries.note_all(self.state.nodes());
        Ok(notifications)
    }

    fn expire_items(&mut self, node: &NodeId, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let Some(lifetime) = entry.config().item_expire else { return Ok(Vec::new()) };
        let is_old = |published| after(published, lifetime).is_some_and(|end| end <= context.now);
        let old: Vec<_> = entry.items().iter().take_while(|item| is_old(item.published())).cloned().collect();
        self.drop_items(node, &old, false, context)
    }

    fn expire_subscriptions(&mut self, node: &NodeId, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let subscriptions = self.node(node)?.subscriptions().iter();
        let over = subscriptions.filter(|(_, subscription)| is_over(&subscription.options.expire, context.now));
        let over: Vec<_> = over.map(|(jid, subscription)| (jid.clone(), subscription.subid)).collect();
        let mut notifications = Vec::new();
        for (jid, subid) in over {
            notifications.extend(self.end_subscription(node, &jid, subid)?);
        }
        Ok(notifications)
    }
}

//! Who is available, and what follows when that changes (XEP-0060, sections 13.2, 13.5 and 13.6; XEP-0312).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use convoke_xmpp::Jid;

use super::notice::{followers, may_follow};
use super::subscriptions::recalled;
use super::{Broker, Context, NodeId, Notification, Refusal, SubId};
use crate::config::{AccessModel, Expiry, SendLast, Show};
use crate::state::{Item, Node, OfAddress, Subscription};

/// What the presence of an address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is available; `absent` tells for how long it was not, if it says so (XEP-0312).
    Available { show: Show, absent: Option<Duration> },
    /// Its session has ended.
    Unavailable,
    /// The way to it is lost: it may well be at work.
    Unreachable,
}

/// The addresses that have told the service that they are available, by their presence to it.
///
/// Bounded. Once it is full, whoever is not among them may be available all the same: otherwise strangers could silence
/// the service by their presence.
#[derive(Debug, Default)]
pub(super) struct Availability {
    resources: BTreeMap<Jid, Show>,
    limit: usize,
}

impl Availability {
    pub(super) fn new(limit: usize) -> Self {
        Self { resources: BTreeMap::new(), limit }
    }

    /// How a subscriber is available: a full address by itself, a bare one by each of its resources.
    fn shows<'a>(&'a self, jid: &'a Jid) -> impl Iterator<Item = Show> + 'a {
        let resources = jid.is_bare().then(|| self.resources_of(jid.bare())).into_iter().flatten();
        self.resources.get(jid).copied().into_iter().chain(resources)
    }

    fn resources_of<'a>(&'a self, bare: &'a str) -> impl Iterator<Item = Show> + 'a {
        use std::ops::Bound::{Excluded, Unbounded};
        let full = self.resources.range::<str, _>((Excluded(bare), Unbounded));
        // Other addresses may lie between a bare address and its resources.
        full.take_while(move |(jid, _)| jid.as_str().starts_with(bare))
            .filter(move |(jid, _)| jid.bare() == bare)
            .map(|(_, show)| *show)
    }

    /// Whether a subscriber is available in one of these states, as far as is known.
    pub(super) fn is_one_of(&self, jid: &Jid, wanted: &BTreeSet<Show>) -> bool {
        let mut shows = self.shows(jid).peekable();
        let is_unknown = shows.peek().is_none() && self.is_full();
        is_unknown || shows.any(|show| wanted.contains(&show))
    }

    fn is_full(&self) -> bool {
        self.resources.len() >= self.limit
    }

    fn is_available(&self, jid: &Jid) -> bool {
        self.shows(jid).next().is_some()
    }

    /// Takes note of it; tells whether the address was not available before, and is now.
    fn arrive(&mut self, jid: &Jid, show: Show) -> bool {
        if !self.resources.contains_key(jid) && self.is_full() {
            return false;
        }
        self.resources.insert(jid.clone(), show).is_none()
    }

    /// Takes note that an address is gone; a bare one with all its resources.
    fn leave(&mut self, jid: &Jid) {
        self.resources.remove(jid);
        if jid.is_bare() {
            self.resources.retain(|known, _| known.bare() != jid.as_str());
        }
    }
}

impl Broker {
    /// Takes note of the presence of an address.
    pub(crate) fn presence(
        &mut self,
        jid: &Jid,
        presence: Presence,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        match presence {
            Presence::Available { show, absent } if self.availability.arrive(jid, show) => {
                Ok(self.greet(jid, absent, context))
            }
            Presence::Available { .. } => Ok(Vec::new()),
            Presence::Unreachable => {
                self.availability.leave(jid);
                Ok(Vec::new())
            }
            Presence::Unavailable => {
                self.availability.leave(jid);
                self.part(jid, context)
            }
        }
    }

    /// What an address is sent that follows these nodes from now on: the last item of each, where the node says so.
    pub(crate) fn greet_follower<'a>(
        &self,
        jid: &Jid,
        nodes: impl IntoIterator<Item = &'a NodeId>,
        context: &Context<'_>,
    ) -> Vec<Notification> {
        let nodes = nodes.into_iter().filter_map(|node| self.state.node(node));
        let followed = nodes.filter(|node| {
            node.config().send_last_published_item == SendLast::OnSubscribeAndPresence && may_follow(node, jid, context)
        });
        let follower = || OfAddress::from(Subscription::default());
        followed.filter_map(|node| Some(recalled(node, jid, follower(), node.items().iter().next_back()?))).collect()
    }

    /// What an address is sent that follows these nodes already, some of which have just been opened to it: those of these
    /// access models (section 13.2).
    pub(crate) fn greet_admitted(
        &self,
        jid: &Jid,
        nodes: &[NodeId],
        opened: &[AccessModel],
        context: &Context<'_>,
    ) -> Vec<Notification> {
        let is_opened = |node: &Node| opened.contains(&node.config().access_model);
        let nodes = nodes.iter().filter(|id| self.state.node(id).is_some_and(is_opened));
        self.greet_follower(jid, nodes, context)
    }

    /// Ends the subscriptions of a contact that sees less of the owners than before, where it is not admitted any more, and
    /// tells of it (XEP-0163, section 7.1).
    pub(crate) fn settle_contact(
        &mut self,
        contact: &Jid,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let is_subscribed = |node: &&Node| node.subscriptions().of_bare(contact.bare()).next().is_some();
        let nodes: Vec<_> = self.state.nodes().filter(is_subscribed).map(|node| node.id().clone()).collect();
        let mut notifications = Vec::new();
        for node in nodes {
            notifications.extend(self.settle(&node, context)?);
        }
        Ok(notifications)
    }

    /// Makes a change by which a node may admit others than before, and sends those who follow it what the change has
    /// hidden from them until now (section 13.2).
    pub(super) fn greet_newcomers(
        &mut self,
        node: &NodeId,
        context: &Context<'_>,
        change: impl FnOnce(&mut Self) -> Result<Vec<Notification>, Refusal>,
    ) -> Result<Vec<Notification>, Refusal> {
        let before = followers(self.node(node)?, context);
        let mut notifications = change(self)?;
        let newcomers = followers(self.node(node)?, context).into_iter().filter(|who| !before.contains(who));
        notifications.extend(newcomers.flat_map(|who| self.greet_follower(&who, [node], context)));
        Ok(notifications)
    }

    /// What an address is sent that has become available.
    fn greet(&self, jid: &Jid, absent: Option<Duration>, context: &Context<'_>) -> Vec<Notification> {
        let mut notifications = Vec::new();
        let addresses = if jid.is_bare() { vec![jid.as_str()] } else { vec![jid.bare(), jid.as_str()] };
        for node in self.state.nodes() {
            for own in addresses.iter().filter_map(|address| node.subscriptions().at(address)) {
                notifications.extend(self.greet_by(node, own, jid, absent, context));
            }
        }
        notifications
    }

    /// What it is sent by the subscriptions of one address: each item once, however many of them it has missed it by.
    fn greet_by(
        &self,
        node: &Node,
        own: &OfAddress,
        jid: &Jid,
        absent: Option<Duration>,
        context: &Context<'_>,
    ) -> Vec<Notification> {
        let mut items: BTreeMap<u64, (Arc<Item>, BTreeSet<SubId>)> = BTreeMap::new();
        for subscription in own.entries().iter().filter(|entry| self.listens(node, jid, entry, context)) {
            for item in missed(node, subscription, absent, context) {
                items.entry(item.number()).or_insert_with(|| (item, BTreeSet::new())).1.insert(subscription.subid);
            }
        }
        let recall = |(item, by): (Arc<Item>, BTreeSet<SubId>)| {
            Some(recalled(node, jid, own.filtered(|entry| by.contains(&entry.subid))?, &item))
        };
        items.into_values().filter_map(recall).collect()
    }

    /// What ends with the availability of an address: subscriptions for its time, and what it has published for its
    /// time.
    fn part(&mut self, jid: &Jid, context: &Context<'_>) -> Result<Vec<Notification>, Refusal> {
        let (mut ended, mut left) = (Vec::new(), Vec::new());
        for node in self.state.nodes() {
            let temporary = node.subscriptions().of_bare(jid.bare()).filter(|(address, subscription)| {
                is_temporary(node, subscription) && !self.availability.is_available(address) && covers(address, jid)
            });
            ended.extend(temporary.map(|(address, entry)| (node.id().clone(), address.clone(), entry.subid)));
            if node.config().purge_offline && !self.availability.is_available(&jid.to_bare()) {
                left.push((node.id().clone(), items_of(node, jid.bare())));
            }
        }
        self.end_all(ended, left, context)
    }

    fn end_all(
        &mut self,
        ended: Vec<(NodeId, Jid, SubId)>,
        left: Vec<(NodeId, Vec<Arc<Item>>)>,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let mut notifications = Vec::new();
        for (node, address, subid) in ended {
            notifications.extend(self.end_subscription(&node, &address, subid)?);
        }
        for (node, items) in left {
            notifications.extend(self.drop_items(&node, &items, false, context)?);
        }
        Ok(notifications)
    }
}

/// Whether the presence of `jid` is that of the address.
fn covers(address: &Jid, jid: &Jid) -> bool {
    address == jid || address.is_bare() || jid.is_bare()
}

pub(super) fn is_temporary(node: &Node, subscription: &Subscription) -> bool {
    node.config().temporary_subscriptions || subscription.options.expire == Expiry::Presence
}

fn items_of(node: &Node, publisher: &str) -> Vec<Arc<Item>> {
    node.items().iter().filter(|item| item.publisher().as_str() == publisher).cloned().collect()
}

/// How many missed items of one node are sent unasked; who has missed more asks for them.
const MAX_MISSED: usize = 100;

/// What a subscriber is sent when it comes back: what it has missed, if it says for how long it was away and
/// notifications depend on that (XEP-0312), or else the last item, where the node says so.
fn missed(node: &Node, subscription: &Subscription, absent: Option<Duration>, context: &Context<'_>) -> Vec<Arc<Item>> {
    let depends = node.config().presence_based_delivery || subscription.options.needs_presence();
    let items = node.items().iter().rev();
    let mut items: Vec<_> = match absent.filter(|_| depends).and_then(|absent| context.now.checked_sub(absent)) {
        Some(since) => items.take_while(|item| item.published() >= since).take(MAX_MISSED).cloned().collect(),
        None if node.config().send_last_published_item == SendLast::OnSubscribeAndPresence => {
            items.take(1).cloned().collect()
        }
        None => Vec::new(),
    };
    items.reverse();
    items
}

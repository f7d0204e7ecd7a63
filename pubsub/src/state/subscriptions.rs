//! The subscriptions of one node, by the address that is subscribed.

use std::collections::BTreeMap;
use std::ops::Bound;

use convoke_xmpp::Jid;

use crate::broker::{SubId, SubscriptionState};
use crate::config::SubscriptionOptions;

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Stands for the address in the keys of records: so a node with many subscribers is removed by few bytes.
    pub(super) number: u64,
    /// Tells it from the others of its address.
    pub(crate) subid: SubId,
    /// Whether it counts yet.
    pub(crate) state: SubscriptionState,
    /// What the subscriber wants of it.
    pub(crate) options: SubscriptionOptions,
}

impl Default for Subscription {
    /// Of an address that is written to without one: no record holds it.
    fn default() -> Self {
        let (subid, state) = (SubId::default(), SubscriptionState::Subscribed);
        Self { number: 0, subid, state, options: SubscriptionOptions::default() }
    }
}

/// Subscriptions, those of one address beside each other: mostly it has one.
///
/// All of a node, or those of them that a notification is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    /// By address, bare or full; nobody is there without any.
    by_address: BTreeMap<Jid, OfAddress>,
    count: usize,
}

/// Subscriptions of one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OfAddress {
    /// Oldest first.
    entries: Vec<Subscription>,
    /// Whether the address has several at the node, even if not all of them are here.
    are_several: bool,
}

impl OfAddress {
    pub(crate) fn entries(&self) -> &[Subscription] {
        &self.entries
    }

    pub(crate) fn are_several(&self) -> bool {
        self.are_several
    }

    /// Those of them that `is_kept` says; `None` if it says none.
    pub(crate) fn filtered(&self, is_kept: impl Fn(&Subscription) -> bool) -> Option<Self> {
        let entries: Vec<_> = self.entries.iter().filter(|entry| is_kept(entry)).cloned().collect();
        (!entries.is_empty()).then_some(Self { entries, are_several: self.are_several })
    }
}

impl From<Subscription> for OfAddress {
    /// The only one.
    fn from(subscription: Subscription) -> Self {
        Self { entries: vec![subscription], are_several: false }
    }
}

impl Subscriptions {
    /// These of one address alone.
    pub(crate) fn of_one(address: Jid, own: OfAddress) -> Self {
        let count = own.entries.len();
        Self { by_address: BTreeMap::from([(address, own)]), count }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each with its address.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Jid, &Subscription)> {
        self.by_address.iter().flat_map(|(jid, own)| own.entries.iter().map(move |entry| (jid, entry)))
    }

    /// The addresses with all that each of them has.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&Jid, &OfAddress)> {
        self.by_address.iter()
    }

    /// Those of this very address.
    pub(crate) fn of(&self, address: &str) -> &[Subscription] {
        self.at(address).map_or(&[], OfAddress::entries)
    }

    /// Those of this very address, if it has any.
    pub(crate) fn at(&self, address: &str) -> Option<&OfAddress> {
        self.by_address.get(address)
    }

    /// Those of a bare address and of its resources.
    pub(crate) fn of_bare<'a>(&'a self, bare: &'a str) -> impl Iterator<Item = (&'a Jid, &'a Subscription)> {
        let resources = format!("{bare}/");
        let full = self.by_address.range::<str, _>((Bound::Included(resources.as_str()), Bound::Unbounded));
        let full = full.take_while(move |(jid, _)| jid.bare() == bare);
        let all = self.by_address.get_key_value(bare).into_iter().chain(full);
        all.flat_map(|(jid, own)| own.entries.iter().map(move |entry| (jid, entry)))
    }

    /// The one of this address with this SubID.
    pub(crate) fn get(&self, address: &Jid, subid: SubId) -> Option<&Subscription> {
        self.of(address.as_str()).iter().find(|entry| entry.subid == subid)
    }

    /// Those of them that `is_kept` says.
    pub(crate) fn filtered(&self, is_kept: impl Fn(&Jid, &Subscription) -> bool) -> Self {
        let kept = |(jid, own): (&Jid, &OfAddress)| Some((jid.clone(), own.filtered(|entry| is_kept(jid, entry))?));
        let by_address: BTreeMap<_, _> = self.by_address.iter().filter_map(kept).collect();
        let count = by_address.values().map(|own: &OfAddress| own.entries.len()).sum();
        Self { by_address, count }
    }

    /// Adds one, in place of the one with its SubID, which is given back.
    pub(crate) fn insert(&mut self, address: Jid, subscription: Subscription) -> Option<Subscription> {
        let own = self.by_address.entry(address).or_default();
        if let Some(existing) = own.entries.iter_mut().find(|entry| entry.subid == subscription.subid) {
            return Some(std::mem::replace(existing, subscription));
        }
        let place = own.entries.partition_point(|entry| entry.number < subscription.number);
        own.entries.insert(place, subscription);
        own.are_several = own.entries.len() > 1;
        self.count += 1;
        None
    }

    /// Adds what an address has that is not here.
    pub(crate) fn put(&mut self, address: Jid, own: OfAddress) {
        self.count += own.entries.len();
        let before = self.by_address.insert(address, own);
        self.count -= before.map_or(0, |before| before.entries.len());
    }

    /// Leaves out those of this very address.
    pub(crate) fn leave_out(&mut self, address: &str) {
        self.count -= self.by_address.remove(address).map_or(0, |own| own.entries.len());
    }

    /// Removes the one of this address with this SubID, and gives it back.
    pub(super) fn remove(&mut self, address: &Jid, subid: SubId) -> Option<Subscription> {
        let own = self.by_address.get_mut(address)?;
        let place = own.entries.iter().position(|entry| entry.subid == subid)?;
        let removed = own.entries.remove(place);
        own.are_several = own.entries.len() > 1;
        if own.entries.is_empty() {
            self.by_address.remove(address);
        }
        self.count -= 1;
        Some(removed)
    }
}

impl FromIterator<(Jid, Subscription)> for Subscriptions {
    fn from_iter<T: IntoIterator<Item = (Jid, Subscription)>>(entries: T) -> Self {
        let mut all = Self::default();
        all.extend(entries);
        all
    }
}

impl Extend<(Jid, Subscription)> for Subscriptions {
    fn extend<T: IntoIterator<Item = (Jid, Subscription)>>(&mut self, entries: T) {
        entries.into_iter().for_each(|(jid, subscription)| drop(self.insert(jid, subscription)));
    }
}

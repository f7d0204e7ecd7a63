//! One leaf node: its name, who may do what with it, and who hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use convoke_xmpp::{AddressError, Jid};

use super::affiliation::Action;
use super::{Affiliation, Refusal, Requester};

/// The name of a node, normalised as a resourcepart (XEP-0060, section 4.6.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(Arc<str>);

impl NodeId {
    /// Normalises a name of 1 to 1,023 bytes.
    pub(crate) fn new(text: &str) -> Result<Self, AddressError> {
        // A resourcepart is normalised as part of an address; which one is of no consequence.
        let address = Jid::from_parts(None, "node.invalid", Some(text))?;
        Ok(Self(address.resource().unwrap_or_default().into()))
    }

    /// A name that an `IdSource` made.
    pub(super) fn from_generated(text: String) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What everybody may know of a node (XEP-0060, section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeInfo {
    pub(crate) creator: Jid,
    pub(crate) owners: Vec<Jid>,
    pub(crate) max_items: usize,
    pub(crate) subscribers: usize,
}

pub(super) struct Node {
    creator: Jid,
    /// By bare address; whoever is missing has none.
    affiliations: BTreeMap<Jid, Affiliation>,
    /// Shared with the notifications that are on their way.
    subscribers: Arc<BTreeSet<Jid>>,
}

impl Node {
    /// A node that belongs to its creator, a bare address.
    pub(super) fn new(creator: Jid) -> Self {
        let affiliations = BTreeMap::from([(creator.clone(), Affiliation::Owner)]);
        Self { creator, affiliations, subscribers: Arc::default() }
    }

    pub(super) fn subscribers(&self) -> &Arc<BTreeSet<Jid>> {
        &self.subscribers
    }

    pub(super) fn affiliations(&self) -> impl Iterator<Item = (&Jid, Affiliation)> {
        self.affiliations.iter().map(|(jid, affiliation)| (jid, *affiliation))
    }

    pub(super) fn permit(&self, requester: &Requester, action: Action) -> Result<(), Refusal> {
        let affiliation = self.affiliations.get(requester.jid.bare()).copied().unwrap_or(Affiliation::None);
        if affiliation.may(action) { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// Adds a subscription; one that exists stays as it is (XEP-0060, section 6.1.6).
    pub(super) fn subscribe(&mut self, jid: Jid, limit: usize) -> Result<(), Refusal> {
        if self.subscribers.contains(&jid) {
            return Ok(());
        }
        if self.subscribers.len() >= limit {
            return Err(Refusal::TooManySubscriptions);
        }
        Arc::make_mut(&mut self.subscribers).insert(jid);
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, jid: &Jid) -> Result<(), Refusal> {
        if !self.subscribers.contains(jid) {
            return Err(Refusal::NotSubscribed);
        }
        Arc::make_mut(&mut self.subscribers).remove(jid);
        Ok(())
    }

    /// Makes all of the changes, or none of them.
    pub(super) fn change_affiliations(
        &mut self,
        changes: Vec<(Jid, Affiliation)>,
        limit: usize,
    ) -> Result<(), Refusal> {
        let mut changed = self.affiliations.clone();
        for (jid, affiliation) in changes {
            match affiliation {
                Affiliation::None => changed.remove(jid.bare()),
                _ => changed.insert(jid.to_bare(), affiliation),
            };
        }
        if !changed.values().any(|affiliation| *affiliation == Affiliation::Owner) {
            return Err(Refusal::LastOwner);
        }
        if changed.len() > limit.max(self.affiliations.len()) {
            return Err(Refusal::TooManyAffiliations);
        }
        self.affiliations = changed;
        self.drop_excluded_subscribers();
        Ok(())
    }

    /// Who may no longer subscribe no longer hears anything.
    fn drop_excluded_subscribers(&mut self) {
        let affiliations = &self.affiliations;
        let may_stay = |jid: &Jid| affiliations.get(jid.bare()).is_none_or(|a| a.may(Action::Subscribe));
        if !self.subscribers.iter().all(may_stay) {
            Arc::make_mut(&mut self.subscribers).retain(may_stay);
        }
    }

    pub(super) fn info(&self, max_items: usize) -> NodeInfo {
        let owners = self.affiliations().filter(|(_, affiliation)| *affiliation == Affiliation::Owner);
        NodeInfo {
            creator: self.creator.clone(),
            owners: owners.map(|(jid, _)| jid.clone()).collect(),
            max_items,
            subscribers: self.subscribers.len(),
        }
    }
}

//! Whom of other domains an entity sees, so that the loss of the way there can be told.

use std::collections::BTreeMap;

use convoke_xmpp::{Domainpart, Jid, PresenceType};

/// How many entities of other domains one entity sees at most; of further ones it is not told when the way to them is
/// lost.
const MAX_SEEN: usize = 10_000;

/// Who of other domains was last heard to be available.
#[derive(Debug, Default)]
pub(super) struct Sight {
    seen: BTreeMap<Jid, Seen>,
}

/// Somebody of another domain, as an entity here knows it.
#[derive(Debug)]
struct Seen {
    /// The address of the entity that was told.
    by: Jid,
    /// Whether the way to its domain was lost since: it may well be available still.
    suspended: bool,
}

impl Sight {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The entity at an address is told whether somebody is available.
    pub(super) fn note(&mut self, kind: PresenceType, who: &Jid, by: &Jid) {
        match kind {
            PresenceType::Available => self.appeared(who, by),
            PresenceType::Unavailable => self.disappeared(who),
            _ => {}
        }
    }

    /// The way to a domain is lost: who is lost sight of there, and by which address, each told once.
    pub(super) fn lose(&mut self, remote: &Domainpart) -> impl Iterator<Item = (&Jid, &Jid)> {
        let there = self.seen.iter_mut().filter(move |(who, seen)| who.domain() == remote.as_str() && !seen.suspended);
        there.map(|(who, seen)| {
            seen.suspended = true;
            (who, &seen.by)
        })
    }

    /// Who of a domain was lost sight of and not heard of since, and by which address.
    #[cfg(any(test, feature = "s2s"))]
    pub(super) fn lost(&self, remote: &Domainpart) -> impl Iterator<Item = (&Jid, &Jid)> {
        let there = self.seen.iter().filter(move |(who, seen)| who.domain() == remote.as_str() && seen.suspended);
        there.map(|(who, seen)| (who, &seen.by))
    }

    /// The entity at this address has ended: whom it saw is of no interest any more.
    pub(super) fn ended(&mut self, address: &Jid) {
        self.seen.retain(|_, seen| !address.is_bare() && seen.by != *address);
    }

    fn appeared(&mut self, who: &Jid, by: &Jid) {
        if self.seen.len() < MAX_SEEN || self.seen.contains_key(who) {
            self.seen.insert(who.clone(), Seen { by: by.clone(), suspended: false });
        }
    }

    /// From a bare JID: no resource is available any more.
    fn disappeared(&mut self, who: &Jid) {
        self.seen.retain(|seen, _| seen != who && (!who.is_bare() || seen.bare() != who.as_str()));
    }
}

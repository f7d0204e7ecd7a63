//! Who sees the presence of an entity, and whose presence it sees (RFC 6121, sections 2 and 3).

use std::collections::{BTreeMap, BTreeSet};

use convoke_xmpp::{Jid, PresenceType};

/// How many contacts an entity has at most: their addresses are of others' choosing, and so would be their number.
pub(super) const MAX_CONTACTS: usize = 10_000;

/// The contacts of one entity, by bare JID.
#[derive(Debug, Default)]
pub(super) struct Roster {
    contacts: BTreeMap<Box<str>, Subscription>,
    /// The groups of those contacts that are in any (RFC 6121, section 2.1.2.6).
    groups: BTreeMap<Box<str>, BTreeSet<String>>,
}

/// The states of RFC 6121, section 3.1.2, as far as they differ here.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Subscription {
    /// The contact's presence comes to the entity.
    pub(super) to: bool,
    /// The entity's presence goes to the contact.
    pub(super) from: bool,
    /// The entity has asked and was not answered yet.
    pub(super) pending_out: bool,
}

impl Roster {
    pub(super) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// What there is between the entity and somebody; nothing if that is no contact.
    pub(super) fn subscription(&self, jid: &Jid) -> Subscription {
        self.contacts.get(jid.bare()).copied().unwrap_or_default()
    }

    /// Changes that; who is left with nothing is no contact any more.
    pub(super) fn change(&mut self, jid: &Jid, change: impl FnOnce(&mut Subscription)) {
        change(self.contacts.entry(jid.bare().into()).or_default());
        self.forget_if_stranger(jid);
    }

    /// The contact answers a request, or takes back what it granted; whether that was to be expected. Only what was asked
    /// for changes anything (RFC 6121, section 3.1.6).
    pub(super) fn answered(&mut self, kind: PresenceType, contact: &Jid) -> bool {
        let Some(subscription) = self.contacts.get_mut(contact.bare()) else { return false };
        let expected = subscription.pending_out || (kind == PresenceType::Unsubscribed && subscription.to);
        if expected {
            subscription.pending_out = false;
            subscription.to = kind == PresenceType::Subscribed;
            self.forget_if_stranger(contact);
        }
        expected
    }

    /// Those who see the entity's presence.
    pub(super) fn subscribers(&self) -> impl Iterator<Item = Jid> {
        self.contacts_where(|subscription| subscription.from)
    }

    /// Those whose presence the entity sees.
    pub(super) fn watched(&self) -> impl Iterator<Item = Jid> {
        self.contacts_where(|subscription| subscription.to)
    }

    pub(super) fn has_no_room_for(&self, jid: &Jid) -> bool {
        self.contacts.len() >= MAX_CONTACTS && !self.contacts.contains_key(jid.bare())
    }

    /// Whether the contact is in one of these groups.
    #[cfg(feature = "pubsub")]
    pub(super) fn is_in_group(&self, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        self.groups.get(contact.bare()).is_some_and(|of_contact| !of_contact.is_disjoint(groups))
    }

    /// Puts a contact into these groups and no others; `false` if it is no contact.
    pub(super) fn set_groups(&mut self, contact: &Jid, groups: BTreeSet<String>) -> bool {
        let is_contact = self.contacts.contains_key(contact.bare());
        if is_contact {
            self.groups.insert(contact.bare().into(), groups);
            self.groups.retain(|_, groups| !groups.is_empty());
        }
        is_contact
    }

    fn contacts_where(&self, wanted: impl Fn(&Subscription) -> bool) -> impl Iterator<Item = Jid> {
        self.contacts.iter().filter(move |(_, s)| wanted(s)).filter_map(|(bare, _)| Jid::new(bare).ok())
    }

    fn forget_if_stranger(&mut self, jid: &Jid) {
        let Subscription { to, from, pending_out } = self.subscription(jid);
        if !(to || from || pending_out) {
            self.contacts.remove(jid.bare());
            self.groups.remove(jid.bare());
        }
    }
}

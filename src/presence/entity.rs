//! One entity: what its presence leads to, and what others are told of it.

use std::collections::BTreeMap;

use convoke_xmpp::{Broadcast, Jid, PresenceType, Stanza};

use super::availability::{Availability, LastBroadcast};
use super::presence;
use super::roster::Roster;
use super::sight::Sight;

/// What is known of the entity of one bare JID.
#[derive(Debug, Default)]
pub(super) struct Entity {
    pub(super) roster: Roster,
    pub(super) available: BTreeMap<Jid, Availability>,
    pub(super) sight: Sight,
}

impl Entity {
    /// Sessions come and go under ever new names: nothing need be kept of one that has neither contacts nor presence.
    pub(super) fn is_empty(&self) -> bool {
        self.roster.is_empty() && self.available.is_empty() && self.sight.is_empty()
    }

    /// Broadcasts to the subscribers alone; the first time it also asks for the contacts' presence (RFC 6121,
    /// sections 4.2 and 4.4). Who got directed presence gets no updates (section 4.6.3).
    pub(super) fn become_available(&mut self, from: &Jid, stanza: &Stanza) -> Vec<Stanza> {
        let broadcast = LastBroadcast::new(stanza);
        let mut route: Vec<_> = self.roster.subscribers().map(|to| broadcast.stanza.to(&to)).collect();
        let before = self.available.entry(from.clone()).or_default().broadcast.replace(broadcast);
        if before.is_none() {
            route.extend(self.roster.watched().map(|to| presence(PresenceType::Probe, from, &to)));
        }
        route
    }

    /// Tells the subscribers and everyone who got directed presence (RFC 6121, section 4.5.2).
    pub(super) fn become_unavailable(&mut self, from: &Jid, stanza: &Stanza) -> Vec<Stanza> {
        let Some(availability) = self.available.remove(from) else { return Vec::new() };
        let mut told = availability.directed;
        if availability.broadcast.is_some() {
            told.extend(self.roster.subscribers());
        }
        let broadcast = Broadcast::new(stanza);
        told.iter().map(|to| broadcast.to(to)).collect()
    }

    /// Becomes available to somebody alone.
    pub(super) fn direct(&mut self, from: &Jid, to: Jid) {
        let subscribed = self.roster.subscription(&to).from;
        let availability = self.available.entry(from.clone()).or_default();
        // A subscriber learns of the end by broadcast, once there has been one.
        if !subscribed || availability.broadcast.is_none() {
            availability.directed.insert(to);
        }
    }

    /// Becomes unavailable to somebody alone.
    pub(super) fn undirect(&mut self, from: &Jid, to: &Jid) {
        if let Some(availability) = self.available.get_mut(from) {
            availability.directed.remove(to);
        }
        self.forget_unknown();
    }

    /// Asks for a subscription, grants one, or ends one (RFC 6121, section 3).
    pub(super) fn manage(&mut self, kind: PresenceType, from: &Jid, to: &Jid, stanza: &Stanza) -> Vec<Stanza> {
        let (from, to) = (from.to_bare(), to.to_bare());
        self.roster.change(&to, |contact| match kind {
            PresenceType::Subscribe => contact.pending_out = !contact.to,
            PresenceType::Unsubscribe => (contact.to, contact.pending_out) = (false, false),
            PresenceType::Subscribed => contact.from = true,
            _ => contact.from = false,
        });
        let mut route = vec![stanza.with_addresses(from.as_ref(), to.as_ref())];
        match kind {
            PresenceType::Subscribed => {
                let broadcasts = self.available.values().filter_map(|a| a.broadcast.as_ref());
                route.extend(broadcasts.map(|last| last.stanza.to(&to)));
            }
            PresenceType::Unsubscribed => route.extend(self.ends_for(&to)),
            _ => {}
        }
        route
    }

    /// The answers to a probe: to a subscriber the last broadcast of each resource (RFC 6121, section 4.3.2), to one
    /// that got directed presence mere availability (section 4.6.6). `None` for everybody else.
    pub(super) fn probed(&self, from: &Jid, to: &Jid) -> Option<Vec<Stanza>> {
        let subscribed = self.roster.subscription(from).from;
        let known = self.available.iter().filter(|(jid, _)| to.is_bare() || *jid == to);
        let answer = |(jid, a): (&Jid, &Availability)| match &a.broadcast {
            Some(last) if subscribed => Some(last.stanza.to(from)),
            _ => a.is_directed_to(from).then(|| presence(PresenceType::Available, jid, from)),
        };
        let answers: Vec<_> = known.filter_map(answer).collect();
        match (answers.is_empty(), subscribed) {
            (true, true) => Some(vec![presence(PresenceType::Unavailable, &to.to_bare(), from)]),
            (true, false) => None,
            _ => Some(answers),
        }
    }

    /// A contact ends its subscription; what it is told, or `None` if it had none.
    pub(super) fn left_by(&mut self, contact: &Jid) -> Option<Vec<Stanza>> {
        if !self.roster.subscription(contact).from {
            return None;
        }
        self.roster.change(contact, |subscription| subscription.from = false);
        Some(self.ends_for(&contact.to_bare()))
    }

    /// Who is gone need not be told of the end of what it was told by directed presence (RFC 6121, section 4.6.1).
    pub(super) fn gone(&mut self, from: &Jid, to: &Jid) {
        for (_, availability) in self.available.iter_mut().filter(|(jid, _)| to.is_bare() || *jid == to) {
            availability.directed.remove(from);
        }
        self.forget_unknown();
    }

    /// Tells one who loses its subscription that the resources it knew are unavailable (RFC 6121, section 3.2.2).
    fn ends_for(&self, contact: &Jid) -> Vec<Stanza> {
        let known = self.available.iter().filter(|(_, a)| a.broadcast.is_some() || a.is_directed_to(contact));
        known.map(|(jid, _)| presence(PresenceType::Unavailable, jid, contact)).collect()
    }

    fn forget_unknown(&mut self) {
        self.available.retain(|_, availability| availability.is_known());
    }
}

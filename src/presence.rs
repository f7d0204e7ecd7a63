//! Presence of the entities of this process: subscriptions, availability, probes (RFC 6121, sections 3 and 4).
//!
//! The table is pure: it is told which presence an entity sent or is sent, and gives the stanzas that follow. An
//! entity is known by its bare JID; a component has one availability, a volunteer one for each resource.

mod availability;
mod entity;
mod roster;
mod sight;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use convoke_xmpp::{Condition, Domainpart, Jid, JidRef, Kind, Origin, PresenceType, Stanza, StanzaError};

use self::availability::Availability;
use self::entity::Entity;

/// What follows from a presence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Stanzas to route, in order.
    pub(crate) route: Vec<Stanza>,
    /// Stanzas for the mailboxes of the entity that was addressed.
    pub(crate) deliver: Vec<Stanza>,
}

impl Effects {
    fn route(route: Vec<Stanza>) -> Self {
        Self { route, deliver: Vec::new() }
    }

    fn deliver(stanza: Stanza) -> Self {
        Self { route: Vec::new(), deliver: vec![stanza] }
    }
}

/// Subscriptions and availability of all local entities.
#[derive(Debug, Default)]
pub(crate) struct PresenceTable {
    entities: HashMap<Box<str>, Entity>,
}

impl PresenceTable {
    /// An entity sends a presence; `from` is its full JID, or a component's bare one.
    pub(crate) fn sent(&mut self, stanza: Stanza) -> Effects {
        let (Kind::Presence(kind), Some(from)) = (stanza.kind(), stanza.from().map(JidRef::to_owned)) else {
            return Effects::default();
        };
        let entity = self.entities.entry(from.bare().into()).or_default();
        let to = stanza.to().map(JidRef::to_owned);
        let route = match (kind, to) {
            (PresenceType::Available, None) => entity.become_available(&from, &stanza),
            (PresenceType::Unavailable, None) => entity.become_unavailable(&from, &stanza),
            (PresenceType::Available, Some(to)) => {
                entity.direct(&from, to);
                vec![stanza]
            }
            (PresenceType::Unavailable, Some(to)) => {
                entity.undirect(&from, &to);
                vec![stanza]
            }
            (kind, Some(to)) if kind.is_subscription() => entity.manage(kind, &from, &to, &stanza),
            (PresenceType::Probe | PresenceType::Error, Some(_)) => vec![stanza],
            _ => Vec::new(),
        };
        self.forget_if_nothing(from.bare());
        Effects::route(route)
    }

    /// Somebody sends a presence to a local address, which somebody has or not.
    pub(crate) fn received(&mut self, stanza: Stanza, origin: &Origin, has_mailbox: bool) -> Effects {
        let (Kind::Presence(kind), Some(from), Some(to)) = (stanza.kind(), stanza.from(), stanza.to()) else {
            return Effects::default();
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        if matches!(origin, Origin::Remote(_)) {
            self.see(kind, &from, &to, has_mailbox);
        }
        let effects = match kind {
            PresenceType::Subscribe => self.asked_to_subscribe(&from, &to, stanza),
            PresenceType::Probe => Effects::route(self.probed(&from, &to)),
            PresenceType::Subscribed | PresenceType::Unsubscribed => self.answered(kind, &from, &to, stanza),
            PresenceType::Unsubscribe => self.left(&from, &to, stanza),
            PresenceType::Unavailable => {
                self.change(&to, |entity| entity.gone(&from, &to));
                Effects::deliver(stanza)
            }
            PresenceType::Available | PresenceType::Error => Effects::deliver(stanza),
        };
        self.forget_if_nothing(to.bare());
        effects
    }

    /// The addresses of an entity that somebody knows to be available: to everybody, or by directed presence.
    pub(crate) fn resources(&self, bare: &str) -> Vec<Jid> {
        self.entities.get(bare).map(|entity| entity.available.keys().cloned().collect()).unwrap_or_default()
    }

    /// The available resources of an entity: those that broadcast (RFC 6121, section 4.6.3).
    pub(crate) fn available_resources(&self, bare: &str) -> Vec<Jid> {
        let Some(entity) = self.entities.get(bare) else { return Vec::new() };
        entity.available.iter().filter(|(_, a)| a.broadcast.is_some()).map(|(jid, _)| jid.clone()).collect()
    }

    /// The available resources of an entity that messages for it may go to, the most available first: those of no negative
    /// priority (RFC 6121, section 8.5.2.1.1). `None` if nothing is known of such an entity.
    pub(crate) fn message_resources(&self, bare: &str) -> Option<Vec<Jid>> {
        let available = self.entities.get(bare)?.available.iter();
        let priority = |availability: &Availability| availability.broadcast.as_ref().map(|last| last.priority);
        let priorities = available.filter_map(|(jid, availability)| Some((priority(availability)?, jid)));
        let mut reachable: Vec<_> = priorities.filter(|(priority, _)| *priority >= 0).collect();
        reachable.sort_by_key(|(priority, _)| Reverse(*priority));
        Some(reachable.into_iter().map(|(_, jid)| jid.clone()).collect())
    }

    /// Whether the contact is subscribed to the presence of the account, which it is itself as well.
    #[cfg(feature = "pubsub")]
    pub(crate) fn shares_presence(&self, account: &Jid, contact: &Jid) -> bool {
        let is_subscribed = |entity: &Entity| entity.roster.subscription(contact).from;
        account.bare() == contact.bare() || self.entities.get(account.bare()).is_some_and(is_subscribed)
    }

    /// Whether the account has the contact in one of these groups.
    #[cfg(feature = "pubsub")]
    pub(crate) fn is_in_group(&self, account: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        self.entities.get(account.bare()).is_some_and(|entity| entity.roster.is_in_group(contact, groups))
    }

    /// Puts a contact into these groups and no others; `false` if it is no contact.
    pub(crate) fn set_groups(&mut self, account: &Jid, contact: &Jid, groups: BTreeSet<String>) -> bool {
        self.entities.get_mut(account.bare()).is_some_and(|entity| entity.roster.set_groups(contact, groups))
    }

    /// The way from a local domain to another one is lost: everybody who saw somebody there is told so, once.
    pub(crate) fn route_lost(&mut self, local: &Domainpart, remote: &Domainpart) -> Vec<Stanza> {
        let of_local = self.entities.iter_mut().filter(|(bare, _)| is_of(bare, local));
        let lost = of_local.flat_map(|(_, entity)| entity.sight.lose(remote));
        lost.map(|(who, by)| presence(PresenceType::Unavailable, who, by)).collect()
    }

    /// The way is there again: the probes that ask once for each of those who were lost sight of.
    #[cfg(any(test, feature = "s2s"))]
    pub(crate) fn resync(&self, local: &Domainpart, remote: &Domainpart) -> Vec<Stanza> {
        let of_local = self.entities.iter().filter(|(bare, _)| is_of(bare, local));
        let lost = of_local.flat_map(|(_, entity)| entity.sight.lost(remote));
        let asked: BTreeSet<_> = lost.map(|(who, by)| (by, who.to_bare())).collect();
        asked.iter().map(|(by, who)| presence(PresenceType::Probe, by, who)).collect()
    }

    /// The entity at this address has ended: whom it saw is of no interest any more.
    pub(crate) fn ended(&mut self, address: &Jid) {
        self.change(address, |entity| entity.sight.ended(address));
        self.forget_if_nothing(address.bare());
    }

    /// Keeps in mind who of another domain is available, so that the loss of the way there can be told. Nothing is kept for
    /// an address that nobody has: a stranger can think of any number of them.
    fn see(&mut self, kind: PresenceType, from: &Jid, to: &Jid, has_mailbox: bool) {
        if kind == PresenceType::Available && has_mailbox {
            self.entities.entry(to.bare().into()).or_default();
        }
        self.change(to, |entity| entity.sight.note(kind, from, to));
    }

    /// An approved contact that asks again is approved again, without asking the entity (RFC 6121, section 3.1.3).
    fn asked_to_subscribe(&mut self, from: &Jid, to: &Jid, stanza: Stanza) -> Effects {
        let roster = self.entities.get(to.bare()).map(|entity| &entity.roster);
        if roster.is_some_and(|roster| roster.subscription(from).from) {
            let mut route = vec![presence(PresenceType::Subscribed, &to.to_bare(), &from.to_bare())];
            route.extend(self.probed(from, to));
            return Effects::route(route);
        }
        if roster.is_some_and(|roster| roster.has_no_room_for(from)) {
            let refusal = stanza.bounce(&StanzaError::new(Condition::ResourceConstraint));
            return Effects::route(refusal.into_iter().collect());
        }
        Effects::deliver(stanza)
    }

    /// The answers to a probe; a refusal to whoever may not know.
    fn probed(&self, from: &Jid, to: &Jid) -> Vec<Stanza> {
        let answers = self.entities.get(to.bare()).and_then(|entity| entity.probed(from, to));
        answers.unwrap_or_else(|| vec![presence(PresenceType::Unsubscribed, &to.to_bare(), &from.to_bare())])
    }

    fn answered(&mut self, kind: PresenceType, from: &Jid, to: &Jid, stanza: Stanza) -> Effects {
        let expected = self.change(to, |entity| entity.roster.answered(kind, from));
        if expected == Some(true) { Effects::deliver(stanza) } else { Effects::default() }
    }

    fn left(&mut self, from: &Jid, to: &Jid, stanza: Stanza) -> Effects {
        match self.change(to, |entity| entity.left_by(from)).flatten() {
            Some(route) => Effects { route, deliver: vec![stanza] },
            None => Effects::default(),
        }
    }

    /// Changes what is known of the entity, if anything is.
    fn change<R>(&mut self, jid: &Jid, change: impl FnOnce(&mut Entity) -> R) -> Option<R> {
        self.entities.get_mut(jid.bare()).map(change)
    }

    fn forget_if_nothing(&mut self, bare: &str) {
        if self.entities.get(bare).is_some_and(Entity::is_empty) {
            self.entities.remove(bare);
        }
    }
}

fn is_of(bare: &str, domain: &Domainpart) -> bool {
    let behind_local = bare.split_once('@').map_or(bare, |(_, domain)| domain);
    behind_local == domain.as_str()
}

fn presence(kind: PresenceType, from: &Jid, to: &Jid) -> Stanza {
    Stanza::presence(kind).with_addresses(from.as_ref(), to.as_ref())
}

#[cfg(test)]
mod tests {
    use super::roster::MAX_CONTACTS;
    use super::*;

    fn sent(table: &mut PresenceTable, text: &str) -> Vec<String> {
        texts(table.sent(Stanza::parse(text).unwrap()).route)
    }

    fn received(table: &mut PresenceTable, text: &str) -> (Vec<String>, Vec<String>) {
        let effects = table.received(Stanza::parse(text).unwrap(), &Origin::Local, true);
        (texts(effects.route), texts(effects.deliver))
    }

    fn texts(stanzas: Vec<Stanza>) -> Vec<String> {
        stanzas.iter().map(|s| s.text().into_owned()).collect()
    }

    fn subscribed(table: &mut PresenceTable) {
        sent(table, "<presence type='subscribed' from='monitor@b.example' to='scheduler@a.example'/>");
    }

    #[test]
    fn a_subscription_is_made_in_four_steps() {
        let (mut a, mut b) = (PresenceTable::default(), PresenceTable::default());
        sent(&mut b, "<presence from='monitor@b.example'><show>chat</show></presence>");
        let ask = sent(&mut a, "<presence type='subscribe' from='scheduler@a.example' to='monitor@b.example'/>");
        assert_eq!(ask, ["<presence to='monitor@b.example' from='scheduler@a.example' type='subscribe'/>"]);
        let (route, deliver) = received(&mut b, &ask[0]);
        assert_eq!((route.len(), deliver.len()), (0, 1));
        let answer = sent(&mut b, "<presence type='subscribed' from='monitor@b.example' to='scheduler@a.example'/>");
        assert_eq!(
            answer[1],
            "<presence to='scheduler@a.example' from='monitor@b.example'><show>chat</show></presence>"
        );
        assert_eq!(received(&mut a, &answer[0]).1.len(), 1);
        assert_eq!(received(&mut a, &answer[1]).1.len(), 1);
    }

    #[test]
    fn an_approval_nobody_asked_for_is_ignored() {
        let mut table = PresenceTable::default();
        let text = "<presence type='subscribed' from='x@b.example' to='scheduler@a.example'/>";
        assert_eq!(received(&mut table, text), (vec![], vec![]));
    }

    #[test]
    fn subscribers_and_those_told_directly_learn_of_the_end() {
        let mut table = PresenceTable::default();
        sent(&mut table, "<presence type='subscribed' from='alice@b.example/desk' to='monitor@b.example'/>");
        assert_eq!(sent(&mut table, "<presence from='alice@b.example/desk'/>").len(), 1);
        sent(&mut table, "<presence from='alice@b.example/desk' to='scheduler@a.example'/>");
        assert_eq!(
            sent(&mut table, "<presence from='alice@b.example/desk' type='unavailable'/>"),
            [
                "<presence to='monitor@b.example' from='alice@b.example/desk' type='unavailable'/>",
                "<presence to='scheduler@a.example' from='alice@b.example/desk' type='unavailable'/>"
            ]
        );
        assert!(sent(&mut table, "<presence from='alice@b.example/desk' type='unavailable'/>").is_empty());
    }

    #[test]
    fn the_first_presence_probes_the_contacts() {
        let mut table = PresenceTable::default();
        sent(&mut table, "<presence type='subscribe' from='monitor@b.example' to='alice@c.example'/>");
        received(&mut table, "<presence type='subscribed' from='alice@c.example' to='monitor@b.example'/>");
        let probe = ["<presence to='alice@c.example' from='monitor@b.example' type='probe'/>"];
        assert_eq!(sent(&mut table, "<presence from='monitor@b.example'/>"), probe);
        assert!(sent(&mut table, "<presence from='monitor@b.example'/>").is_empty());
    }

    #[test]
    fn a_probe_tells_a_subscriber_the_truth_and_a_stranger_nothing() {
        let mut table = PresenceTable::default();
        subscribed(&mut table);
        let probe = |who: &str| format!("<presence type='probe' from='{who}' to='monitor@b.example'/>");
        let unavailable = "<presence to='scheduler@a.example' from='monitor@b.example' type='unavailable'/>";
        assert_eq!(received(&mut table, &probe("scheduler@a.example")).0, [unavailable]);
        sent(&mut table, "<presence from='monitor@b.example'/>");
        assert_eq!(
            received(&mut table, &probe("scheduler@a.example")).0,
            ["<presence to='scheduler@a.example' from='monitor@b.example'/>"]
        );
        assert_eq!(
            received(&mut table, &probe("x@c.example")).0,
            ["<presence to='x@c.example' from='monitor@b.example' type='unsubscribed'/>"]
        );
    }

    #[test]
    fn who_unsubscribes_is_told_unavailable_and_nothing_more() {
        let mut table = PresenceTable::default();
        subscribed(&mut table);
        sent(&mut table, "<presence from='monitor@b.example'/>");
        let (route, deliver) =
            received(&mut table, "<presence type='unsubscribe' from='scheduler@a.example' to='monitor@b.example'/>");
        assert_eq!((route.len(), deliver.len()), (1, 1));
        assert!(sent(&mut table, "<presence from='monitor@b.example'><show>dnd</show></presence>").is_empty());
    }

    #[test]
    fn an_approved_contact_is_approved_again() {
        let mut table = PresenceTable::default();
        subscribed(&mut table);
        let (route, deliver) =
            received(&mut table, "<presence type='subscribe' from='scheduler@a.example' to='monitor@b.example'/>");
        assert!(route[0].contains("type='subscribed'") && deliver.is_empty(), "{route:?}");
    }

    #[test]
    fn directed_presence_is_for_nobody_else() {
        let mut table = PresenceTable::default();
        subscribed(&mut table);
        sent(&mut table, "<presence from='monitor@b.example'/>");
        sent(&mut table, "<presence from='monitor@b.example' to='x@c.example/1'><status>secret</status></presence>");
        let probe = |who: &str| format!("<presence type='probe' from='{who}' to='monitor@b.example'/>");
        assert_eq!(
            received(&mut table, &probe("scheduler@a.example")).0,
            ["<presence to='scheduler@a.example' from='monitor@b.example'/>"]
        );
        assert_eq!(
            received(&mut table, &probe("x@c.example/1")).0,
            ["<presence to='x@c.example/1' from='monitor@b.example'/>"]
        );
        assert!(received(&mut table, &probe("x@c.example/2")).0[0].contains("type='unsubscribed'"));
        assert_eq!(sent(&mut table, "<presence from='monitor@b.example'><show>dnd</show></presence>").len(), 1);
    }

    #[test]
    fn directed_presence_alone_makes_no_available_resource() {
        let mut table = PresenceTable::default();
        sent(&mut table, "<presence type='subscribed' from='alice@b.example/desk' to='friend@a.example'/>");
        assert_eq!(sent(&mut table, "<presence from='alice@b.example/desk' to='monitor@b.example'/>").len(), 1);
        assert!(table.available_resources("alice@b.example").is_empty());
        assert_eq!(
            sent(&mut table, "<presence from='alice@b.example/desk' type='unavailable'/>"),
            ["<presence to='monitor@b.example' from='alice@b.example/desk' type='unavailable'/>"]
        );
    }

    fn domain(name: &str) -> Domainpart {
        Domainpart::new(name).unwrap()
    }

    fn heard(table: &mut PresenceTable, text: &str) {
        let stanza = Stanza::parse(text).unwrap();
        let origin = Origin::Remote(domain(stanza.from().unwrap().domain()));
        assert_eq!(table.received(stanza, &origin, true).deliver.len(), 1);
    }

    fn lost(table: &mut PresenceTable) -> Vec<String> {
        texts(table.route_lost(&domain("b.example"), &domain("a.example")))
    }

    fn resync(table: &PresenceTable) -> Vec<String> {
        texts(table.resync(&domain("b.example"), &domain("a.example")))
    }

    #[test]
    fn a_lost_route_is_told_once_for_everybody_who_was_seen_available() {
        let mut table = PresenceTable::default();
        heard(&mut table, "<presence from='v1@a.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v1@a.example/2' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v2@a.example/1' to='alice@b.example/desk'/>");
        heard(&mut table, "<presence from='v3@a.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v3@a.example/1' to='monitor@b.example' type='unavailable'/>");
        heard(&mut table, "<presence from='v1@c.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v1@a.example/1' to='monitor@sub.b.example'/>");
        let mut told = lost(&mut table);
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "<presence to='alice@b.example/desk' from='v2@a.example/1' type='unavailable'/>",
                "<presence to='monitor@b.example' from='v1@a.example/1' type='unavailable'/>",
                "<presence to='monitor@b.example' from='v1@a.example/2' type='unavailable'/>",
            ]
        );
        assert!(lost(&mut table).is_empty());
    }

    #[test]
    fn a_route_that_is_back_is_used_for_one_probe_of_each_account_that_was_lost() {
        let mut table = PresenceTable::default();
        heard(&mut table, "<presence from='v1@a.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v1@a.example/2' to='monitor@b.example'/>");
        assert!(resync(&table).is_empty(), "nobody was lost");
        lost(&mut table);
        assert_eq!(resync(&table), ["<presence to='v1@a.example' from='monitor@b.example' type='probe'/>"]);
        heard(&mut table, "<presence from='v1@a.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v1@a.example' to='monitor@b.example' type='unavailable'/>");
        assert!(resync(&table).is_empty() && lost(&mut table).is_empty());
    }

    #[test]
    fn who_has_ended_is_told_of_nobody() {
        let mut table = PresenceTable::default();
        heard(&mut table, "<presence from='v1@a.example/1' to='monitor@b.example'/>");
        heard(&mut table, "<presence from='v1@a.example/1' to='alice@b.example/desk'/>");
        table.ended(&Jid::new("monitor@b.example").unwrap());
        table.ended(&Jid::new("alice@b.example/desk").unwrap());
        assert!(lost(&mut table).is_empty() && table.entities.is_empty());
    }

    #[test]
    fn nothing_is_kept_of_entities_that_are_gone() {
        let mut table = PresenceTable::default();
        for n in 0..3 {
            sent(&mut table, &format!("<presence from='v{n}@b.example/desk' to='monitor@b.example'/>"));
            sent(&mut table, &format!("<presence from='v{n}@b.example/desk' type='unavailable'/>"));
            sent(&mut table, &format!("<presence from='w{n}@b.example/desk' to='x@a.example/1'/>"));
            received(&mut table, &format!("<presence type='unavailable' from='x@a.example/1' to='w{n}@b.example'/>"));
            sent(&mut table, &format!("<presence type='probe' from='p{n}@b.example' to='x@a.example'/>"));
        }
        assert!(table.entities.is_empty(), "{table:?}");
    }

    #[test]
    fn nothing_is_kept_for_addresses_that_nobody_has() {
        let mut table = PresenceTable::default();
        for n in 0..3 {
            let text = format!("<presence from='v1@a.example/1' to='nobody{n}@b.example'/>");
            table.received(Stanza::parse(&text).unwrap(), &Origin::Remote(domain("a.example")), false);
        }
        assert!(table.entities.is_empty() && lost(&mut table).is_empty(), "{table:?}");
    }

    #[test]
    fn an_entity_with_too_many_contacts_refuses_further_ones() {
        let mut table = PresenceTable::default();
        for n in 0..MAX_CONTACTS {
            sent(&mut table, &format!("<presence type='subscribed' from='monitor@b.example' to='x{n}@a.example'/>"));
        }
        let ask = "<presence type='subscribe' from='one@a.example' to='monitor@b.example'/>";
        let (route, deliver) = received(&mut table, ask);
        assert!(route[0].contains("resource-constraint") && deliver.is_empty(), "{route:?}");
        let ask = "<presence type='subscribe' from='x1@a.example' to='monitor@b.example'/>";
        assert!(received(&mut table, ask).0[0].contains("type='subscribed'"));
    }
}

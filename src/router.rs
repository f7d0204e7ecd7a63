//! The way of every stanza: to an entity of this process, or to another domain.

mod eventing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use convoke_xmpp::{
    Condition, Domainpart, Element, IqType, Jid, JidRef, Kind, MessageType, Origin, Outbound, PresenceType,
    RouteChange, Router, Stanza, Undelivered, namespace,
};
use tokio::sync::mpsc::UnboundedSender;

use self::eventing::{Eventing, has_left};
use crate::discovery::About;
use crate::mailbox::Mailbox;
use crate::presence::{Effects, PresenceTable};
use crate::shards::Shards;

/// Routes between the entities of the served domains and, by federation, to all others.
///
/// No lock is shared by all entities: what belongs to a bare JID lies in the part of that JID.
#[derive(Default)]
pub(crate) struct LocalRouter {
    domains: Vec<Domainpart>,
    /// Mailboxes by address: a component's by its bare JID, which takes every resource; a session's by its full JID.
    mailboxes: Shards<HashMap<Box<str>, Entry>>,
    presence: Shards<PresenceTable>,
    /// The way to other domains; the domain owns it, since the federation owns the router in turn.
    federation: OnceLock<Weak<dyn Outbound>>,
    /// Whoever asks again for those who were out of reach, some time after a route is back.
    restored: OnceLock<UnboundedSender<Route>>,
    eventing: OnceLock<Eventing>,
    counters: Counters,
}

#[derive(Clone)]
struct Entry {
    mailbox: Arc<Mailbox>,
    about: Arc<About>,
}

/// What went through the router since it started.
#[derive(Debug, Default)]
struct Counters {
    local: AtomicU64,
    remote: AtomicU64,
    bounced: AtomicU64,
}

/// A reading of the router's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RouterStatistics {
    /// Stanzas for entities of this process.
    pub local: u64,
    /// Stanzas handed to federation.
    pub remote: u64,
    /// Stanzas that were answered with an error because they could not be delivered.
    pub bounced: u64,
}

/// A local domain and a remote one.
pub(crate) type Route = (Domainpart, Domainpart);

impl LocalRouter {
    pub(crate) fn new(domains: Vec<Domainpart>) -> Self {
        Self { domains, ..Self::default() }
    }

    /// Sets the way to other domains; only the first one counts.
    #[cfg(feature = "s2s")]
    pub(crate) fn set_federation(&self, federation: Weak<dyn Outbound>) {
        let _already_set = self.federation.set(federation);
    }

    /// Sets who is told of routes that are back; only the first one counts.
    #[cfg(feature = "s2s")]
    pub(crate) fn set_restored(&self, restored: UnboundedSender<Route>) {
        let _already_set = self.restored.set(restored);
    }

    /// Whether the contact sees the presence of the account; both are bare.
    #[cfg(feature = "pubsub")]
    pub(crate) fn shares_presence(&self, account: &Jid, contact: &Jid) -> bool {
        self.presence.read(account.bare()).shares_presence(account, contact)
    }

    /// Whether the account has put the contact into one of these groups; both are bare.
    #[cfg(feature = "pubsub")]
    pub(crate) fn is_in_group(&self, account: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        self.presence.read(account.bare()).is_in_group(account, contact, groups)
    }

    /// Puts a contact of the account into these groups and no others; `false` if it is no contact.
    pub(crate) fn set_groups(&self, account: &Jid, contact: &Jid, groups: BTreeSet<String>) -> bool {
        let is_contact = self.presence.write(account.bare()).set_groups(account, contact, groups);
        if is_contact {
            let item = Element::new("item", namespace::ROSTER).attr("jid", contact);
            let admission =
                Stanza::presence(PresenceType::Subscribed).with_addresses(account.as_ref(), contact.as_ref());
            self.tell_eventing_of_contact(&admission.with_payload(item));
        }
        is_contact
    }

    /// Asks for the presence of everybody in the remote domain who was lost sight of.
    #[cfg(feature = "s2s")]
    pub(crate) fn resync(&self, (local, remote): &Route) {
        let probes: Vec<_> = self.presence.all().flat_map(|part| part.resync(local, remote)).collect();
        for probe in probes {
            if let Err(undelivered) = self.route_directly(probe, &Origin::Local) {
                self.undelivered(undelivered);
            }
        }
    }

    /// Whether the domain is served here.
    pub(crate) fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|served| served.as_str() == domain)
    }

    /// Gives an address its mailbox; `false` if it has one already.
    pub(crate) fn register(&self, address: &Jid, mailbox: Arc<Mailbox>, about: Arc<About>) -> bool {
        let mut mailboxes = self.mailboxes.write(address.bare());
        if mailboxes.contains_key(address.as_str()) {
            return false;
        }
        mailboxes.insert(address.as_str().into(), Entry { mailbox, about });
        true
    }

    /// Tells the subscribers that the entity is gone, takes the mailbox away, and bounces what waited in it.
    pub(crate) fn unregister(&self, address: &Jid, mailbox: &Arc<Mailbox>) {
        let is_registered = |entry: &Entry| Arc::ptr_eq(&entry.mailbox, mailbox);
        if !self.mailboxes.read(address.bare()).get(address.as_str()).is_some_and(is_registered) {
            return;
        }
        mailbox.close();
        // While the address is still taken: nobody who takes it next is declared gone by this.
        self.announce_end(address);
        self.mailboxes.write(address.bare()).remove(address.as_str());
        self.presence.write(address.bare()).ended(address);
        for (stanza, _) in mailbox.close_and_drain() {
            self.undelivered(Undelivered::new(stanza, Condition::RecipientUnavailable));
        }
    }

    /// Closes every mailbox: entities receive what waits and then nothing more.
    pub(crate) fn close_all(&self) {
        for part in self.mailboxes.all() {
            part.values().for_each(|entry| entry.mailbox.close());
        }
        self.eventing.get().into_iter().for_each(Eventing::close);
    }

    /// The components of a domain with what they say about themselves, by address (disco#items).
    pub(crate) fn components(&self, domain: &str) -> BTreeMap<Jid, Arc<About>> {
        let mut found = BTreeMap::new();
        for part in self.mailboxes.all() {
            let all = part.iter().filter_map(|(address, entry)| Some((Jid::new(address).ok()?, entry.about.clone())));
            found.extend(all.filter(|(jid, _)| jid.domain() == domain && jid.is_bare() && jid.local().is_some()));
        }
        found
    }

    pub(crate) fn statistics(&self) -> RouterStatistics {
        RouterStatistics {
            local: self.counters.local.load(Ordering::Relaxed),
            remote: self.counters.remote.load(Ordering::Relaxed),
            bounced: self.counters.bounced.load(Ordering::Relaxed),
        }
    }

    /// An entity that ends without a word is unavailable all the same (RFC 6121, section 4.5.1).
    fn announce_end(&self, address: &Jid) {
        let known = self.presence.read(address.bare()).resources(address.bare());
        // A component speaks for all its resources, except those that have a session of their own.
        let ends = |resource: &Jid| {
            let has_session = || self.mailboxes.read(resource.bare()).contains_key(resource.as_str());
            resource == address || (address.is_bare() && !has_session())
        };
        for resource in known.into_iter().filter(ends) {
            let unavailable = Stanza::presence(PresenceType::Unavailable).with_from(&resource);
            self.route_or_bounce(unavailable);
        }
    }

    fn route_or_bounce(&self, stanza: Stanza) {
        if let Err(undelivered) = self.route(stanza, &Origin::Local) {
            self.undelivered(undelivered);
        }
    }

    fn deliver_here(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        self.counters.local.fetch_add(1, Ordering::Relaxed);
        if matches!(stanza.kind(), Kind::Presence(_)) {
            let Some(to) = stanza.to() else { return Ok(()) };
            let (has_mailbox, left) = (self.find(to).is_some(), has_left(&stanza));
            let mut part = self.presence.write(to.bare());
            let effects = part.received(stanza, origin, has_mailbox);
            drop(part);
            self.carry_out(effects, origin);
            left.iter().for_each(|left| self.tell_eventing_of_contact(left));
            return Ok(());
        }
        self.deliver(stanza, origin)
    }

    fn carry_out(&self, effects: Effects, origin: &Origin) {
        for stanza in effects.route {
            if let Err(undelivered) = self.route_directly(stanza, &Origin::Local) {
                self.undelivered(undelivered);
            }
        }
        for stanza in effects.deliver {
            self.deliver_presence(stanza, origin);
        }
    }

    /// Presence goes to the resource or component it names, or to all available resources of a bare JID, its address as
    /// it was (RFC 6121, section 8.5.2.1.2).
    fn deliver_presence(&self, stanza: Stanza, origin: &Origin) {
        let Some(to) = stanza.to().map(JidRef::to_owned) else { return };
        self.tell_eventing(&stanza, origin);
        if let Some(entry) = self.find(to.as_ref()) {
            return self.deliver_or_bounce(&entry, stanza, origin);
        }
        // RFC 6121, section 8.5.3.2.2: presence for a resource that is not there is dropped.
        let resources = match stanza.kind() {
            _ if !to.is_bare() => Vec::new(),
            Kind::Presence(kind) if kind.is_subscription() => self.presence.read(to.bare()).resources(to.bare()),
            _ => self.presence.read(to.bare()).available_resources(to.bare()),
        };
        for resource in resources {
            if let Some(entry) = self.find(resource.as_ref()) {
                self.deliver_or_bounce(&entry, stanza.clone(), origin);
            }
        }
    }

    fn deliver_or_bounce(&self, entry: &Entry, stanza: Stanza, origin: &Origin) {
        if let Err(undelivered) = entry.mailbox.deliver(stanza, origin) {
            self.undelivered(undelivered);
        }
    }

    /// Messages and iqs by the rules of RFC 6121, section 8.5.
    fn deliver(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let Some(to) = stanza.to() else { return Err(Undelivered::new(stanza, Condition::ServiceUnavailable)) };
        if let Some(eventing) = self.eventing.get().filter(|eventing| self.is_for_eventing(eventing, &stanza)) {
            return eventing.deliver(stanza, origin);
        }
        if let Some(entry) = self.find(to) {
            return entry.mailbox.deliver(stanza, origin);
        }
        match (stanza.kind(), to.is_bare()) {
            (Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(MessageType::Error), _) => Ok(()),
            (Kind::Message(MessageType::Normal), true) | (Kind::Message(MessageType::Chat), _) => {
                self.deliver_to_most_available(stanza, origin)
            }
            (Kind::Message(MessageType::Headline), true) => self.deliver_headline(stanza, origin),
            _ => Err(Undelivered::new(stanza, Condition::ServiceUnavailable)),
        }
    }

    /// RFC 6121, sections 8.5.2.1.1 and 8.5.3.2.1: one resource gets it, and its sender an error if there is none.
    fn deliver_to_most_available(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        match self.message_entries(&stanza).and_then(|mut entries| entries.next()) {
            Some(entry) => entry.mailbox.deliver(stanza, origin),
            None => Err(Undelivered::new(stanza, Condition::ServiceUnavailable)),
        }
    }

    /// RFC 6121, sections 8.5.2.1.1 and 8.5.2.2.1: every resource gets it, and nobody an error if there is none. Where
    /// none has room, its sender gets one.
    fn deliver_headline(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let Some(entries) = self.message_entries(&stanza) else {
            return Err(Undelivered::new(stanza, Condition::ServiceUnavailable));
        };
        let outcomes: Vec<_> = entries.map(|entry| entry.mailbox.deliver(stanza.clone(), origin)).collect();
        if outcomes.iter().any(Result::is_ok) { Ok(()) } else { outcomes.into_iter().collect() }
    }

    /// The mailboxes of the resources that a message for their account may go to, the most available first; `None` if
    /// there is no such account.
    fn message_entries(&self, stanza: &Stanza) -> Option<impl Iterator<Item = Entry>> {
        let account = stanza.to()?.bare();
        let resources = self.presence.read(account).message_resources(account)?;
        Some(resources.into_iter().filter_map(|resource| self.find(resource.as_ref())))
    }

    fn find(&self, to: JidRef<'_>) -> Option<Entry> {
        let mailboxes = self.mailboxes.read(to.bare());
        mailboxes.get(to.as_str()).or_else(|| mailboxes.get(to.bare())).cloned()
    }

    /// Routes by the address alone.
    fn route_directly(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let Some(to) = stanza.to() else { return Err(Undelivered::new(stanza, Condition::ServiceUnavailable)) };
        if self.serves(to.domain()) {
            return self.deliver_here(stanza, origin);
        }
        match self.federation.get().and_then(Weak::upgrade) {
            Some(federation) if *origin == Origin::Local => {
                self.counters.remote.fetch_add(1, Ordering::Relaxed);
                federation.send(stanza)
            }
            // A domain does not relay for others (RFC 6120, section 8.1.1.2), nor beyond itself without federation.
            _ => Err(Undelivered::new(stanza, Condition::RemoteServerNotFound)),
        }
    }
}

impl Router for LocalRouter {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        if let Some(fault) = stanza.fault() {
            return Err(Undelivered::new(stanza, fault));
        }
        if *origin == Origin::Local && matches!(stanza.kind(), Kind::Presence(_)) {
            let Some(from) = stanza.from() else { return Ok(()) };
            if stanza.to().is_none() && self.eventing.get().is_some() {
                // An account's own resources are there for it too.
                self.tell_eventing(&stanza.with_to(&from.to_bare()), origin);
            }
            let is_answer =
                matches!(stanza.kind(), Kind::Presence(PresenceType::Subscribed | PresenceType::Unsubscribed));
            let answer = is_answer.then(|| stanza.clone());
            let mut part = self.presence.write(from.bare());
            let effects = part.sent(stanza);
            drop(part);
            self.carry_out(effects, origin);
            answer.iter().for_each(|answer| self.tell_eventing_of_contact(answer));
            return Ok(());
        }
        if stanza.to().is_none()
            && let Some(account) = stanza.from().map(JidRef::to_bare)
        {
            // RFC 6120, section 8.1.1.1: without `to` it is for the sender's own account.
            return self.route_directly(stanza.with_to(&account), origin);
        }
        self.route_directly(stanza, origin)
    }

    fn undelivered(&self, undelivered: Undelivered) {
        let Undelivered { stanza, error } = undelivered;
        // Availability is not answered: its sender cannot do anything about it (RFC 6121, section 8.5.3.2.2).
        if matches!(
            stanza.kind(),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe)
        ) {
            tracing::debug!(to = stanza.to().map(tracing::field::display), %error, "presence not delivered");
            return;
        }
        let Some(bounced) = stanza.bounce(&error) else { return };
        self.counters.bounced.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(to = stanza.to().map(tracing::field::display), %error, "stanza bounced");
        if let Err(lost) = self.route_directly(bounced, &Origin::Local) {
            // Errors are never answered (RFC 6120, section 8.3.1): this is where it ends.
            tracing::debug!(error = %lost.error, "an error could not be delivered");
        }
    }

    /// Nobody is left in a lost domain to say that its entities are gone: presence of a remote contact would stay for
    /// ever. So everybody who saw one is told `unavailable`, marked by [`Origin::RouteLost`].
    fn route_changed(&self, local: &Domainpart, remote: &Domainpart, change: RouteChange) {
        tracing::info!(%local, %remote, ?change, "the way to a domain has changed");
        #[cfg(feature = "pubsub")]
        for part in self.mailboxes.all() {
            part.values().for_each(|entry| entry.mailbox.inboxes().route_changed(local, remote, change));
        }
        match change {
            RouteChange::Lost => {
                let lost: Vec<_> =
                    self.presence.all_mut().flat_map(|mut part| part.route_lost(local, remote)).collect();
                let origin = Origin::RouteLost(remote.clone());
                lost.into_iter().for_each(|stanza| self.deliver_presence(stanza, &origin));
            }
            RouteChange::Restored => {
                // Without anybody to take it there is no domain any more.
                let _ = self.restored.get().map(|restored| restored.send((local.clone(), remote.clone())));
            }
        }
    }
}

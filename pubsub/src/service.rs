//! The publish-subscribe service as an entity that takes stanzas.

mod accounts;
mod clock;
mod commit;
mod host;
mod landing;
mod work;

use std::sync::Arc;
use std::time::Instant;

use convoke_store::Store;
use convoke_xmpp::{IqType, Jid, Kind, MessageType, Origin, PresenceType, Router, Service, Stanza};

use crate::broker::Broker;
use crate::delivery::{Counters, Delivery, Outbox, Outgoing, deliver};
use crate::state::OpenError;
use crate::{Contacts, PubSubConfig, PubSubStatistics};

use accounts::{Accounts, Questions};
use commit::{Commits, Host, bounce};
use host::SingleBroker;
use work::{Limits, Work};

pub use clock::{Clock, SystemClock};

/// A publish-subscribe service (XEP-0060).
///
/// Every iq of type get or set is answered exactly once, from the address that it was sent to. Notifications come from
/// the service's own address, each node's in the order of its changes, after the answer to the request that caused
/// them. Subscribers may live in any domain. A requester is whoever `from` says: the router and the links have proved
/// it before.
///
/// A service with a store tells nobody of anything before the store has made it durable: neither by an answer nor by a
/// notification. Requests that come while a batch is on its way to the store wait, and share the next one. If the
/// store fails, what was asked is refused with resource-constraint and taken back.
///
/// Who is available is known by presence that is sent to the service, and only that long: a service that starts again takes
/// everybody for unavailable until the next presence. It asks nobody for presence by itself.
///
/// Whoever runs the service hands stanzas to [`Service::handle`], and calls [`PubSubService::advance`] when it is woken
/// ([`PubSubService::on_wake`]) and at [`PubSubService::next_deadline`].
pub struct PubSubService {
    address: Jid,
    commits: Commits,
    outbox: Outbox,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    /// How the identifiers of its own requests begin, where it makes any.
    questions: Option<String>,
}

impl PubSubService {
    /// A service at this address, without nodes, that keeps everything in memory.
    pub fn new(address: Jid, config: PubSubConfig) -> Self {
        let broker = Broker::new(address.clone(), config.clone());
        Self::of_one(address, config, broker, None)
    }

    /// The service at this address as the store has it; nothing is a new service.
    ///
    /// Fails if the store cannot be read, or holds what this version cannot read.
    pub fn open(address: Jid, config: PubSubConfig, store: Arc<dyn Store>) -> Result<Self, OpenError> {
        let broker = Broker::open(&*store, address.clone(), config.clone())?;
        Ok(Self::of_one(address, config, broker, Some(store)))
    }

    /// Personal eventing (XEP-0163): the accounts of a domain, each of which is a service at its own bare address; with a
    /// store as that has them, else in memory.
    ///
    /// Whoever runs it hands over
    ///
    /// * the requests for the nodes of accounts, and notifications that came back;
    /// * the presence that accounts and their contacts send to the accounts' bare addresses;
    /// * the presence of type `subscribed` or `unsubscribed` by which an account lets a contact see its own or not any more;
    ///   `subscribed` with an element `item` of `jabber:iq:roster` in it where it has put a contact into other groups;
    /// * the answers to requests whose identifier begins with [`PubSubService::questions`].
    ///
    /// [`PubSubConfig::personal`] is the configuration that clients expect;
    /// [`PubSubConfig::multi_subscribe`] is always off here.
    pub fn personal(
        domain: Jid,
        config: PubSubConfig,
        store: Option<Arc<dyn Store>>,
        contacts: Arc<dyn Contacts>,
    ) -> Self {
        // Who follows a node by its capabilities has no SubID.
        let config = PubSubConfig { multi_subscribe: false, ..config };
        let questions = Questions::new();
        let prefix = questions.prefix().to_owned();
        let host = Accounts::new(config.clone(), store.clone(), Arc::new(SystemClock), contacts, questions);
        Self { questions: Some(prefix), ..Self::with(domain, &config, Box::new(host), store) }
    }

    /// How the identifiers of the service's own requests begin: it asks strangers for their capabilities. `None` where it
    /// makes no requests.
    pub fn questions(&self) -> Option<&str> {
        self.questions.as_deref()
    }

    /// The same service by another clock than that of the operating system.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.commits.host_mut().set_clock(clock.clone());
        self.clock = clock;
        self
    }

    /// The same service with somebody who knows the contacts of owners: without, nobody is admitted by the access models
    /// presence and roster.
    pub fn with_contacts(mut self, contacts: Arc<dyn Contacts>) -> Self {
        self.commits.host_mut().set_contacts(contacts);
        self
    }

    fn of_one(address: Jid, config: PubSubConfig, broker: Broker, store: Option<Arc<dyn Store>>) -> Self {
        let host = SingleBroker::new(address.clone(), config.clone(), broker, Arc::new(SystemClock));
        Self::with(address, &config, Box::new(host), store)
    }

    fn with(address: Jid, config: &PubSubConfig, host: Box<dyn Host>, store: Option<Arc<dyn Store>>) -> Self {
        let counters = Arc::<Counters>::default();
        let outbox = Outbox::new(Delivery::new(config.delivery.clone(), counters.clone()));
        let limits = Limits { count: config.max_waiting, bytes: config.max_waiting_bytes };
        let commits = Commits::new(host, store, limits, counters.clone());
        Self { address, commits, outbox, counters, clock: Arc::new(SystemClock), questions: None }
    }

    /// The address that notifications come from.
    pub fn address(&self) -> &Jid {
        &self.address
    }

    /// What was done so far, and what there is. It looks at each node: for whoever watches the service from time to time.
    pub fn statistics(&self) -> PubSubStatistics {
        self.counters.read().with_census(self.commits.census())
    }

    /// Whether the store did not keep what it was given last; requests that change something are refused meanwhile.
    pub fn is_store_failing(&self) -> bool {
        self.commits.is_failing()
    }

    /// Sets what is called when [`PubSubService::advance`] has something to do, from any thread.
    ///
    /// It must only pass the word on, and not call the service itself.
    pub fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.commits.on_wake(Box::new(wake));
    }

    /// Goes on with whatever can go on: tells what has become durable, serves what waited for it, sends what is due.
    pub fn advance(&self, router: &dyn Router) {
        loop {
            let now = self.clock.now();
            self.commits.progress(now, &self.outbox);
            let dead = self.outbox.drain(now, router);
            if dead.is_empty() {
                return;
            }
            dead.into_iter().map(Work::Remove).for_each(|work| self.commits.submit_own(work));
        }
    }

    /// When [`PubSubService::advance`] is to be called next, by the service's clock; it changes with every call of that
    /// and of [`Service::handle`].
    pub fn next_deadline(&self) -> Option<Instant> {
        self.outbox.next_deadline().into_iter().chain(self.commits.next_deadline()).min()
    }

    /// Takes no more requests: those that wait are refused, and digests are sent before their time.
    ///
    /// A batch that is on its way to the store is still answered for, by [`PubSubService::advance`], until
    /// [`PubSubService::is_committing`] says that there is none.
    pub fn close(&self, router: &dyn Router) {
        self.commits.close(&self.outbox);
        self.advance(router);
        self.outbox.close(self.clock.now(), router);
    }

    /// Whether a batch is on its way to the store.
    pub fn is_committing(&self) -> bool {
        self.commits.is_committing()
    }

    fn submit(&self, work: Work, router: &dyn Router) {
        if let Err(work) = self.commits.submit(work, &self.outbox) {
            self.counters.refused_requests.increment();
            deliver_if_any(work.request().and_then(bounce), router);
        }
    }

    fn is_awaited(&self, answer: &Stanza) -> bool {
        let prefix = self.questions.as_deref();
        prefix.is_some_and(|prefix| answer.id().is_some_and(|id| id.starts_with(prefix)))
    }

    /// Who sends something is there: what came back from it before is forgotten.
    fn note_sign_of_life(&self, stanza: &Stanza) {
        if !self.outbox.is_untroubled()
            && let Some(from) = stanza.from()
        {
            self.outbox.extend([Outgoing::Alive(from.to_bare())]);
        }
    }
}

impl Service for PubSubService {
    /// Takes requests, presence, the decisions of owners, and notifications that came back; results, other errors and
    /// headlines change nothing.
    fn handle(&self, stanza: Stanza, origin: &Origin, router: &dyn Router) {
        match stanza.kind() {
            Kind::Iq(IqType::Get | IqType::Set)
            | Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::GroupChat)
            | Kind::Presence(PresenceType::Available) => {
                self.note_sign_of_life(&stanza);
                self.submit(Work::Stanza(Box::new(stanza), origin.clone()), router);
            }
            Kind::Iq(IqType::Result | IqType::Error) if self.is_awaited(&stanza) => {
                self.submit(Work::Stanza(Box::new(stanza), origin.clone()), router);
            }
            Kind::Presence(PresenceType::Unavailable | PresenceType::Subscribed | PresenceType::Unsubscribed) => {
                self.submit(Work::Stanza(Box::new(stanza), origin.clone()), router);
            }
            Kind::Message(MessageType::Error) => self.outbox.extend([Outgoing::Bounce(stanza)]),
            _ => return,
        }
        self.advance(router);
    }
}

fn deliver_if_any(stanza: Option<Stanza>, router: &dyn Router) {
    if let Some(stanza) = stanza {
        deliver(stanza, router);
    }
}

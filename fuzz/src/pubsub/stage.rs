//! A service and personal eventing on stores in memory, and a router that looks at what they send.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use convoke_pubsub::{Clock, Contacts, Creators, PubSubConfig, PubSubService};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::{
    Condition, Domainpart, Element, IqType, Jid, Kind, MessageType, Origin, Router, Service, Stanza, StanzaError,
    Undelivered, namespace,
};

pub(super) const SERVICE: &str = "pubsub.house.example";
pub(super) const ACCOUNT: &str = "juliet@house.example";
const HOUSE: &str = "house.example";

/// What may be kept of each thing, small enough to be in reach.
const FEW: usize = 6;
/// What may be sent for one stanza. An input has room for some forty presences, all of which one answer may make followers.
const MOST_SENT: usize = 1_000;
/// The records of a few accounts: of each its nodes, with all that they have, and those that have moved.
const MOST_RECORDS: usize = 5 * FEW * (3 + 3 * FEW);
/// An item is no longer than an input.
const MOST_BYTES: usize = MOST_RECORDS * 2 * crate::LONGEST;

/// What the services run on.
pub(super) struct Stage {
    service: PubSubService,
    personal: PubSubService,
    stores: [Arc<MemoryStore>; 2],
    clock: Arc<Hand>,
    record: Record,
}

impl Stage {
    pub(super) fn new() -> Self {
        let (stores, clock) = ([Arc::default(), Arc::default()], Arc::<Hand>::default());
        let [service, personal] = open(&stores, &clock);
        Self { service, personal, stores, clock, record: Record::default() }
    }

    /// Hands a stanza in from where its sender is; one without a sender or a recipient gets them.
    pub(super) fn hand_in_text(&self, text: &str) {
        self.hand_in_from(text, |from| if from.as_str() == HOUSE { Origin::Local } else { Origin::Remote(from) });
    }

    /// Hands a stanza in as if it came that way. A router hands on no faulty ones.
    pub(super) fn hand_in_from(&self, text: &str, origin: impl FnOnce(Domainpart) -> Origin) {
        let Some(stanza) = Stanza::parse(text).ok().filter(|stanza| stanza.fault().is_none()) else { return };
        let stanza = if stanza.from().is_some() { stanza } else { stanza.with_from(&jid("mallory@evil.example/x")) };
        let stanza = if stanza.to().is_some() { stanza } else { stanza.with_to(&jid(SERVICE)) };
        let Some(from) = stanza.from().and_then(|from| Domainpart::new(from.domain()).ok()) else { return };
        self.hand_in(&stanza, &origin(from));
    }

    /// Lets some seconds pass.
    pub(super) fn pass(&self, seconds: u64) {
        *lock(&self.clock.passed) += Duration::from_secs(seconds);
        self.service.advance(&self.record);
        self.personal.advance(&self.record);
        self.take(None);
    }

    /// Sends the last notification back.
    pub(super) fn bounce_last(&self, how: u8) {
        let Some(message) = lock(&self.record.last_message).clone() else { return };
        let conditions = [Condition::Gone, Condition::ItemNotFound, Condition::ResourceConstraint];
        let error = StanzaError::new(conditions[usize::from(how) % conditions.len()]);
        if let Some(bounced) = message.bounce(&error) {
            self.hand_in(&bounced, &Origin::Local);
        }
    }

    /// Answers the last question of personal eventing, truly or not.
    pub(super) fn answer_question(&self, how: u8) {
        let Some(question) = lock(&self.record.last_question).take() else { return };
        let feature = if how & 1 == 0 { "http://jabber.org/protocol/tune+notify" } else { "urn:other" };
        let feature = Element::new("feature", namespace::DISCO_INFO).attr("var", feature);
        let info = Element::new("query", namespace::DISCO_INFO).child(feature);
        self.hand_in(&question.result(Some(info)), &Origin::Local);
    }

    fn hand_in(&self, stanza: &Stanza, origin: &Origin) {
        let to = stanza.to().map(|to| to.bare().to_owned()).unwrap_or_default();
        let host = if to == SERVICE { &self.service } else { &self.personal };
        host.handle(stanza.clone(), origin, &self.record);
        self.take(Some(stanza));
    }

    /// Looks at what was sent since, for one stanza or for none.
    fn take(&self, asked: Option<&Stanza>) {
        let sent = std::mem::take(&mut *lock(&self.record.sent));
        assert!(sent.len() <= MOST_SENT, "{} stanzas for {asked:?}", sent.len());
        sent.iter().for_each(check_readable);
        let answers = sent.iter().filter(|stanza| is_answer(stanza)).collect::<Vec<_>>();
        let Some(asked) = asked.filter(|asked| asked.is_request()) else {
            assert!(answers.is_empty(), "{answers:?} to {asked:?}");
            return;
        };
        let [answer] = answers[..] else { panic!("{} answers to {asked:?}", answers.len()) };
        assert_eq!((answer.to(), answer.from(), answer.id()), (asked.from(), asked.to(), asked.id()));
    }

    /// What was kept is bounded, and whoever opens it again finds the same nodes.
    pub(super) fn reopen(self) {
        for store in &self.stores {
            let records = store.scan("pubsub", b"").unwrap_or_default();
            let bytes: usize = records.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(records.len() <= MOST_RECORDS && bytes <= MOST_BYTES, "{} records, {bytes} bytes", records.len());
        }
        let before = self.listed();
        let [service, personal] = open(&self.stores, &self.clock);
        let again = Self { service, personal, ..self };
        assert_eq!(again.listed(), before, "a service that is opened again has other nodes");
    }

    /// What the account is answered that asks for the nodes of the service, and for its own.
    fn listed(&self) -> Vec<Stanza> {
        let asker = jid("juliet@house.example/x");
        for (to, host) in [(SERVICE, &self.service), (ACCOUNT, &self.personal)] {
            let iq = Stanza::iq(IqType::Get, "list").with_payload(Element::new("query", namespace::DISCO_ITEMS));
            host.handle(iq.with_addresses(asker.as_ref(), jid(to).as_ref()), &Origin::Local, &self.record);
        }
        std::mem::take(&mut *lock(&self.record.sent)).into_iter().filter(is_answer).collect()
    }
}

fn open(stores: &[Arc<MemoryStore>; 2], clock: &Arc<Hand>) -> [PubSubService; 2] {
    let [of_service, of_accounts] = stores.clone();
    let config = PubSubConfig { creators: Creators::Anyone, multi_subscribe: true, ..few(PubSubConfig::default()) };
    let service = PubSubService::open(jid(SERVICE), config, of_service).expect("a service finds its store in order");
    let house: Arc<dyn Store> = of_accounts;
    let personal = PubSubService::personal(jid(HOUSE), few(PubSubConfig::personal()), Some(house), Arc::new(Roster));
    [service.with_contacts(Arc::new(Roster)), personal].map(|service| service.with_clock(clock.clone()))
}

/// The same with room for but a few things.
fn few(config: PubSubConfig) -> PubSubConfig {
    PubSubConfig {
        max_nodes: FEW,
        max_moved_nodes: FEW,
        max_items_per_node: FEW,
        max_subscriptions_per_node: FEW,
        max_affiliations_per_node: FEW,
        max_available: FEW,
        ..config
    }
}

/// Romeo sees the presence of everybody, and is a friend.
struct Roster;

impl Contacts for Roster {
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool {
        owner == contact || contact.local() == Some("romeo")
    }

    fn is_in_group(&self, _: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        contact.local() == Some("romeo") && groups.contains("Friends")
    }
}

/// A clock that stands still until it is moved: the same input is the same life.
#[derive(Default)]
struct Hand {
    passed: Mutex<Duration>,
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + *lock(&self.passed)
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *lock(&self.passed)
    }
}

/// Takes everything but notifications for a domain that nobody has, or to which the way is full.
#[derive(Default)]
struct Record {
    sent: Mutex<Vec<Stanza>>,
    last_message: Mutex<Option<Stanza>>,
    last_question: Mutex<Option<Stanza>>,
}

impl Router for Record {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        match (stanza.kind(), stanza.to().map(|to| to.domain().to_owned()).as_deref()) {
            (Kind::Message(MessageType::Headline), Some("evil.example")) => {
                return Err(Undelivered::new(stanza, Condition::ResourceConstraint));
            }
            (Kind::Message(MessageType::Headline), Some("nobody.example")) => {
                return Err(Undelivered::new(stanza, Condition::RemoteServerNotFound));
            }
            (Kind::Message(_), _) => *lock(&self.last_message) = Some(stanza.clone()),
            (Kind::Iq(IqType::Get), _) => *lock(&self.last_question) = Some(stanza.clone()),
            _ => {}
        }
        lock(&self.sent).push(stanza);
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        panic!("answers are taken by everybody, and notifications are the service's own affair: {undelivered}");
    }
}

/// Whoever gets a stanza reads it as what it is.
fn check_readable(stanza: &Stanza) {
    let text = stanza.text();
    let Ok(read) = Stanza::parse(&text) else { panic!("nobody can read {text}") };
    assert_eq!((read.kind(), read.to(), read.from()), (stanza.kind(), stanza.to(), stanza.from()), "{text}");
    assert_eq!((read.id(), read.fault()), (stanza.id(), None), "{text}");
}

fn is_answer(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error))
}

fn jid(text: &str) -> Jid {
    Jid::new(text).expect("an address of the stage")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

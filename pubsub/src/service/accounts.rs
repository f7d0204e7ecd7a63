//! A broker for each account, at the account's bare address (XEP-0163).

mod audience;
mod claim;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use convoke_store::{Batch, Change, Store, StoreError};
use convoke_xmpp::{Condition, Element, IqType, Jid, JidRef, Kind, Origin, PresenceType, Stanza, namespace};

use super::clock::Clock;
use super::commit::{Host, Undos, bounce};
use super::host::SingleBroker;
use super::work::Work;
use crate::broker::{Broker, Census, Followers, NodeId};
use crate::contacts::Contacts;
use crate::delivery::Outgoing;
use crate::protocol;
use crate::state::Subscription;
use crate::{AccessModel, PubSubConfig};

use audience::{Arrival, Audience, Interests, Question};
use claim::Claim;

/// Accounts with nodes, or at work, at a time. Beyond it, an account that has none cannot make any.
const MAX_ACCOUNTS: usize = 10_000;

/// The brokers of all accounts, and those who follow their nodes.
///
/// An account is read back from the store when it is first needed.
pub(super) struct Accounts {
    config: PubSubConfig,
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    contacts: Arc<dyn Contacts>,
    brokers: HashMap<Jid, SingleBroker>,
    audience: Audience,
    questions: Questions,
    /// Those that were at work since the changes were taken last.
    touched: BTreeSet<Jid>,
    /// Those in which something ends by itself.
    expiring: BTreeSet<Jid>,
    /// Those of which the store failed to keep something.
    doubtful: BTreeSet<Jid>,
}

/// The identifiers of requests of our own.
pub(super) struct Questions {
    prefix: String,
    count: u64,
}

impl Questions {
    /// Such as nobody can guess.
    pub(super) fn new() -> Self {
        Self { prefix: format!("pep-{:016x}-", RandomState::new().hash_one(0)), count: 0 }
    }

    /// How all of them begin.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    fn next(&mut self) -> String {
        self.count += 1;
        format!("{}{:x}", self.prefix, self.count)
    }
}

/// Those who follow the nodes of one account.
struct FollowersOf<'a> {
    audience: &'a Audience,
    account: &'a Jid,
}

impl Followers for FollowersOf<'_> {
    fn of(&self, node: &NodeId) -> Vec<Jid> {
        self.audience.interested(self.account.as_str(), node.as_str()).cloned().collect()
    }
}

impl Accounts {
    pub(super) fn new(
        config: PubSubConfig,
        store: Option<Arc<dyn Store>>,
        clock: Arc<dyn Clock>,
        contacts: Arc<dyn Contacts>,
        questions: Questions,
    ) -> Self {
        let (brokers, audience) = (HashMap::new(), Audience::default());
        let [touched, expiring, doubtful] = Default::default();
        Self { config, store, clock, contacts, brokers, audience, questions, touched, expiring, doubtful }
    }

    fn serve(&mut self, work: &Work, stanza: &Stanza, origin: &Origin) -> Vec<Outgoing> {
        let (Some(from), Some(to)) = (stanza.from().map(JidRef::to_owned), stanza.to()) else { return Vec::new() };
        let account = to.to_bare();
        match stanza.kind() {
            Kind::Presence(PresenceType::Available) => self.available(&account, &from, work, stanza),
            Kind::Presence(PresenceType::Subscribed | PresenceType::Unsubscribed) => {
                self.contact_changed(&from.to_bare(), &account, origin, stanza)
            }
            Kind::Presence(_) => self.unavailable(&account, &from, work),
            Kind::Iq(IqType::Result | IqType::Error) => self.answered(&from, stanza),
            Kind::Iq(_) | Kind::Message(_) => self.asked(&account, &from, work, stanza, origin),
        }
    }

    /// Serves a request for the nodes of an account, which need not have any.
    fn asked(&mut self, account: &Jid, from: &Jid, work: &Work, stanza: &Stanza, origin: &Origin) -> Vec<Outgoing> {
        let is_own = *origin == Origin::Local && from.bare() == account.as_str();
        if is_about_the_account(stanza) {
            return self.described(account, from, is_own, stanza);
        }
        match self.open(account, is_own) {
            Opened::Open => self.perform_at(account, work),
            Opened::Nothing => refusal(stanza, Condition::ServiceUnavailable),
            Opened::TooMany => bounce(stanza).map(Outgoing::Answer).into_iter().collect(),
            Opened::Unreadable => refusal(stanza, Condition::InternalServerError),
        }
    }

    /// What an account is, for itself and for those who see its presence anyhow (RFC 6121, section 8.5.2.1.3).
    fn described(&self, account: &Jid, from: &Jid, is_own: bool, stanza: &Stanza) -> Vec<Outgoing> {
        if !is_own && !self.contacts.shares_presence(account, &from.to_bare()) {
            return refusal(stanza, Condition::ServiceUnavailable);
        }
        vec![Outgoing::Answer(stanza.result(Some(protocol::account_info(&self.config))))]
    }

    fn available(&mut self, account: &Jid, who: &Jid, work: &Work, stanza: &Stanza) -> Vec<Outgoing> {
        let (arrival, question) = self.note_arrival(account, who, stanza);
        // Whoever has subscribed counts as available from now on, and is greeted: where there are nodes.
        self.open(account, false);
        let mut outgoing = self.perform_at(account, work);
        outgoing.extend(arrival.into_iter().flat_map(|arrival| self.greet(arrival)));
        outgoing.extend(question.map(|question| Outgoing::Answer(ask(&question))));
        outgoing
    }

    /// Where there is no room for everybody, there is still some for contacts.
    fn note_arrival(&mut self, account: &Jid, who: &Jid, presence: &Stanza) -> (Option<Arrival>, Option<Question>) {
        if !self.audience.has_room() && !self.contacts.shares_presence(account, &who.to_bare()) {
            return (None, None);
        }
        let (questions, now) = (&mut self.questions, self.clock.time());
        self.audience.available(account, who, Claim::read(who, presence), || questions.next(), now)
    }

    fn unavailable(&mut self, account: &Jid, who: &Jid, work: &Work) -> Vec<Outgoing> {
        let (questions, now) = (&mut self.questions, self.clock.time());
        let question = self.audience.unavailable(account, who, || questions.next(), now);
        let mut outgoing = self.perform_at(account, work);
        outgoing.extend(question.map(|question| Outgoing::Answer(ask(&question))));
        if who.bare() == account.as_str() && !self.audience.is_there(account) {
            // Nobody tells it of its contacts any more; they are asked for when it is back.
            self.audience.forget(account);
        }
        outgoing
    }

    /// Somebody has told what its hash stands for, or will not.
    fn answered(&mut self, from: &Jid, stanza: &Stanza) -> Vec<Outgoing> {
        let info = told_info(stanza);
        let (questions, now) = (&mut self.questions, self.clock.time());
        let id = stanza.id().unwrap_or_default();
        let (arrivals, question) = self.audience.answered(id, from, info.as_ref(), || questions.next(), now);
        let greetings = arrivals.into_iter().flat_map(|arrival| self.greet(arrival));
        greetings.chain(question.map(|question| Outgoing::Answer(ask(&question)))).collect()
    }

    /// An account lets a contact see more than before, or less: its presence, or what a group of its roster may see
    /// (XEP-0060, section 13.2; XEP-0163, section 7.1).
    fn contact_changed(&mut self, account: &Jid, contact: &Jid, origin: &Origin, stanza: &Stanza) -> Vec<Outgoing> {
        if *origin != Origin::Local {
            return Vec::new();
        }
        let is_grouped = stanza.has_payload("item", namespace::ROSTER);
        let opened: &[AccessModel] = match stanza.kind() {
            Kind::Presence(PresenceType::Unsubscribed) => &[],
            _ if is_grouped => &[AccessModel::Roster],
            _ => &[AccessModel::Presence, AccessModel::Roster],
        };
        let follows: Vec<_> = match is_grouped {
            true => {
                let present = self.audience.resources_of(account, contact);
                present.map(|(who, interests)| (who.clone(), nodes_of(interests))).collect()
            }
            false => {
                // Access is asked for when it matters: who is admitted may have been greeted before this is told.
                let is_contact = self.contacts.shares_presence(account, contact);
                let admitted = self.audience.admitted(account, contact, is_contact);
                admitted.into_iter().map(|(who, interests)| (who, nodes_of(&interests))).collect()
            }
        };
        self.open(account, false);
        let Some(broker) = self.brokers.get_mut(account) else { return Vec::new() };
        self.touched.insert(account.clone());
        broker.contact_changed(contact, &follows, opened)
    }

    fn greet(&mut self, Arrival { account, who, interests }: Arrival) -> Vec<Outgoing> {
        let is_contact = self.contacts.shares_presence(&account, &who.to_bare());
        self.audience.greeted(&account, &who, is_contact);
        self.open(&account, false);
        let Some(broker) = self.brokers.get_mut(&account) else { return Vec::new() };
        broker.greet(&who, &nodes_of(&interests))
    }

    fn perform_at(&mut self, account: &Jid, work: &Work) -> Vec<Outgoing> {
        let Some(broker) = self.brokers.get_mut(account) else { return Vec::new() };
        let outgoing = broker.perform_for(work, &FollowersOf { audience: &self.audience, account });
        if broker.next_expiry().is_some() {
            self.expiring.insert(account.clone());
        }
        self.touched.insert(account.clone());
        outgoing.into_iter().map(|step| self.asking_resources(account, step)).collect()
    }

    /// What the account itself has to answer is asked of each of its resources: nobody knows which of them understands it.
    fn asking_resources(&self, account: &Jid, step: Outgoing) -> Outgoing {
        match step {
            Outgoing::Notification { notice, recipients }
                if notice.is_question() && self.audience.is_there(account) =>
            {
                let (own, others): (Vec<_>, Vec<_>) =
                    recipients.iter().map(|(jid, by)| (jid.clone(), by.clone())).partition(|(jid, _)| jid == account);
                let resources = own.first().into_iter().flat_map(|_| self.audience.resources(account));
                let asked = resources.map(|resource| (resource.clone(), Subscription::default()));
                Outgoing::Notification { notice, recipients: Arc::new(asked.chain(others).collect()) }
            }
            step => step,
        }
    }

    /// Makes sure that the broker of an account is in memory, if it has anything or may make it.
    fn open(&mut self, account: &Jid, may_create: bool) -> Opened {
        if self.brokers.contains_key(account) {
            return Opened::Open;
        }
        let broker = match &self.store {
            Some(store) => Broker::open(&**store, account.clone(), self.config.clone()),
            None => Ok(Broker::new(account.clone(), self.config.clone())),
        };
        let Ok(broker) = broker else { return Opened::Unreadable };
        if broker.is_empty() && !may_create {
            return Opened::Nothing;
        }
        self.forget_idle();
        if self.brokers.len() >= MAX_ACCOUNTS && broker.is_empty() {
            return Opened::TooMany;
        }
        let mut host = SingleBroker::new(account.clone(), self.config.clone(), broker, self.clock.clone());
        host.set_contacts(self.contacts.clone());
        self.expiring.extend(host.next_expiry().map(|_| account.clone()));
        self.brokers.insert(account.clone(), host);
        Opened::Open
    }

    /// Makes room: of accounts that are not at work and have nothing, nothing need be kept.
    fn forget_idle(&mut self) {
        if self.brokers.len() < MAX_ACCOUNTS {
            return;
        }
        let (touched, audience) = (&self.touched, &self.audience);
        let is_idle = |account: &Jid, broker: &SingleBroker| {
            broker.is_empty() && !touched.contains(account) && !audience.is_there(account)
        };
        self.brokers.retain(|account, broker| !is_idle(account, broker));
    }

    fn expire(&mut self) -> Vec<Outgoing> {
        let due: Vec<_> = self.expiring.iter().filter(|account| self.is_due_at(account)).cloned().collect();
        let outgoing = due.iter().flat_map(|account| self.perform_at(account, &Work::Expire)).collect();
        self.expiring.retain(|account| self.brokers.get(account).is_some_and(|broker| broker.next_expiry().is_some()));
        outgoing
    }

    fn is_due_at(&self, account: &Jid) -> bool {
        self.brokers.get(account).is_some_and(SingleBroker::is_due)
    }
}

/// What became of an attempt to have the broker of an account in memory.
enum Opened {
    Open,
    /// It has nothing.
    Nothing,
    TooMany,
    /// The store did not give it back.
    Unreadable,
}

impl Host for Accounts {
    fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.clock = clock;
    }

    fn set_contacts(&mut self, contacts: Arc<dyn Contacts>) {
        self.contacts = contacts;
    }

    fn perform(&mut self, work: &Work) -> Vec<Outgoing> {
        match work {
            Work::Stanza(stanza, origin) => self.serve(work, stanza, origin),
            Work::Remove(_) => {
                let accounts: Vec<_> = self.brokers.keys().cloned().collect();
                accounts.iter().flat_map(|account| self.perform_at(account, work)).collect()
            }
            Work::Expire => self.expire(),
        }
    }

    fn is_due(&self) -> bool {
        self.expiring.iter().any(|account| self.is_due_at(account))
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.expiring.iter().filter_map(|account| self.brokers.get(account)?.next_expiry()).min()
    }

    fn retry(&mut self, work: Work, unsent: &[Outgoing]) -> Option<Work> {
        unsent.iter().filter_map(question_id).for_each(|id| self.audience.not_asked(id));
        if let Work::Stanza(stanza, _) = &work
            && work.is_about_contact()
        {
            self.audience.admitted(&stanza.from()?.to_bare(), &stanza.to()?.to_bare(), false);
            return Some(work);
        }
        if let Work::Stanza(stanza, _) = &work {
            let (who, account) = (stanza.from()?.to_owned(), stanza.to()?.to_bare());
            if matches!(stanza.kind(), Kind::Iq(_)) {
                if let Some(info) = told_info(stanza) {
                    self.audience.take_back(stanza.id()?, &who, &info, self.clock.time());
                }
                return Some(work);
            }
            // Who is known already would not be greeted again.
            self.audience.withdraw(&account, &who);
            return match self.brokers.get_mut(&account) {
                Some(broker) => broker.retry(work, unsent),
                None => Some(work),
            };
        }
        matches!(work, Work::Remove(_)).then_some(work)
    }

    fn take_changes(&mut self) -> Option<(Batch, Undos)> {
        let (mut batch, mut undos) = (Batch::new(), Undos::new());
        for account in std::mem::take(&mut self.touched) {
            let changes = self.brokers.get_mut(&account).and_then(SingleBroker::take_changes);
            let Some((part, undo)) = changes else { continue };
            undos.extend(undo);
            batch = part.into_changes().into_iter().fold(batch, with);
        }
        (!undos.is_empty()).then_some((batch, undos))
    }

    fn undo(&mut self, undos: Undos, cause: &StoreError) {
        for (account, undo) in undos {
            if let Some(broker) = self.brokers.get_mut(&account) {
                self.expiring.insert(account.clone());
                self.doubtful.insert(account.clone());
                broker.undo(vec![(account, undo)], cause);
            }
        }
    }

    fn census(&self) -> Census {
        self.brokers.values().map(Host::census).sum()
    }

    fn resolve_doubts(&mut self, store: &dyn Store) {
        for account in std::mem::take(&mut self.doubtful) {
            self.brokers.get_mut(&account).into_iter().for_each(|broker| broker.resolve_doubts(store));
        }
    }
}

fn nodes_of(interests: &Interests) -> Vec<NodeId> {
    interests.iter().filter_map(|node| NodeId::new(node).ok()).collect()
}

fn with(batch: Batch, Change { table, key, value }: Change) -> Batch {
    match value {
        Some(value) => batch.put(table, key, value),
        None => batch.delete(table, key),
    }
}

fn refusal(stanza: &Stanza, condition: Condition) -> Vec<Outgoing> {
    stanza.bounce(&condition.into()).map(Outgoing::Answer).into_iter().collect()
}

/// Whether it is asked what the account is, rather than one of its nodes.
fn is_about_the_account(stanza: &Stanza) -> bool {
    let is_info = stanza.kind() == Kind::Iq(IqType::Get) && stanza.has_payload("query", namespace::DISCO_INFO);
    is_info && stanza.payload().is_some_and(|query| query.attribute("node").is_none_or(str::is_empty))
}

/// What the answer to a question tells, unless it is an error.
fn told_info(answer: &Stanza) -> Option<Element> {
    answer.payload().filter(|_| answer.kind() == Kind::Iq(IqType::Result))
}

/// The identifier of a question, if it is one.
fn question_id(outgoing: &Outgoing) -> Option<&str> {
    match outgoing {
        Outgoing::Answer(stanza) if stanza.kind() == Kind::Iq(IqType::Get) => stanza.id(),
        _ => None,
    }
}

/// Asks for what a hash of capabilities stands for (XEP-0115, section 6.2), as the account to which it was shown.
fn ask(question: &Question) -> Stanza {
    let query = Element::new("query", namespace::DISCO_INFO).attr("node", &question.node);
    Stanza::iq(IqType::Get, &question.id)
        .with_addresses(question.from.as_ref(), question.to.as_ref())
        .with_payload(query)
}

#[cfg(test)]
mod tests {
    use convoke_store::MemoryStore;

    use super::*;
    use crate::NoContacts;
    use crate::service::SystemClock;

    fn at(account: &str, from: &str, content: &str) -> Work {
        let text = match content {
            "" => format!("<presence from='{from}' to='{account}'/>"),
            content => format!("<iq type='set' id='r' from='{from}' to='{account}'>{content}</iq>"),
        };
        Work::Stanza(Box::new(Stanza::parse(&text).unwrap()), Origin::Local)
    }

    fn accounts(store: &Arc<MemoryStore>) -> Accounts {
        let config = PubSubConfig::personal();
        Accounts::new(config, Some(store.clone()), Arc::new(SystemClock), Arc::new(NoContacts), Questions::new())
    }

    #[test]
    fn presence_brings_back_the_accounts_alone_of_which_the_store_has_nodes() {
        let store = Arc::new(MemoryStore::new());
        let mut before = accounts(&store);
        let create = format!("<pubsub xmlns='{}'><create node='n'/></pubsub>", namespace::PUBSUB);
        before.perform(&at("a@x", "a@x/1", &create));
        store.commit(before.take_changes().unwrap().0, Box::new(|outcome| outcome.unwrap()));
        let mut after = accounts(&store);
        for number in 0..100 {
            after.perform(&at(&format!("b{number}@x"), "stranger@y/1", ""));
        }
        assert!(after.brokers.is_empty());
        after.perform(&at("a@x", "stranger@y/1", ""));
        assert_eq!(after.brokers.keys().map(Jid::as_str).collect::<Vec<_>>(), ["a@x"]);
    }
}

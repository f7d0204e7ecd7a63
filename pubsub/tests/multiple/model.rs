//! Random requests about the subscriptions of a few addresses, beside the simplest account of what they should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use convoke_pubsub::{PubSubService, client};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::Jid;

use super::scene::*;
use crate::support::{House, NODE, Numbers, form, verdict};

const ROUNDS: u64 = 20;
const STEPS: u64 = 80;

const ADDRESSES: [&str; 4] = [FRANCISCO, BARRACKS, "francisco@denmark.lit/watch", "francisco@denmark.lit.example"];

/// What one subscription should be.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    subid: String,
    delivers: bool,
}

/// A service that is opened again now and then, and what its subscriptions should be: of each address, oldest first.
struct Pair {
    house: House,
    store: Arc<dyn Store>,
    expected: BTreeMap<&'static str, Vec<Entry>>,
    /// SubIDs that were good once.
    over: Vec<String>,
    numbers: Numbers,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let house = open(&store);
        house.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
        Self { house, store, expected: BTreeMap::new(), over: Vec::new(), numbers: Numbers::new(seed) }
    }

    fn step(&mut self) {
        let address = ADDRESSES[self.numbers.below(4) as usize];
        match self.numbers.below(12) {
            0 => self.house = open(&self.store),
            1..=4 => self.subscribe(address),
            5..=6 => self.unsubscribe(address),
            7..=8 => self.choose(address),
            9 => self.end_by_owner(address),
            10 => self.misname(address),
            _ => self.publish(),
        }
    }

    fn subscribe(&mut self, address: &'static str) {
        let own = self.expected.entry(address).or_default();
        let verb = format!("<subscribe node='{NODE}' jid='{address}'/>");
        let answers = self.house.request(address, "set", &verb);
        if own.len() == 16 {
            assert_eq!(verdict(&answers), "policy-violation/too-many-subscriptions");
            return;
        }
        let subscription = client::parse_subscription(&answers[0].payload().unwrap()).unwrap();
        own.push(Entry { subid: subscription.subid.unwrap(), delivers: true });
    }

    /// One of the subscriptions of an address, and how a request names it: the only one not always by its SubID.
    fn any(&mut self, address: &'static str) -> Option<(usize, String)> {
        let own = self.expected.get(address).filter(|own| !own.is_empty())?;
        let place = self.numbers.below(own.len() as u64) as usize;
        let is_named = own.len() > 1 || self.numbers.below(2) == 0;
        let name = if is_named { format!(" subid='{}'", own[place].subid) } else { String::new() };
        Some((place, format!("node='{NODE}' jid='{address}'{name}")))
    }

    fn unsubscribe(&mut self, address: &'static str) {
        let Some((place, name)) = self.any(address) else { return };
        self.house.done(address, "set", &format!("<unsubscribe {name}/>"));
        self.over.push(self.expected.get_mut(address).unwrap().remove(place).subid);
    }

    fn choose(&mut self, address: &'static str) {
        let Some((place, name)) = self.any(address) else { return };
        let delivers = self.numbers.below(2) == 0;
        let form = form(OPTIONS, &[("pubsub#deliver", &[if delivers { "1" } else { "0" }])]);
        self.house.done(address, "set", &format!("<options {name}>{form}</options>"));
        self.expected.get_mut(address).unwrap()[place].delivers = delivers;
    }

    fn end_by_owner(&mut self, address: &'static str) {
        let Some((place, _)) = self.any(address) else { return };
        let subid = self.expected.get_mut(address).unwrap().remove(place).subid;
        let entry = format!("<subscription jid='{address}' subid='{subid}' subscription='none'/>");
        let verb = format!("<subscriptions node='{NODE}'>{entry}</subscriptions>");
        assert_eq!(verdict(&self.house.owner_request(HAMLET, "set", &verb)), "result");
        self.over.push(subid);
    }

    /// A SubID that is over, or that of another address, is good for nothing.
    fn misname(&mut self, address: &'static str) {
        let foreign = self.expected.iter().filter(|(other, _)| **other != address).flat_map(|(_, own)| own);
        let wrong: Vec<_> = foreign.map(|entry| &entry.subid).chain(&self.over).cloned().collect();
        if wrong.is_empty() {
            return;
        }
        let subid = &wrong[self.numbers.below(wrong.len() as u64) as usize];
        let verb = format!("<unsubscribe node='{NODE}' jid='{address}' subid='{subid}'/>");
        let has_none = self.expected.get(address).is_none_or(Vec::is_empty);
        let expected = if has_none { "unexpected-request/not-subscribed" } else { "not-acceptable/invalid-subid" };
        assert_eq!(verdict(&self.house.request(address, "set", &verb)), expected);
    }

    fn publish(&mut self) {
        let told = self.house.publish("current", PAYLOAD);
        let told: BTreeMap<String, Vec<String>> =
            told.iter().map(|message| (message.to().unwrap().to_string(), client::parse_subids(message))).collect();
        let listening = |own: &Vec<Entry>| -> Vec<String> {
            own.iter().filter(|entry| entry.delivers).map(|entry| entry.subid.clone()).collect()
        };
        // Who has one subscription is not told which it is.
        let named = |own: &Vec<Entry>| if own.len() > 1 { listening(own) } else { Vec::new() };
        let hears = self.expected.iter().filter(|(_, own)| !listening(own).is_empty());
        assert_eq!(told, hears.map(|(address, own)| ((*address).to_owned(), named(own))).collect());
    }

    fn check_lists(&self) {
        let list = self.house.owner_request(HAMLET, "get", &format!("<subscriptions node='{NODE}'/>"));
        let listed = client::parse_subscriptions(&list[0].payload().unwrap()).unwrap();
        let listed: Vec<_> = listed.into_iter().map(|entry| (entry.jid.to_string(), entry.subid.unwrap())).collect();
        let named = |(address, own): (&&'static str, &Vec<Entry>)| -> Vec<_> {
            own.iter().map(|entry| ((*address).to_owned(), entry.subid.clone())).collect()
        };
        let mut expected: Vec<_> = self.expected.iter().flat_map(named).collect();
        // The service lists by address, as the model does: the order within an address counts.
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(listed, expected);
    }
}

fn open(store: &Arc<dyn Store>) -> House {
    let address = Jid::new("pubsub.shakespeare.lit").unwrap();
    House::of(PubSubService::open(address, multiple(), store.clone()).unwrap())
}

#[test]
fn whatever_is_asked_each_subscription_is_what_its_own_requests_made_it() {
    for seed in 0..ROUNDS {
        let mut pair = Pair::new(seed);
        for _ in 0..STEPS {
            pair.step();
            pair.check_lists();
        }
        pair.publish();
    }
}

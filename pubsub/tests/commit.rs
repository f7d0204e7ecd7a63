//! Nothing is told before the store has made it durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_pubsub::{Clock, NodeConfig, PubSubConfig, PubSubService};
use convoke_store::{Batch, Durability, Entry, MemoryStore, OnDurable, Store, StoreError};
use convoke_xmpp::{Condition, ErrorType, Jid, Stanza, StanzaError};

use crate::support::{House, ManualClock, NODE, Recorder, item_ids, open_config, published, request, verdict};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
const HAMLET: &str = "hamlet@denmark.lit/x";

/// A store whose commits the test completes or fails, one by one.
#[derive(Default)]
pub(crate) struct HeldStore {
    memory: MemoryStore,
    held: Mutex<VecDeque<(Batch, OnDurable)>>,
    commits: AtomicUsize,
}

impl HeldStore {
    fn waiting(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    pub(crate) fn complete(&self) {
        let (batch, on_durable) = self.held.lock().unwrap().pop_front().expect("no commit is under way");
        self.memory.commit(batch, on_durable);
    }

    pub(crate) fn fail(&self, error: StoreError) {
        let (_, on_durable) = self.held.lock().unwrap().pop_front().expect("no commit is under way");
        on_durable(Err(error));
    }
}

impl Store for HeldStore {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.held.lock().unwrap().push_back((batch, on_durable));
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(table, key)
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.memory.scan(table, prefix)
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

fn open(store: Arc<dyn Store>, config: PubSubConfig) -> House {
    let address = Jid::new("pubsub.shakespeare.lit").unwrap();
    let service = PubSubService::open(address, config, store).unwrap();
    House { service, router: Recorder::default() }
}

/// A service with the node of the examples and one subscriber, all of it durable.
fn held_house(config: PubSubConfig) -> (House, Arc<HeldStore>) {
    let store = Arc::new(HeldStore::default());
    let house = open(store.clone(), config);
    send(&house, "create", HAMLET, "set", &format!("<create node='{NODE}'/>"));
    complete(&house, &store);
    send(&house, "subscribe", "a@a.example", "set", &format!("<subscribe node='{NODE}' jid='a@a.example'/>"));
    complete(&house, &store);
    house.router.take();
    (house, store)
}

/// Sends a request of this id; gives what comes out at once.
fn send(house: &House, id: &str, from: &str, kind: &str, verb: &str) -> Vec<String> {
    told(house.send(&request(from, kind, PUBSUB, verb).replace("id='r'", &format!("id='{id}'"))))
}

fn publish(house: &House, id: &str) -> Vec<String> {
    let item = format!("<publish node='{NODE}'><item id='{id}'><a xmlns='urn:a'/></item></publish>");
    send(house, id, HAMLET, "set", &item)
}

fn read(house: &House, id: &str) -> Vec<String> {
    send(house, id, "a@a.example", "get", &format!("<items node='{NODE}'/>"))
}

fn complete(house: &House, store: &HeldStore) -> Vec<String> {
    store.complete();
    advance(house)
}

fn advance(house: &House) -> Vec<String> {
    house.service.advance(&house.router);
    told(house.router.take())
}

/// Answers as `id verdict`, with the items that they hold, and events as `event item`.
fn told(stanzas: Vec<Stanza>) -> Vec<String> {
    let tell = |stanza: Stanza| match convoke_pubsub::client::parse_event(&stanza) {
        Some(_) => format!("event {}", published(&stanza).unwrap_or_default()),
        None => {
            let answers = std::slice::from_ref(&stanza);
            let listed = stanza.payload().and_then(|payload| convoke_pubsub::client::parse_items(&payload));
            let items = listed.map(|_| format!(" {}", item_ids(answers).join(","))).unwrap_or_default();
            format!("{} {}{items}", stanza.id().unwrap_or_default(), verdict(answers))
        }
    };
    stanzas.into_iter().map(tell).collect()
}

/// Has an address tell the service that it is there, or not.
fn presence(house: &House, from: &str, kind: &str) -> Vec<String> {
    told(house.send(&format!("<presence from='{from}' to='pubsub.shakespeare.lit'{kind}/>")))
}

fn timed_house(node: NodeConfig) -> (House, Arc<HeldStore>, Arc<ManualClock>) {
    let (house, store) = held_house(PubSubConfig { node, ..open_config() });
    let clock = Arc::new(ManualClock::new());
    let house = House { service: house.service.with_clock(clock.clone()), router: house.router };
    (house, store, clock)
}

pub(crate) fn full_disk() -> StoreError {
    StoreError::Write { path: "/full".into(), cause: Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull)) }
}

#[test]
fn neither_answer_nor_notification_leaves_before_the_store_made_it_durable() {
    let (house, store) = held_house(open_config());
    assert!(publish(&house, "1").is_empty());
    assert!(advance(&house).is_empty());
    assert_eq!(complete(&house, &store), ["1 result", "event 1"]);
}

#[test]
fn one_commit_is_under_way_at_a_time_and_all_that_waited_share_the_next() {
    let (house, store) = held_house(open_config());
    let before = store.commits.load(Ordering::SeqCst);
    for id in ["1", "2", "3", "4"] {
        assert!(publish(&house, id).is_empty());
        assert_eq!(store.waiting(), 1);
    }
    assert_eq!(complete(&house, &store), ["1 result", "event 1"]);
    assert_eq!(store.waiting(), 1);
    let rest = ["2 result", "event 2", "3 result", "event 3", "4 result", "event 4"];
    assert_eq!(complete(&house, &store), rest);
    assert_eq!(store.commits.load(Ordering::SeqCst) - before, 2);
    assert_eq!(house.service.statistics().committed_groups, 4);
}

#[test]
fn a_read_waits_for_the_writes_before_it_and_needs_no_commit_of_its_own() {
    let (house, store) = held_house(open_config());
    publish(&house, "1");
    assert!(read(&house, "r").is_empty());
    assert_eq!(complete(&house, &store), ["1 result", "event 1", "r result 1"]);
    assert_eq!((read(&house, "again"), store.waiting()), (vec!["again result 1".to_owned()], 0));
}

#[test]
fn a_request_that_the_store_did_not_keep_is_refused_for_now_and_taken_back() {
    let (house, store) = held_house(open_config());
    for error in
        [full_disk(), StoreError::Busy { waiting: 9 }, StoreError::TooLarge { bytes: 9, limit: 1 }, StoreError::Stopped]
    {
        publish(&house, "1");
        publish(&house, "2");
        store.fail(error);
        assert_eq!(advance(&house), ["1 resource-constraint"]);
        store.fail(full_disk());
        assert_eq!(advance(&house), ["2 resource-constraint"]);
        assert_eq!(read(&house, "r"), ["r result "], "reading needs no disk");
    }
    publish(&house, "3");
    assert_eq!(complete(&house, &store), ["3 result", "event 3"]);
    let statistics = house.service.statistics();
    assert_eq!((statistics.failed_groups, statistics.oversized_requests), (7, 1));
    let reopened = open(store, open_config());
    assert_eq!(read(&reopened, "r"), ["r result 3"]);
}

/// A store that takes no batch with more than so many changes.
struct NarrowStore {
    held: HeldStore,
    limit: AtomicUsize,
}

impl Store for NarrowStore {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        self.held.commit(batch, on_durable);
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.held.get(table, key)
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        self.held.scan(table, prefix)
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

impl NarrowStore {
    /// Completes or refuses what is under way until nothing is; gives what came out.
    fn settle(&self, house: &House) -> Vec<String> {
        let mut told = Vec::new();
        while self.held.waiting() > 0 {
            let changes = self.held.held.lock().unwrap()[0].0.len();
            let limit = self.limit.load(Ordering::SeqCst);
            match changes > limit {
                true => self.held.fail(StoreError::TooLarge { bytes: changes, limit }),
                false => self.held.complete(),
            }
            told.extend(advance(house));
        }
        told
    }
}

/// A service on a store that takes a publication at a time, and on which one item is being published; a node of so many
/// items waits to be purged.
fn narrow_house(items: usize) -> (House, Arc<NarrowStore>) {
    let store = Arc::new(NarrowStore { held: HeldStore::default(), limit: AtomicUsize::new(usize::MAX) });
    let house = open(store.clone(), open_config());
    send(&house, "create", HAMLET, "set", &format!("<create node='{NODE}'/>"));
    send(&house, "large", HAMLET, "set", "<create node='large'/>");
    for id in 0..items {
        let item = format!("<publish node='large'><item id='{id}'><a xmlns='urn:a'/></item></publish>");
        send(&house, "fill", HAMLET, "set", &item);
    }
    send(&house, "subscribe", "a@a.example", "set", &format!("<subscribe node='{NODE}' jid='a@a.example'/>"));
    store.settle(&house);
    store.limit.store(8, Ordering::SeqCst);
    (house, store)
}

fn purge_large(house: &House) -> Vec<String> {
    let purge = request(HAMLET, "set", PUBSUB_OWNER, "<purge node='large'/>");
    told(house.send(&purge.replace("id='r'", "id='purge'")))
}

#[test]
fn a_change_that_is_larger_than_the_store_takes_is_refused_alone() {
    let (house, store) = narrow_house(20);
    publish(&house, "under way");
    for id in ["1", "2", "3"] {
        publish(&house, id);
    }
    assert!(purge_large(&house).is_empty());
    read(&house, "read");
    for id in ["4", "5", "6"] {
        publish(&house, id);
    }
    let expected = [
        "under way result",
        "event under way",
        "1 result",
        "event 1",
        "2 result",
        "event 2",
        "3 result",
        "event 3",
        "purge resource-constraint",
        "read result under way,1,2,3",
        "4 result",
        "event 4",
        "5 result",
        "event 5",
        "6 result",
        "event 6",
    ];
    assert_eq!(store.settle(&house), expected);
    let statistics = house.service.statistics();
    assert_eq!((statistics.oversized_requests, statistics.failed_groups), (1, 0));
    assert!(!house.service.is_store_failing());
    let reopened = open(store, open_config());
    assert_eq!(read(&reopened, "r"), ["r result under way,1,2,3,4,5,6"]);
    assert_eq!(reopened.service.statistics().items, 27, "nothing was purged");
}

#[test]
fn changes_that_are_too_large_only_together_are_all_made() {
    let (house, store) = narrow_house(0);
    publish(&house, "under way");
    let ids: Vec<_> = (0..40).map(|id| id.to_string()).collect();
    ids.iter().for_each(|id| assert!(publish(&house, id).is_empty()));
    let told = store.settle(&house);
    let expected: Vec<_> = ids.iter().flat_map(|id| [format!("{id} result"), format!("event {id}")]).collect();
    assert_eq!(told[2..], expected);
    assert_eq!(house.service.statistics().oversized_requests, 0);
}

/// Whoever has become available by one of them is greeted once and not forgotten.
#[test]
fn presence_among_changes_that_are_too_large_counts_once() {
    let (house, store) = narrow_house(20);
    publish(&house, "under way");
    assert!(purge_large(&house).is_empty());
    presence(&house, "a@a.example", "");
    assert_eq!(
        store.settle(&house),
        ["under way result", "event under way", "purge resource-constraint", "event under way"]
    );
    assert!(presence(&house, "a@a.example", "").is_empty());
}

/// The limit of the stores that there are, by what one request can make of it: a node with the longest of addresses, each
/// in the key of a record.
#[test]
fn what_no_store_takes_at_once_is_refused_alone() {
    let domain = vec!["d".repeat(63); 15].join(".");
    let service = Jid::new(&format!("{}@{domain}", "l".repeat(1_023))).unwrap();
    let config = PubSubConfig { max_affiliations_per_node: 10_000, ..open_config() };
    let store = Arc::new(HeldStore::default());
    let service_on = PubSubService::open(service.clone(), config, store.clone()).unwrap();
    let house = House { service: service_on, router: Recorder::default() };
    let ask = |id: &str, namespace: &str, verb: &str| {
        let text = request(HAMLET, "set", namespace, verb).replace("id='r'", &format!("id='{id}'"));
        told(house.send(&text.replace("pubsub.shakespeare.lit", service.as_str())))
    };
    let settle = || {
        let mut told = Vec::new();
        while store.waiting() > 0 {
            told.extend(complete(&house, &store));
        }
        told
    };
    ask("create", PUBSUB, "<create node='large'/>");
    settle();
    for hundred in 0..44 {
        let jid = |number| format!("{hundred:02}{number:02}{}@{domain}", "m".repeat(1_019));
        let one = |number| format!("<affiliation jid='{}' affiliation='member'/>", jid(number));
        let all: String = (0..100).map(one).collect();
        ask("fill", PUBSUB_OWNER, &format!("<affiliations node='large'>{all}</affiliations>"));
        assert_eq!(settle()[0], "fill result");
    }
    ask("under way", PUBSUB, "<create node='before'/>");
    ask("1", PUBSUB, "<create node='1'/>");
    ask("delete", PUBSUB_OWNER, "<delete node='large'/>");
    ask("2", PUBSUB, "<create node='2'/>");
    assert_eq!(settle(), ["under way result", "1 result", "delete resource-constraint", "2 result"]);
    assert_eq!(house.service.statistics().nodes, 4);
}

#[test]
fn every_request_of_a_group_that_failed_is_refused_whatever_its_answer_was_to_be() {
    let (house, store) = held_house(open_config());
    publish(&house, "0");
    publish(&house, "1");
    read(&house, "read");
    send(&house, "wrong", "a@a.example", "set", &format!("<publish node='{NODE}'><item/></publish>"));
    complete(&house, &store);
    store.fail(full_disk());
    let refused = ["1 resource-constraint", "read resource-constraint", "wrong resource-constraint"];
    assert_eq!(advance(&house), refused);
}

#[test]
fn a_refusal_for_want_of_a_disk_says_that_the_requester_may_try_again() {
    let (house, store) = held_house(open_config());
    publish(&house, "1");
    store.fail(full_disk());
    house.service.advance(&house.router);
    let error = house.router.take()[0].error().unwrap();
    assert_eq!((error.condition, error.error_type), (Condition::ResourceConstraint, ErrorType::Wait));
}

#[test]
fn requests_beyond_the_bound_of_those_that_wait_are_refused_at_once() {
    let (house, store) = held_house(PubSubConfig { max_waiting: 2, ..open_config() });
    for id in ["under way", "1", "2"] {
        assert!(publish(&house, id).is_empty());
    }
    assert_eq!(publish(&house, "3"), ["3 resource-constraint"]);
    assert_eq!(read(&house, "r"), ["r resource-constraint"]);
    assert_eq!(house.service.statistics().refused_requests, 2);
    assert_eq!(complete(&house, &store), ["under way result", "event under way"]);
    assert_eq!(complete(&house, &store).len(), 4);
}

#[test]
fn the_bytes_of_requests_that_wait_are_bounded() {
    let (house, store) = held_house(PubSubConfig { max_waiting_bytes: 1_000, ..open_config() });
    let long = "x".repeat(300);
    publish(&house, "under way");
    assert!(publish(&house, &long).is_empty());
    assert_eq!(publish(&house, &long), [format!("{long} resource-constraint")]);
    complete(&house, &store);
    assert!(publish(&house, &long).is_empty());
}

#[test]
fn whoever_runs_the_service_is_woken_when_there_is_something_to_tell() {
    let (house, store) = held_house(open_config());
    let woken = Arc::new(AtomicUsize::new(0));
    let count = woken.clone();
    house.service.on_wake(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    publish(&house, "1");
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    std::thread::scope(|scope| scope.spawn(|| store.complete()).join().unwrap());
    assert_eq!((woken.load(Ordering::SeqCst), house.router.take().len()), (1, 0));
    assert_eq!(advance(&house), ["1 result", "event 1"]);
}

#[test]
fn a_service_that_closes_answers_for_what_is_under_way_and_refuses_the_rest() {
    let (house, store) = held_house(open_config());
    publish(&house, "1");
    publish(&house, "2");
    house.service.close(&house.router);
    assert_eq!(told(house.router.take()), ["2 resource-constraint"]);
    assert!(house.service.is_committing());
    assert_eq!(publish(&house, "3"), ["3 resource-constraint"]);
    assert_eq!(complete(&house, &store), ["1 result", "event 1"]);
    assert!(!house.service.is_committing());
}

#[test]
fn what_presence_brings_about_is_done_again_when_the_store_did_not_keep_it() {
    let temporary = NodeConfig { temporary_subscriptions: true, ..open_config().node };
    let (house, store, clock) = timed_house(temporary);
    presence(&house, "a@a.example", "");
    assert!(presence(&house, "a@a.example", " type='unavailable'").is_empty());
    store.fail(full_disk());
    advance(&house);
    assert_eq!(store.waiting(), 0, "a store that has failed is left alone for a while");
    clock.pass(house.service.next_deadline().unwrap() - clock.now());
    advance(&house);
    complete(&house, &store);
    let reopened = open(store, open_config());
    let subscriptions =
        send(&reopened, "s", "a@a.example", "set", &format!("<unsubscribe node='{NODE}' jid='a@a.example'/>"));
    assert_eq!(subscriptions, ["s unexpected-request/not-subscribed"]);
}

#[test]
fn what_ends_by_itself_does_not_wear_out_a_store_that_fails() {
    let (house, store, clock) = timed_house(NodeConfig { item_expire: Some(60), ..open_config().node });
    publish(&house, "1");
    complete(&house, &store);
    let before = store.commits.load(Ordering::SeqCst);
    clock.pass(Duration::from_secs(60));
    for failures in 1..=5 {
        for _ in 0..10 {
            advance(&house);
        }
        assert_eq!(store.commits.load(Ordering::SeqCst) - before, failures);
        store.fail(full_disk());
        advance(&house);
        let pause = house.service.next_deadline().unwrap() - clock.now();
        assert_eq!(pause, Duration::from_secs(1));
        clock.pass(pause);
    }
    advance(&house);
    assert_eq!(complete(&house, &store), ["event "]);
    assert_eq!((read(&house, "r"), house.service.next_deadline()), (vec!["r result ".to_owned()], None));
}

#[test]
fn the_end_of_a_subscriber_that_takes_nothing_any_more_is_durable() {
    let (house, store) = held_house(open_config());
    publish(&house, "1");
    store.complete();
    house.service.advance(&house.router);
    let routed = house.router.take();
    let notification = routed.iter().find(|stanza| stanza.to().unwrap().as_str() == "a@a.example").unwrap();
    let gone = notification.bounce(&StanzaError::new(Condition::Gone)).unwrap();
    house.send(&gone.text());
    complete(&house, &store);
    let reopened = open(store.clone(), open_config());
    publish(&reopened, "2");
    assert_eq!(complete(&reopened, &store), ["2 result"]);
}

#[test]
fn a_store_that_answers_at_once_makes_no_difference_to_be_seen() {
    let store = Arc::new(MemoryStore::new());
    let house = open(store.clone(), open_config());
    send(&house, "create", HAMLET, "set", &format!("<create node='{NODE}'/>"));
    assert_eq!(publish(&house, "1"), ["1 result"]);
    let reopened = open(store, open_config());
    assert_eq!(read(&reopened, "r"), ["r result 1"]);
}

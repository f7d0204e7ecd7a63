//! The journal, its way back, and what the store gives back, with both stores.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use convoke_store::{Batch, MemoryStore, RedbStore, Store, StoreError};
use convoke_xmpp::{Element, Jid};

use super::record::{FORMAT, TABLE};
use super::*;
use crate::broker::{Affiliation, SubId, SubscriptionState};
use crate::config::SubscriptionOptions;

const ROUNDS: usize = 60;

const SERVICE: &str = "pubsub@example.org";

/// Everything that a state says of itself, and nothing of how it came about.
fn picture(state: &State) -> String {
    let mut text = format!("{} {:?} {}\n", state.address(), state.usage(), state.usages.publishers());
    for node in state.nodes() {
        let (id, creator, position) = (node.id(), node.creator(), node.position());
        writeln!(text, "{id} {creator} {position:?} {:?} {:?}", node.config(), node.items().usage()).unwrap();
        node.affiliations().for_each(|(jid, affiliation)| writeln!(text, "  {jid} {affiliation:?}").unwrap());
        node.subscriptions().iter().for_each(|(jid, entry)| writeln!(text, "  {jid} {entry:?}").unwrap());
        node.items()
            .iter()
            .for_each(|item| writeln!(text, "  {item:?} {:?}", state.usage_of(item.publisher())).unwrap());
    }
    for (id, moved) in &state.moved {
        writeln!(text, "{id} -> {} {:?} {:?}", moved.uri(), moved.node().config(), moved.node().affiliations).unwrap();
    }
    text
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn subid(bits: u64) -> SubId {
    SubId::new(bits.into())
}

fn node_id(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn config(max_items: usize) -> NodeConfig {
    NodeConfig { max_items: Some(max_items), title: format!("up to {max_items}"), ..NodeConfig::default() }
}

fn item(id: &str, publisher: &str, length: usize) -> NewItem {
    let payload = Element::new("p", "urn:p").text("x".repeat(length));
    let published = SystemTime::now() - Duration::from_nanos(length as u64 * 1_001);
    NewItem { id: id.to_owned(), publisher: jid(publisher), published, payload: self_contained(&payload) }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Makes one random change; few names, so that changes meet.
fn change(state: &mut State, numbers: &mut Numbers) {
    let id = node_id(&format!("node {}", numbers.below(4)));
    let who = format!("user{}@example.net", numbers.below(5));
    let kind = numbers.below(40);
    match kind {
        0 => return state.remove(&id),
        39 => return state.move_away(&id, format!("xmpp:{who}?;node={}", numbers.0), 2),
        _ => {}
    }
    let Some(mut node) = state.edit(&id) else {
        state.create(id, jid(&who), config(1), format!("incarnation {}", numbers.0), SystemTime::UNIX_EPOCH);
        return;
    };
    match kind {
        1 => drop(state.create(id, jid(&who), config(2), format!("incarnation {}", numbers.0), SystemTime::UNIX_EPOCH)),
        2..=4 => node.configure(config(1 + numbers.below(9) as usize)),
        5..=6 => node.affiliate(jid(&who), Affiliation::None),
        7..=10 => node.affiliate(jid(&who), Affiliation::Publisher),
        11..=14 => {
            let state = [SubscriptionState::Pending, SubscriptionState::Subscribed][numbers.below(2) as usize];
            let options = SubscriptionOptions { digest: numbers.below(2) == 0, ..SubscriptionOptions::default() };
            node.subscribe(jid(&format!("{who}/{}", numbers.below(2))), subid(numbers.below(3)), state, options);
        }
        15..=17 => drop(node.unsubscribe(&jid(&format!("{who}/{}", numbers.below(2))), subid(numbers.below(3)))),
        18..=22 => drop(node.remove_item(&format!("item {}", numbers.below(6)))),
        23..=25 => drop(node.advance()),
        _ => {
            node.put_item(item(&format!("item {}", numbers.below(6)), &who, numbers.below(50) as usize));
            node.advance();
        }
    }
}

fn commit(store: &dyn Store, batch: Batch) {
    let (sender, outcome) = mpsc::channel();
    store.commit(batch, Box::new(move |result| sender.send(result).unwrap()));
    outcome.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
}

fn save(store: &dyn Store, state: &mut State) {
    commit(store, state.take_changes().batch);
}

/// Runs a rule with each kind of store.
fn with_both_stores(rule: impl Fn(&dyn Store)) {
    rule(&MemoryStore::new());
    let directory = tempfile::tempdir().unwrap();
    rule(&RedbStore::open(directory.path()).unwrap());
}

fn reopened(store: &dyn Store) -> State {
    State::open(store, jid(SERVICE)).unwrap()
}

fn write_error() -> StoreError {
    StoreError::Write { path: "disk".into(), cause: Arc::new(io::Error::other("full")) }
}

#[test]
fn what_is_committed_is_read_back_exactly() {
    with_both_stores(|store| {
        let (mut state, mut numbers) = (State::new(jid(SERVICE)), Numbers(2_026));
        for round in 0..ROUNDS {
            (0..numbers.below(30)).for_each(|_| change(&mut state, &mut numbers));
            save(store, &mut state);
            let read = reopened(store);
            assert_eq!(picture(&read), picture(&state), "round {round}");
            if round % 10 == 9 {
                // What was read back is as good as what was there.
                state = read;
            }
        }
        assert!(state.nodes().len() > 0);
    });
}

#[test]
fn undoing_restores_exactly_what_was_before() {
    let (mut state, mut numbers) = (State::new(jid(SERVICE)), Numbers(7));
    for round in 0..500 {
        let before = picture(&state);
        (0..numbers.below(20)).for_each(|_| change(&mut state, &mut numbers));
        let undo = state.take_changes().undo;
        state.undo(undo, &write_error());
        assert_eq!(picture(&state), before, "round {round}");
        (0..numbers.below(5)).for_each(|_| change(&mut state, &mut numbers));
        state.take_changes();
    }
}

#[test]
fn returning_to_a_mark_takes_back_what_came_after_it_alone() {
    let store = MemoryStore::new();
    let (mut state, mut numbers) = (State::new(jid(SERVICE)), Numbers(11));
    for round in 0..300 {
        (0..numbers.below(10)).for_each(|_| change(&mut state, &mut numbers));
        let (before, mark) = (picture(&state), state.mark());
        (0..numbers.below(10)).for_each(|_| change(&mut state, &mut numbers));
        state.return_to(mark);
        assert_eq!(picture(&state), before, "round {round}");
        save(&store, &mut state);
        assert_eq!(picture(&reopened(&store)), before, "round {round}");
    }
}

/// A write may fail and have happened all the same, as [`StoreError::Write`] says.
#[test]
fn what_a_failed_store_kept_all_the_same_is_gone_with_the_next_changes() {
    with_both_stores(|store| {
        let (mut state, mut numbers) = (State::new(jid(SERVICE)), Numbers(13));
        for round in 0..ROUNDS {
            (0..10).for_each(|_| change(&mut state, &mut numbers));
            save(store, &mut state);
            for _ in 0..numbers.below(3) {
                (0..numbers.below(20)).for_each(|_| change(&mut state, &mut numbers));
                let Changes { batch, undo } = state.take_changes();
                if numbers.below(2) == 0 {
                    commit(store, batch);
                }
                state.undo(undo, &write_error());
                if numbers.below(2) == 0 {
                    state.resolve_doubts(store);
                }
            }
            save(store, &mut state);
            assert_eq!(picture(&reopened(store)), picture(&state), "round {round}");
        }
    });
}

#[test]
fn a_batch_that_the_store_refused_leaves_nothing_to_write() {
    let mut state = State::new(jid(SERVICE));
    state
        .create(node_id("n"), jid("a@b"), config(1), "1".to_owned(), SystemTime::UNIX_EPOCH)
        .put_item(item("i", "a@b", 5));
    let undo = state.take_changes().undo;
    state.undo(undo, &StoreError::Busy { waiting: 1 });
    assert_eq!(state.nodes().len(), 0);
    assert!(state.take_changes().batch.is_empty());
}

/// However much it was: on a full disk there is no room for it.
#[test]
fn what_a_failed_store_did_not_keep_is_not_written_anew() {
    let store = MemoryStore::new();
    let mut state = State::new(jid(SERVICE));
    let mut node = state.create(node_id("n"), jid("a@b"), config(100), "1".to_owned(), SystemTime::UNIX_EPOCH);
    for number in 0..100 {
        node.put_item(item(&number.to_string(), "a@b", 1_000));
    }
    save(&store, &mut state);
    state.remove(&node_id("n"));
    let undo = state.take_changes().undo;
    state.undo(undo, &write_error());
    state.resolve_doubts(&store);
    assert!(state.take_changes().batch.is_empty());
}

#[test]
fn a_publication_on_a_large_node_writes_its_own_item_alone() {
    let store = MemoryStore::new();
    let mut state = State::new(jid(SERVICE));
    let mut node = state.create(node_id("n"), jid("a@b"), config(usize::MAX), "1".to_owned(), SystemTime::UNIX_EPOCH);
    for number in 0..2_000 {
        node.put_item(item(&format!("item {number}"), "a@b", 100));
        node.subscribe(
            jid(&format!("user{number}@example.net")),
            subid(number),
            SubscriptionState::Subscribed,
            SubscriptionOptions::default(),
        );
    }
    save(&store, &mut state);
    let mut node = state.edit(&node_id("n")).unwrap();
    node.put_item(item("item 7", "a@b", 100));
    node.advance();
    let batch = state.take_changes().batch;
    assert_eq!(batch.len(), 3, "the item, the one that it replaces, the position");
    assert!(batch.bytes() < 400, "{}", batch.bytes());
}

/// However long the addresses of subscribers are: otherwise they could keep an owner from deleting the node.
#[test]
fn removing_a_node_with_many_subscribers_fits_into_a_batch() {
    let mut state = State::new(jid(SERVICE));
    let mut node = state.create(node_id("n"), jid("a@b"), config(1), "1".to_owned(), SystemTime::UNIX_EPOCH);
    for number in 0..10_000 {
        let address = jid(&format!("user@example.net/{number}{}", "x".repeat(1_000)));
        node.subscribe(address, subid(number), SubscriptionState::Subscribed, SubscriptionOptions::default());
    }
    state.take_changes();
    state.remove(&node_id("n"));
    let batch = state.take_changes().batch;
    assert_eq!(batch.len(), 10_002);
    assert!(batch.bytes() < 1_000_000, "{}", batch.bytes());
}

#[test]
fn services_in_one_store_do_not_mix() {
    // Addresses that begin like each other.
    let addresses = ["a@b.example", "a@b.example.org", "aa@b.example", "b.example"];
    with_both_stores(|store| {
        let mut states: Vec<_> = addresses.iter().map(|address| State::new(jid(address))).collect();
        for (seed, state) in (1..).zip(&mut states) {
            let mut numbers = Numbers(seed);
            (0..200).for_each(|_| change(state, &mut numbers));
            save(store, state);
        }
        for (address, state) in addresses.iter().zip(&states) {
            assert_eq!(picture(&State::open(store, jid(address)).unwrap()), picture(state));
        }
        for node in states[0].nodes().map(|node| node.id().clone()).collect::<Vec<_>>() {
            states[0].remove(&node);
        }
        save(store, &mut states[0]);
        for (address, state) in addresses.iter().zip(&states) {
            assert_eq!(picture(&State::open(store, jid(address)).unwrap()), picture(state));
        }
    });
}

/// A store with one record of every kind.
fn small_store() -> MemoryStore {
    let store = MemoryStore::new();
    let mut state = State::new(jid(SERVICE));
    let mut node = state.create(node_id("n"), jid("a@b"), config(3), "1".to_owned(), SystemTime::UNIX_EPOCH);
    node.affiliate(jid("a@b"), Affiliation::Owner);
    node.subscribe(jid("c@d/e"), subid(7), SubscriptionState::Subscribed, SubscriptionOptions::default());
    node.put_item(item("i", "a@b", 5));
    node.advance();
    let mut gone = state.create(node_id("gone"), jid("a@b"), config(3), "2".to_owned(), SystemTime::UNIX_EPOCH);
    gone.affiliate(jid("a@b"), Affiliation::Owner);
    state.move_away(&node_id("gone"), "xmpp:a@b?;node=n".to_owned(), 1);
    save(&store, &mut state);
    store
}

#[test]
fn of_nodes_that_have_moved_the_last_are_known() {
    let store = MemoryStore::new();
    let mut state = State::new(jid(SERVICE));
    for name in ["a", "b", "c", "a"] {
        state.create(node_id(name), jid("a@b"), config(3), "1".to_owned(), SystemTime::UNIX_EPOCH);
        state.move_away(&node_id(name), format!("xmpp:{name}"), 2);
        save(&store, &mut state);
    }
    let known = |state: &State| state.moved.keys().map(NodeId::to_string).collect::<String>();
    assert_eq!(known(&state), "ac");
    let mut read = reopened(&store);
    assert_eq!(known(&read), "ac");
    // What went first is told by what the store says.
    read.create(node_id("d"), jid("a@b"), config(3), "1".to_owned(), SystemTime::UNIX_EPOCH);
    read.move_away(&node_id("d"), "xmpp:d".to_owned(), 2);
    assert_eq!(known(&read), "ad");
}

#[test]
fn a_newer_format_is_refused_and_says_what_to_do() {
    let records = small_store().scan(TABLE, b"").unwrap();
    assert_eq!(records.len(), 6);
    for (key, mut value) in records {
        let store = small_store();
        value[0] = FORMAT + 1;
        commit(&store, Batch::new().put(TABLE, key, value));
        let refused = State::open(&store, jid(SERVICE)).err().unwrap();
        assert!(
            matches!(refused, OpenError::NewerFormat { found, supported: FORMAT, .. } if found == FORMAT + 1),
            "{refused}"
        );
        assert!(refused.to_string().contains("run the newer version"), "{refused}");
    }
}

/// The records of a node, its position, an affiliation, a subscription and an item, byte for byte.
#[test]
fn what_the_first_format_holds_is_read() {
    let subscription = b"\x01\x05c@d/e\x0asubscribed\x01\x0epubsub#deliver\x01\x010";
    let records: [(u8, &[u8], &[u8]); 5] = [
        (b'n', b"", b"\x01\x01n\x03a@b\x00\x011\x00"),
        (b'p', b"", b"\x01\x04"),
        (b'a', b"a@b", b"\x01\x05owner"),
        (b's', &9_u64.to_be_bytes(), subscription),
        (b'i', &8_u64.to_be_bytes(), b"\x01\x01i\x03a@b\x00\x00"),
    ];
    let key = |kind: u8, rest: &[u8]| [SERVICE.as_bytes(), &[0, kind], &1_u64.to_be_bytes(), rest].concat();
    let store = MemoryStore::new();
    commit(
        &store,
        records.iter().fold(Batch::new(), |batch, (kind, rest, value)| batch.put(TABLE, key(*kind, rest), *value)),
    );
    let mut state = reopened(&store);
    let node = state.node(&node_id("n")).unwrap();
    assert_eq!((node.position().sequence, node.affiliation("a@b")), (4, Affiliation::Owner));
    assert!(node.items().get("i").is_some());
    let [subscription] = node.subscriptions().of("c@d/e") else { panic!("{:?}", node.subscriptions()) };
    assert_eq!((subscription.subid, subscription.options.deliver), (subid(9), false));
    // Once it has changed it is written as this version writes it, and reads the same.
    let (subscribed, options) = (SubscriptionState::Subscribed, subscription.options.clone());
    state.edit(&node_id("n")).unwrap().subscribe(jid("c@d/e"), subid(9), subscribed, options);
    save(&store, &mut state);
    assert_eq!(store.get(TABLE, &key(b's', &9_u64.to_be_bytes())).unwrap().unwrap()[0], FORMAT);
    assert_eq!(picture(&reopened(&store)), picture(&state));
}

#[test]
fn damaged_records_are_refused_and_named() {
    for (key, value) in small_store().scan(TABLE, b"").unwrap() {
        let damaged =
            [Some(Vec::new()), Some(vec![0]), Some(value[..value.len() - 1].to_vec()), Some([&*value, b"x"].concat())];
        for value in damaged {
            let store = small_store();
            commit(&store, Batch::new().put(TABLE, key.clone(), value.clone().unwrap()));
            let refused = State::open(&store, jid(SERVICE)).err();
            assert!(matches!(refused, Some(OpenError::Damaged { .. })), "{key:?} {value:?}: {refused:?}");
        }
    }
}

#[test]
fn a_record_without_its_node_is_damage() {
    for (key, _) in
        small_store().scan(TABLE, b"").unwrap().into_iter().filter(|(key, _)| key[SERVICE.len() + 1] == b'n')
    {
        let store = small_store();
        commit(&store, Batch::new().delete(TABLE, key));
        assert!(matches!(State::open(&store, jid(SERVICE)), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn an_item_of_the_same_id_replaces_the_older_and_becomes_the_newest() {
    let mut state = State::new(jid(SERVICE));
    let mut node = state.create(node_id("n"), jid("a@b"), config(9), "1".to_owned(), SystemTime::UNIX_EPOCH);
    for id in ["a", "b", "c", "a"] {
        node.put_item(item(id, "a@b", 10));
    }
    let items = node.node().items();
    assert_eq!(items.iter().map(|item| item.id()).collect::<String>(), "bca");
}

/// XEP-0060, section 13.10.
#[test]
fn the_last_item_of_a_transient_node_is_in_memory_alone_and_comes_back_with_it() {
    let store = MemoryStore::new();
    let mut state = State::new(jid(SERVICE));
    let transient = NodeConfig { persist_items: false, ..config(1) };
    let ids = |state: &State| {
        let items = state.node(&node_id("n")).unwrap().items();
        items.iter().map(|item| item.id().to_owned()).collect::<String>()
    };
    state
        .create(node_id("n"), jid("a@b"), transient, "1".to_owned(), SystemTime::UNIX_EPOCH)
        .put_item(item("x", "a@b", 9));
    save(&store, &mut state);
    assert_eq!(ids(&reopened(&store)), "");
    let (before, mut node) = (picture(&state), state.edit(&node_id("n")).unwrap());
    node.remove_item("x");
    node.put_item(item("y", "a@b", 9));
    let Changes { batch, undo } = state.take_changes();
    assert!(batch.is_empty());
    state.undo(undo, &write_error());
    assert_eq!((picture(&state), ids(&state).as_str()), (before, "x"));
    state.remove(&node_id("n"));
    let Changes { batch, undo } = state.take_changes();
    assert_eq!(batch.len(), 2, "the node and its position");
    state.undo(undo, &write_error());
    assert_eq!(ids(&state), "x");
}

#[test]
fn usage_is_that_of_the_items_that_are_there() {
    let mut state = State::new(jid(SERVICE));
    let bytes = |length: usize| item("i", "a@b", length).bytes();
    let mut node = state.create(node_id("n"), jid("a@b"), config(9), "1".to_owned(), SystemTime::UNIX_EPOCH);
    for (id, publisher, length) in [("i", "a@b", 10), ("i", "a@b", 20), ("j", "c@d", 30)] {
        node.put_item(item(id, publisher, length));
    }
    assert_eq!(state.usage(), Usage { items: 2, bytes: bytes(20) + bytes(30) });
    assert_eq!(state.usage_of(&jid("a@b")), Usage { items: 1, bytes: bytes(20) });
    state.edit(&node_id("n")).unwrap().remove_item("i");
    assert_eq!((state.usage().items, state.usages.publishers()), (1, 1));
    state.remove(&node_id("n"));
    assert_eq!((state.usage(), state.usages.publishers()), (Usage::default(), 0));
}

//! One suite for every store.

use std::panic::catch_unwind;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use convoke_store::{Batch, Durability, Entry, MAX_BATCH_BYTES, MemoryStore, RedbStore, Store, StoreError};

/// Far longer than any commit takes; only a lost callback waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn memory_store_keeps_the_contract() {
    conforms(&|| Box::new(MemoryStore::new()));
    assert_eq!(MemoryStore::new().durability(), Durability::Memory);
}

#[test]
fn redb_store_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conforms(&|| {
        count.set(count.get() + 1);
        Box::new(RedbStore::open(directory.path().join(count.get().to_string())).unwrap())
    });
    assert_eq!(RedbStore::open(directory.path()).unwrap().durability(), Durability::Disk);
}

type Rule = fn(&dyn Store);

/// Holds a kind of store to the contract; every rule starts with an empty one.
fn conforms(make: &dyn Fn() -> Box<dyn Store>) {
    let rules: [(&str, Rule); 10] = [
        ("reads back what was put", reads_back_what_was_put),
        ("knows nothing of unknown tables and keys", knows_nothing_of_unknown_tables_and_keys),
        ("deletes", deletes),
        ("lets the last change of a batch win", lets_the_last_change_of_a_batch_win),
        ("keeps tables apart", keeps_tables_apart),
        ("scans a prefix in the order of bytes", scans_a_prefix_in_the_order_of_bytes),
        ("applies batches in the order of the calls", applies_batches_in_the_order_of_the_calls),
        ("refuses a batch that is too large and writes nothing of it", refuses_a_batch_that_is_too_large),
        ("acknowledges an empty batch", acknowledges_an_empty_batch),
        ("survives a callback that panics", survives_a_callback_that_panics),
    ];
    for (name, rule) in rules {
        let store = make();
        assert!(
            catch_unwind(std::panic::AssertUnwindSafe(|| rule(&*store))).is_ok(),
            "the store breaks the rule: {name}"
        );
    }
}

/// Commits and gives the channel on which the outcome arrives; it disconnects once the callback is gone.
pub(crate) fn commit(store: &dyn Store, batch: Batch) -> Receiver<Result<(), StoreError>> {
    let (sender, receiver) = channel();
    store.commit(batch, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver
}

/// Waits for the one outcome and makes sure that there is no second one.
pub(crate) fn outcome(receiver: &Receiver<Result<(), StoreError>>) -> Result<(), StoreError> {
    let outcome = receiver.recv_timeout(DEADLINE).expect("the callback is called");
    assert!(receiver.recv_timeout(DEADLINE).is_err(), "the callback is called once");
    outcome
}

pub(crate) fn write(store: &dyn Store, batch: Batch) {
    outcome(&commit(store, batch)).unwrap();
}

fn reads_back_what_was_put(store: &dyn Store) {
    write(store, Batch::new().put("leases", "a", "1").put("leases", "", "empty key").put("leases", "empty value", ""));
    assert_eq!(store.get("leases", b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get("leases", b"").unwrap(), Some(b"empty key".to_vec()));
    assert_eq!(store.get("leases", b"empty value").unwrap(), Some(Vec::new()));
}

fn knows_nothing_of_unknown_tables_and_keys(store: &dyn Store) {
    assert_eq!(store.get("nowhere", b"a").unwrap(), None);
    assert_eq!(store.scan("nowhere", b"").unwrap(), Vec::<Entry>::new());
    write(store, Batch::new().put("leases", "a", "1"));
    assert_eq!(store.get("leases", b"b").unwrap(), None);
}

fn deletes(store: &dyn Store) {
    write(store, Batch::new().put("leases", "a", "1").put("leases", "b", "2"));
    write(store, Batch::new().delete("leases", "a").delete("leases", "never there").delete("nowhere", "a"));
    assert_eq!(store.get("leases", b"a").unwrap(), None);
    assert_eq!(store.scan("leases", b"").unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
}

fn lets_the_last_change_of_a_batch_win(store: &dyn Store) {
    write(
        store,
        Batch::new()
            .put("t", "kept", "1")
            .delete("t", "kept")
            .put("t", "kept", "2")
            .put("t", "gone", "1")
            .delete("t", "gone"),
    );
    assert_eq!(store.scan("t", b"").unwrap(), [(b"kept".to_vec(), b"2".to_vec())]);
}

fn keeps_tables_apart(store: &dyn Store) {
    // Names and keys that run into each other when joined carelessly.
    write(store, Batch::new().put("ab", "c", "1").put("a", "bc", "2").put("abc", "", "3").put("", "abc", "4"));
    for (table, key, value) in [("ab", "c", "1"), ("a", "bc", "2"), ("abc", "", "3"), ("", "abc", "4")] {
        assert_eq!(store.scan(table, b"").unwrap(), [(key.as_bytes().to_vec(), value.as_bytes().to_vec())]);
    }
}

fn scans_a_prefix_in_the_order_of_bytes(store: &dyn Store) {
    let keys: [&[u8]; 6] = [b"b", b"a\xff\xff", b"a", b"a\x00", b"a\xff", b"\xff"];
    write(store, keys.iter().fold(Batch::new(), |batch, key| batch.put("t", *key, "")));
    let found: Vec<_> = store.scan("t", b"a").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, [b"a".to_vec(), b"a\x00".to_vec(), b"a\xff".to_vec(), b"a\xff\xff".to_vec()]);
    assert_eq!(store.scan("t", b"").unwrap().len(), keys.len());
    assert_eq!(store.scan("t", b"\xff").unwrap().len(), 1);
    assert!(store.scan("t", b"ab").unwrap().is_empty());
}

fn applies_batches_in_the_order_of_the_calls(store: &dyn Store) {
    let outcomes: Vec<_> =
        (0..100_u8).map(|n| commit(store, Batch::new().put("t", "last", [n]).put("t", [n], ""))).collect();
    outcomes.iter().for_each(|receiver| outcome(receiver).unwrap());
    assert_eq!(store.get("t", b"last").unwrap(), Some(vec![99]));
    assert_eq!(store.scan("t", b"").unwrap().len(), 101);
}

fn refuses_a_batch_that_is_too_large(store: &dyn Store) {
    let refused = commit(store, Batch::new().put("t", "small", "1").put("t", "large", vec![0; MAX_BATCH_BYTES]));
    assert!(matches!(outcome(&refused), Err(StoreError::TooLarge { limit: MAX_BATCH_BYTES, .. })));
    assert!(store.scan("t", b"").unwrap().is_empty());
    write(store, Batch::new().put("t", "", vec![0; MAX_BATCH_BYTES - 1]));
}

fn acknowledges_an_empty_batch(store: &dyn Store) {
    assert!(Batch::new().is_empty());
    write(store, Batch::new());
}

fn survives_a_callback_that_panics(store: &dyn Store) {
    store.commit(Batch::new().put("t", "a", "1"), Box::new(|_| panic!("a callback panics on purpose")));
    write(store, Batch::new().put("t", "b", "2"));
    assert_eq!(store.scan("t", b"").unwrap().len(), 2);
}

//! The store on disk: what outlasts it, what it shares, whom it refuses.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_store::{Batch, QUEUE_BATCHES, RedbStore, Store, StoreError};

use crate::conformance::{commit, outcome, write};

const DEADLINE: Duration = Duration::from_secs(30);

/// Holds the committer inside a callback until the returned sender is used or dropped, so that the rest queues up.
fn hold(store: &dyn Store) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (entered, has_entered) = channel();
    store.commit(
        Batch::new(),
        Box::new(move |_| {
            entered.send(()).unwrap();
            let _ = released.recv();
        }),
    );
    has_entered.recv_timeout(DEADLINE).unwrap();
    release
}

#[test]
fn keeps_data_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/by/the store");
    write(&RedbStore::open(&path).unwrap(), Batch::new().put("leases", "node", "epoch 7"));
    let reopened = RedbStore::open(&path).unwrap();
    assert_eq!(reopened.get("leases", b"node").unwrap(), Some(b"epoch 7".to_vec()));
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let (directory, after_crash) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = RedbStore::open(directory.path()).unwrap();
    write(&store, Batch::new().put("leases", "node", "epoch 7"));
    // The file as a crash at this moment would leave it: never closed, so redb has to repair it.
    std::fs::copy(directory.path().join("convoke.redb"), after_crash.path().join("convoke.redb")).unwrap();
    let repaired = RedbStore::open(after_crash.path()).unwrap();
    assert_eq!(repaired.get("leases", b"node").unwrap(), Some(b"epoch 7".to_vec()));
    write(&repaired, Batch::new().put("leases", "node", "epoch 8"));
}

#[test]
fn finishes_what_is_queued_when_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let outcomes: Vec<_> = (0..100_u8).map(|n| commit(&store, Batch::new().put("t", [n], ""))).collect();
    drop(store);
    // Answered already: the thread was joined.
    assert!(outcomes.iter().all(|receiver| receiver.try_recv().unwrap().is_ok()));
    assert_eq!(RedbStore::open(directory.path()).unwrap().scan("t", b"").unwrap().len(), 100);
}

#[test]
fn commits_everything_that_waits_in_one_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let release = hold(&store);
    let before = store.counts();
    let outcomes: Vec<_> = (0..200_u8).map(|n| commit(&store, Batch::new().put("t", [n], ""))).collect();
    drop(release);
    outcomes.iter().for_each(|receiver| outcome(receiver).unwrap());
    let after = store.counts();
    assert_eq!((after.batches - before.batches, after.transactions - before.transactions), (200, 1));
}

#[test]
fn answers_busy_when_the_queue_is_full_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let release = hold(&store);
    let queued: Vec<_> = (0..QUEUE_BATCHES).map(|_| commit(&store, Batch::new().put("t", "k", "v"))).collect();
    let refused = commit(&store, Batch::new().put("t", "refused", ""));
    assert!(matches!(refused.try_recv(), Ok(Err(StoreError::Busy { waiting: QUEUE_BATCHES }))));
    drop(release);
    queued.iter().for_each(|receiver| outcome(receiver).unwrap());
    assert_eq!(store.get("t", b"refused").unwrap(), None);
    write(&store, Batch::new().put("t", "again", ""));
}

#[test]
fn answers_busy_when_too_many_bytes_wait() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let release = hold(&store);
    let large = || Batch::new().put("t", "k", vec![0; convoke_store::MAX_BATCH_BYTES - 2]);
    let queued: Vec<_> = (0..4).map(|_| commit(&store, large())).collect();
    assert!(matches!(commit(&store, large()).try_recv(), Ok(Err(StoreError::Busy { waiting: 4 }))));
    drop(release);
    queued.iter().for_each(|receiver| outcome(receiver).unwrap());
}

#[test]
fn lets_a_callback_commit_and_drop_the_last_handle() {
    let directory = tempfile::tempdir().unwrap();
    let (finished, has_finished) = channel();
    let store = Arc::new(RedbStore::open(directory.path()).unwrap());
    let handle = Mutex::new(Some(Arc::clone(&store)));
    let release = hold(&*store);
    store.commit(
        Batch::new(),
        Box::new(move |_| {
            let store = handle.lock().unwrap().take().unwrap();
            store.commit(
                Batch::new().put("t", "from a callback", ""),
                Box::new(move |outcome| finished.send(outcome).unwrap()),
            );
            drop(store);
        }),
    );
    drop(store);
    drop(release);
    outcome(&has_finished).unwrap();
}

#[test]
fn refuses_a_second_opener_and_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let _first = RedbStore::open(directory.path()).unwrap();
    let refused = RedbStore::open(directory.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }));
    assert!(refused.to_string().contains(&*directory.path().join("convoke.redb").to_string_lossy()), "{refused}");
}

#[test]
fn refuses_a_newer_format() {
    let directory = tempfile::tempdir().unwrap();
    drop(RedbStore::open(directory.path()).unwrap());
    set_format(&directory.path().join("convoke.redb"), 2);
    let refused = RedbStore::open(directory.path()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerFormat { found: 2, supported: 1, .. }), "{refused}");
}

fn set_format(file: &std::path::Path, format: u64) {
    let database = redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let about = redb::TableDefinition::<&str, u64>::new("about");
    transaction.open_table(about).unwrap().insert("format", format).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn refuses_a_file_that_is_no_store() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("convoke.redb"), vec![b'x'; 10_000]).unwrap();
    assert!(matches!(RedbStore::open(directory.path()), Err(StoreError::Open { .. })));
}

/// As a process leaves it that ends while it makes the file.
#[test]
fn what_an_unfinished_creation_has_left_hinders_nobody_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    for (number, content) in [(0, ""), (1, "neither empty nor a database")] {
        std::fs::write(directory.path().join(format!("convoke.redb.{number}.new")), content).unwrap();
    }
    write(&RedbStore::open(directory.path()).unwrap(), Batch::new().put("t", "k", "v"));
    let names = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["convoke.redb"]);
    assert_eq!(RedbStore::open(directory.path()).unwrap().get("t", b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn one_of_many_who_make_a_store_at_the_same_time_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let start = std::sync::Barrier::new(8);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            RedbStore::open(directory.path())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (stores, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!(stores.len(), 1);
    assert!(refused.iter().all(|refused| matches!(refused, Err(StoreError::Locked { .. }))), "{refused:?}");
}

#[test]
fn refuses_a_directory_that_cannot_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(RedbStore::open(file.join("below")), Err(StoreError::CreateDirectory { .. })));
}

#[cfg(unix)]
#[test]
fn keeps_others_out_of_a_directory_it_makes() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

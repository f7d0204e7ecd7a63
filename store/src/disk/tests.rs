//! A disk that fails: each batch is answered exactly once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::{Database, RedbStore};
use crate::{Batch, Store, StoreError};

/// A disk that works as long as it is told to, and keeps what was synchronised.
#[derive(Debug, Default, Clone)]
struct Failing {
    disk: Arc<InMemoryBackend>,
    broken: Arc<AtomicBool>,
}

impl Failing {
    fn database(self) -> Result<redb::Database, redb::DatabaseError> {
        redb::Database::builder().create_with_backend(self)
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is gone")),
            false => self.disk.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(offset, data)
    }
}

fn store_on_failing_disk() -> (RedbStore, Arc<AtomicBool>) {
    let disk = Failing::default();
    let broken = Arc::clone(&disk.broken);
    let database = disk.clone().database().unwrap();
    let open = move |_: &Path| disk.clone().database();
    let database = Database::check(database, PathBuf::from("failing disk"), Box::new(open)).unwrap();
    (RedbStore::start(database).unwrap(), broken)
}

fn commit(store: &RedbStore, key: u8) -> Receiver<Result<(), StoreError>> {
    let (sender, receiver) = channel();
    store.commit(Batch::new().put("t", [key], ""), Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver
}

#[test]
fn answers_every_batch_once_when_the_disk_fails() {
    let (store, broken) = store_on_failing_disk();
    commit(&store, 0).recv().unwrap().unwrap();
    broken.store(true, Ordering::SeqCst);
    for receiver in (1..100).map(|key| commit(&store, key)).collect::<Vec<_>>() {
        let error = receiver.recv().unwrap().unwrap_err();
        assert!(matches!(&error, StoreError::Write { path, .. } if path.as_os_str() == "failing disk"), "{error}");
        assert!(receiver.recv().is_err(), "answered twice");
    }
    assert_eq!(store.counts().batches, 1);
}

#[test]
fn goes_on_when_the_disk_works_again() {
    let (store, broken) = store_on_failing_disk();
    commit(&store, 0).recv().unwrap().unwrap();
    for round in 1..10 {
        broken.store(true, Ordering::SeqCst);
        commit(&store, 100).recv().unwrap().unwrap_err();
        commit(&store, 100).recv().unwrap().unwrap_err();
        broken.store(false, Ordering::SeqCst);
        commit(&store, round).recv().unwrap().unwrap();
        let keys: Vec<_> = store.scan("t", b"").unwrap().into_iter().map(|(key, _)| key[0]).collect();
        assert!((0..=round).all(|key| keys.contains(&key)), "what was acknowledged is there: {keys:?}");
    }
}

#[test]
fn answers_stopped_once_the_queue_is_closed() {
    let (store, _) = store_on_failing_disk();
    store.queue.close();
    assert!(matches!(commit(&store, 0).recv().unwrap(), Err(StoreError::Stopped)));
}

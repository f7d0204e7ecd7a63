//! A scheduler that keeps its work, over restarts and over a store that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoke_store::{Batch, Durability, Entry, MemoryStore, OnDurable, Store, StoreError};
use convoke_xmpp::{Condition, Element, Stanza};

use super::played::Stage;
use super::{SOON, finished, squares};
use crate::RequestError;
use crate::cloud::SubmitError;

fn condition(refused: Result<String, RequestError>) -> Condition {
    refused.unwrap_err().stanza_error().unwrap().condition
}

#[tokio::test]
async fn a_scheduler_that_starts_again_goes_on_with_what_it_had_taken() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut first = Stage::set_on(&store).await;
    let _batch = first.scheduler.submit("b", squares(3), true).await.unwrap();
    first.grant(1).await;
    let done = first.accept().await;
    assert_eq!(first.try_to_report(&done, "1").await.unwrap(), "committed");
    let begun = first.accept().await;
    first.domain.shutdown(SOON).await;

    let mut second = Stage::set_on(&store).await;
    // The acknowledgement may have got lost; what was being done is given up.
    assert_eq!(second.try_to_report(&done, "1").await.unwrap(), "duplicate");
    assert_eq!(condition(second.try_to_report(&begun, "1").await), Condition::Conflict);
    let batch = second.scheduler.batch("b").await.unwrap();
    assert!(matches!(second.scheduler.submit("b", squares(3), true).await, Err(SubmitError::Exists(_))));
    second.grant(2).await;
    for _ in 0..2 {
        let order = second.accept().await;
        assert_ne!(order.attribute("task"), done.attribute("task"));
        assert_eq!(second.try_to_report(&order, "1").await.unwrap(), "committed");
    }
    let statistics = finished(batch).await;
    assert_eq!((statistics.done, statistics.sum, statistics.duplicates, statistics.fenced), (3, Some(3), 1, 1));
    second.domain.shutdown(SOON).await;

    let third = Stage::set_on(&store).await;
    assert_eq!(finished(third.scheduler.batch("b").await.unwrap()).await.sum, Some(3));
    assert!(third.scheduler.batch("c").await.is_none());
}

#[tokio::test]
async fn who_submitted_a_batch_is_told_of_its_end_by_the_run_that_brings_it_and_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Stage::set_on(&store).await;
    let client = first.domain.component("client").unwrap();
    let task = Element::new("task", crate::cloud::task::NAMESPACE).attr("id", "t");
    let submit = Element::new("submit", crate::cloud::task::NAMESPACE).attr("batch", "b").attr("kind", "square");
    client.set(first.scheduler.jid(), submit.child(task), SOON).await.unwrap();
    first.domain.shutdown(SOON).await;

    let mut second = Stage::set_on(&store).await;
    let mut client = second.domain.component("client").unwrap();
    second.grant(1).await;
    let order = second.accept().await;
    second.try_to_report(&order, "1").await.unwrap();
    let (told, _) = tokio::time::timeout(SOON, client.receive()).await.unwrap().unwrap();
    assert_eq!(told.payload().unwrap().attribute("batch"), Some("b"));
    second.domain.shutdown(SOON).await;

    let third = Stage::set_on(&store).await;
    let mut client = third.domain.component("client").unwrap();
    // What it had to tell was told before this is answered.
    assert!(third.scheduler.batch("b").await.is_some());
    let mark = Stanza::parse("<message id='mark' to='client@a.example'/>").unwrap();
    third.node.send(mark).unwrap();
    let (next, _) = tokio::time::timeout(SOON, client.receive()).await.unwrap().unwrap();
    assert_eq!(next.id(), Some("mark"));
}

/// Keeps nothing while it is told so.
#[derive(Default)]
struct Failing {
    memory: MemoryStore,
    fails: AtomicBool,
}

impl Store for Failing {
    fn commit(&self, batch: Batch, on_durable: OnDurable) {
        if self.fails.load(Ordering::Relaxed) {
            return on_durable(Err(StoreError::Busy { waiting: 0 }));
        }
        self.memory.commit(batch, on_durable);
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

#[tokio::test]
async fn what_the_store_does_not_keep_is_neither_taken_nor_acknowledged() {
    let failing = Arc::new(Failing::default());
    let store: Arc<dyn Store> = failing.clone();
    let fail = |fails| failing.fails.store(fails, Ordering::Relaxed);
    let mut stage = Stage::set_on(&store).await;
    fail(true);
    let refused = stage.scheduler.submit("b", squares(1), true).await.unwrap_err();
    assert_eq!((refused, stage.scheduler.statistics("b").await), (SubmitError::NotDurable, None));
    fail(false);
    let batch = stage.scheduler.submit("b", squares(1), true).await.unwrap();
    stage.grant(1).await;
    let order = stage.accept().await;
    fail(true);
    assert_eq!(condition(stage.try_to_report(&order, "1").await), Condition::ResourceConstraint);
    fail(false);
    // It was given up, and is done again.
    assert_eq!(condition(stage.try_to_report(&order, "1").await), Condition::Conflict);
    let order = stage.accept().await;
    assert_eq!(order.attribute("try"), Some("2"));
    stage.try_to_report(&order, "1").await.unwrap();
    assert_eq!(finished(batch).await.sum, Some(1));
}

//! What the roles publish, as somebody in another domain reads it.

use std::collections::BTreeMap;

use convoke_pubsub::PubSubConfig;

use super::*;
use crate::nodes::{
    Availability, DomainTotals, Lent, Node, NodeEvent, NodeItem, Offered, Subscription, SubscriptionConfig, TaskResult,
    TaskStage, TaskState,
};

/// `b.example` lends, `a.example` schedules; both tell it at the service of `b.example`.
struct Told {
    house: House,
    pubsub: Jid,
    reader: crate::Component,
}

impl Told {
    async fn new() -> Self {
        let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(directory.path()).unwrap());
        let house = House { domain, store, _directory: directory };
        let creators = convoke_pubsub::Creators::Anyone;
        let pubsub = house.lender().serve_pubsub(PubSubConfig { creators, ..PubSubConfig::default() }).unwrap();
        let allow = vec![Allowance { domain: Domainpart::new("a.example").unwrap(), nodes: 100 }];
        let times = LeaseTimes { shortest: Duration::from_millis(200), ..LeaseTimes::default() };
        let (store, publish_to) = (house.store.clone(), Some(pubsub.clone()));
        let config = ResourceManagerConfig { store, allow, times, publish_to };
        ResourceManager::start(&house.lender(), config).await.unwrap();
        let reader = house.domain.component("reader").unwrap();
        Self { house, pubsub, reader }
    }

    fn follow<T: NodeItem>(&self, node: Node<T>) -> Reading<T> {
        Reading { items: BTreeMap::new(), loads: self.reader.subscribe(&node, SubscriptionConfig::default()) }
    }

    fn at<T: NodeItem>(&self) -> Reading<T> {
        self.follow(Node::at(self.pubsub.clone()))
    }

    fn of_batch<T: NodeItem>(&self, batch: &str) -> Reading<T> {
        self.follow(Node::part(self.pubsub.clone(), batch))
    }
}

/// What a reader has of a node.
struct Reading<T> {
    items: BTreeMap<String, T>,
    loads: Subscription<T>,
}

impl<T: NodeItem + Clone + std::fmt::Debug> Reading<T> {
    /// Reads until this holds of the items, by their ids.
    async fn until(&mut self, what: &str, holds: impl Fn(&BTreeMap<String, T>) -> bool) {
        let reading = async {
            loop {
                match self.loads.next().await.expect("a running domain") {
                    NodeEvent::Snapshot(all) => {
                        self.items = all.into_iter().map(|item| (item.id().into_owned(), item)).collect();
                    }
                    NodeEvent::Published(item) => drop(self.items.insert(item.id().into_owned(), item)),
                    NodeEvent::Retracted(id) => drop(self.items.remove(&id)),
                    NodeEvent::Purged => self.items.clear(),
                    // It is not there yet.
                    NodeEvent::Interrupted(_) | NodeEvent::Gap { .. } => {}
                    other => panic!("{other:?}"),
                }
                if holds(&self.items) {
                    return;
                }
            }
        };
        let ended = tokio::time::timeout(SOON, reading).await;
        assert!(ended.is_ok(), "not in time: {what}; there is {:?}", self.items);
    }
}

#[tokio::test]
async fn a_manager_tells_its_nodes_their_totals_and_its_leases_until_they_end() {
    let told = Told::new().await;
    let (mut offers, mut totals, mut leases) = (told.at::<Offered>(), told.at::<DomainTotals>(), told.at::<Lent>());
    let (alice, bob) = (told.house.volunteer("alice"), told.house.volunteer("bob"));
    let all_are = |state, count| {
        move |offers: &BTreeMap<String, Offered>| {
            offers.len() == count && offers.values().all(|offer| offer.availability == state)
        }
    };
    offers.until("two free nodes", all_are(Availability::Free, 2)).await;
    assert_eq!(offers.items[alice.jid().as_str()].offer, Offer::default());

    let holder = told.house.domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), Jid::new("resources@b.example").unwrap(), SOON);
    let held = client.request("r1", 2, None).await.unwrap();
    offers.until("two lent nodes", all_are(Availability::Lent, 2)).await;
    totals.until("the totals of both", |all| all.values().any(|t| (t.nodes, t.lent, t.cores) == (2, 2, 2))).await;
    assert_eq!(totals.items["b.example"].memory, 2 * Offer::default().memory);
    leases.until("the lease", |all| all.len() == 1).await;
    let lent = leases.items[&held.grant.lease.id].clone();
    assert_eq!((&lent.lease, &lent.holder, lent.nodes), (&held.grant.lease, holder.jid(), 2));

    bob.leave().await;
    leases.until("the lease of one", |all| all.values().all(|lease| lease.nodes == 1)).await;
    offers.until("one node", all_are(Availability::Lent, 1)).await;
    client.release(&held.grant.lease).await.unwrap();
    leases.until("no lease", BTreeMap::is_empty).await;
    drop(alice);
    offers.until("no node", BTreeMap::is_empty).await;
    totals.until("nothing", |all| all.values().all(|totals| (totals.nodes, totals.memory) == (0, 0))).await;
}

#[tokio::test]
async fn a_scheduler_tells_how_far_tasks_are_and_each_result_once() {
    let told = Told::new().await;
    let managers = vec![Jid::new("resources@b.example").unwrap()];
    let publish_to = Some(told.pubsub.clone());
    let config = SchedulerConfig { managers, publish_to, ..SchedulerConfig::default() };
    let scheduler = Scheduler::start(&told.house.domain, config).unwrap();
    let bad = Task { id: "bad".into(), kind: "square".into(), input: "x".into() };
    let batch = scheduler.submit("squares", squares(20).chain([bad]), false).await.unwrap();
    let (mut states, mut results) = (told.of_batch::<TaskState>("squares"), told.of_batch::<TaskResult>("squares"));
    states.until("no task has been tried", BTreeMap::is_empty).await;

    let volunteer = told.house.volunteer("alice");
    let statistics = finished(batch).await;
    assert_eq!((statistics.done, statistics.failed), (20, 1));
    let ended = |stage: &TaskStage| matches!(stage, TaskStage::Done | TaskStage::Failed);
    states.until("every task has ended", |all| all.len() == 21 && all.values().all(|task| ended(&task.stage))).await;
    let bad = &states.items["bad"];
    assert_eq!((&bad.stage, bad.attempt), (&TaskStage::Failed, 3));
    results.until("every result", |all| all.len() == 20).await;
    assert_eq!(results.items["t3"], TaskResult::new("t3", "9", volunteer.jid().clone()));
}

/// A domain whose publish-subscribe keeps everything on a disk, with a scheduler and the one node it borrows.
struct Run {
    domain: Domain,
    pubsub: Jid,
    scheduler: Scheduler,
    _volunteer: Volunteer,
}

impl Run {
    async fn begin(store: &Arc<dyn Store>) -> Self {
        let domain = Domain::builder("a.example").start().await.unwrap();
        let pubsub = domain.serve_durable_pubsub(PubSubConfig::default(), store.clone()).unwrap();
        let allow = vec![Allowance { domain: domain.name().clone(), nodes: 1 }];
        let short = Duration::from_millis(200);
        let times = LeaseTimes { default: short, shortest: short, longest: short };
        let config = ResourceManagerConfig { store: store.clone(), allow, times, publish_to: None };
        let manager = ResourceManager::start(&domain, config).await.unwrap();
        let (managers, publish_to) = (vec![manager.jid().clone()], Some(pubsub.clone()));
        let config = SchedulerConfig { managers, publish_to, ..SchedulerConfig::default() };
        let scheduler = Scheduler::start(&domain, config).unwrap();
        let volunteer = Volunteer::builder(&domain, "v", "desk").worker("square", Square).join().unwrap();
        Self { domain, pubsub, scheduler, _volunteer: volunteer }
    }

    async fn submit(&self, batch: &str, tasks: u64) -> BatchStatistics {
        finished(self.scheduler.submit(batch, squares(tasks), false).await.unwrap()).await
    }

    /// The batches that have nodes of this type.
    async fn batches<T: NodeItem>(&self, asker: &crate::Component) -> Vec<String> {
        let query = Element::new("query", convoke_xmpp::namespace::DISCO_ITEMS);
        let answer = asker.get(&self.pubsub, query, SOON).await.unwrap().unwrap();
        let nodes = answer.children().filter_map(|item| item.attribute("node")?.strip_prefix(T::NODE));
        nodes.filter_map(|rest| rest.strip_prefix('/')).map(str::to_owned).collect()
    }

    /// Waits until this holds of those.
    async fn until_batches<T: NodeItem>(&self, asker: &crate::Component, holds: impl Fn(&[String]) -> bool) {
        let looking = async {
            while !holds(&self.batches::<T>(asker).await) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, looking).await.unwrap_or_else(|_| panic!("other nodes {}", T::NODE));
    }
}

#[tokio::test]
async fn a_scheduler_deletes_what_an_earlier_run_has_told_of_tasks_and_keeps_which_results_count() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(directory.path()).unwrap());
    let first = Run::begin(&store).await;
    let asker = first.domain.component("asker").unwrap();
    for batch in ["old", "older"] {
        assert_eq!(first.submit(batch, 5).await.done, 5);
    }
    assert_eq!(first.batches::<TaskState>(&asker).await, ["old", "older"]);
    let node = |run: &Run| Node::<TaskResult>::part(run.pubsub.clone(), "old");
    let config = SubscriptionConfig::default;
    let mut results = Reading { items: BTreeMap::new(), loads: asker.subscribe(&node(&first), config()) };
    results.until("every result", |all| all.len() == 5).await;
    let told = results.items.clone();
    first.domain.shutdown(SOON).await;

    let second = Run::begin(&store).await;
    let asker = second.domain.component("asker").unwrap();
    second.until_batches::<TaskState>(&asker, <[_]>::is_empty).await;
    let mut results = Reading { items: BTreeMap::new(), loads: asker.subscribe(&node(&second), config()) };
    results.until("what counted", |all| *all == told).await;
    // A name that is used again is that of the newer batch.
    assert_eq!(second.submit("old", 2).await.done, 2);
    results.until("the results of the new batch", |all| all.len() == 2).await;
    // Those of earlier runs are the first to make room for others.
    for n in 0..99 {
        second.submit(&format!("new{n}"), 0).await;
    }
    second.until_batches::<TaskResult>(&asker, |kept| !kept.contains(&"older".to_owned())).await;
    assert!(second.batches::<TaskResult>(&asker).await.contains(&"old".to_owned()));
}

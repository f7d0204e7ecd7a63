//! The roles together in one process: two domains, real leases on a real store, no sockets.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convoke_store::{MemoryStore, RedbStore, Store};
use convoke_xmpp::{Condition, Domainpart, Element, Jid};

use super::*;
use crate::Domain;

mod durable;
mod played;
#[cfg(feature = "pubsub")]
mod publication;

const SOON: Duration = Duration::from_secs(30);

struct Square;

#[async_trait]
impl Worker for Square {
    async fn run(&self, task: Task) -> Result<String, TaskError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let number: u64 = task.input.parse().map_err(|_| TaskError::Input(task.input))?;
        Ok((number * number).to_string())
    }
}

struct House {
    domain: Domain,
    store: Arc<dyn Store>,
    _directory: tempfile::TempDir,
}

impl House {
    /// `a.example` with the scheduler, `b.example` with manager and monitor.
    async fn start() -> Self {
        let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(directory.path()).unwrap());
        let house = Self { domain, store, _directory: directory };
        house.manager().await;
        let config = MonitorConfig {
            ping_after: Duration::from_millis(100),
            ping_timeout: Duration::from_millis(200),
            ..MonitorConfig::default()
        };
        Monitor::start(&house.lender(), config).unwrap();
        house
    }

    fn lender(&self) -> Domain {
        self.domain.sibling("b.example").unwrap()
    }

    async fn manager(&self) -> ResourceManager {
        let times = LeaseTimes {
            default: Duration::from_secs(1),
            shortest: Duration::from_millis(200),
            longest: Duration::from_secs(2),
        };
        let allow = vec![Allowance { domain: Domainpart::new("a.example").unwrap(), nodes: 100 }];
        let config = ResourceManagerConfig { store: self.store.clone(), allow, times, publish_to: None };
        ResourceManager::start(&self.lender(), config).await.unwrap()
    }

    fn volunteer(&self, name: &str) -> Volunteer {
        Volunteer::builder(&self.lender(), name, "desk").worker("square", Square).join().unwrap()
    }

    fn scheduler(&self) -> Scheduler {
        let managers = vec![Jid::new("resources@b.example").unwrap()];
        Scheduler::start(&self.domain, SchedulerConfig { managers, ..SchedulerConfig::default() }).unwrap()
    }
}

fn squares(count: u64) -> impl Iterator<Item = Task> {
    (0..count).map(|n| Task { id: format!("t{n}"), kind: "square".into(), input: n.to_string() })
}

fn sum_of_squares(count: u64) -> Option<u128> {
    Some((0..u128::from(count)).map(|n| n * n).sum())
}

async fn finished(batch: Batch) -> BatchStatistics {
    tokio::time::timeout(SOON, batch.finished()).await.expect("the batch in time").expect("a running scheduler")
}

#[tokio::test]
async fn every_task_is_done_once_while_volunteers_come_crash_freeze_and_leave() {
    let house = House::start().await;
    let mut volunteers: Vec<_> = (0..8).map(|n| house.volunteer(&format!("v{n}"))).collect();
    let scheduler = house.scheduler();
    let mut events = scheduler.watch();
    let batch = scheduler.submit("squares", squares(600), true).await.unwrap();
    let mut losses = Vec::new();
    let mut done = 0;
    while losses.len() < 3 {
        match tokio::time::timeout(SOON, events.recv()).await.unwrap().unwrap() {
            SchedulerEvent::Done { .. } => done += 1,
            SchedulerEvent::NodeLost { why, .. } => losses.push(why),
            _ => {}
        }
        match done {
            50 => volunteers.truncate(7),
            100 if volunteers.len() == 7 => {
                volunteers.pop().unwrap().leave().await;
            }
            150 => volunteers[0].pause(),
            _ => {}
        }
    }
    losses.sort();
    assert_eq!(losses, [Departure::Goodbye, Departure::SessionDied, Departure::Silent]);
    let statistics = finished(batch).await;
    assert_eq!((statistics.done, statistics.failed, statistics.sum), (600, 0, sum_of_squares(600)));
}

#[tokio::test]
async fn a_node_that_thaws_after_its_task_was_given_away_is_fenced() {
    let house = House::start().await;
    let frozen = house.volunteer("a");
    let scheduler = house.scheduler();
    let mut events = scheduler.watch();
    let batch = scheduler.submit("squares", squares(200), true).await.unwrap();
    let mut leased = false;
    while !leased {
        leased = matches!(events.recv().await.unwrap(), SchedulerEvent::Done { .. });
    }
    frozen.pause();
    let _other = house.volunteer("b");
    let statistics = finished(batch).await;
    assert_eq!(statistics.sum, sum_of_squares(200));
    assert!(statistics.attempts >= 200);
    frozen.resume();
    // Whatever it was doing is refused, or it was idle at that moment; either way nothing is counted again.
    let report = tokio::time::timeout(SOON, frozen.leave()).await.unwrap();
    assert_eq!(scheduler.statistics("squares").await.unwrap().sum, sum_of_squares(200), "{report:?}");
}

#[tokio::test]
async fn a_lease_that_nobody_renews_expires_and_its_nodes_are_free_again() {
    let house = House::start().await;
    let _volunteer = house.volunteer("a");
    let holder = house.domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), Jid::new("resources@b.example").unwrap(), SOON);
    let held = client.request("r1", 1, Some(Duration::from_millis(200))).await.unwrap();
    assert_eq!(held.grant.nodes.len(), 1);
    let mut second = client.request("r2", 1, None).await;
    while second.is_err() {
        let LeaseError::Request(error) = second.unwrap_err() else { panic!("no request error") };
        assert_eq!(error.stanza_error().unwrap().condition, Condition::ResourceConstraint);
        tokio::time::sleep(Duration::from_millis(20)).await;
        second = client.request("r2", 1, None).await;
    }
    assert!(second.unwrap().grant.lease.epoch > held.grant.lease.epoch);
    let (_, renewals) = client.renew(std::slice::from_ref(&held.grant.lease)).await.unwrap();
    assert_eq!(renewals, [lease::Renewal::Lost(held.grant.lease)]);
}

#[tokio::test]
async fn an_epoch_is_never_used_again_after_a_restart() {
    let house = House::start().await;
    let _volunteer = house.volunteer("a");
    let holder = house.domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), Jid::new("resources@b.example").unwrap(), SOON);
    let before = client.request("r1", 1, None).await.unwrap().grant.lease.epoch;
    house.domain.shutdown(SOON).await;

    let again = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
    let house = House { domain: again, ..house };
    house.manager().await;
    let _volunteer = house.volunteer("a");
    let holder = house.domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), Jid::new("resources@b.example").unwrap(), SOON);
    let refused = client.request("r2", 1, None).await.unwrap_err();
    let retry = refused.retry().expect("a time after which to ask again");
    // As long as the lease of before may be in use, which is less than a lease might have been.
    assert!(retry <= Duration::from_secs(1), "{retry:?}");
    tokio::time::sleep(retry).await;
    assert!(client.request("r2", 1, None).await.unwrap().grant.lease.epoch > before);
}

#[tokio::test]
async fn a_manager_lends_no_nodes_of_another_domain() {
    let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
    let mut manager = domain.sibling("b.example").unwrap().component("resources").unwrap();
    let holder = domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), manager.jid().clone(), SOON);
    let asking = tokio::spawn(async move { client.request("r1", 1, None).await });
    let (request, _) = manager.receive().await.unwrap();
    let grant = lease::Grant {
        lease: lease::LeaseRef { id: "l1".into(), epoch: 1 },
        req: "r1".into(),
        ttl: Duration::from_secs(1),
        nodes: vec![Jid::new("victim@c.example/desk").unwrap()],
    };
    manager.reply(&request, Ok(Some(grant.to_element())));
    assert!(matches!(asking.await.unwrap(), Err(LeaseError::Answer { .. })));
}

#[tokio::test]
async fn a_node_that_cannot_do_its_tasks_is_not_given_all_of_them() {
    struct Unfit;
    #[async_trait]
    impl Worker for Unfit {
        async fn run(&self, _: Task) -> Result<String, TaskError> {
            Err(TaskError::Resource("no room".to_owned()))
        }
    }
    let house = House::start().await;
    let _unfit = Volunteer::builder(&house.lender(), "a", "desk").worker("square", Unfit).join().unwrap();
    let _fit = house.volunteer("b");
    let statistics = finished(house.scheduler().submit("b", squares(100), true).await.unwrap()).await;
    assert_eq!(statistics.sum, sum_of_squares(100));
    // Without a rest the unfit node fails a thousand times while the other one works.
    assert!(statistics.attempts < 150, "{statistics:?}");
}

#[tokio::test]
async fn a_worker_that_always_panics_ends_the_task_and_not_the_batch() {
    struct Panics;
    #[async_trait]
    impl Worker for Panics {
        async fn run(&self, task: Task) -> Result<String, TaskError> {
            assert_ne!(task.input, "1", "on purpose");
            Ok(task.input)
        }
    }
    let house = House::start().await;
    let _volunteer = Volunteer::builder(&house.lender(), "a", "desk").worker("square", Panics).join().unwrap();
    let statistics = finished(house.scheduler().submit("b", squares(3), true).await.unwrap()).await;
    assert_eq!((statistics.done, statistics.failed, statistics.sum), (2, 1, Some(2)));
}

#[tokio::test]
async fn a_release_is_on_its_way_before_its_answer_is_awaited() {
    let house = House::start().await;
    let _volunteer = house.volunteer("a");
    let holder = house.domain.component("holder").unwrap();
    let client = LeaseClient::new(holder.handle(), Jid::new("resources@b.example").unwrap(), SOON);
    let first = client.request("r1", 1, Some(Duration::from_secs(2))).await.unwrap();
    drop(client.release(&first.grant.lease));
    assert!(client.request("r2", 1, None).await.is_ok());
}

#[tokio::test]
async fn a_volunteer_that_is_frozen_can_be_told_to_leave() {
    let house = House::start().await;
    let volunteer = house.volunteer("a");
    volunteer.pause();
    tokio::time::timeout(SOON, volunteer.leave()).await.expect("an end");
}

#[tokio::test]
async fn a_manager_refuses_to_run_on_a_store_that_forgets() {
    let domain = Domain::builder("b.example").start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let config = ResourceManagerConfig { store, allow: Vec::new(), times: LeaseTimes::default(), publish_to: None };
    assert!(matches!(ResourceManager::start(&domain, config).await, Err(ResourceManagerError::NotDurable)));
}

#[tokio::test]
async fn a_node_obeys_nobody_but_its_leaseholder() {
    let house = House::start().await;
    let volunteer = house.volunteer("a");
    let holder = house.domain.component("holder").unwrap();
    let thief = house.domain.component("thief").unwrap();
    let manager = Jid::new("resources@b.example").unwrap();
    let held = LeaseClient::new(holder.handle(), manager, SOON).request("r1", 1, None).await.unwrap();
    let lease = held.grant.lease;
    let attempt = task::Attempt { batch: "b".into(), task: "t".into(), number: 1, lease: lease.clone() };
    let work = Task { id: "t".into(), kind: "square".into(), input: "3".into() };
    let order = |attempt| task::assign(&attempt, &work);
    let refused = thief.set(volunteer.jid(), order(attempt.clone()), SOON).await.unwrap_err();
    assert_eq!(refused.stanza_error().unwrap().condition, Condition::NotAuthorized);
    let old = lease::LeaseRef { epoch: lease.epoch - 1, ..lease.clone() };
    let refused = holder.set(volunteer.jid(), order(task::Attempt { lease: old, ..attempt.clone() }), SOON).await;
    assert_eq!(refused.unwrap_err().stanza_error().unwrap().condition, Condition::Conflict);
    let notice = lease.on(Element::new("notice", lease::NAMESPACE)).attr("holder", "thief@a.example");
    let forged = thief.set(volunteer.jid(), notice, SOON).await.unwrap_err();
    assert_eq!(forged.stanza_error().unwrap().condition, Condition::NotAuthorized);
    assert!(holder.set(volunteer.jid(), order(attempt), SOON).await.is_ok());
}

#[tokio::test]
async fn a_worker_that_panics_costs_one_attempt_and_not_the_node() {
    struct PanicsOnce(std::sync::atomic::AtomicBool);
    #[async_trait]
    impl Worker for PanicsOnce {
        async fn run(&self, task: Task) -> Result<String, TaskError> {
            assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "on purpose");
            Ok(task.input)
        }
    }
    let house = House::start().await;
    let worker = PanicsOnce(false.into());
    let _volunteer = Volunteer::builder(&house.lender(), "a", "desk").worker("square", worker).join().unwrap();
    let batch = house.scheduler().submit("b", squares(3), true).await.unwrap();
    let statistics = finished(batch).await;
    assert_eq!((statistics.done, statistics.attempts, statistics.sum), (3, 4, Some(3)));
}

#[cfg(feature = "pubsub")]
#[tokio::test]
async fn verdicts_can_be_subscribed_to_as_soon_as_the_monitor_has_started() {
    use crate::nodes::{Health, HealthVerdict, Node, NodeEvent, SubscriptionConfig};
    use convoke_pubsub::PubSubConfig;
    let domain = Domain::builder("b.example").start().await.unwrap();
    let pubsub = domain.serve_pubsub(PubSubConfig::default()).unwrap();
    let reader = domain.component("reader").unwrap();
    let config = MonitorConfig { publish_to: Some(pubsub.clone()), ..MonitorConfig::default() };
    Monitor::start(&domain, config).unwrap();
    let mut verdicts = reader.subscribe(&Node::<Health>::at(pubsub), SubscriptionConfig::default());
    let mut next = async || tokio::time::timeout(SOON, verdicts.next()).await.unwrap().unwrap();
    assert_eq!(next().await, NodeEvent::Snapshot(Vec::new()));
    drop(Volunteer::builder(&domain, "alice", "desk").join().unwrap());
    let (node, verdict) = (Jid::new("alice@b.example/desk").unwrap(), HealthVerdict::Lost(Departure::SessionDied));
    assert_eq!(next().await, NodeEvent::Published(Health { node, verdict }));
}

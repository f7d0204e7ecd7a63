//! One role alone; those that it talks to are played by the test, which so decides what overtakes what.

use std::sync::Arc;
use std::time::Duration;

use convoke_store::Store;
use convoke_xmpp::{
    Condition, Domainpart, Element, IqType, Jid, Kind, Origin, PresenceType, RouteChange, Router, Service, Stanza,
};

use super::{SOON, Square, finished, squares};
use crate::cloud::*;
use crate::{About, Component, Domain, RequestError};

/// A scheduler whose manager and node are played by the test.
pub(super) struct Stage {
    pub(super) scheduler: Scheduler,
    pub(super) manager: Component,
    pub(super) node: Component,
    pub(super) domain: Domain,
}

impl Stage {
    async fn set(config: SchedulerConfig) -> Self {
        Self::start(config, |domain, config| Scheduler::start(domain, config).unwrap()).await
    }

    /// With a scheduler that keeps its work.
    pub(super) async fn set_on(store: &Arc<dyn Store>) -> Self {
        let start = |domain: &Domain, config| Scheduler::start_durable(domain, config, store.clone()).unwrap();
        Self::start(SchedulerConfig::default(), start).await
    }

    async fn start(config: SchedulerConfig, start: impl FnOnce(&Domain, SchedulerConfig) -> Scheduler) -> Self {
        let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
        let lender = domain.sibling("b.example").unwrap();
        let (manager, node) = (lender.component("resources").unwrap(), lender.session("v", "desk").unwrap());
        let config = SchedulerConfig { managers: vec![manager.jid().clone()], ..config };
        let scheduler = start(&domain, config);
        Self { scheduler, manager, node, domain }
    }

    /// Answers the next request for nodes with the one there is.
    pub(super) async fn grant(&mut self, epoch: u64) -> lease::LeaseRef {
        let request = next_request(&mut self.manager, "request").await;
        let req = request.payload().unwrap().attribute("req").unwrap().to_owned();
        let lease = lease::LeaseRef { id: format!("l{epoch}"), epoch };
        let nodes = vec![self.node.jid().clone()];
        let grant = lease::Grant { lease: lease.clone(), req, ttl: Duration::from_secs(600), nodes };
        self.manager.reply(&request, Ok(Some(grant.to_element())));
        lease
    }

    /// Accepts the next order.
    pub(super) async fn accept(&mut self) -> Element {
        let order = next_request(&mut self.node, "assign").await;
        self.node.reply(&order, Ok(None));
        order.payload().unwrap()
    }

    /// Reports on an order, by the worker's own words.
    async fn report(&self, order: &Element, output: &str) {
        self.try_to_report(order, output).await.unwrap();
    }

    /// The same; gives the verdict.
    pub(super) async fn try_to_report(&self, order: &Element, output: &str) -> Result<String, RequestError> {
        let (attempt, _) = task::assign_from_element(order).unwrap();
        let result = task::result(&attempt, &Ok(output.to_owned()));
        let ack = self.node.set(self.scheduler.jid(), result, SOON).await?.unwrap();
        Ok(ack.attribute("verdict").unwrap().to_owned())
    }
}

/// The next request of this name; everything else is left unanswered.
async fn next_request(component: &mut Component, name: &str) -> Stanza {
    let wait = async {
        loop {
            let (stanza, _) = component.receive().await.unwrap();
            if stanza.is_request() && stanza.payload_name().is_some_and(|(n, _)| n == name) {
                return stanza;
            }
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("a request in time")
}

#[tokio::test]
async fn a_node_that_is_lent_anew_before_its_loss_is_known_keeps_no_task() {
    let mut stage = Stage::set(SchedulerConfig::default()).await;
    let batch = stage.scheduler.submit("b", squares(2), true).await.unwrap();
    stage.grant(1).await;
    assert_eq!(stage.accept().await.attribute("epoch"), Some("1"));
    // The node has restarted; the grant overtakes the word of that.
    stage.grant(2).await;
    for _ in 0..2 {
        let order = stage.accept().await;
        assert_eq!(order.attribute("epoch"), Some("2"));
        stage.report(&order, "1").await;
    }
    assert_eq!(finished(batch).await.sum, Some(2));
}

#[tokio::test]
async fn a_lease_whose_last_node_is_lost_is_given_back() {
    let mut stage = Stage::set(SchedulerConfig::default()).await;
    let _batch = stage.scheduler.submit("b", squares(1), true).await.unwrap();
    stage.node.available_to(stage.scheduler.jid(), []);
    let lease = stage.grant(1).await;
    stage.accept().await;
    stage.node.unavailable([]);
    let release = next_request(&mut stage.manager, "release").await;
    assert_eq!(lease::LeaseRef::from_element(&release.payload().unwrap()), Ok(lease));
}

#[tokio::test]
async fn an_attempt_that_never_ends_is_given_up() {
    let attempt_timeout = Duration::from_millis(50);
    let mut stage = Stage::set(SchedulerConfig { attempt_timeout, ..SchedulerConfig::default() }).await;
    let mut events = stage.scheduler.watch();
    let _batch = stage.scheduler.submit("b", squares(1), true).await.unwrap();
    stage.grant(1).await;
    stage.accept().await;
    let lost = async {
        loop {
            if let SchedulerEvent::NodeLost { why, tasks, .. } = events.recv().await.unwrap() {
                return (why, tasks);
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, lost).await.unwrap(), (Departure::Silent, 1));
}

/// A presence out of the domain b.example, as its link would bring it.
fn seen(domain: &Domain, text: &str) {
    let origin = Origin::Remote(b_example());
    domain.router().route(Stanza::parse(text).unwrap(), &origin).unwrap();
}

fn way_to_b(domain: &Domain, change: RouteChange) {
    domain.router().route_changed(domain.name(), &b_example(), change);
}

fn b_example() -> Domainpart {
    Domainpart::new("b.example").unwrap()
}

#[tokio::test]
async fn a_node_out_of_reach_keeps_its_task_and_gets_no_other_until_it_is_back() {
    let mut stage = Stage::set(SchedulerConfig::default()).await;
    let mut events = stage.scheduler.watch();
    let batch = stage.scheduler.submit("b", squares(2), true).await.unwrap();
    stage.grant(1).await;
    let first = stage.accept().await;
    seen(&stage.domain, "<presence from='v@b.example/desk' to='scheduler@a.example'/>");
    way_to_b(&stage.domain, RouteChange::Lost);
    let mut next = async || loop {
        let event = tokio::time::timeout(SOON, events.recv()).await.unwrap().unwrap();
        if !matches!(event, SchedulerEvent::Leased { .. }) {
            return event;
        }
    };
    let node = stage.node.jid().clone();
    assert_eq!(next().await, SchedulerEvent::Suspect { node: node.clone(), why: Departure::RouteLost });
    // It was not given up: what it has done counts, and shows that it is in reach again.
    stage.report(&first, "1").await;
    assert_eq!(next().await, SchedulerEvent::Recovered { node });
    let second = stage.accept().await;
    assert_eq!(second.attribute("epoch"), Some("1"));
    stage.report(&second, "1").await;
    assert_eq!(finished(batch).await.sum, Some(2));
}

#[tokio::test]
async fn the_monitor_takes_whom_it_cannot_see_for_suspect_and_not_for_gone() {
    let domain = Domain::builder("a.example").start().await.unwrap();
    let monitor = Monitor::start(&domain, MonitorConfig::default()).unwrap();
    let mut events = monitor.watch();
    let available = "<presence from='v@b.example/desk' to='monitor@a.example'/>";
    seen(&domain, available);
    way_to_b(&domain, RouteChange::Lost);
    way_to_b(&domain, RouteChange::Restored);
    seen(&domain, available);
    seen(&domain, "<presence from='v@b.example/desk' to='monitor@a.example' type='unavailable'/>");
    way_to_b(&domain, RouteChange::Lost);
    seen(&domain, "<presence from='w@b.example/desk' to='monitor@a.example'/>");
    let (v, w) = (Jid::new("v@b.example/desk").unwrap(), Jid::new("w@b.example/desk").unwrap());
    for expected in [
        MonitorEvent::Presence { who: v.clone(), available: true },
        MonitorEvent::Suspect { node: v.clone(), why: Departure::RouteLost },
        MonitorEvent::Recovered { node: v.clone() },
        MonitorEvent::Presence { who: v.clone(), available: true },
        MonitorEvent::Presence { who: v, available: false },
        MonitorEvent::Presence { who: w, available: true },
    ] {
        assert_eq!(tokio::time::timeout(SOON, events.recv()).await.unwrap().unwrap(), expected);
    }
}

/// Notes the name of every stanza that it gets.
struct Notes(tokio::sync::mpsc::UnboundedSender<(String, Stanza)>);

impl Service for Notes {
    fn handle(&self, stanza: Stanza, _: &Origin, _: &dyn Router) {
        let name = stanza.payload_name().map_or(String::new(), |(name, _)| name.to_owned());
        self.0.send((name, stanza)).unwrap();
    }
}

#[tokio::test]
async fn nobody_hears_of_the_end_of_a_batch_before_it_was_taken() {
    let stage = Stage::set(SchedulerConfig::default()).await;
    let (notes, mut noted) = tokio::sync::mpsc::unbounded_channel();
    stage.domain.serve("client", About::new("client", "bot", "client"), Arc::new(Notes(notes))).unwrap();
    let submit = |id: &str, text: &str| {
        let stanza = Stanza::iq(IqType::Set, id).with_to(stage.scheduler.jid());
        let from = Jid::new("client@a.example").unwrap();
        stage
            .domain
            .router()
            .route(stanza.with_from(&from).with_payload(Element::parse(text).unwrap()), &Origin::Local)
            .unwrap();
    };
    submit("1", "<submit xmlns='urn:convoke:task:0' batch='none' kind='k'/>");
    assert_eq!(noted.recv().await.unwrap().0, "submitted");
    assert_eq!(noted.recv().await.unwrap().0, "finished");
    for (batch, tasks, condition) in
        [("none", "", Condition::Conflict), ("twice", "<task id='x'/><task id='x'/>", Condition::BadRequest)]
    {
        submit("2", &format!("<submit xmlns='urn:convoke:task:0' batch='{batch}' kind='k'>{tasks}</submit>"));
        assert_eq!(noted.recv().await.unwrap().1.error().unwrap().condition, condition, "{batch}");
    }
}

/// A node whose manager is played by the test.
async fn bare_node() -> (Domain, Component, Volunteer) {
    let domain = Domain::builder("b.example").start().await.unwrap();
    let manager = domain.component("resources").unwrap();
    let volunteer = Volunteer::builder(&domain, "v", "desk").worker("square", Square).join().unwrap();
    (domain, manager, volunteer)
}

async fn lend(manager: &Component, node: &Jid, epoch: u64, holder: &Jid) -> lease::LeaseRef {
    let lease = lease::LeaseRef { id: format!("l{epoch}"), epoch };
    let notice = lease.on(Element::new("notice", lease::NAMESPACE)).attr("holder", holder);
    manager.set(node, notice, SOON).await.unwrap();
    lease
}

#[tokio::test]
async fn a_node_is_seen_by_its_present_holder_alone() {
    let (domain, manager, volunteer) = bare_node().await;
    let (mut first, second) = (domain.component("first").unwrap(), domain.component("second").unwrap());
    lend(&manager, volunteer.jid(), 1, first.jid()).await;
    assert_eq!(first.receive().await.unwrap().0.kind(), Kind::Presence(PresenceType::Available));
    lend(&manager, volunteer.jid(), 2, second.jid()).await;
    assert_eq!(first.receive().await.unwrap().0.kind(), Kind::Presence(PresenceType::Unavailable));
}

#[tokio::test]
async fn a_holder_that_takes_no_results_is_given_no_more_work() {
    let (domain, manager, volunteer) = bare_node().await;
    // It never receives, so that no result gets a verdict.
    let holder = domain.component("holder").unwrap();
    let lease = lend(&manager, volunteer.jid(), 1, holder.jid()).await;
    let work = Task { id: "t".into(), kind: "square".into(), input: "3".into() };
    let mut refused = 0;
    for number in 1.. {
        let attempt = task::Attempt { batch: "b".into(), task: "t".into(), number, lease: lease.clone() };
        match holder.set(volunteer.jid(), task::assign(&attempt, &work), SOON).await {
            Ok(_) => refused = 0,
            // A slot is free again sooner or later; room for results is not.
            Err(_) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if refused > 100 {
            break;
        }
        assert!(number < 20_000);
    }
}

#[tokio::test]
async fn a_ping_of_before_says_nothing_of_a_node_that_has_spoken_since() {
    let domain = Domain::builder("b.example").start().await.unwrap();
    let config = MonitorConfig {
        ping_after: Duration::from_millis(10),
        ping_timeout: Duration::from_millis(100),
        ..MonitorConfig::default()
    };
    let monitor = Monitor::start(&domain, config).unwrap();
    let mut events = monitor.watch();
    let mut node = domain.session("v", "desk").unwrap();
    node.available_to(monitor.jid(), [Offer::default().to_element(1)]);
    let (_unanswered, _) = node.receive_any().await.unwrap();
    node.available_to(monitor.jid(), [Offer::default().to_element(2)]);
    // These pings take longer together than the first one may.
    for _ in 0..30 {
        let (ping, _) = tokio::time::timeout(SOON, node.receive_any()).await.unwrap().unwrap();
        node.reply(&ping, Ok(None));
    }
    assert!(matches!(events.try_recv(), Ok(MonitorEvent::Joined { .. })));
    assert_eq!(events.try_recv(), Err(tokio::sync::broadcast::error::TryRecvError::Empty));
}

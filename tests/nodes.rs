//! Nodes are followed across domains, over real sockets with TLS: whatever happens on the way, the follower ends up with what
//! the node has, and every gap is told.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke::cloud::{Monitor, MonitorConfig};
use convoke::nodes::{LinkCondition, LinkReport, Node, NodeEvent, NodeItem, Subscription, SubscriptionConfig};
use convoke::pubsub::PubSubConfig;
use convoke::xmpp::{Element, Jid, Stanza, namespace};
use convoke::{About, Component, Domain};

use crate::support::load::{Load, load};
use crate::support::network::{Network, Site};
use crate::support::{DEADLINE, within_deadline};

/// A domain with a service and a publisher, and a domain with a reader.
struct Houses {
    site: Site,
    theirs: Domain,
    before_theirs: Network,
    publisher: Component,
    node: Node<Load>,
    _ours: Domain,
    before_ours: Network,
    reader: Component,
}

impl Houses {
    async fn new() -> Self {
        let site = Site::new().await;
        let (ours, before_ours) = site.domain("a.lan").await;
        let (theirs, before_theirs) = site.domain("b.lan").await;
        let reader = ours.component("reader").unwrap();
        let (publisher, node) = open(&theirs).await;
        Self { site, theirs, before_theirs, publisher, node, _ours: ours, before_ours, reader }
    }

    async fn publish(&self, load: Load) {
        self.publisher.publish(&self.node, &load, DEADLINE).await.unwrap();
    }

    async fn retract(&self, machine: &str) {
        self.publisher.retract(&self.node, machine, DEADLINE).await.unwrap();
    }

    fn follow(&self, config: SubscriptionConfig) -> Follower {
        Follower { loads: self.reader.subscribe(&self.node, config), now: BTreeMap::new(), told: Vec::new() }
    }

    fn cut(&mut self) {
        self.before_ours.down();
        self.before_theirs.down();
    }

    async fn mend(&mut self) {
        self.before_ours.up_again().await;
        self.before_theirs.up_again().await;
    }
}

/// Publish-subscribe with the node, and who publishes there.
async fn open(domain: &Domain) -> (Component, Node<Load>) {
    let node = Node::at(domain.serve_pubsub(PubSubConfig::default()).unwrap());
    let publisher = domain.component("publisher").unwrap();
    publisher.create_node(&node, DEADLINE).await.unwrap();
    (publisher, node)
}

/// Keeps what the events of a subscription amount to.
struct Follower {
    loads: Subscription<Load>,
    now: BTreeMap<String, u32>,
    /// The kinds of the events since the last look.
    told: Vec<&'static str>,
}

impl Follower {
    /// The next event as it is; it is part of what is known, too.
    async fn next(&mut self) -> NodeEvent<Load> {
        let event = within_deadline("an event of the node", self.loads.next()).await.expect("a running domain");
        self.apply(event.clone());
        event
    }

    fn apply(&mut self, event: NodeEvent<Load>) {
        self.told.push(match event {
            NodeEvent::Snapshot(loads) => {
                self.now = loads.into_iter().map(|load| (load.machine, load.percent)).collect();
                "snapshot"
            }
            NodeEvent::Published(load) => {
                self.now.insert(load.machine, load.percent);
                "published"
            }
            NodeEvent::Retracted(machine) => {
                self.now.remove(&machine);
                "retracted"
            }
            NodeEvent::Gap { .. } => "gap",
            NodeEvent::Interrupted(_) => "interrupted",
            NodeEvent::Resumed => "resumed",
            other => panic!("{other:?}"),
        });
    }

    /// Reads on until it has what the node has; gives the kinds of the events until then.
    async fn until(&mut self, loads: &[Load]) -> Vec<&'static str> {
        let expected: BTreeMap<_, _> = loads.iter().map(|load| (load.machine.clone(), load.percent)).collect();
        while self.now != expected {
            self.next().await;
        }
        std::mem::take(&mut self.told)
    }

    async fn until_told(&mut self, kind: &str) {
        while !self.told.contains(&kind) {
            self.next().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_in_another_domain_gets_a_snapshot_and_then_every_change() {
    let houses = Houses::new().await;
    houses.publish(load("desk", 10)).await;
    houses.publish(load("attic", 20)).await;
    let mut follower = houses.follow(SubscriptionConfig::default());
    assert_eq!(follower.next().await, NodeEvent::Snapshot(vec![load("desk", 10), load("attic", 20)]));
    houses.publish(load("desk", 11)).await;
    houses.retract("attic").await;
    houses.publish(load("cellar", 30)).await;
    assert_eq!(follower.next().await, NodeEvent::Published(load("desk", 11)));
    assert_eq!(follower.next().await, NodeEvent::Retracted("attic".to_owned()));
    assert_eq!(follower.next().await, NodeEvent::Published(load("cellar", 30)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_too_slow_sees_the_gap_and_then_what_the_node_has() {
    let houses = Houses::new().await;
    let mut slow = houses.follow(SubscriptionConfig { max_waiting: 2, ..SubscriptionConfig::default() });
    let mut quick = houses.follow(SubscriptionConfig::default());
    assert_eq!(slow.next().await, NodeEvent::Snapshot(Vec::new()));
    assert_eq!(quick.next().await, NodeEvent::Snapshot(Vec::new()));
    for percent in 0..20 {
        houses.publish(load(["desk", "attic"][percent as usize % 2], percent)).await;
    }
    let all = [load("desk", 18), load("attic", 19)];
    let told = quick.until(&all).await;
    assert!(!told.contains(&"gap"), "{told:?}");
    // Whatever the quick one has got, the slow one has got or dropped.
    assert_eq!(slow.next().await, NodeEvent::Published(load("desk", 0)));
    assert_eq!(slow.next().await, NodeEvent::Published(load("attic", 1)));
    let NodeEvent::Gap { missed: Some(_) } = slow.next().await else { panic!("{:?}", slow.told) };
    slow.until(&all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_cut_off_learns_what_it_has_missed() {
    let mut houses = Houses::new().await;
    houses.publish(load("desk", 1)).await;
    houses.publish(load("attic", 2)).await;
    let mut follower = houses.follow(SubscriptionConfig::default());
    follower.until(&[load("desk", 1), load("attic", 2)]).await;
    for round in 1..3 {
        houses.cut();
        follower.until_told("interrupted").await;
        // Their link may keep these until the way is there again, or give them back.
        houses.retract("attic").await;
        houses.publish(load("attic", 100 * round)).await;
        houses.publish(load("desk", 100 * round + 1)).await;
        houses.mend().await;
        let told = follower.until(&[load("desk", 100 * round + 1), load("attic", 100 * round)]).await;
        let changes: Vec<_> = told.iter().filter(|kind| !["interrupted", "resumed"].contains(kind)).copied().collect();
        let was_told_all = changes == ["retracted", "published", "published"];
        assert!(was_told_all || changes.contains(&"gap"), "something was missed, and no gap told: {told:?}");
        // And from then on everything again.
        houses.publish(load("desk", round)).await;
        follower.until(&[load("desk", round), load("attic", 100 * round)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_finds_the_node_again_that_a_restarted_service_has_made_anew() {
    let mut houses = Houses::new().await;
    houses.publish(load("desk", 1)).await;
    let config = SubscriptionConfig { check_after: Duration::from_secs(1), ..SubscriptionConfig::default() };
    let mut follower = houses.follow(config);
    follower.until(&[load("desk", 1)]).await;
    houses.theirs.shutdown(DEADLINE).await;
    // Subscription, node and items are gone with the process.
    houses.theirs = houses.site.restart("b.lan", &mut houses.before_theirs).await;
    (houses.publisher, houses.node) = open(&houses.theirs).await;
    houses.publish(load("attic", 2)).await;
    let told = follower.until(&[load("attic", 2)]).await;
    assert!(told.contains(&"snapshot"), "{told:?}");
    houses.publish(load("attic", 3)).await;
    follower.until(&[load("attic", 3)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_numbers_nothing_is_followed_too() {
    let houses = Houses::new().await;
    let node = Node::<Load>::at(Jid::new("simple@b.lan").unwrap());
    let about = About::new("pubsub", "service", "a simple one");
    let simple = houses.theirs.component_about("simple", about).unwrap();
    let handle = simple.handle();
    let serving = tokio::spawn(serve(simple));
    let mut follower = Follower {
        loads: houses.reader.subscribe(&node, SubscriptionConfig::default()),
        now: BTreeMap::new(),
        told: Vec::new(),
    };
    assert_eq!(follower.next().await, NodeEvent::Snapshot(vec![load("desk", 7)]));
    for percent in [8, 9] {
        let items = Element::new("items", namespace::PUBSUB_EVENT).attr("node", "loads");
        let event = Element::new("event", namespace::PUBSUB_EVENT);
        let message = Stanza::message(convoke::xmpp::MessageType::Headline).with_to(houses.reader.jid());
        let item = item(namespace::PUBSUB_EVENT, &load("desk", percent));
        handle.send(message.with_payload(event.child(items.child(item)))).unwrap();
    }
    assert_eq!(follower.next().await, NodeEvent::Published(load("desk", 8)));
    assert_eq!(follower.next().await, NodeEvent::Published(load("desk", 9)));
    serving.abort();
}

/// Answers as a service does that knows neither positions nor pages.
async fn serve(mut service: Component) {
    while let Some((request, _)) = service.receive().await {
        let payload = request.payload().unwrap();
        let is_items = payload.find("items", namespace::PUBSUB).is_some();
        let items = Element::new("items", namespace::PUBSUB).attr("node", "loads");
        let list = items.child(item(namespace::PUBSUB, &load("desk", 7)));
        service.reply(&request, Ok(is_items.then(|| Element::new("pubsub", namespace::PUBSUB).child(list))));
    }
}

fn item(namespace: &'static str, load: &Load) -> Element {
    Element::new("item", namespace).attr("id", &load.machine).child(load.payload())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_tells_the_state_of_the_ways_to_other_domains() {
    let houses = Houses::new().await;
    let publish_to = Some(houses.node.service().clone());
    Monitor::start(&houses.theirs, MonitorConfig { publish_to, ..MonitorConfig::default() }).unwrap();
    let node = Node::<LinkReport>::at(houses.node.service().clone());
    let mut links = houses.reader.subscribe(&node, SubscriptionConfig::default());
    // The way by which we follow is one of them, and is told when the monitor looks again.
    let open = async {
        loop {
            match links.next().await.expect("a running domain") {
                NodeEvent::Published(link) if link.condition == LinkCondition::Open => return link,
                NodeEvent::Snapshot(_) | NodeEvent::Published(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let link = within_deadline("a way that is open", open).await;
    assert_eq!((link.from.as_str(), link.to.as_str(), &*link.id()), ("b.lan", "a.lan", "b.lan|a.lan"));
}

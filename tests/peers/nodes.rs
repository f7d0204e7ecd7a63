//! Nodes of Prosody's and ejabberd's services, followed by our entities: these services number no changes.

use std::collections::BTreeMap;

use convoke::nodes::{Node, NodeEvent, Subscription, SubscriptionConfig};
use convoke::pubsub::client;
use convoke_dev::peers::{Service, Software};
use serde_json::json;

use super::neighbours::{JULIET, Neighbours, Site, THEIRS, jid};
use crate::support::load::{Load, load};
use crate::support::slixmpp::Slixmpp;
use crate::support::{DEADLINE, within_deadline};

/// Prosody lets nobody else create a node.
const PUBLISHER: &str = "publisher@volunteers.lan";

super::with_each_peer!(
    a_snapshot_of_many_items_is_whole_and_changes_follow_it,
    a_reader_that_is_too_slow_is_given_a_snapshot_anew,
    what_slixmpp_publishes_is_followed_and_after_an_outage_a_gap_is_told,
);

async fn with_a_service(software: Software) -> (Neighbours, Node<Load>) {
    let site = Site::new(Service::StartTls).await;
    let ours = site.domain().await;
    let peer = site.peer(software, THEIRS).pubsub([PUBLISHER]).start(&site.dns).await.unwrap();
    let node = Node::at(jid(&peer.pubsub()));
    (Neighbours { site, ours, peer }, node)
}

async fn next(loads: &mut Subscription<Load>) -> NodeEvent<Load> {
    within_deadline("an event of the node", loads.next()).await.expect("a running domain")
}

/// More than are asked for at a time.
async fn a_snapshot_of_many_items_is_whole_and_changes_follow_it(software: Software) {
    const MACHINES: u32 = 120;
    let (neighbours, node) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    publisher.create_node(&node, DEADLINE).await.unwrap();
    let all: BTreeMap<_, _> = (0..MACHINES).map(|number| (format!("m{number}"), number)).collect();
    for (machine, percent) in &all {
        publisher.publish(&node, &load(machine, *percent), DEADLINE).await.unwrap();
    }
    let reader = neighbours.ours.component("reader").unwrap();
    let mut loads = reader.subscribe(&node, SubscriptionConfig::default());
    let NodeEvent::Snapshot(snapshot) = next(&mut loads).await else { panic!("no snapshot") };
    assert_eq!(snapshot.len(), all.len());
    assert_eq!(snapshot.into_iter().map(|load| (load.machine, load.percent)).collect::<BTreeMap<_, _>>(), all);

    publisher.publish(&node, &load("m0", 100), DEADLINE).await.unwrap();
    publisher.retract(&node, "m1", DEADLINE).await.unwrap();
    // The last item may come once more, for the new subscription.
    loop {
        match next(&mut loads).await {
            NodeEvent::Published(load) if load.machine == "m0" => break,
            NodeEvent::Published(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next(&mut loads).await, NodeEvent::Retracted("m1".to_owned()));
}

async fn a_reader_that_is_too_slow_is_given_a_snapshot_anew(software: Software) {
    let (neighbours, node) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    publisher.create_node(&node, DEADLINE).await.unwrap();
    let reader = neighbours.ours.component("reader").unwrap();
    let mut slow = reader.subscribe(&node, SubscriptionConfig { max_waiting: 2, ..SubscriptionConfig::default() });
    let mut quick = reader.subscribe(&node, SubscriptionConfig::default());
    assert_eq!(next(&mut slow).await, NodeEvent::Snapshot(Vec::new()));
    assert_eq!(next(&mut quick).await, NodeEvent::Snapshot(Vec::new()));
    for percent in 1..=9 {
        publisher.publish(&node, &load("m", percent), DEADLINE).await.unwrap();
    }
    // What the quick one has got, the slow one has got or dropped.
    while next(&mut quick).await != NodeEvent::Published(load("m", 9)) {}
    assert_eq!(next(&mut slow).await, NodeEvent::Published(load("m", 1)));
    assert_eq!(next(&mut slow).await, NodeEvent::Published(load("m", 2)));
    assert!(matches!(next(&mut slow).await, NodeEvent::Gap { missed: Some(_) }));
    assert_eq!(next(&mut slow).await, NodeEvent::Snapshot(vec![load("m", 9)]));
}

/// What slixmpp publishes is read by its type; when the peer was away, nobody can say what was missed, and that is told.
async fn what_slixmpp_publishes_is_followed_and_after_an_outage_a_gap_is_told(software: Software) {
    let (mut neighbours, node) = with_a_service(software).await;
    let publisher = neighbours.ours.component("publisher").unwrap();
    publisher.create_node(&node, DEADLINE).await.unwrap();
    let juliet = jid(JULIET);
    let allow = client::set_affiliations(node.name(), [(&juliet, "publisher")]);
    publisher.set(node.service(), allow, DEADLINE).await.unwrap();
    let reader = neighbours.ours.component("reader").unwrap();
    let mut loads = reader.subscribe(&node, SubscriptionConfig::default());
    assert_eq!(next(&mut loads).await, NodeEvent::Snapshot(Vec::new()));

    let mut slixmpp = Slixmpp::login(&neighbours.peer, "juliet").await;
    publish(&mut slixmpp, &node, "m", "<load xmlns='urn:example:load' percent='1'/>").await;
    assert_eq!(next(&mut loads).await, NodeEvent::Published(load("m", 1)));
    publish(&mut slixmpp, &node, "m", "<load xmlns='urn:example:load' percent='all'/>").await;
    assert!(matches!(next(&mut loads).await, NodeEvent::Unreadable { id, .. } if id == "m"));

    neighbours.peer.stop().await.unwrap();
    while !matches!(next(&mut loads).await, NodeEvent::Interrupted(_)) {}
    neighbours.peer.start_again().await.unwrap();
    let mut slixmpp = Slixmpp::login(&neighbours.peer, "juliet").await;
    publish(&mut slixmpp, &node, "m", "<load xmlns='urn:example:load' percent='2'/>").await;
    // It asks again some time after the way is back: what it hears until then is behind the gap.
    let mut told_of_gap = false;
    loop {
        match next(&mut loads).await {
            NodeEvent::Gap { missed } => {
                assert_eq!(missed, None, "nobody counts here");
                told_of_gap = true;
            }
            NodeEvent::Snapshot(all) if all == [load("m", 2)] => break,
            NodeEvent::Interrupted(_) | NodeEvent::Snapshot(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(told_of_gap);
}

async fn publish(slixmpp: &mut Slixmpp, node: &Node<Load>, id: &str, payload: &str) {
    let with = json!({ "service": node.service().as_str(), "node": node.name(), "id": id, "payload": payload });
    slixmpp.ask("publish", with).await;
}

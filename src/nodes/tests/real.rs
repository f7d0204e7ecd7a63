//! The service of this project, in the same process.

use std::time::Duration;

use convoke_pubsub::PubSubConfig;
use convoke_xmpp::Condition;

use super::{Load, load};
use crate::Domain;
use crate::nodes::publisher::creation;
use crate::nodes::{
    DomainTotals, Health, Lent, LinkReport, Node, NodeEvent, NodeItem, Offered, SubscriptionConfig, TaskResult,
    TaskState,
};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_published_and_retracted_is_told_in_order_behind_a_snapshot() {
    let domain = Domain::builder("a.example").also_serve("b.example").start().await.unwrap();
    let service = domain.serve_pubsub(PubSubConfig::default()).unwrap();
    let publisher = domain.component("publisher").unwrap();
    let reader = domain.sibling("b.example").unwrap().component("reader").unwrap();
    let node = Node::<Load>::at(service);
    publisher.create_node(&node, SOON).await.unwrap();
    let again = publisher.create_node(&node, SOON).await.unwrap_err();
    assert_eq!(again.stanza_error().unwrap().condition, Condition::Conflict);
    publisher.publish(&node, &load("a", 1), SOON).await.unwrap();
    publisher.publish(&node, &load("b", 2), SOON).await.unwrap();

    let mut loads = reader.subscribe(&node, SubscriptionConfig::default());
    let mut next = async || tokio::time::timeout(SOON, loads.next()).await.unwrap().unwrap();
    assert_eq!(next().await, NodeEvent::Snapshot(vec![load("a", 1), load("b", 2)]));
    publisher.publish(&node, &load("a", 3), SOON).await.unwrap();
    publisher.retract(&node, "b", SOON).await.unwrap();
    assert_eq!(next().await, NodeEvent::Published(load("a", 3)));
    assert_eq!(next().await, NodeEvent::Retracted("b".to_owned()));
    let gone = publisher.retract(&node, "b", SOON).await.unwrap_err();
    assert_eq!(gone.stanza_error().unwrap().condition, Condition::ItemNotFound);
}

#[tokio::test]
async fn the_service_makes_each_node_of_the_cloud_as_it_is_wished() {
    let domain = Domain::builder("a.example").start().await.unwrap();
    let service = domain.serve_pubsub(PubSubConfig::default()).unwrap();
    let role = domain.component("role").unwrap();
    let wishes = [
        (Offered::NODE, Offered::OPTIONS),
        (DomainTotals::NODE, DomainTotals::OPTIONS),
        (Lent::NODE, Lent::OPTIONS),
        (TaskState::NODE, TaskState::OPTIONS),
        (TaskResult::NODE, TaskResult::OPTIONS),
        (Health::NODE, Health::OPTIONS),
        (LinkReport::NODE, LinkReport::OPTIONS),
    ];
    for (node, options) in wishes {
        let made = role.set(&service, creation(node, options), SOON).await;
        made.unwrap_or_else(|error| panic!("{node}: {error}"));
    }
}

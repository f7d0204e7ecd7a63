//! An account at Prosody borrows our nodes.

use std::sync::Arc;

use async_trait::async_trait;
use convoke::cloud::{
    Allowance, LeaseTimes, ResourceManager, ResourceManagerConfig, Task, TaskError, Volunteer, Worker,
};
use convoke::store::RedbStore;
use convoke::xmpp::Domainpart;
use convoke_dev::peers::Software;
use tempfile::TempDir;

use super::neighbours::{Neighbours, THEIRS};
use crate::support::client::{Client, attribute, child, name};
use crate::support::{until, within_deadline};

const MANAGER: &str = "resources@volunteers.lan";
const REQUEST: &str = "<request xmlns='urn:convoke:lease:0' req='r1' count='2' ttl='PT60S'/>";

/// Lends the nodes of our domain to Prosody's.
async fn lend(neighbours: &Neighbours) -> (ResourceManager, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = ResourceManagerConfig {
        store: Arc::new(RedbStore::open(directory.path()).unwrap()),
        allow: vec![Allowance { domain: Domainpart::new(THEIRS).unwrap(), nodes: 1 }],
        times: LeaseTimes::default(),
        publish_to: None,
    };
    (ResourceManager::start(&neighbours.ours, config).await.unwrap(), directory)
}

/// Says how long its input is.
struct Length;

#[async_trait]
impl Worker for Length {
    async fn run(&self, task: Task) -> Result<String, TaskError> {
        Ok(task.input.len().to_string())
    }
}

/// Joins a node and waits until the manager knows it.
async fn join(neighbours: &Neighbours, manager: &ResourceManager) -> Volunteer {
    let volunteer = Volunteer::builder(&neighbours.ours, "alice", "desk").worker("length", Length).join().unwrap();
    until("the manager counts the node", || manager.statistics().nodes == 1).await;
    volunteer
}

/// Asks for nodes; gives name and epoch of the lease, and the nodes.
async fn borrow(account: &mut Client) -> (String, String, Vec<String>) {
    let answer = account.request("set", Some(MANAGER), REQUEST).await;
    assert_eq!(attribute(&answer, "type"), Some("result"), "{answer}");
    let grant = child(&answer, "grant").unwrap();
    let value = |name| attribute(grant, name).unwrap().to_owned();
    assert_eq!(
        (value("req"), value("ttl"), value("xmlns")),
        ("r1".into(), "PT60S".into(), "urn:convoke:lease:0".into())
    );
    let slots = grant.split("<slot").skip(1).map(|slot| attribute(&format!("<slot{slot}"), "node").unwrap().to_owned());
    (value("lease"), value("epoch"), slots.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_an_allowed_domain_borrows_a_node_renews_the_lease_and_gives_it_back() {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let (manager, _store) = lend(&neighbours).await;
    let volunteer = join(&neighbours, &manager).await;
    let mut juliet = neighbours.juliet().await;

    let (lease, epoch, nodes) = borrow(&mut juliet).await;
    assert_eq!(nodes, [volunteer.jid().as_str()], "one node is there, and one is what its domain may hold");
    assert_eq!((manager.statistics().granted, manager.statistics().lent), (1, 1));
    assert_eq!(borrow(&mut juliet).await.0, lease, "the same request is the same lease");
    let pong = juliet.request("get", Some(&nodes[0]), "<ping xmlns='urn:xmpp:ping'/>").await;
    assert_eq!((attribute(&pong, "type"), attribute(&pong, "from")), (Some("result"), Some(&*nodes[0])), "{pong}");

    let renew = format!("<renew xmlns='urn:convoke:lease:0'><l id='{lease}' e='{epoch}'/></renew>");
    let renewed = juliet.request("set", Some(MANAGER), &renew).await;
    assert_eq!(child(&renewed, "renewed").and_then(|answer| attribute(answer, "ttl")), Some("PT60S"), "{renewed}");
    assert_eq!(child(&renewed, "l").and_then(|answer| attribute(answer, "id")), Some(&*lease), "{renewed}");

    let release = format!("<release xmlns='urn:convoke:lease:0' id='{lease}' e='{epoch}'/>");
    let released = juliet.request("set", Some(MANAGER), &release).await;
    assert_eq!(attribute(&released, "type"), Some("result"), "{released}");
    let renewed = juliet.request("set", Some(MANAGER), &renew).await;
    assert_eq!(child(&renewed, "lost").and_then(|answer| attribute(answer, "id")), Some(&*lease), "{renewed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_borrowed_node_works_for_the_account_and_sends_it_the_result() {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let (manager, _store) = lend(&neighbours).await;
    let _volunteer = join(&neighbours, &manager).await;
    let mut juliet = neighbours.juliet().await;
    let (lease, epoch, nodes) = borrow(&mut juliet).await;

    let attempt = format!("xmlns='urn:convoke:task:0' batch='b' task='t' try='1' lease='{lease}' epoch='{epoch}'");
    let order = format!("<assign {attempt} kind='length'><input>seventeen letters</input></assign>");
    // The node may not have been told of the lease yet; then it says so, and the holder asks again.
    within_deadline("the node takes the order", async {
        while attribute(&juliet.request("set", Some(&nodes[0]), &order).await, "type") != Some("result") {}
    })
    .await;
    let result = juliet.wait_for("the result", |element| child(element, "result").is_some()).await;
    assert_eq!((attribute(&result, "from"), attribute(&result, "type")), (Some(&*nodes[0]), Some("set")), "{result}");
    assert!(result.contains("<output>17</output>") && result.contains("status='ok'"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_a_domain_that_is_not_allowed_is_forbidden_to_borrow() {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let (manager, _store) = lend(&neighbours).await;
    let _volunteer = join(&neighbours, &manager).await;
    let stranger = neighbours.site.peer(Software::Prosody, "stranger.lan").start(&neighbours.site.dns).await.unwrap();
    let mut juliet = Client::login(&stranger, "juliet").await;
    let answer = juliet.request("set", Some(MANAGER), REQUEST).await;
    assert_eq!((name(&answer), attribute(&answer, "type")), ("iq", Some("error")), "{answer}");
    assert_eq!(child(&answer, "error").and_then(|error| attribute(error, "type")), Some("auth"), "{answer}");
    assert!(child(&answer, "forbidden").is_some(), "{answer}");
    assert_eq!((attribute(&answer, "from"), manager.statistics().granted), (Some(MANAGER), 0));
}

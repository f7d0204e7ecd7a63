//! What the publishers do, and what must be there afterwards: known alike to who does it and to who checks it.

use std::collections::BTreeMap;

use convoke_pubsub::{Creators, NodeConfig, PubSubConfig};

/// The address of the service.
pub(super) const SERVICE: &str = "pubsub.example.org";
/// Who is subscribed to the nodes.
pub(super) const READER: &str = "reader@example.net";
/// How many requesters there are. Each waits for an answer before it asks for more; the last makes and deletes nodes.
pub(super) const WORKERS: usize = 6;
/// Where a node lives on that is deleted.
pub(super) const ELSEWHERE: &str = "xmpp:pubsub.example.net?;node=other";
/// The items that a node keeps.
const KEPT: usize = 3;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create(String),
    /// Of the reader.
    Subscribe(String),
    Publish(String, u64),
    Delete(String),
}

/// The request number `index` of a worker.
pub(super) fn step(worker: usize, index: u64) -> Step {
    let (node, index) = match worker {
        _ if worker < WORKERS - 1 => (format!("worker-{worker}"), index),
        _ => (format!("passing-{}", index / 5), index % 5),
    };
    match index {
        0 => Step::Create(node),
        1 => Step::Subscribe(node),
        4 if worker == WORKERS - 1 => Step::Delete(node),
        _ => Step::Publish(node, index - 1),
    }
}

/// Whether a worker has to do with the node.
fn belongs_to(node: &str, worker: usize) -> bool {
    match node.strip_prefix("worker-") {
        Some(number) => number == worker.to_string(),
        None => worker == WORKERS - 1,
    }
}

impl Step {
    /// The request as an iq of this id.
    pub(super) fn request(&self, worker: usize, id: &str) -> String {
        let owner = format!("worker-{worker}@example.org/desk");
        let (from, namespace, verb) = match self {
            Self::Create(node) => (&*owner, "", format!("<create node='{node}'/>")),
            Self::Subscribe(node) => (READER, "", format!("<subscribe node='{node}' jid='{READER}'/>")),
            Self::Publish(node, number) => {
                let item = format!("<item id='{number}'><n xmlns='urn:n'>{}</n></item>", content(*number));
                (&*owner, "", format!("<publish node='{node}'>{item}</publish>"))
            }
            Self::Delete(node) => {
                (&*owner, "#owner", format!("<delete node='{node}'><redirect uri='{ELSEWHERE}'/></delete>"))
            }
        };
        format!(
            "<iq type='set' from='{from}' to='{SERVICE}' id='{id}'><pubsub xmlns='http://jabber.org/protocol/pubsub{namespace}'>{verb}</pubsub></iq>"
        )
    }
}

/// What the item of that number holds: of different lengths, and no two alike.
pub(super) fn content(number: u64) -> String {
    format!("{number} ").repeat(1 + number as usize % 60)
}

/// The service keeps few items of a node, and so removes an item with nearly every one that it adds; and it knows of one node
/// alone where it has gone.
pub(super) fn config() -> PubSubConfig {
    let node = NodeConfig { max_items: Some(KEPT), ..NodeConfig::default() };
    PubSubConfig { creators: Creators::Anyone, max_moved_nodes: 1, node, ..PubSubConfig::default() }
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nodes(pub(super) BTreeMap<String, Node>);

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// It is gone, and it is known where to.
    pub(super) has_moved: bool,
    pub(super) is_subscribed: bool,
    /// The numbers of its items, oldest first.
    pub(super) items: Vec<u64>,
    /// How many changes it tells of; zero where it has no items.
    pub(super) sequence: u64,
}

impl Nodes {
    /// What is there after the step.
    pub(super) fn after(&self, step: &Step) -> Self {
        let mut nodes = self.0.clone();
        match step {
            Step::Create(node) => drop(nodes.insert(node.clone(), Node::default())),
            Step::Subscribe(node) => nodes.get_mut(node).unwrap().is_subscribed = true,
            Step::Publish(node, number) => nodes.get_mut(node).unwrap().publish(*number),
            Step::Delete(node) => {
                nodes.retain(|name, other| name != node && !other.has_moved);
                nodes.insert(node.clone(), Node { has_moved: true, ..Node::default() });
            }
        }
        Self(nodes)
    }

    /// Those that a worker has to do with.
    pub(super) fn of_worker(&self, worker: usize) -> Self {
        let own = self.0.iter().filter(|(node, _)| belongs_to(node, worker));
        Self(own.map(|(node, content)| (node.clone(), content.clone())).collect())
    }
}

impl Nodes {
    /// Whether every worker has a node, with a subscriber and an item.
    pub(super) fn is_busy(&self) -> bool {
        let mut present = self.0.values().filter(|node| !node.has_moved);
        present.clone().count() == WORKERS && present.all(|node| node.is_subscribed && !node.items.is_empty())
    }
}

impl Node {
    fn publish(&mut self, number: u64) {
        self.items.push(number);
        self.sequence += 1;
        if self.items.len() > KEPT {
            self.items.remove(0);
            self.sequence += 1;
        }
    }
}

//! Items and the store that keeps them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use convoke_xmpp::{Element, Jid};

use super::NodeId;

/// One published item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    id: String,
    publisher: Jid,
    payload: Element,
    payload_bytes: usize,
}

impl Item {
    pub(super) fn new(id: String, publisher: Jid, payload: Element, payload_bytes: usize) -> Self {
        Self { id, publisher, payload, payload_bytes }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The bare address of whoever published it.
    pub(crate) fn publisher(&self) -> &Jid {
        &self.publisher
    }

    pub(crate) fn payload(&self) -> &Element {
        &self.payload
    }

    /// The bytes of the payload as XML.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// What the item counts against the limit of stored bytes.
    pub(super) fn bytes(&self) -> usize {
        self.payload_bytes + self.id.len() + self.publisher.as_str().len()
    }
}

/// Keeps the items of all nodes, each node's in the order of their publication (XEP-0060, section 13.1).
pub(crate) trait ItemStore {
    /// Adds an item as the newest; one with the same id is replaced.
    fn put(&mut self, node: &NodeId, item: Arc<Item>);
    /// Removes an item, if it is there.
    fn remove(&mut self, node: &NodeId, id: &str);
    /// Removes all items of a node.
    fn clear(&mut self, node: &NodeId);
    /// The item of that id.
    fn get(&self, node: &NodeId, id: &str) -> Option<Arc<Item>>;
    /// The item published before all others.
    fn oldest(&self, node: &NodeId) -> Option<Arc<Item>>;
    /// At most so many of the items published last, oldest first.
    fn newest(&self, node: &NodeId, limit: usize) -> Vec<Arc<Item>>;
    /// How many items the node has.
    fn count(&self, node: &NodeId) -> usize;
    /// The bytes of all items of all nodes.
    fn bytes(&self) -> usize;
}

/// Items in memory.
#[derive(Default)]
pub(crate) struct MemoryItems {
    nodes: HashMap<NodeId, NodeItems>,
    next: u64,
    bytes: usize,
}

/// The items of one node, numbered by publication.
#[derive(Default)]
struct NodeItems {
    numbers: HashMap<String, u64>,
    items: BTreeMap<u64, Arc<Item>>,
}

impl NodeItems {
    fn remove(&mut self, id: &str) -> Option<Arc<Item>> {
        let number = self.numbers.remove(id)?;
        self.items.remove(&number)
    }
}

impl ItemStore for MemoryItems {
    fn put(&mut self, node: &NodeId, item: Arc<Item>) {
        self.remove(node, item.id());
        self.next += 1;
        self.bytes += item.bytes();
        let items = self.nodes.entry(node.clone()).or_default();
        items.numbers.insert(item.id.clone(), self.next);
        items.items.insert(self.next, item);
    }

    fn remove(&mut self, node: &NodeId, id: &str) {
        let removed = self.nodes.get_mut(node).and_then(|items| items.remove(id));
        self.bytes -= removed.map_or(0, |item| item.bytes());
    }

    fn clear(&mut self, node: &NodeId) {
        let removed = self.nodes.remove(node).unwrap_or_default();
        self.bytes -= removed.items.values().map(|item| item.bytes()).sum::<usize>();
    }

    fn get(&self, node: &NodeId, id: &str) -> Option<Arc<Item>> {
        let items = self.nodes.get(node)?;
        items.items.get(items.numbers.get(id)?).cloned()
    }

    fn oldest(&self, node: &NodeId) -> Option<Arc<Item>> {
        self.nodes.get(node)?.items.values().next().cloned()
    }

    fn newest(&self, node: &NodeId, limit: usize) -> Vec<Arc<Item>> {
        let Some(items) = self.nodes.get(node) else { return Vec::new() };
        let skip = items.items.len().saturating_sub(limit);
        items.items.values().skip(skip).cloned().collect()
    }

    fn count(&self, node: &NodeId) -> usize {
        self.nodes.get(node).map_or(0, |items| items.items.len())
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, bytes: usize) -> Arc<Item> {
        let publisher = Jid::new("a@b").unwrap();
        Arc::new(Item::new(id.to_owned(), publisher, Element::new("x", "urn:x"), bytes))
    }

    fn ids(items: &[Arc<Item>]) -> String {
        items.iter().map(|item| item.id()).collect()
    }

    #[test]
    fn an_item_of_the_same_id_replaces_the_older_and_becomes_the_newest() {
        let (mut store, node) = (MemoryItems::default(), NodeId::new("n").unwrap());
        for id in ["a", "b", "c", "a"] {
            store.put(&node, item(id, 10));
        }
        assert_eq!(ids(&store.newest(&node, 9)), "bca");
        assert_eq!(ids(&store.newest(&node, 2)), "ca");
        assert_eq!(store.oldest(&node).unwrap().id(), "b");
        assert_eq!(store.count(&node), 3);
    }

    #[test]
    fn bytes_are_those_of_the_items_that_are_there() {
        let (mut store, node) = (MemoryItems::default(), NodeId::new("n").unwrap());
        store.put(&node, item("a", 10));
        store.put(&node, item("a", 20));
        store.put(&node, item("b", 30));
        assert_eq!(store.bytes(), 20 + 4 + 30 + 4);
        store.remove(&node, "b");
        store.remove(&node, "b");
        assert_eq!(store.bytes(), 24);
        store.clear(&node);
        assert_eq!((store.bytes(), store.count(&node)), (0, 0));
        assert!(store.oldest(&node).is_none());
    }
}

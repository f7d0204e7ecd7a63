//! What is in a store, as requesters of the service would see it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use convoke_pubsub::PubSubService;
use convoke_store::{Batch, MemoryStore, RedbStore, Store};
use convoke_xmpp::{Element, Jid, Stanza};

use super::model::{ELSEWHERE, Node, Nodes, READER, SERVICE, config, content};
use crate::support::{House, Recorder, item_ids};

/// What is there, and the incarnations of the nodes.
pub(super) struct Picture {
    pub(super) nodes: Nodes,
    pub(super) incarnations: BTreeMap<String, String>,
}

/// Opens the store on disk and takes a picture of the service.
///
/// The questions change the service: so they are asked of a copy.
pub(super) fn take(directory: &Path) -> Picture {
    let disk = RedbStore::open(directory).unwrap();
    let copy = Arc::new(MemoryStore::new());
    let records = disk.scan("pubsub", b"").unwrap();
    let batch = records.into_iter().fold(Batch::new(), |batch, (key, value)| batch.put("pubsub", key, value));
    copy.commit(batch, Box::new(|outcome| outcome.unwrap()));
    picture(copy)
}

fn picture(store: Arc<MemoryStore>) -> Picture {
    let service = PubSubService::open(Jid::new(SERVICE).unwrap(), config(), store.clone()).unwrap();
    let house = House { service, router: Recorder::default() };
    let mut picture = Picture { nodes: Nodes::default(), incarnations: BTreeMap::new() };
    for name in names_of_moved(&store) {
        let has_moved = has_moved(&house, &name);
        picture.nodes.0.insert(name, Node { has_moved, ..Node::default() });
    }
    for name in names(&house) {
        let (mut node, position) = (node(&house, &name), last_position(&house, &name));
        if let Some((incarnation, sequence)) = position {
            node.sequence = sequence;
            picture.incarnations.insert(name.clone(), incarnation);
        }
        picture.nodes.0.insert(name, node);
    }
    picture
}

fn names(house: &House) -> Vec<String> {
    let request = format!(
        "<iq type='get' from='{READER}' to='{SERVICE}' id='q'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    );
    let answers = house.send(&request);
    let query = answers[0].payload().unwrap();
    query.children().map(|item| item.attribute("node").unwrap().to_owned()).collect()
}

/// The service lists none of those: so their names are read from their records, behind the format.
fn names_of_moved(store: &MemoryStore) -> Vec<String> {
    let records = store.scan("pubsub", format!("{SERVICE}\0m").as_bytes()).unwrap();
    let name = |value: &[u8]| String::from_utf8(value[2..][..usize::from(value[1])].to_vec()).unwrap();
    records.into_iter().map(|(_, value)| name(&value)).collect()
}

fn has_moved(house: &House, name: &str) -> bool {
    let answers = house.request(READER, "get", &format!("<items node='{name}'/>"));
    answers[0].error().and_then(|error| error.alternate).as_deref() == Some(ELSEWHERE)
}

fn node(house: &House, name: &str) -> Node {
    let answers = house.request(READER, "get", &format!("<items node='{name}'/>"));
    let items: Vec<u64> = item_ids(&answers).iter().map(|id| id.parse().unwrap()).collect();
    let payload = answers[0].payload().unwrap();
    let contents: Vec<_> = payload.children().flat_map(Element::children).map(content_of).collect();
    assert_eq!(contents, items.iter().copied().map(content).collect::<Vec<_>>());
    let unsubscribed = house.request(READER, "set", &format!("<unsubscribe node='{name}' jid='{READER}'/>"));
    Node { is_subscribed: unsubscribed[0].error().is_none(), items, ..Node::default() }
}

fn content_of(item: &Element) -> String {
    item.find("n", "urn:n").unwrap().content()
}

/// The position that comes with the last published item.
fn last_position(house: &House, name: &str) -> Option<(String, u64)> {
    let told =
        house.request("probe@example.net", "set", &format!("<subscribe node='{name}' jid='probe@example.net'/>"));
    position(told.get(1)?)
}

/// Incarnation and sequence of a notification.
pub(super) fn position(notification: &Stanza) -> Option<(String, u64)> {
    let message = notification.to_element();
    let position = message.find("position", "urn:convoke:pubsub:0")?;
    Some((position.attribute("inc")?.to_owned(), position.attribute("seq")?.parse().ok()?))
}

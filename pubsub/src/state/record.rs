//! The records of a state: their keys and their values.
//!
//! A key is the address of the service, a zero byte, the kind of the record in one byte, and the number of the node in
//! eight, which for one that has moved is a number of its own; then, for an affiliation, the bare address, and for a subscription or an item its number in eight bytes. All
//! numbers are written with the highest byte first, so that the store lists items in the order of their publication.
//! No address holds a zero byte: so no key of one service begins like those of another.
//!
//! A value begins with the format in one byte; `codec` tells how the rest is written.

use std::sync::Arc;

use bytes::Bytes;
use convoke_xmpp::Jid;

use super::codec::{Damage, Reader, Stored, Writer};
use super::item::{after_epoch, micros_since_epoch, tree};
use super::node::NodeName;
use super::{Item, Moved, NewItem, Node, State, Subscription};
use crate::broker::{Affiliation, NodeId, SubId, SubscriptionState};

/// The table of all records of all services.
pub(super) const TABLE: &str = "pubsub";

/// The format that this version writes. Whoever adds a kind of record, or changes what is in one, raises it; what an
/// earlier format wrote is read for ever:
///
/// 1. A subscription had no SubID, and of a node that has moved there was nothing.
/// 2. A subscription has its SubID behind its state.
pub(super) const FORMAT: u8 = 2;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) node: NodeName,
    pub(super) part: Part,
}

/// What of a node a record holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Node,
    Position,
    Affiliation(Jid),
    Subscription(u64, Jid, SubId),
    Item(u64),
    /// All that is left of one that has moved.
    Moved,
}

/// The kinds of records, in the order in which they are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Node,
    Position,
    Affiliation,
    Subscription,
    Item,
    Moved,
}

impl Kind {
    /// What each key of this kind begins with.
    pub(super) fn prefix(self, address: &Jid) -> Vec<u8> {
        let mut prefix = address.as_str().as_bytes().to_vec();
        prefix.extend([0, self.byte()]);
        prefix
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "a node",
            Self::Position => "the position of a node",
            Self::Affiliation => "an affiliation",
            Self::Subscription => "a subscription",
            Self::Item => "an item",
            Self::Moved => "a node that has moved",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Node => b'n',
            Self::Position => b'p',
            Self::Affiliation => b'a',
            Self::Subscription => b's',
            Self::Item => b'i',
            Self::Moved => b'm',
        }
    }
}

impl Record {
    pub(super) fn key(&self, address: &Jid) -> Vec<u8> {
        let mut key = self.part.kind().prefix(address);
        key.extend(self.node.number.to_be_bytes());
        match &self.part {
            Part::Node | Part::Position | Part::Moved => {}
            Part::Affiliation(jid) => key.extend(jid.as_str().bytes()),
            Part::Subscription(number, ..) | Part::Item(number) => key.extend(number.to_be_bytes()),
        }
        key
    }
}

impl Part {
    fn kind(&self) -> Kind {
        match self {
            Self::Node => Kind::Node,
            Self::Position => Kind::Position,
            Self::Affiliation(_) => Kind::Affiliation,
            Self::Subscription(..) => Kind::Subscription,
            Self::Item(_) => Kind::Item,
            Self::Moved => Kind::Moved,
        }
    }
}

impl State {
    /// The value of a record as of now; `None` if what it holds is not there.
    pub(super) fn value(&self, record: &Record) -> Option<Vec<u8>> {
        let mut out = Writer::default();
        out.byte(FORMAT);
        match &record.part {
            Part::Moved => write_moved(self.moved(&record.node.id).filter(|it| it.node.name == record.node)?, &mut out),
            part => write_part(self.node(&record.node.id).filter(|it| it.name == record.node)?, part, &mut out)?,
        }
        Some(out.finish())
    }
}

/// Writes what a node has of this part; `None` if it has nothing.
fn write_part(node: &Node, part: &Part, out: &mut Writer) -> Option<()> {
    match part {
        Part::Node => write_node(node, out),
        Part::Position => out.integer(node.sequence),
        Part::Affiliation(jid) => out.value(node.affiliations.get(jid)?),
        Part::Subscription(number, jid, subid) => {
            let subscription = node.subscriptions.get(jid, *subid).filter(|entry| entry.number == *number)?;
            out.bytes(jid.as_str());
            out.value(&subscription.state);
            out.bytes(subid.bits().to_be_bytes());
            out.value(&subscription.options);
        }
        Part::Item(number) => write_item(node.items.by_number(*number)?, out),
        Part::Moved => return None,
    }
    Some(())
}

fn write_node(node: &Node, out: &mut Writer) {
    out.bytes(node.id().as_str());
    out.bytes(node.creator().as_str());
    out.integer(micros_since_epoch(node.created()));
    out.bytes(node.incarnation());
    out.value(node.config());
}

pub(super) fn read_node(number: u64, from: &mut Reader) -> Result<Node, Damage> {
    let id = NodeId::new(&from.text()?).map_err(|_| Damage)?;
    let creator = from.jid()?;
    let created = after_epoch(from.integer()?);
    let incarnation = from.text()?;
    Ok(Node::new(number, id, creator, created, from.value()?, incarnation))
}

fn write_moved(moved: &Moved, out: &mut Writer) {
    write_node(&moved.node, out);
    out.integer(moved.node.affiliations.len() as u64);
    for (jid, affiliation) in &moved.node.affiliations {
        out.bytes(jid.as_str());
        out.value(affiliation);
    }
    out.bytes(&moved.uri);
}

pub(super) fn read_moved(number: u64, from: &mut Reader) -> Result<Moved, Damage> {
    let mut node = read_node(number, from)?;
    for _ in 0..from.integer()? {
        node.affiliations.insert(from.jid()?, from.value()?);
    }
    Ok(Moved { node, uri: from.text()? })
}

fn write_item(item: &Item, out: &mut Writer) {
    out.bytes(item.id());
    out.bytes(item.publisher().as_str());
    out.integer(item.published_micros());
    out.bytes(item.payload());
}

pub(super) fn read_item(number: u64, from: &mut Reader) -> Result<Arc<Item>, Damage> {
    let id = from.text()?;
    let publisher = from.jid()?;
    let published = after_epoch(from.integer()?);
    let payload = read_payload(from)?;
    Ok(Arc::new(Item::new(number, NewItem { id, publisher, published, payload }, true)))
}

/// Payloads go into streams as they are: one that is not well-formed would end them.
fn read_payload(from: &mut Reader) -> Result<Bytes, Damage> {
    let payload = from.bytes()?;
    if payload.is_empty() || tree(&payload).is_some() { Ok(payload) } else { Err(Damage) }
}

pub(super) fn read_subscription(format: u8, number: u64, from: &mut Reader) -> Result<(Jid, Subscription), Damage> {
    let jid = from.jid()?;
    let state = from.value()?;
    // The number tells it from every other of the node, too; and it is no SubID that is given by chance.
    let subid = if format == 1 { SubId::new(number.into()) } else { read_subid(from)? };
    Ok((jid, Subscription { number, subid, state, options: from.value()? }))
}

fn read_subid(from: &mut Reader) -> Result<SubId, Damage> {
    let bits = from.bytes()?.as_ref().try_into().map_err(|_| Damage)?;
    Ok(SubId::new(u128::from_be_bytes(bits)))
}

impl Stored for Affiliation {
    fn write(&self, out: &mut Writer) {
        out.bytes(self.as_str());
    }

    fn read(from: &mut Reader) -> Result<Self, Damage> {
        Self::parse(&from.text()?).ok_or(Damage)
    }
}

impl Stored for SubscriptionState {
    fn write(&self, out: &mut Writer) {
        out.bytes(self.as_str());
    }

    fn read(from: &mut Reader) -> Result<Self, Damage> {
        Self::parse(&from.text()?).ok_or(Damage)
    }
}

//! Reading a state back from the store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use convoke_store::Store;
use convoke_xmpp::Jid;

use super::codec::{Damage, Reader};
use super::record::{FORMAT, Kind, TABLE, read_item, read_moved, read_node, read_subscription};
use super::{Node, OpenError, State};
use crate::broker::NodeId;

/// Why one record cannot be used.
enum Fault {
    Newer(u8),
    Damaged,
}

impl From<Damage> for Fault {
    fn from(Damage: Damage) -> Self {
        Self::Damaged
    }
}

/// A state that is being read.
struct Loading {
    state: State,
    names: HashMap<u64, NodeId>,
}

/// Reads all records of the service at this address; none is a new service.
pub(super) fn load(store: &dyn Store, address: Jid) -> Result<State, OpenError> {
    let mut loading = Loading { state: State::new(address), names: HashMap::new() };
    // Nodes before what belongs to them.
    for kind in [Kind::Node, Kind::Position, Kind::Affiliation, Kind::Subscription, Kind::Item, Kind::Moved] {
        loading.read_all(store, kind)?;
    }
    Ok(loading.state)
}

impl Loading {
    fn read_all(&mut self, store: &dyn Store, kind: Kind) -> Result<(), OpenError> {
        let prefix = kind.prefix(&self.state.address);
        for (key, value) in store.scan(TABLE, &prefix)? {
            let key = Bytes::from(key);
            let read = self.read(kind, Reader::new(key.slice(prefix.len()..)), Reader::new(value));
            read.map_err(|fault| self.error(fault, kind, &key))?;
        }
        Ok(())
    }

    fn read(&mut self, kind: Kind, mut key: Reader, mut value: Reader) -> Result<(), Fault> {
        let format = match value.byte()? {
            0 => return Err(Fault::Damaged),
            newer if newer > FORMAT => return Err(Fault::Newer(newer)),
            format => format,
        };
        let number = key.big_endian()?;
        match kind {
            Kind::Node => self.node(number, &mut value)?,
            Kind::Position => self.of_node(number)?.sequence = value.integer()?,
            Kind::Affiliation => self.affiliation(number, &mut key, &mut value)?,
            Kind::Subscription => self.subscription(format, number, key.big_endian()?, &mut value)?,
            Kind::Item => self.item(number, key.big_endian()?, &mut value)?,
            Kind::Moved => self.moved(number, &mut value)?,
        }
        key.finish()?;
        Ok(value.finish()?)
    }

    fn node(&mut self, number: u64, value: &mut Reader) -> Result<(), Damage> {
        let node = read_node(number, value)?;
        let id = node.id().clone();
        self.names.insert(number, id.clone());
        self.passed(number)?;
        none_before(self.state.nodes.insert(id, node))
    }

    fn moved(&mut self, number: u64, value: &mut Reader) -> Result<(), Damage> {
        let moved = read_moved(number, value)?;
        let id = moved.node().id().clone();
        self.passed(number)?;
        none_before(self.state.node(&id))?;
        none_before(self.state.moved.insert(id, moved))
    }

    /// Numbers of nodes from now on are greater than this one.
    fn passed(&mut self, number: u64) -> Result<(), Damage> {
        self.state.next_node = number.checked_add(1).ok_or(Damage)?.max(self.state.next_node);
        Ok(())
    }

    fn affiliation(&mut self, number: u64, key: &mut Reader, value: &mut Reader) -> Result<(), Damage> {
        let jid = Jid::new(&key.rest()?).map_err(|_| Damage)?;
        let affiliation = value.value()?;
        none_before(self.of_node(number)?.affiliations.insert(jid, affiliation))
    }

    fn subscription(&mut self, format: u8, node: u64, number: u64, value: &mut Reader) -> Result<(), Damage> {
        let (jid, subscription) = read_subscription(format, number, value)?;
        let node = self.of_node(node)?;
        node.passed(number)?;
        none_before(Arc::make_mut(&mut node.subscriptions).insert(jid, subscription))
    }

    fn item(&mut self, node: u64, number: u64, value: &mut Reader) -> Result<(), Damage> {
        let item = read_item(number, value)?;
        let node = self.of_node(node)?;
        node.passed(number)?;
        none_before(node.items.get(item.id()))?;
        node.items.insert(item.clone());
        self.state.usages.add(&item);
        Ok(())
    }

    /// The node of a record; a record without one is left over from nothing that this program does.
    fn of_node(&mut self, number: u64) -> Result<&mut Node, Damage> {
        let id = self.names.get(&number).ok_or(Damage)?;
        self.state.nodes.get_mut(id).ok_or(Damage)
    }

    fn error(&self, fault: Fault, kind: Kind, key: &[u8]) -> OpenError {
        let address = self.state.address.clone();
        match fault {
            Fault::Newer(found) => OpenError::NewerFormat { address, found, supported: FORMAT },
            Fault::Damaged => {
                let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
                OpenError::Damaged { address, record: kind.name(), key }
            }
        }
    }
}

impl Node {
    /// Numbers from now on are greater than this one.
    fn passed(&mut self, number: u64) -> Result<(), Damage> {
        self.next_number = number.checked_add(1).ok_or(Damage)?.max(self.next_number);
        Ok(())
    }
}

/// Two records of the same thing contradict each other.
fn none_before<T>(before: Option<T>) -> Result<(), Damage> {
    if before.is_none() { Ok(()) } else { Err(Damage) }
}

//! Where items of one type are.

use std::fmt;
use std::marker::PhantomData;

use convoke_xmpp::Jid;

use super::NodeItem;

/// A node of a publish-subscribe service whose items are of type `T`.
pub struct Node<T> {
    service: Jid,
    name: String,
    items: PhantomData<fn() -> T>,
}

impl<T: NodeItem> Node<T> {
    /// The node of that type at a service, such as `pubsub@b.example`.
    pub fn at(service: Jid) -> Self {
        Self::named(service, T::NODE.to_owned())
    }

    /// One of many nodes of that type: `NODE/part`.
    pub fn part(service: Jid, part: &str) -> Self {
        Self::named(service, format!("{}/{part}", T::NODE))
    }

    /// A node with items of that type under a name of one's own.
    pub fn named(service: Jid, name: String) -> Self {
        Self { service, name, items: PhantomData }
    }
}

impl<T> Node<T> {
    /// The address of the service.
    pub fn service(&self) -> &Jid {
        &self.service
    }

    /// The name of the node (its NodeID).
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), name: self.name.clone(), items: PhantomData }
    }
}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("service", &self.service).field("name", &self.name).finish()
    }
}

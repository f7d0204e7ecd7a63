//! Publishing items.

use std::time::Duration;

use convoke_pubsub::client;

use super::{Node, NodeItem};
use crate::component::{ComponentHandle, RequestError};

impl ComponentHandle {
    /// Makes a node. That there is one already is an error of the condition `conflict`.
    ///
    /// As with [`ComponentHandle::request`], the request is on its way when this returns, here and in the two functions
    /// below: a publication that follows finds the node.
    pub fn create_node<T: NodeItem>(
        &self,
        node: &Node<T>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<T> {
        let answer = self.set(node.service(), client::create(node.name()), timeout);
        async move { answer.await.map(drop) }
    }

    /// Publishes an item; one with the same id is replaced.
    pub fn publish<T: NodeItem>(
        &self,
        node: &Node<T>,
        item: &T,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<T> {
        let payload = client::publish(node.name(), Some(&item.id()), item.payload());
        let answer = self.set(node.service(), payload, timeout);
        async move { answer.await.map(drop) }
    }

    /// Retracts the item of this id, and has the subscribers told. That there is none is an error of the condition
    /// `item-not-found`.
    pub fn retract<T: NodeItem>(
        &self,
        node: &Node<T>,
        id: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<T> {
        let answer = self.set(node.service(), client::retract(node.name(), id), timeout);
        async move { answer.await.map(drop) }
    }
}

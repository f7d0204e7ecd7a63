//! Publishing items.

use std::time::Duration;

use convoke_pubsub::client;
use convoke_xmpp::namespace::{DATA_FORMS, PUBSUB, PUBSUB_OWNER};
use convoke_xmpp::{Condition, Element};

use super::{Node, NodeItem};
use crate::component::{ComponentHandle, RequestError};

impl ComponentHandle {
    /// Makes a node with the configuration that its items wish ([`NodeItem::OPTIONS`]), or, at a service that does not
    /// know all of it, with the service's default. That there is one already is an error of the condition `conflict`.
    ///
    /// As with [`ComponentHandle::request`], the request is on its way when this returns, here and in the functions below:
    /// a publication that follows finds the node.
    pub fn create_node<T: NodeItem>(
        &self,
        node: &Node<T>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<T> {
        let (component, service, name) = (self.clone(), node.service().clone(), node.name().to_owned());
        let answer = self.set(&service, creation(&name, T::OPTIONS), timeout);
        async move {
            match answer.await {
                Err(error) if is_about_options::<T>(&error) => {
                    component.set(&service, client::create(&name), timeout).await.map(drop)
                }
                answer => answer.map(drop),
            }
        }
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

    /// Takes all items away, and has the subscribers told (XEP-0060, section 8.5). Only an owner may do so.
    pub fn purge<T: NodeItem>(
        &self,
        node: &Node<T>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + Send + use<T> {
        let owner = |name| Element::new(name, PUBSUB_OWNER);
        let payload = owner("pubsub").child(owner("purge").attr("node", node.name()));
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

/// Whether the service may well make the node if nothing is asked of its configuration (XEP-0060, section 8.1.3).
fn is_about_options<T: NodeItem>(error: &RequestError) -> bool {
    let refused = error.stanza_error().map(|error| error.condition);
    let about_options = [Condition::NotAcceptable, Condition::FeatureNotImplemented, Condition::BadRequest];
    !T::OPTIONS.is_empty() && refused.is_some_and(|condition| about_options.contains(&condition))
}

/// The request for a node with this configuration (section 8.1.3).
pub(super) fn creation(node: &str, options: &[(&str, &str)]) -> Element {
    let field = |(name, value): (&str, &str)| {
        Element::new("field", DATA_FORMS).attr("var", name).child(Element::new("value", DATA_FORMS).text(value))
    };
    if options.is_empty() {
        return client::create(node);
    }
    let fields = [("FORM_TYPE", NODE_CONFIG)].into_iter().chain(options.iter().copied()).map(field);
    let form = Element::new("x", DATA_FORMS).attr("type", "submit").with_children(fields);
    client::create(node).child(Element::new("configure", PUBSUB).child(form))
}

const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";

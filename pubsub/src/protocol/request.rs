//! Requests: which operation an iq asks for.

use convoke_xmpp::{Element, IqType, Jid, Kind, Stanza, namespace};

use super::{RequestError, command, discovery, owner, participant};
use crate::PubSubConfig;
use crate::broker::{NodeId, Operation, SubscriptionName};

/// What an iq of type get or set asks for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// Something that depends on the state of the broker.
    Operation(Operation),
    /// Something whose answer is always the same: the payload of the result.
    Constant(Option<Element>),
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Self {
        Self::Operation(operation)
    }
}

/// Reads a request.
pub(crate) fn read(iq: &Stanza, config: &PubSubConfig) -> Result<Request, RequestError> {
    let payload = only_child(iq)?;
    let is_set = iq.kind() == Kind::Iq(IqType::Set);
    match (payload.name(), payload.namespace()) {
        ("pubsub", namespace::PUBSUB) => participant::read(payload, is_set).map(Request::from),
        ("pubsub", namespace::PUBSUB_OWNER) => owner::read(&payload, is_set).map(Request::from),
        ("command", command::COMMANDS) if is_set => command::read(&payload),
        _ if is_set => Err(RequestError::NotServed),
        _ => discovery::read(&payload, iq, config),
    }
}

/// The one child that a request has (RFC 6120, section 8.2.3).
fn only_child(iq: &Stanza) -> Result<Element, RequestError> {
    const MALFORMED: RequestError = RequestError::Malformed("a request has an id, a known type and one child element");
    if iq.fault().is_some() {
        return Err(MALFORMED);
    }
    let (name, namespace) = iq.payload_name().ok_or(MALFORMED)?;
    let mut tree = iq.to_element();
    if tree.children().count() != 1 {
        return Err(MALFORMED);
    }
    tree.take(name, namespace).ok_or(MALFORMED)
}

/// The node that an element names; an empty name is none.
pub(super) fn optional_node(element: &Element) -> Result<Option<NodeId>, RequestError> {
    let name = element.attribute("node").filter(|name| !name.is_empty());
    name.map(NodeId::new).transpose().map_err(|_| RequestError::UnacceptableName)
}

/// The node that an element must name.
pub(super) fn required_node(element: &Element) -> Result<NodeId, RequestError> {
    optional_node(element)?.ok_or(RequestError::NodeIdRequired)
}

/// The address that an element must name.
pub(super) fn required_jid(element: &Element) -> Result<Jid, RequestError> {
    let text = element.attribute("jid").ok_or(RequestError::JidRequired)?;
    Jid::new(text).map_err(|_| RequestError::InvalidJid)
}

/// The subscription that an element must name: an address, and the SubID if it says that.
pub(super) fn subscription(element: &Element) -> Result<SubscriptionName, RequestError> {
    Ok(SubscriptionName { jid: required_jid(element)?, subid: subid(element) })
}

/// The SubID that an element says; an empty one is none.
pub(super) fn subid(element: &Element) -> Option<String> {
    element.attribute("subid").filter(|subid| !subid.is_empty()).map(str::to_owned)
}

/// A boolean of XML Schema.
pub(super) fn boolean(text: &str) -> Result<bool, RequestError> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(RequestError::Malformed("a boolean is true, false, 1 or 0")),
    }
}

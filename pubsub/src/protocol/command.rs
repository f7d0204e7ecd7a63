//! The command by which an owner asks for subscriptions that wait for approval (XEP-0060, section 8.7; XEP-0050).

use convoke_xmpp::{Element, namespace};

use super::RequestError;
use super::form::AUTHORIZATION;
use super::request::Request;
use crate::broker::{NodeId, Operation};
use crate::form::{self, Form};

/// The namespace of ad-hoc commands.
pub(super) const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// The name of the one command.
pub(super) const GET_PENDING: &str = "http://jabber.org/protocol/pubsub#get-pending";

/// Reads a command. Each step says all that it needs, so that no session is kept.
pub(super) fn read(command: &Element) -> Result<Request, RequestError> {
    if command.attribute("node") != Some(GET_PENDING) {
        return Err(RequestError::NoSuchCommand);
    }
    match command.attribute("action") {
        Some("cancel") => Ok(Request::Constant(Some(executed("canceled")))),
        Some("prev") => Err(RequestError::BadAction),
        _ => chosen(command).map(Request::from),
    }
}

/// Without a form, the nodes to choose from; with one, the requests of the node that it chooses.
fn chosen(command: &Element) -> Result<Operation, RequestError> {
    let Some(form) = Form::within(command) else { return Ok(Operation::PendingNodes) };
    let node = form.value("pubsub#node").filter(|node| !node.is_empty()).ok_or(RequestError::BadPayload)?;
    let node = NodeId::new(node).map_err(|_| RequestError::UnacceptableName)?;
    Ok(Operation::SendPending { node })
}

/// The form in which an owner chooses a node.
pub(super) fn nodes_to_choose(nodes: &[NodeId]) -> Element {
    let field = form::field("pubsub#node").attr("type", "list-single").attr("label", "The node");
    let field = form::options(field, nodes.iter().map(NodeId::as_str));
    let actions =
        Element::new("actions", COMMANDS).attr("execute", "complete").child(Element::new("complete", COMMANDS));
    executed("executing").child(actions).child(form::form("form", AUTHORIZATION).child(field))
}

/// A command in that state.
pub(super) fn executed(status: &str) -> Element {
    // The id means nothing to the service, as it keeps no sessions.
    Element::new("command", COMMANDS).attr("node", GET_PENDING).attr("sessionid", "get-pending").attr("status", status)
}

/// The command in a list.
pub(super) fn item(service: &str) -> Element {
    Element::new("item", namespace::DISCO_ITEMS)
        .attr("jid", service)
        .attr("node", GET_PENDING)
        .attr("name", "Pending subscription requests")
}

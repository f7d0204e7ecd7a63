//! An owner's answer to a request for approval (XEP-0060, section 8.6).

use convoke_xmpp::namespace::DATA_FORMS;
use convoke_xmpp::{Jid, Stanza};

use super::RequestError;
use super::form::AUTHORIZATION;
use super::request::boolean;
use crate::broker::{NodeId, Operation, SubscriptionName};
use crate::form::Form;

/// Whether a message is an owner's answer to a request for approval (XEP-0060, section 8.6): its first child is the form,
/// submitted or cancelled. The request itself is none.
pub fn is_approval(message: &Stanza) -> bool {
    message.has_payload("x", DATA_FORMS)
        && Form::within(&message.to_element()).is_some_and(|form| {
            form.form_type.as_deref() == Some(AUTHORIZATION) && matches!(form.kind.as_str(), "submit" | "cancel")
        })
}

/// What the form in a message decides. A cancelled form leaves the subscription pending; a message about anything else is
/// not read.
pub(crate) fn read_approval(message: &Stanza) -> Result<Option<Operation>, RequestError> {
    let form = Form::within(&message.to_element());
    let form = form.filter(|form| form.form_type.as_deref() == Some(AUTHORIZATION)).ok_or(RequestError::NotServed)?;
    match form.kind.as_str() {
        "cancel" => return Ok(None),
        "submit" => {}
        _ => return Err(RequestError::Malformed("a form that is answered is submitted or cancelled")),
    }
    let value = |name| form.value(name).filter(|value| !value.is_empty());
    let node = value("pubsub#node").ok_or(RequestError::NodeIdRequired)?;
    let node = NodeId::new(node).map_err(|_| RequestError::UnacceptableName)?;
    let jid = value("pubsub#subscriber_jid").ok_or(RequestError::JidRequired)?;
    let jid = Jid::new(jid).map_err(|_| RequestError::InvalidJid)?;
    let subscription = SubscriptionName { jid, subid: value("pubsub#subid").map(str::to_owned) };
    let is_allowed =
        boolean(value("pubsub#allow").ok_or(RequestError::Malformed("the form does not say what to do"))?)?;
    Ok(Some(Operation::Authorize { node, subscription, is_allowed }))
}

//! Forms of the service: configurations, options, and requests for approval (XEP-0060, sections 6.3, 8.2 and 8.6).

use convoke_xmpp::Element;

use super::RequestError;
use crate::broker::{Submission, SubscriptionInfo};
use crate::config::{Configured, Field, Kind};
use crate::form::{self, Form};

/// The purpose of a form that asks an owner to approve a subscription.
pub(crate) const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";

/// The fields that a form within this element submits; `None` without a form.
pub(super) fn submission(parent: &Element, form_type: &str) -> Result<Option<Submission>, RequestError> {
    let Some(form) = Form::within(parent) else { return Ok(None) };
    match form.kind.as_str() {
        "cancel" => Ok(Some(Submission::Cancelled)),
        "submit" if form.is_for(form_type) => Ok(Some(Submission::Fields(form.fields))),
        _ => Err(RequestError::Malformed("a form of another type or purpose")),
    }
}

/// The form with which something is configured, filled with what it is configured to.
pub(super) fn filled<T: Configured>(configured: &T) -> Element {
    let described = T::FIELDS.iter().map(|field| described(field, configured));
    form::form("form", T::FORM_TYPE).with_children(described)
}

/// What something is configured to, for information.
pub(super) fn result<T: Configured>(configured: &T) -> Element {
    let fields = configured.values().map(|(name, values)| values_of(form::field(name), &values));
    form::form("result", T::FORM_TYPE).with_children(fields)
}

fn described<T>(field: &Field<T>, configured: &T) -> Element {
    let element = form::field(field.name).attr("type", kind(field.kind)).attr("label", field.label);
    let element = match field.kind {
        Kind::IntegerOrMax => element.child(validation()),
        Kind::ListSingle(words) | Kind::ListMulti(words) => form::options(element, words.iter().copied()),
        Kind::Boolean | Kind::TextSingle | Kind::TextMulti | Kind::JidMulti => element,
    };
    values_of(element, &(field.read)(configured))
}

fn values_of(field: Element, values: &[String]) -> Element {
    form::values(field, values.iter().map(String::as_str))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::TextSingle | Kind::IntegerOrMax => "text-single",
        Kind::TextMulti => "text-multi",
        Kind::JidMulti => "jid-multi",
        Kind::ListSingle(_) => "list-single",
        Kind::ListMulti(_) => "list-multi",
    }
}

/// That a field takes a number or `max` (XEP-0122; XEP-0060, section 13.23).
fn validation() -> Element {
    Element::new("validate", "http://jabber.org/protocol/xdata-validate")
        .attr("datatype", "pubsub:integer-or-max")
        .child(Element::new("range", "http://jabber.org/protocol/xdata-validate").attr("min", 1))
}

/// The form that asks an owner to approve a subscription (section 8.6).
pub(super) fn authorization(subscription: &SubscriptionInfo) -> Element {
    let described = |name: &str, kind: &str, label: &str| form::field(name).attr("type", kind).attr("label", label);
    let allow = described("pubsub#allow", "boolean", "Allow this address to subscribe to this node?");
    let subscriber_jid = described("pubsub#subscriber_jid", "jid-single", "Subscriber Address");
    let subid = subscription
        .told_subid()
        .map(|subid| form::values(form::field("pubsub#subid").attr("type", "hidden"), [subid.to_string().as_str()]));
    form::form("form", AUTHORIZATION)
        .with_children(subid)
        .child(form::values(described("pubsub#node", "text-single", "Node ID"), [subscription.node.as_str()]))
        .child(form::addresses(subscriber_jid, [&subscription.jid]))
        .child(form::values(allow, ["false"]))
}

//! Forms as a client fills them in and reads them (XEP-0004).

use std::collections::BTreeMap;

use convoke_xmpp::{Element, Jid, Stanza};

use crate::form::{self, Form};
use crate::protocol::AUTHORIZATION;

/// Fields of a form, each with one value; a name that comes again has several.
pub type Fields<'a> = [(&'a str, &'a str)];

/// A form that submits these fields.
pub(super) fn submit(form_type: &str, fields: &Fields<'_>) -> Element {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in fields {
        values.entry(name).or_default().push(value);
    }
    let field = |(name, values): (&str, Vec<&str>)| form::values(form::field(name), values);
    form::form("submit", form_type).with_children(values.into_iter().map(field))
}

/// The fields of the form in a result, by name: a configuration, options, or the metadata of a node (XEP-0060, sections
/// 5.4, 6.3.3 and 8.2.2); `None` if there is no form.
pub fn parse_form(result: &Element) -> Option<BTreeMap<String, Vec<String>>> {
    let within = || result.children().find_map(Form::within);
    let found = Form::within(result).or_else(within)?;
    Some(found.fields.into_iter().collect())
}

/// A request to an owner to approve a subscription (XEP-0060, section 8.6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorization {
    /// The node.
    pub node: String,
    /// Who wants to subscribe.
    pub subscriber: Jid,
    /// Which of several subscriptions of that address it is, at services that have them.
    pub subid: Option<String>,
}

impl Authorization {
    /// The owner's answer: the payload of a message to the service.
    pub fn answer(&self, is_allowed: bool) -> Element {
        let allow = if is_allowed { "true" } else { "false" };
        let fields = [
            ("pubsub#node", &*self.node),
            ("pubsub#subscriber_jid", self.subscriber.as_str()),
            ("pubsub#allow", allow),
        ];
        let subid = self.subid.as_deref().map(|subid| ("pubsub#subid", subid));
        submit(AUTHORIZATION, &Vec::from_iter(fields.into_iter().chain(subid)))
    }
}

/// The request for approval that a message carries; `None` if it carries none.
///
/// Everybody can send such a message: the caller checks that [`Stanza::from`] is the service of the node.
pub fn parse_authorization(message: &Stanza) -> Option<Authorization> {
    let form = Form::within(&message.to_element())?;
    let is_request = form.kind == "form" && form.form_type.as_deref() == Some(AUTHORIZATION);
    let node = form.value("pubsub#node").filter(|_| is_request)?.to_owned();
    let subscriber = Jid::new(form.value("pubsub#subscriber_jid")?).ok()?;
    Some(Authorization { node, subscriber, subid: form.value("pubsub#subid").map(str::to_owned) })
}

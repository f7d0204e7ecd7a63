//! The header that names a subscription in its notifications (XEP-0131; XEP-0060, section 13.16).

use convoke_xmpp::Element;

use crate::broker::SubId;

/// The namespace of stanza headers, and the node at which an entity says which of them it knows (XEP-0131, section 3).
pub(super) const SHIM: &str = "http://jabber.org/protocol/shim";
/// The name of the header.
pub(super) const SUB_ID: &str = "SubID";

/// The headers that name these subscriptions: the last child of the message (section 7.1.2.4).
pub(crate) fn headers(subids: impl IntoIterator<Item = SubId>) -> Element {
    let header = |subid: SubId| Element::new("header", SHIM).attr("name", SUB_ID).text(subid.to_string());
    Element::new("headers", SHIM).with_children(subids.into_iter().map(header))
}

/// The SubIDs that the headers of a message say.
pub(crate) fn subids(message: &Element) -> Vec<String> {
    let headers = message.find("headers", SHIM).into_iter().flat_map(Element::children);
    let named = headers.filter(|header| header.is("header", SHIM) && header.attribute("name") == Some(SUB_ID));
    named.map(Element::content).collect()
}

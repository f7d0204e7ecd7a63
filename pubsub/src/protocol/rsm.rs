//! Result Set Management (XEP-0059).

use convoke_xmpp::Element;

use super::RequestError;
use crate::broker::{PageRequest, PageStart};

/// The namespace of Result Set Management.
pub(crate) const RSM: &str = "http://jabber.org/protocol/rsm";

/// The page that a request asks for; `None` if it asks for none.
pub(super) fn read(parent: &Element) -> Result<Option<PageRequest>, RequestError> {
    let Some(set) = parent.find("set", RSM) else { return Ok(None) };
    let content = |name| set.find(name, RSM).map(Element::content);
    let max = content("max").map(|text| number(&text)).transpose()?;
    let start = match (content("after"), content("before"), content("index")) {
        (None, None, None) => PageStart::First,
        (Some(id), None, None) => PageStart::After(id),
        (None, Some(id), None) if id.is_empty() => PageStart::Last,
        (None, Some(id), None) => PageStart::Before(id),
        (None, None, Some(index)) => PageStart::Index(number(&index)?),
        _ => return Err(RequestError::Malformed("a page starts after, before, or at an index")),
    };
    Ok(Some(PageRequest { max, start }))
}

fn number(text: &str) -> Result<usize, RequestError> {
    text.trim().parse().map_err(|_| RequestError::Malformed("max and index are integers"))
}

/// The note that says which part of a list is shown: of nothing, only how much there is.
pub(super) fn note(shown: Option<(&str, &str)>, first: usize, count: usize) -> Element {
    let child = |name| Element::new(name, RSM);
    let set = child("set");
    let set = match shown {
        Some((first_id, last_id)) => {
            set.child(child("first").attr("index", first).text(first_id)).child(child("last").text(last_id))
        }
        None => set,
    };
    set.child(child("count").text(count.to_string()))
}

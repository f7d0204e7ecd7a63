//! Pages of items (XEP-0059).

use convoke_xmpp::Element;

use super::items;
use crate::protocol::RSM;

/// Which part of the items of a node is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page<'a> {
    /// The oldest.
    First,
    /// Those published after the item of this id.
    After(&'a str),
    /// The last of those published before the item of this id.
    Before(&'a str),
    /// The newest.
    Last,
    /// Those from this index on.
    Index(usize),
}

/// Asks for at most so many items of a node, oldest first (XEP-0060, section 6.5.4). An iq of type get.
///
/// An id that the node does not have any more is answered with item-not-found.
pub fn items_page(node: &str, page: Page<'_>, max: usize) -> Element {
    let child = |name| Element::new(name, RSM);
    let set = child("set").child(child("max").text(max.to_string()));
    items(node).child(match page {
        Page::First => set,
        Page::After(id) => set.child(child("after").text(id)),
        Page::Before(id) => set.child(child("before").text(id)),
        Page::Last => set.child(child("before")),
        Page::Index(index) => set.child(child("index").text(index.to_string())),
    })
}

/// Which part of a list a result shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageNote {
    /// The ids of the first and of the last entry; `None` if it shows nothing.
    pub ends: Option<(String, String)>,
    /// The index of the first entry, if the service says so.
    pub index: Option<usize>,
    /// How many entries the list has, if the service says so.
    pub count: Option<usize>,
}

/// The note that a result shows a part of a list; `None` if it shows all of it.
pub fn parse_page(result: &Element) -> Option<PageNote> {
    let set = result.find("set", RSM)?;
    let content = |name| set.find(name, RSM).map(Element::content);
    let index = set.find("first", RSM).and_then(|first| first.attribute("index")?.parse().ok());
    let count = content("count").and_then(|count| count.parse().ok());
    Some(PageNote { ends: content("first").zip(content("last")), index, count })
}

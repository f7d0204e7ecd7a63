//! Lists of items, a page at a time (XEP-0059).

use convoke_pubsub::client::{self, Item};
use convoke_xmpp::Element;

use super::position::Position;

const RSM: &str = "http://jabber.org/protocol/rsm";

/// How many items are asked for at a time; services bound their answers by bytes besides.
const PAGE: usize = 100;

/// A part of the items of a node, oldest first.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// As of which state of the node, if the service says so.
    pub(super) position: Option<Position>,
    /// The item behind which there is more.
    pub(super) more_behind: Option<String>,
}

/// Asks for the items behind one of them, or for the first ones.
pub(super) fn items_after(node: &str, after: Option<&str>) -> Element {
    let child = |name| Element::new(name, RSM);
    let set = child("set").child(child("max").text(PAGE.to_string()));
    client::items(node).child(set.with_children(after.map(|id| child("after").text(id))))
}

impl Page {
    /// Reads the answer to a request for items; `None` if it is none.
    pub(super) fn read(result: &Element) -> Option<Self> {
        let items = client::parse_items(result)?;
        let more_behind = more_behind(result, items.len());
        Some(Self { items, position: Position::read(result), more_behind })
    }
}

/// The last item of the page, where more follow: by its index in all of them, or, where the service counts nothing, until
/// a page is empty.
fn more_behind(result: &Element, items: usize) -> Option<String> {
    let set = result.find("set", RSM)?;
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let last = set.find("last", RSM)?.content();
    let index = set.find("first", RSM).and_then(|first| number(first.attribute("index")?));
    let count = set.find("count", RSM).and_then(|count| number(&count.content()));
    let is_last_page = match (index, count) {
        (Some(index), Some(count)) => index.saturating_add(items) >= count,
        _ => items == 0,
    };
    (!is_last_page && items > 0).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_page_by_page() {
        assert_eq!(
            items_after("n", Some("a")).to_string(),
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>100</max><after>a</after></set></pubsub>"
        );
    }

    #[test]
    fn the_last_page_is_known_by_count_or_by_being_empty() {
        let item = "<item id='b'><x xmlns='urn:x'/></item>";
        for (items, set, more) in [
            (item, "", None),
            (item, "<first index='0'>b</first><last>b</last><count>2</count>", Some("b")),
            (item, "<first index='1'>b</first><last>b</last><count>2</count>", None),
            (item, "<first>b</first><last>b</last>", Some("b")),
            ("", "<count>7</count>", None),
            ("", "<first index='0'/><last>b</last><count>7</count>", None),
        ] {
            let set = format!("<set xmlns='http://jabber.org/protocol/rsm'>{set}</set>");
            let position = "<position xmlns='urn:convoke:pubsub:0' inc='i' seq='4'/>";
            let result = format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>{items}</items>{set}{position}</pubsub>"
            );
            let page = Page::read(&Element::parse(&result).unwrap()).unwrap();
            assert_eq!(page.more_behind.as_deref(), more, "{set}");
            assert_eq!(page.position.unwrap().sequence, 4);
        }
        assert!(Page::read(&Element::new("pubsub", "http://jabber.org/protocol/pubsub")).is_none());
    }
}

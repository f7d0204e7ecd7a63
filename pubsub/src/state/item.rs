//! One published item.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use convoke_xmpp::{Element, Jid};

/// A published item, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    number: u64,
    id: Arc<str>,
    publisher: Jid,
    published: SystemTime,
    payload: Bytes,
    is_persistent: bool,
}

/// An item that is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct NewItem {
    /// Unique within the node.
    pub(crate) id: String,
    /// The bare address of whoever publishes it.
    pub(crate) publisher: Jid,
    /// When it is published; microseconds are kept.
    pub(crate) published: SystemTime,
    /// The payload as XML that means the same wherever it stands ([`self_contained`]); empty if there is none.
    pub(crate) payload: Bytes,
}

impl NewItem {
    /// What the item will count against quotas.
    pub(crate) fn bytes(&self) -> usize {
        counted(&self.id, &self.publisher, &self.payload)
    }
}

impl Item {
    pub(super) fn new(number: u64, new: NewItem, is_persistent: bool) -> Self {
        let published = whole_micros(new.published);
        let NewItem { id, publisher, payload, .. } = new;
        Self { number, id: id.into(), publisher, published, payload, is_persistent }
    }

    /// One that is told of and not kept.
    pub(crate) fn unkept(new: NewItem) -> Self {
        Self::new(0, new, false)
    }

    /// Whether there is a record of it: the last item of a transient node is in memory alone.
    pub(crate) fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// Greater than the number of every item that the node had when this one was published.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    /// The bare address of whoever published it.
    pub(crate) fn publisher(&self) -> &Jid {
        &self.publisher
    }

    /// When it was published, to the microsecond.
    pub(crate) fn published(&self) -> SystemTime {
        self.published
    }

    pub(super) fn published_micros(&self) -> u64 {
        micros_since_epoch(self.published)
    }

    /// The payload as XML that means the same wherever it stands; empty if there is none.
    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload as a tree, if there is one.
    pub(crate) fn payload_tree(&self) -> Option<Element> {
        tree(&self.payload)
    }

    /// What the item counts against quotas: the bytes of payload, id and publisher.
    pub(crate) fn bytes(&self) -> usize {
        counted(&self.id, &self.publisher, &self.payload)
    }
}

/// An element as XML with its namespace declared, so that it means the same inside every other element.
pub(crate) fn self_contained(element: &Element) -> Bytes {
    /// No name of a namespace: so not even the empty one is left out.
    const NONE: &str = "\0";
    let mut text = String::new();
    element.write(&mut text, NONE);
    text.into()
}

/// The element that [`self_contained`] has written.
pub(super) fn tree(payload: &[u8]) -> Option<Element> {
    Element::parse(std::str::from_utf8(payload).ok()?).ok()
}

/// The time so many microseconds after 1970; the epoch itself for what the clock cannot say.
pub(super) fn after_epoch(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The moment as records hold it.
pub(super) fn whole_micros(time: SystemTime) -> SystemTime {
    after_epoch(micros_since_epoch(time))
}

pub(super) fn micros_since_epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn counted(id: &str, publisher: &Jid, payload: &[u8]) -> usize {
    payload.len() + id.len() + publisher.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_means_the_same_wherever_it_stands() {
        for payload in ["<a xmlns='urn:a'><b/></a>", "<a xmlns=''/>", "<a xmlns='http://jabber.org/protocol/pubsub'/>"]
        {
            let element = Element::parse(payload).unwrap();
            let written = self_contained(&element);
            let written = std::str::from_utf8(&written).unwrap();
            let within =
                Element::parse(&format!("<x xmlns='http://jabber.org/protocol/pubsub'>{written}</x>")).unwrap();
            assert_eq!(within.children().next(), Some(&element), "{written}");
            assert_eq!(tree(written.as_bytes()), Some(element));
        }
    }
}

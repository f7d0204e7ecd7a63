//! One stanza for many recipients.

use std::sync::Arc;

use super::content::Content;
use super::header::{Address, Header, Layout, Text, write_value};
use super::{Jid, Stanza};

/// A stanza but for its `to`, and `id` where each recipient has its own, written once for many recipients.
///
/// Their stanzas share what is behind the `id`: each costs a head and one allocation, however large the payload is, and
/// nothing of that is written, escaped, copied or looked at again until it goes to the wire.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// The start tag up to where `to` belongs.
    name: String,
    /// The attribute `from`, behind which `id` belongs.
    from: String,
    /// All that follows.
    rest: Arc<str>,
    id: Option<Box<str>>,
    header: Header,
}

impl Broadcast {
    /// Prepares this stanza; its `to` is of no consequence.
    pub fn new(stanza: &Stanza) -> Self {
        let (rest, payload) = (stanza.rest(), stanza.owned_payload());
        let mut plain = Stanza::build(stanza.kind(), None, stanza.from(), None, stanza.lang(), &rest, "", payload);
        let text = plain.text().into_owned();
        if let Ok(found) = Stanza::parse(&text) {
            // A reader finds the name of the payload in the text itself: copies of this header need no memory then.
            plain.header.payload = found.header.payload;
        }
        let mut from = String::new();
        stanza.from().map(|jid| write_value(&mut from, "from", jid.as_str()));
        let (name, behind) = text.split_at(1 + stanza.kind().name().len());
        let rest = behind[from.len()..].into();
        Self { rest, name: name.to_owned(), from, id: stanza.id().map(Box::from), header: plain.header }
    }

    /// The stanza for one recipient.
    pub fn to(&self, to: &Jid) -> Stanza {
        self.addressed(to, self.id.as_deref())
    }

    /// The stanza for one recipient, with an `id` of its own.
    pub fn to_with_id(&self, to: &Jid, id: &str) -> Stanza {
        self.addressed(to, Some(id))
    }

    fn addressed(&self, to: &Jid, id: Option<&str>) -> Stanza {
        let of_id = id.unwrap_or_default().len();
        let capacity = self.name.len() + self.from.len() + " to='' id=''".len() + to.as_str().len() + of_id;
        let mut head = String::with_capacity(capacity);
        head.push_str(&self.name);
        let to = Address { text: write_value(&mut head, "to", to.as_str()), parts: to.as_ref().parts() };
        let before_from = head.len() - self.name.len();
        head.push_str(&self.from);
        let id = id.map(|id| write_value(&mut head, "id", id));
        let before_rest = head.len() - self.name.len() - self.from.len();
        let header = self.header.moved(before_from as u32, before_rest as u32);
        let content = Content::with_shared(head, Arc::clone(&self.rest));
        Stanza { content, header: Header { to: Some(to), id, ..header } }
    }

    /// The bytes that the stanzas of all recipients share.
    pub fn shared_bytes(&self) -> usize {
        self.rest.len()
    }
}

impl Header {
    /// The same header, with `from` and the rest so many bytes further on.
    fn moved(&self, from: u32, rest: u32) -> Self {
        let layout = match self.layout {
            Layout::Normal { rest: start } => Layout::Normal { rest: start + rest },
            Layout::AsSent { attributes_end } => Layout::AsSent { attributes_end: attributes_end + rest },
        };
        Self {
            from: self.from.as_ref().map(|jid| Address { text: jid.text.moved(from), parts: jid.parts }),
            lang: self.lang.as_ref().map(|lang| lang.moved(rest)),
            payload: self.payload.as_ref().map(|(name, namespace)| (name.moved(rest), namespace.moved(rest))),
            layout,
            to: None,
            id: None,
            ..*self
        }
    }
}

impl Text {
    fn moved(&self, by: u32) -> Self {
        match self {
            Self::Range { start, end } => Self::Range { start: start + by, end: end + by },
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every recipient's stanza is what rewriting the original by hand gives, and reads back the same.
    #[test]
    fn a_broadcast_is_the_stanza_for_each_recipient() {
        for text in [
            "<message from='pubsub.a.example' type='headline'><event xmlns='urn:e'><x>1 &lt; 2</x></event></message>",
            "<message to='old@c.example' id='old' from='p@a.example/d&apos;e' xml:lang='en'><x xmlns='urn:x'/><y/></message>",
            "<message xmlns:p='urn:p' p:a='1' type='chat' from='a.example'><p:x/></message>",
            "<message from='a.example'/>",
        ] {
            let original = Stanza::parse(text).unwrap();
            let broadcast = Broadcast::new(&original);
            for to in ["b@b.example", "c.example/x'y"] {
                let to = Jid::new(to).unwrap();
                assert_eq!(broadcast.to(&to).to_element(), original.with_to(&to).to_element());
                let sent = broadcast.to_with_id(&to, "i&d");
                let expected = original.with_to(&to).with_id("i&d");
                assert_eq!((sent.kind(), sent.lang()), (expected.kind(), expected.lang()));
                assert_eq!((sent.from(), sent.payload_name()), (expected.from(), expected.payload_name()));
                assert_eq!(sent.to_element(), expected.to_element(), "{text}");
                let read = Stanza::parse(&sent.text()).unwrap();
                assert_eq!((read.to(), read.id(), read.payload_name()), (sent.to(), sent.id(), sent.payload_name()));
                let elsewhere = Jid::new("elsewhere.example").unwrap();
                assert_eq!(sent.with_to(&elsewhere).to_element(), expected.with_to(&elsewhere).to_element());
            }
        }
    }

    #[test]
    fn the_stanzas_of_all_recipients_share_what_is_the_same() {
        let text =
            format!("<message from='a.example' type='headline'><x xmlns='urn:x'>{}</x></message>", "x".repeat(9_000));
        let broadcast = Broadcast::new(&Stanza::parse(&text).unwrap());
        let [first, second] = ["b.example", "c.example"].map(|to| broadcast.to(&Jid::new(to).unwrap()));
        let ([head, shared], [other_head, other_shared]) = (first.parts(), second.parts());
        assert_eq!((head.len(), shared.len()), (other_head.len(), broadcast.shared_bytes()));
        assert!(std::ptr::eq(shared, other_shared) && head.len() < 100);
        assert_eq!(first.size(), first.text().len());
        assert!(first != second && first == Stanza::parse(&first.text()).unwrap());
    }
}

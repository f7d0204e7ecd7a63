//! Stanzas: validated bytes and a parsed header (RFC 6120, section 8).
//!
//! A stanza that only passes through is never a tree: its bytes stay as they came, and the header is where they hold
//! what routing reads. Only what would not mean the same in another stream, or is not normalised, is written anew.

mod broadcast;
mod content;
mod header;
mod kind;

use std::borrow::Cow;

use bytes::Bytes;

use self::content::Content;
use self::header::{Address, Header, Layout, Text, other_attributes, owned, payload_of, write_value};
use self::kind::kind_of;
use crate::Jid;
use crate::address::JidRef;
use crate::namespace;
use crate::stanza_error::{Condition, StanzaError};
use crate::xml::scanner::{Attribute, Scanned, StreamBindings, Value};
use crate::xml::{Element, ReadError, parse_with_content_default, stanza_from_text};

pub use self::broadcast::Broadcast;
pub use self::kind::{IqType, Kind, MessageType, PresenceType};

/// One stanza. Cheap to clone: the bytes are shared. Two are equal if their bytes are.
#[derive(Clone)]
pub struct Stanza {
    content: Content,
    header: Header,
}

impl PartialEq for Stanza {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Eq for Stanza {}

impl Stanza {
    /// A new iq without addresses.
    pub fn iq(kind: IqType, id: &str) -> Self {
        Self::build(Kind::Iq(kind), None, None, Some(id), None, "/>", "", None)
    }

    /// A new message without addresses.
    pub fn message(kind: MessageType) -> Self {
        Self::build(Kind::Message(kind), None, None, None, None, "/>", "", None)
    }

    /// A new presence without addresses.
    pub fn presence(kind: PresenceType) -> Self {
        Self::build(Kind::Presence(kind), None, None, None, None, "/>", "", None)
    }

    /// Parses a stanza that stands alone; without a namespace it is taken for `jabber:client`.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        stanza_from_text(text)
    }

    /// Makes a stanza of a tree.
    ///
    /// Fails with [`ReadError::BadFormat`] on any other element, and on malformed addresses.
    pub fn from_element(mut element: Element) -> Result<Self, ReadError> {
        if element.namespace() != namespace::CLIENT || !matches!(element.name(), "message" | "presence" | "iq") {
            return Err(ReadError::BadFormat("no stanza"));
        }
        let address = |name| element.attribute(name).map(parse_address).transpose();
        let (to, from) = (address("to")?, address("from")?);
        let id = element.attribute("id").map(str::to_owned);
        let (kind, fault) = kind_of(element.name(), element.attribute("type"), id.is_some());
        let lang = element.lang().map(str::to_owned);
        for name in ["to", "from", "id", "type"] {
            element.remove_attribute(name);
        }
        let payload = element.children().next().map(|child| (owned(child.name()), owned(child.namespace())));
        let mut rest = String::new();
        element.write_attributes_except_lang(&mut rest);
        rest.push('>');
        element.write_children(&mut rest, namespace::CLIENT);
        let end_tag = format!("</{}>", kind.name());
        let (to, from) = (to.as_ref().map(Jid::as_ref), from.as_ref().map(Jid::as_ref));
        let built = Self::build(kind, to, from, id.as_deref(), lang.as_deref(), &rest, &end_tag, payload);
        Ok(Self { header: Header { fault, ..built.header }, content: built.content })
    }

    /// Keeps the bytes of a scanned stanza; `None` if they must be written anew, because they would mean something else
    /// in another stream or an address is not normalised.
    pub(crate) fn from_scanned(
        scanned: &Scanned<'_>,
        attributes: &[Attribute],
        stream: &StreamBindings,
    ) -> Result<Option<Self>, ReadError> {
        let text = scanned.text;
        if scanned.depends_on_stream || !scanned.name.prefix.of(text).is_empty() {
            return Ok(None);
        }
        let (mut to, mut from, mut id, mut kind, mut lang) = (None, None, None, None, None);
        for Attribute { name, value } in attributes {
            match (name.prefix.of(text), name.local.of(text)) {
                ("", "to") => to = Some(*value),
                ("", "from") => from = Some(*value),
                ("", "id") => id = Some(Text::value(*value, text)?),
                ("", "type") => kind = Some(Text::value(*value, text)?),
                ("xml", "lang") => lang = Some(Text::value(*value, text)?),
                _ => {}
            }
        }
        let address = |value: Option<Value>| value.map(|value| Address::in_place(value, text)).transpose();
        let (to, from) = match (address(to)?, address(from)?) {
            (Some(None), _) | (_, Some(None)) => return Ok(None),
            (to, from) => (to.flatten(), from.flatten()),
        };
        let (kind, fault) =
            kind_of(scanned.name.local.of(text), kind.as_ref().map(|k| k.get([text.as_bytes(), &[]])), id.is_some());
        let payload = scanned.child.map(|child| payload_of(child, text, stream)).transpose()?;
        let layout = Layout::AsSent { attributes_end: scanned.attributes_end as u32 };
        let header = Header { kind, fault, to, from, id, lang, payload, layout };
        Ok(Some(Self { content: Content::new(Bytes::copy_from_slice(text.as_bytes())), header }))
    }

    /// Kind and type.
    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// What makes it unfit for processing, if anything: an iq without `id`, or a type that the standard does not know.
    ///
    /// Such a stanza is answered with this condition (RFC 6120, section 8.2.3) and not delivered.
    pub fn fault(&self) -> Option<Condition> {
        self.header.fault
    }

    /// The recipient.
    pub fn to(&self) -> Option<JidRef<'_>> {
        self.address(&self.header.to)
    }

    /// The sender.
    pub fn from(&self) -> Option<JidRef<'_>> {
        self.address(&self.header.from)
    }

    /// The `id` (RFC 6120, section 8.1.3).
    pub fn id(&self) -> Option<&str> {
        self.header.id.as_ref().map(|id| id.get(self.parts()))
    }

    /// `xml:lang` (RFC 6120, section 8.1.5).
    pub fn lang(&self) -> Option<&str> {
        self.header.lang.as_ref().map(|lang| lang.get(self.parts()))
    }

    /// Name and namespace of the first child element; `jabber:client` stands for the content namespace.
    pub fn payload_name(&self) -> Option<(&str, &str)> {
        let (name, namespace) = self.header.payload.as_ref()?;
        Some((name.get(self.parts()), namespace.get(self.parts())))
    }

    /// Whether the first child element has this name and namespace.
    pub fn has_payload(&self, name: &str, namespace: &str) -> bool {
        self.payload_name() == Some((name, namespace))
    }

    /// Whether this is an iq of type get or set: somebody waits for an answer.
    pub fn is_request(&self) -> bool {
        matches!(self.header.kind, Kind::Iq(IqType::Get | IqType::Set))
    }

    /// The whole stanza as a tree.
    pub fn to_element(&self) -> Element {
        // The bytes were validated when the stanza was made: this does not fail.
        parse_with_content_default(&self.text()).unwrap_or_else(|_| Element::new(self.kind().name(), namespace::CLIENT))
    }

    /// The first child element as a tree.
    pub fn payload(&self) -> Option<Element> {
        let (name, namespace) = self.payload_name()?;
        self.to_element().take(name, namespace)
    }

    /// The error that an error stanza reports (RFC 6120, section 8.3).
    pub fn error(&self) -> Option<StanzaError> {
        if !self.kind().is_error() {
            return None;
        }
        Some(
            self.to_element()
                .find("error", namespace::CLIENT)
                .map_or_else(|| StanzaError::new(Condition::UndefinedCondition), StanzaError::from_element),
        )
    }

    /// The stanza as it goes to the wire, in a stream whose default namespace is its content namespace: one piece behind
    /// the other. The second is held once for all recipients of a [`Broadcast`], and empty elsewhere.
    pub fn parts(&self) -> [&[u8]; 2] {
        self.content.parts()
    }

    /// Its length on the wire, in bytes.
    pub fn size(&self) -> usize {
        self.content.size()
    }

    /// The stanza as text; looks at every byte, and copies those of a [`Broadcast`].
    pub fn text(&self) -> Cow<'_, str> {
        self.content.text()
    }

    /// The same stanza for another recipient.
    pub fn with_to(&self, to: &Jid) -> Self {
        self.rewritten(Some(to.as_ref()), self.from())
    }

    /// The same stanza from another sender.
    pub fn with_from(&self, from: &Jid) -> Self {
        self.rewritten(self.to(), Some(from.as_ref()))
    }

    /// The same stanza with both addresses replaced.
    pub fn with_addresses(&self, from: JidRef<'_>, to: JidRef<'_>) -> Self {
        self.rewritten(Some(to), Some(from))
    }

    /// The same stanza with this `id`.
    pub fn with_id(&self, id: &str) -> Self {
        self.rebuilt(self.to(), self.from(), Some(id), &self.rest(), "", self.owned_payload())
    }

    /// The same stanza, with this `xml:lang` if it has none: what it was within its stream (RFC 6120, section 8.1.5).
    pub fn or_lang(self, lang: &str) -> Self {
        if self.lang().is_some() {
            return self;
        }
        let (rest, payload) = (self.rest(), self.owned_payload());
        let mut stanza = Self::build(self.kind(), self.to(), self.from(), self.id(), Some(lang), &rest, "", payload);
        stanza.header.fault = self.header.fault;
        stanza
    }

    /// The same stanza with a child element added behind the others.
    pub fn with_payload(&self, payload: Element) -> Self {
        let mut rest = self.rest().into_owned();
        match rest.strip_suffix("/>").map(str::len) {
            Some(end) => {
                rest.truncate(end);
                rest.push('>');
            }
            None => rest.truncate(rest.rfind("</").unwrap_or(rest.len())),
        }
        payload.write(&mut rest, namespace::CLIENT);
        let name = self.owned_payload().or_else(|| Some((owned(payload.name()), owned(payload.namespace()))));
        let end_tag = format!("</{}>", self.kind().name());
        self.rebuilt(self.to(), self.from(), self.id(), &rest, &end_tag, name)
    }

    /// An answer to this iq, addressed back to its sender (RFC 6120, section 8.2.3).
    pub fn result(&self, payload: Option<Element>) -> Self {
        let answer = Self::build(Kind::Iq(IqType::Result), self.from(), self.to(), self.id(), None, "/>", "", None);
        match payload {
            Some(payload) => answer.with_payload(payload),
            None => answer,
        }
    }

    /// The error stanza that tells the sender; `None` for errors and results, which are never answered
    /// (RFC 6120, section 8.3.1), and for a stanza without a sender.
    pub fn bounce(&self, error: &StanzaError) -> Option<Self> {
        let kind = match self.kind() {
            kind if kind.is_error() => return None,
            Kind::Iq(IqType::Result) => return None,
            Kind::Iq(_) => Kind::Iq(IqType::Error),
            Kind::Message(_) => Kind::Message(MessageType::Error),
            Kind::Presence(_) => Kind::Presence(PresenceType::Error),
        };
        let back_to = self.from()?;
        let bare = Self::build(kind, Some(back_to), self.to(), self.id(), None, "/>", "", None);
        Some(bare.with_payload(error.to_element()))
    }

    fn address<'a>(&'a self, address: &'a Option<Address>) -> Option<JidRef<'a>> {
        address.as_ref().map(|a| JidRef::from_normal(a.text.get(self.parts()), a.parts))
    }

    fn rewritten(&self, to: Option<JidRef<'_>>, from: Option<JidRef<'_>>) -> Self {
        self.rebuilt(to, from, self.id(), &self.rest(), "", self.owned_payload())
    }

    fn rebuilt(
        &self,
        to: Option<JidRef<'_>>,
        from: Option<JidRef<'_>>,
        id: Option<&str>,
        rest: &str,
        end: &str,
        payload: Option<(Text, Text)>,
    ) -> Self {
        let mut stanza = Self::build(self.kind(), to, from, id, self.lang(), rest, end, payload);
        stanza.header.fault = self.header.fault;
        stanza
    }

    /// Everything behind the attributes of the header.
    fn rest(&self) -> Cow<'_, str> {
        let text = self.text();
        match self.header.layout {
            Layout::Normal { rest } => behind(text, rest as usize),
            Layout::AsSent { attributes_end } => {
                let attributes_end = attributes_end as usize;
                let others = other_attributes(&text[1 + self.kind().name().len()..attributes_end]);
                Cow::Owned(others + &text[attributes_end..])
            }
        }
    }

    fn owned_payload(&self) -> Option<(Text, Text)> {
        self.payload_name().map(|(name, namespace)| (owned(name), owned(namespace)))
    }

    /// Writes the header anew in front of `rest` and `end`.
    #[allow(clippy::too_many_arguments)]
    fn build(
        kind: Kind,
        to: Option<JidRef<'_>>,
        from: Option<JidRef<'_>>,
        id: Option<&str>,
        lang: Option<&str>,
        rest: &str,
        end: &str,
        payload: Option<(Text, Text)>,
    ) -> Self {
        let mut out = String::with_capacity(
            64 + rest.len() + end.len() + [to, from].iter().flatten().map(|j| j.as_str().len()).sum::<usize>(),
        );
        out.push('<');
        out.push_str(kind.name());
        let to = to.map(|jid| Address { text: write_value(&mut out, "to", jid.as_str()), parts: jid.parts() });
        let from = from.map(|jid| Address { text: write_value(&mut out, "from", jid.as_str()), parts: jid.parts() });
        let id = id.map(|id| write_value(&mut out, "id", id));
        if let Some(kind) = kind.type_attribute() {
            write_value(&mut out, "type", kind);
        }
        let lang = lang.map(|lang| write_value(&mut out, "xml:lang", lang));
        let layout = Layout::Normal { rest: out.len() as u32 };
        let header = Header { kind, fault: None, to, from, id, lang, payload, layout };
        out.push_str(rest);
        out.push_str(end);
        Self { content: Content::new(out), header }
    }
}

impl std::fmt::Debug for Stanza {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

fn behind(text: Cow<'_, str>, start: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(start)),
    }
}

fn parse_address(value: &str) -> Result<Jid, ReadError> {
    Jid::new(value).map_err(ReadError::ImproperAddressing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    #[test]
    fn reads_a_header_and_keeps_the_rest_as_it_came() {
        let stanza = Stanza::parse(
            "<iq type='get' foo=\"b'ar\" id='a&amp;b' xml:lang='en' from='Alice@B.example/X' to='c.example'>\
             <ping xmlns='urn:xmpp:ping'>  &#x41;</ping></iq>",
        )
        .unwrap();
        assert_eq!(stanza.kind(), Kind::Iq(IqType::Get));
        assert_eq!(stanza.id(), Some("a&b"));
        assert_eq!(stanza.lang(), Some("en"));
        assert_eq!(stanza.from().unwrap().as_str(), "alice@b.example/X");
        assert_eq!(stanza.payload_name(), Some(("ping", "urn:xmpp:ping")));
        assert_eq!(
            stanza.text(),
            "<iq to='c.example' from='alice@b.example/X' id='a&amp;b' type='get' xml:lang='en' foo='b&apos;ar'>\
             <ping xmlns='urn:xmpp:ping'>  A</ping></iq>"
        );
        assert_eq!(Stanza::parse(&stanza.text()).unwrap(), stanza);
    }

    #[test]
    fn takes_the_language_of_its_stream_where_it_has_none() {
        let message =
            |lang: &str| format!("<message to='a.example' from='b.example'{lang} x='1'><body>hi</body></message>");
        let german = Stanza::parse(&message("")).unwrap().or_lang("de");
        assert_eq!((german.lang(), &*german.text()), (Some("de"), message(" xml:lang='de'").as_str()));
        let english = Stanza::parse(&message(" xml:lang='en'")).unwrap();
        assert_eq!(english.clone().or_lang("de"), english);
    }

    #[test]
    fn keeps_the_prefixes_that_the_stanza_itself_declares() {
        let text = "<message xmlns:p='urn:p' p:a='1' to='a.example'><p:x/></message>";
        let stanza = Stanza::parse(text).unwrap();
        assert_eq!(stanza.text(), text);
        assert_eq!(stanza.payload_name(), Some(("x", "urn:p")));
        let moved = stanza.with_to(&jid("b.example"));
        assert_eq!(moved.text(), "<message to='b.example' xmlns:p='urn:p' p:a='1'><p:x/></message>");
        let named = Stanza::parse(&text.replace("<message", "<message xmlns='jabber:client'")).unwrap();
        assert_eq!(named.payload_name(), Some(("x", "urn:p")));
        assert_eq!((named.payload(), named.to()), (stanza.payload(), stanza.to()));
    }

    #[test]
    fn rewriting_addresses_leaves_everything_else() {
        let stanza = Stanza::parse("<message to='a.example' id='1'><body>x</body></message>").unwrap();
        let moved = stanza.with_to(&jid("b@c.example/d'e")).with_from(&jid("e.example"));
        assert_eq!(moved.text(), "<message to='b@c.example/d&apos;e' from='e.example' id='1'><body>x</body></message>");
        assert_eq!(moved.to().unwrap().resource(), Some("d'e"));
        assert_eq!(Stanza::parse(&moved.text()).unwrap(), moved);
    }

    #[test]
    fn builds_what_it_would_read() {
        let request = Stanza::iq(IqType::Set, "7")
            .with_to(&jid("b.example"))
            .with_from(&jid("a@a.example/x"))
            .with_payload(Element::new("do", "urn:x").text("it"));
        assert_eq!(Stanza::parse(&request.text()).unwrap(), request);
        let answer = request.result(Some(Element::new("done", "urn:x")));
        assert_eq!(
            answer.text(),
            "<iq to='a@a.example/x' from='b.example' id='7' type='result'><done xmlns='urn:x'/></iq>"
        );
        assert_eq!(Stanza::from_element(request.to_element()).unwrap(), request);
    }

    #[test]
    fn adds_a_payload_to_an_empty_element() {
        let stanza = Stanza::parse("<presence/>").unwrap().with_payload(Element::new("c", "urn:c"));
        assert_eq!(stanza.text(), "<presence><c xmlns='urn:c'/></presence>");
    }

    #[test]
    fn never_answers_an_error_or_a_result() {
        let error = StanzaError::new(Condition::ItemNotFound);
        for text in [
            "<iq type='result' id='1' from='a.example'/>",
            "<iq type='error' id='1' from='a.example'/>",
            "<message type='error' from='a.example'/>",
            "<message/>",
        ] {
            assert!(Stanza::parse(text).unwrap().bounce(&error).is_none(), "{text}");
        }
        let bounced =
            Stanza::parse("<message from='a.example' to='b.example' id='1'/>").unwrap().bounce(&error).unwrap();
        assert_eq!(bounced.error().unwrap().condition, Condition::ItemNotFound);
        assert_eq!(bounced.to().unwrap().as_str(), "a.example");
    }

    #[test]
    fn takes_one_stanza_and_nothing_else() {
        for text in
            ["", "4presence/>", " <presence/>", "<presence/> ", "<presence/><presence/>", "<presence>", "<iq", "<a/>"]
        {
            assert!(Stanza::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn marks_what_rfc_6120_calls_a_bad_request() {
        for (text, fault) in [
            ("<iq type='get'/>", true),
            ("<iq id='1'/>", true),
            ("<iq id='1' type='x'/>", true),
            ("<presence type='x'/>", true),
            ("<message type='x'/>", false),
            ("<iq id='1' type='set'/>", false),
        ] {
            assert_eq!(Stanza::parse(text).unwrap().fault().is_some(), fault, "{text}");
        }
    }
}

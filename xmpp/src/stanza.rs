//! Stanzas: validated bytes and a parsed header (RFC 6120, section 8).
//!
//! A stanza that only passes through is never a tree. Its bytes begin with the attributes that routing reads and
//! rewrites, in one order and with normalised addresses; everything behind them is copied as it came.

use bytes::Bytes;

use crate::Jid;
use crate::address::{JidRef, Parts};
use crate::namespace;
use crate::stanza_error::{Condition, StanzaError};
use crate::xml::{Element, ReadError, escape_into, parse_with_content_default, stanza_from_text};

/// What kind of stanza it is, with the meaning of its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message (RFC 6121, section 5).
    Message(MessageType),
    /// A presence (RFC 6121, section 4).
    Presence(PresenceType),
    /// An iq (RFC 6120, section 8.2.3).
    Iq(IqType),
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Presence(_) => "presence",
            Self::Iq(_) => "iq",
        }
    }

    /// The value of `type`; `None` where it is left out.
    pub fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Message(kind) => kind.attribute(),
            Self::Presence(kind) => kind.attribute(),
            Self::Iq(kind) => kind.attribute(),
        }
    }

    /// Whether this reports an error.
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::Message(MessageType::Error) | Self::Presence(PresenceType::Error) | Self::Iq(IqType::Error)
        )
    }
}

macro_rules! stanza_type {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            fn attribute(self) -> Option<&'static str> {
                match self { $(Self::$variant => $text,)* }
            }

            fn parse(text: Option<&str>) -> Option<Self> {
                $(if text == $text { return Some(Self::$variant); })*
                None
            }
        }
    };
}

stanza_type! {
    /// The types of an iq (RFC 6120, section 8.2.3).
    IqType {
        /// A request for information.
        Get = Some("get"),
        /// A request to do something.
        Set = Some("set"),
        /// A successful answer.
        Result = Some("result"),
        /// An answer that reports an error.
        Error = Some("error"),
    }
}

stanza_type! {
    /// The types of a message (RFC 6121, section 5.2.2).
    MessageType {
        /// A message outside a conversation; the default.
        Normal = None,
        /// A message of a one-to-one conversation.
        Chat = Some("chat"),
        /// A message of a multi-user conversation.
        GroupChat = Some("groupchat"),
        /// A message to which no reply is expected.
        Headline = Some("headline"),
        /// A report that a message could not be delivered.
        Error = Some("error"),
    }
}

stanza_type! {
    /// The types of a presence (RFC 6121, section 4.7.1).
    PresenceType {
        /// The sender is available; there is no `type`.
        Available = None,
        /// The sender is no longer available.
        Unavailable = Some("unavailable"),
        /// The sender wishes to subscribe to the recipient's presence.
        Subscribe = Some("subscribe"),
        /// The sender has allowed the recipient to receive its presence.
        Subscribed = Some("subscribed"),
        /// The sender unsubscribes.
        Unsubscribe = Some("unsubscribe"),
        /// The subscription was denied or cancelled.
        Unsubscribed = Some("unsubscribed"),
        /// A server asks for the present availability.
        Probe = Some("probe"),
        /// A report about a presence that was sent.
        Error = Some("error"),
    }
}

impl PresenceType {
    /// Whether it manages a subscription (RFC 6121, section 3).
    pub fn is_subscription(self) -> bool {
        matches!(self, Self::Subscribe | Self::Subscribed | Self::Unsubscribe | Self::Unsubscribed)
    }
}

/// A value of the header: a piece of the bytes, or its own text where the bytes hold references.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Range { start: u32, end: u32 },
    Owned(Box<str>),
}

impl Text {
    fn get<'a>(&'a self, bytes: &'a str) -> &'a str {
        match self {
            Self::Range { start, end } => &bytes[*start as usize..*end as usize],
            Self::Owned(text) => text,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    text: Text,
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    kind: Kind,
    fault: Option<Condition>,
    to: Option<Address>,
    from: Option<Address>,
    id: Option<Text>,
    lang: Option<Text>,
    /// Name and namespace of the first child element.
    payload: Option<(Box<str>, Box<str>)>,
    /// Where the attributes that routing rewrites end.
    rest: u32,
}

/// One stanza. Cheap to clone: the bytes are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza {
    bytes: Bytes,
    header: Header,
}

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
        let mut head = HeadWriter::new(element.name(), 0);
        for (name, value) in element.attributes() {
            if HeadWriter::knows(name) {
                head.attribute("", name, "", value)?;
            }
        }
        if let Some(lang) = element.lang() {
            head.attribute("xml", "lang", namespace::XML, lang)?;
        }
        for name in HeadWriter::NAMES {
            element.remove_attribute(name);
        }
        let payload = element.children().next().map(|child| (child.name().to_owned(), child.namespace().to_owned()));
        let mut rest = String::new();
        element.write_attributes_except_lang(&mut rest);
        rest.push('>');
        element.write_children(&mut rest);
        rest.push_str("</");
        rest.push_str(element.name());
        rest.push('>');
        Ok(head.finish(&rest, &[], payload))
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
        self.header.id.as_ref().map(|id| id.get(self.as_str()))
    }

    /// `xml:lang` (RFC 6120, section 8.1.5).
    pub fn lang(&self) -> Option<&str> {
        self.header.lang.as_ref().map(|lang| lang.get(self.as_str()))
    }

    /// Name and namespace of the first child element; `jabber:client` stands for the content namespace.
    pub fn payload_name(&self) -> Option<(&str, &str)> {
        self.header.payload.as_ref().map(|(name, namespace)| (&**name, &**namespace))
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
        parse_with_content_default(self.as_str())
            .unwrap_or_else(|_| Element::new(self.kind().name(), namespace::CLIENT))
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

    /// The stanza as it goes to the wire, in a stream whose default namespace is its content namespace.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The stanza as text.
    pub fn as_str(&self) -> &str {
        // The bytes come from text alone; nothing else makes a Stanza.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
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
        let rest = &self.as_str()[self.header.rest as usize..];
        let payload = self.header.payload.clone();
        let mut stanza = Self::build(self.kind(), self.to(), self.from(), Some(id), self.lang(), rest, "", payload);
        stanza.header.fault = self.header.fault;
        stanza
    }

    /// The same stanza with a child element added behind the others.
    pub fn with_payload(&self, payload: Element) -> Self {
        let text = self.as_str();
        let end = text.rfind("</").or_else(|| text.rfind("/>")).unwrap_or(text.len());
        let open = if text[end..].starts_with("/>") { ">" } else { "" };
        let mut rest = text[self.header.rest as usize..end].to_owned();
        rest.push_str(open);
        payload.write(&mut rest, namespace::CLIENT);
        let name = self.header.payload.clone().or_else(|| Some((payload.name().into(), payload.namespace().into())));
        let end_tag = format!("</{}>", self.kind().name());
        let mut stanza =
            Self::build(self.kind(), self.to(), self.from(), self.id(), self.lang(), &rest, &end_tag, name);
        stanza.header.fault = self.header.fault;
        stanza
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
        address.as_ref().map(|a| JidRef::from_normal(a.text.get(self.as_str()), a.parts))
    }

    fn rewritten(&self, to: Option<JidRef<'_>>, from: Option<JidRef<'_>>) -> Self {
        let rest = &self.as_str()[self.header.rest as usize..];
        let payload = self.header.payload.clone();
        let mut stanza = Self::build(self.kind(), to, from, self.id(), self.lang(), rest, "", payload);
        stanza.header.fault = self.header.fault;
        stanza
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
        payload: Option<(Box<str>, Box<str>)>,
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
        let header = Header { kind, fault: None, to, from, id, lang, payload, rest: out.len() as u32 };
        out.push_str(rest);
        out.push_str(end);
        Self { bytes: Bytes::from(out), header }
    }
}

fn write_value(out: &mut String, name: &str, value: &str) -> Text {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    let start = out.len();
    escape_into(out, value);
    let text = if out.len() - start == value.len() {
        Text::Range { start: start as u32, end: out.len() as u32 }
    } else {
        Text::Owned(value.into())
    };
    out.push('\'');
    text
}

impl std::fmt::Debug for Stanza {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Collects the header of a stanza that is being read, and writes it in the normal order.
#[derive(Debug)]
pub(crate) struct HeadWriter {
    name: &'static str,
    /// Where in the source the attributes end.
    attributes_end: usize,
    to: Option<Jid>,
    from: Option<Jid>,
    id: Option<String>,
    kind: Option<String>,
    lang: Option<String>,
    others: String,
}

impl HeadWriter {
    const NAMES: [&'static str; 4] = ["to", "from", "id", "type"];

    fn knows(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    pub(crate) fn new(name: &str, attributes_end: usize) -> Self {
        let name = match name {
            "message" => "message",
            "presence" => "presence",
            _ => "iq",
        };
        Self { name, attributes_end, to: None, from: None, id: None, kind: None, lang: None, others: String::new() }
    }

    pub(crate) fn attribute(&mut self, prefix: &str, name: &str, uri: &str, value: &str) -> Result<(), ReadError> {
        match (uri, name) {
            ("", "to") => self.to = Some(parse_address(value)?),
            ("", "from") => self.from = Some(parse_address(value)?),
            ("", "id") => self.id = Some(value.to_owned()),
            ("", "type") => self.kind = Some(value.to_owned()),
            (namespace::XML, "lang") => self.lang = Some(value.to_owned()),
            _ => {
                let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}:{name}") };
                if !prefix.is_empty() && uri != namespace::XML {
                    self.declaration(prefix, uri);
                }
                write_value(&mut self.others, &name, value);
            }
        }
        Ok(())
    }

    /// Keeps a prefix that the stanza's content may use; a second declaration of it changes nothing.
    pub(crate) fn declaration(&mut self, prefix: &str, uri: &str) {
        if !self.others.contains(&format!(" xmlns:{prefix}='")) {
            write_value(&mut self.others, &format!("xmlns:{prefix}"), uri);
        }
    }

    /// The stanza: this header, the stream's prefixes that it uses, and the source behind its attributes.
    pub(crate) fn finish(
        mut self,
        source: &str,
        used: &[(String, String)],
        payload: Option<(String, String)>,
    ) -> Stanza {
        for (prefix, uri) in used {
            self.declaration(prefix, uri);
        }
        let (kind, fault) = self.kind();
        let mut rest = self.others;
        rest.push_str(&source[self.attributes_end..]);
        let payload = payload.map(|(name, namespace)| (name.into(), namespace.into()));
        let (to, from) = (self.to.as_ref().map(Jid::as_ref), self.from.as_ref().map(Jid::as_ref));
        let mut stanza = Stanza::build(kind, to, from, self.id.as_deref(), self.lang.as_deref(), &rest, "", payload);
        stanza.header.fault = fault;
        stanza
    }

    fn kind(&self) -> (Kind, Option<Condition>) {
        let kind = self.kind.as_deref();
        match self.name {
            // RFC 6121, section 5.2.2: an unknown type of message is taken for normal.
            "message" => (Kind::Message(MessageType::parse(kind).unwrap_or(MessageType::Normal)), None),
            "presence" => match PresenceType::parse(kind) {
                Some(kind) => (Kind::Presence(kind), None),
                None => (Kind::Presence(PresenceType::Available), Some(Condition::BadRequest)),
            },
            _ => match IqType::parse(kind) {
                Some(kind) if self.id.is_some() => (Kind::Iq(kind), None),
                Some(kind @ (IqType::Result | IqType::Error)) => (Kind::Iq(kind), Some(Condition::BadRequest)),
                _ => (Kind::Iq(IqType::Get), Some(Condition::BadRequest)),
            },
        }
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
            stanza.as_str(),
            "<iq to='c.example' from='alice@b.example/X' id='a&amp;b' type='get' xml:lang='en' foo='b&apos;ar'>\
             <ping xmlns='urn:xmpp:ping'>  &#x41;</ping></iq>"
        );
        assert_eq!(Stanza::parse(stanza.as_str()).unwrap(), stanza);
    }

    #[test]
    fn keeps_the_prefixes_that_the_stanza_itself_declares() {
        let text = "<message xmlns='jabber:client' xmlns:p='urn:p' p:a='1'><p:x/></message>";
        let stanza = Stanza::parse(text).unwrap();
        assert_eq!(stanza.as_str(), "<message xmlns:p='urn:p' p:a='1'><p:x/></message>");
        assert_eq!(stanza.payload_name(), Some(("x", "urn:p")));
    }

    #[test]
    fn rewriting_addresses_leaves_everything_else() {
        let stanza = Stanza::parse("<message to='a.example' id='1'><body>x</body></message>").unwrap();
        let moved = stanza.with_to(&jid("b@c.example/d'e")).with_from(&jid("e.example"));
        assert_eq!(
            moved.as_str(),
            "<message to='b@c.example/d&apos;e' from='e.example' id='1'><body>x</body></message>"
        );
        assert_eq!(moved.to().unwrap().resource(), Some("d'e"));
        assert_eq!(Stanza::parse(moved.as_str()).unwrap(), moved);
    }

    #[test]
    fn builds_what_it_would_read() {
        let request = Stanza::iq(IqType::Set, "7")
            .with_to(&jid("b.example"))
            .with_from(&jid("a@a.example/x"))
            .with_payload(Element::new("do", "urn:x").text("it"));
        assert_eq!(Stanza::parse(request.as_str()).unwrap(), request);
        let answer = request.result(Some(Element::new("done", "urn:x")));
        assert_eq!(
            answer.as_str(),
            "<iq to='a@a.example/x' from='b.example' id='7' type='result'><done xmlns='urn:x'/></iq>"
        );
        assert_eq!(Stanza::from_element(request.to_element()).unwrap(), request);
    }

    #[test]
    fn adds_a_payload_to_an_empty_element() {
        let stanza = Stanza::parse("<presence/>").unwrap().with_payload(Element::new("c", "urn:c"));
        assert_eq!(stanza.as_str(), "<presence><c xmlns='urn:c'/></presence>");
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

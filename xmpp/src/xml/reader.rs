//! The push reader of one stream.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use super::element::{Element, content_as_client, parse_element};
use super::framer::{Frame, Framer};
use super::scan::{Root, Sink, StreamBindings, Tag, scan, scan_root};
use crate::address::AddressError;
use crate::namespace;
use crate::stanza::{HeadWriter, Stanza};
use crate::stream::{StreamCondition, StreamHeader};

/// What a peer may send, enforced while reading (RFC 6120, section 13.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one first-level element. Default 256 KiB; RFC 6120 (section 13.12) wants at least 10,000.
    pub stanza_bytes: usize,
    /// Nested elements within one first-level element. Default 100.
    pub depth: usize,
    /// Attributes of one element, declarations included. Default 64.
    pub attributes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stanza_bytes: 256 * 1024, depth: 100, attributes: 64 }
    }
}

impl Limits {
    /// No limits, for text that has been read within some before.
    pub(super) const VALIDATED: Self = Self { stanza_bytes: usize::MAX, depth: usize::MAX, attributes: usize::MAX };

    /// What a peer may send before it has authenticated: 8 KiB an element, in small elements.
    pub fn before_authentication() -> Self {
        Self { stanza_bytes: 8 * 1024, depth: 8, attributes: 32 }
    }
}

/// What a stream holds, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// The start tag of the stream.
    Open(StreamHeader),
    /// A message, presence or iq in the content namespace.
    Stanza(Stanza),
    /// Any other first-level element.
    Element(Element),
    /// The end tag of the stream.
    Close,
}

/// Why bytes are no acceptable stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not well-formed XML, namespaces included (RFC 6120, section 11.3).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// XML that streams may not hold (RFC 6120, section 11.1).
    #[error("restricted XML: {0}")]
    RestrictedXml(&'static str),
    /// Well-formed, but no stream (RFC 6120, section 4.9.3.1).
    #[error("bad format: {0}")]
    BadFormat(&'static str),
    /// The stream element's prefix is bound to nothing (RFC 6120, section 4.9.3.2).
    #[error("the prefix of the stream element is not declared")]
    BadNamespacePrefix,
    /// Neither a stream namespace nor a content namespace that RFC 6120 knows (section 4.9.3.10).
    #[error("the namespace of the stream or of its content is wrong")]
    InvalidNamespace,
    /// Not UTF-8 (RFC 6120, section 11.6).
    #[error("the encoding is not UTF-8")]
    UnsupportedEncoding,
    /// More than the limits allow (RFC 6120, section 13.12).
    #[error("more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it is allowed.
        limit: usize,
    },
    /// `to` or `from` is no address (RFC 6120, section 4.9.3.7).
    #[error("an address is malformed: {0}")]
    ImproperAddressing(AddressError),
}

impl ReadError {
    /// The stream error that tells the peer.
    pub fn condition(&self) -> StreamCondition {
        match self {
            Self::NotWellFormed(_) => StreamCondition::NotWellFormed,
            Self::RestrictedXml(_) => StreamCondition::RestrictedXml,
            Self::BadFormat(_) => StreamCondition::BadFormat,
            Self::BadNamespacePrefix => StreamCondition::BadNamespacePrefix,
            Self::InvalidNamespace => StreamCondition::InvalidNamespace,
            Self::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
            Self::TooLarge { .. } => StreamCondition::PolicyViolation,
            Self::ImproperAddressing(_) => StreamCondition::ImproperAddressing,
        }
    }
}

/// Turns bytes into the events of one stream; the result does not depend on how the bytes are cut.
///
/// After an error the reader gives nothing more: the stream is lost (RFC 6120, section 4.9.1.1).
#[derive(Debug)]
pub struct StreamReader {
    buffer: BytesMut,
    framer: Framer,
    limits: Limits,
    bindings: StreamBindings,
    root_name: String,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// The root closed itself: `Close` is still to be told.
    Closing,
    Closed,
    Failed(ReadError),
}

impl StreamReader {
    /// A reader at the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            framer: Framer::new(limits.depth),
            limits,
            bindings: StreamBindings::default(),
            root_name: String::new(),
            phase: Phase::Opening,
        }
    }

    /// Takes bytes as they came from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Failed(_) | Phase::Closed) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event; `None` when more bytes are needed.
    pub fn poll(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        match self.phase {
            Phase::Failed(error) => return Err(error),
            Phase::Closed => return Ok(None),
            Phase::Closing => {
                self.phase = Phase::Closed;
                return Ok(Some(StreamEvent::Close));
            }
            Phase::Opening | Phase::Open => {}
        }
        let result = self.next_event();
        if let Err(error) = result {
            self.phase = Phase::Failed(error);
            self.buffer = BytesMut::new();
        }
        result
    }

    /// How many bytes were pushed and are not part of an event yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Replaces the limits, as when the peer has authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Begins a new stream and forgets the old one, its unread bytes included (RFC 6120, section 4.3.3).
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    fn next_event(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        while let Some(frame) = self.framer.next(&self.buffer)? {
            match frame {
                Frame::Skip(length) => self.buffer.advance(length),
                Frame::Declaration(length) => {
                    let text = self.take(length)?;
                    check_declaration(&text)?;
                }
                Frame::Root { length, empty } => {
                    let text = self.take(length)?;
                    return self.open(&text, empty).map(Some);
                }
                Frame::Element(length) => {
                    let text = self.take(length)?;
                    return self.first_level(&text).map(Some);
                }
                Frame::Close(length) => {
                    let text = self.take(length)?;
                    return self.close(&text).map(Some);
                }
            }
        }
        self.check_size(self.buffer.len())?;
        if self.buffer.is_empty() {
            // An idle stream holds no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(None)
    }

    fn check_size(&self, bytes: usize) -> Result<(), ReadError> {
        let limit = self.limits.stanza_bytes;
        if bytes > limit { Err(ReadError::TooLarge { what: "bytes of an element", limit }) } else { Ok(()) }
    }

    fn take(&mut self, length: usize) -> Result<String, ReadError> {
        self.check_size(length)?;
        let bytes = self.buffer.split_to(length);
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| ReadError::UnsupportedEncoding)
    }

    fn open(&mut self, text: &str, empty: bool) -> Result<StreamEvent, ReadError> {
        let Root { qualified_name, namespace, local, attributes, bindings } = scan_root(text, self.limits.attributes)?;
        if local != "stream" {
            return Err(ReadError::BadFormat("the root element is no stream"));
        }
        self.bindings = bindings;
        self.root_name = qualified_name;
        self.phase = if empty { Phase::Closing } else { Phase::Open };
        Ok(StreamEvent::Open(StreamHeader::from_root(&namespace, self.bindings.default_namespace(), &attributes)?))
    }

    fn close(&mut self, text: &str) -> Result<StreamEvent, ReadError> {
        let name = text.trim_start_matches("</").trim_end_matches('>').trim_end_matches([' ', '\t', '\r', '\n']);
        if self.phase != Phase::Open || name != self.root_name {
            return Err(ReadError::NotWellFormed("an end tag that nothing opened"));
        }
        self.phase = Phase::Closed;
        Ok(StreamEvent::Close)
    }

    fn first_level(&mut self, text: &str) -> Result<StreamEvent, ReadError> {
        read_first_level(text, &self.bindings, self.limits)
    }
}

/// Reads a stanza that stands alone, its default namespace `jabber:client` if it declares none.
pub(crate) fn stanza_from_text(text: &str) -> Result<Stanza, ReadError> {
    let bindings = StreamBindings::with_default(namespace::CLIENT);
    match read_first_level(text, &bindings, Limits::default())? {
        StreamEvent::Stanza(stanza) => Ok(stanza),
        _ => Err(ReadError::BadFormat("no stanza")),
    }
}

fn read_first_level(text: &str, bindings: &StreamBindings, limits: Limits) -> Result<StreamEvent, ReadError> {
    let mut sink = FirstLevel { content: bindings.default_namespace(), head: None, payload: None, kind: Found::Other };
    let used = scan(text, bindings, limits, &mut sink)?;
    match (sink.kind, sink.head) {
        (Found::Stanza, Some(head)) => Ok(StreamEvent::Stanza(head.finish(text, &used, sink.payload))),
        (Found::PrefixedStanza, _) => {
            Stanza::from_element(parse_element(text, bindings, limits)?).map(StreamEvent::Stanza)
        }
        _ => Ok(StreamEvent::Element(parse_element(text, bindings, limits)?)),
    }
}

#[derive(Clone, Copy)]
enum Found {
    /// A stanza whose bytes can be kept.
    Stanza,
    /// A stanza with a prefix: its bytes would not mean the same on another stream.
    PrefixedStanza,
    Other,
}

/// Looks at the first tag and at its first child only.
struct FirstLevel<'b> {
    content: &'b str,
    head: Option<HeadWriter>,
    payload: Option<(String, String)>,
    kind: Found,
}

impl Sink for FirstLevel<'_> {
    fn start(&mut self, tag: &Tag<'_>) -> Result<(), ReadError> {
        match tag.depth {
            0 => self.first(tag),
            1 if self.payload.is_none() => {
                self.payload = Some((tag.local.to_owned(), content_as_client(tag.namespace).to_owned()));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl FirstLevel<'_> {
    fn first(&mut self, tag: &Tag<'_>) -> Result<(), ReadError> {
        let is_content = |uri: &str| uri == namespace::SERVER || uri == namespace::CLIENT;
        if is_content(tag.namespace) && is_content(self.content) && tag.namespace != self.content {
            return Err(ReadError::InvalidNamespace);
        }
        if !is_content(tag.namespace) || !matches!(tag.local, "message" | "presence" | "iq") {
            return Ok(());
        }
        if tag.prefix.is_empty() {
            self.kind = Found::Stanza;
            let mut head = HeadWriter::new(tag.local, tag.attributes_end);
            for binding in tag.declarations.iter().filter(|b| !b.prefix.is_empty()) {
                head.declaration(binding.prefix, &binding.uri);
            }
            for attribute in tag.attributes {
                head.attribute(attribute.prefix, attribute.local, &attribute.namespace, &attribute.value)?;
            }
            self.head = Some(head);
        } else {
            self.kind = Found::PrefixedStanza;
        }
        Ok(())
    }
}

/// Allows what RFC 6120 (section 11.5) allows: version 1.0 and, if named at all, UTF-8.
fn check_declaration(text: &str) -> Result<(), ReadError> {
    let body = text.trim_start_matches("<?xml").trim_end_matches("?>");
    let mut names = Vec::new();
    let mut parts = body.split_ascii_whitespace().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    parts = parts.replace(" =", "=").replace("= ", "=");
    for part in parts.split(' ') {
        let (name, quoted) = part.split_once('=').ok_or(ReadError::NotWellFormed("a bad XML declaration"))?;
        let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let value =
            quote.and_then(|q| quoted[1..].strip_suffix(q)).ok_or(ReadError::NotWellFormed("a bad XML declaration"))?;
        match name {
            "version" if value == "1.0" => {}
            "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            "encoding" => return Err(ReadError::UnsupportedEncoding),
            "standalone" if matches!(value, "yes" | "no") => {}
            _ => return Err(ReadError::NotWellFormed("a bad XML declaration")),
        }
        names.push(name);
    }
    let order = ["version", "encoding", "standalone"];
    let ranks: Vec<_> = names.iter().filter_map(|name| order.iter().position(|o| o == name)).collect();
    if ranks.first() == Some(&0) && ranks.windows(2).all(|pair| pair[0] < pair[1]) {
        Ok(())
    } else {
        Err(ReadError::NotWellFormed("a bad XML declaration"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example' version='1.0'>";

    fn read(text: &str, chunk: usize) -> Result<Vec<StreamEvent>, ReadError> {
        let mut reader = StreamReader::new(Limits { stanza_bytes: 10_000, ..Limits::default() });
        let mut events = Vec::new();
        for bytes in text.as_bytes().chunks(chunk) {
            reader.push(bytes);
            while let Some(event) = reader.poll()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    #[test]
    fn gives_the_same_events_for_every_chunking() {
        let text = format!(
            "{OPEN}<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>\
             \n<message to='b.example' from='A@a.example/x&amp;y' id='1'><body>ü &lt;![CDATA[</body></message>\
             <iq to='b.example' from='a.example' id='2' type='get'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>"
        );
        let whole = read(&text, text.len()).unwrap();
        assert_eq!(whole.len(), 5);
        for chunk in [1, 2, 3, 7, 64] {
            assert_eq!(read(&text, chunk).unwrap(), whole, "chunks of {chunk}");
        }
    }

    #[test]
    fn makes_prefixes_of_the_stream_header_explicit_in_a_stanza() {
        let open = OPEN.replace(" from=", " xmlns:p='urn:p' from=");
        let events = read(&format!("{open}<message to='b.example' from='a.example'><p:x/></message>"), 4096).unwrap();
        let StreamEvent::Stanza(stanza) = &events[1] else { panic!("{events:?}") };
        assert!(stanza.as_str().contains("xmlns:p='urn:p'"), "{}", stanza.as_str());
        assert_eq!(stanza.payload_name(), Some(("x", "urn:p")));
        assert!(Stanza::parse(stanza.as_str()).is_ok());
    }

    #[test]
    fn takes_a_prefix_free_peer_and_a_peer_that_prefixes_stanzas() {
        let text = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='jabber:server' version='1.0'>\
            <features/><s:iq type='get' id='1' to='b.example' from='a.example'><ping xmlns='urn:xmpp:ping'/></s:iq></stream>";
        let events = read(text, 5).unwrap();
        assert!(matches!(&events[1], StreamEvent::Element(e) if e.is("features", namespace::STREAM)));
        let StreamEvent::Stanza(stanza) = &events[2] else { panic!("{events:?}") };
        assert_eq!(stanza.payload_name(), Some(("ping", namespace::PING)));
        assert!(stanza.as_str().starts_with("<iq to='b.example' from='a.example' id='1' type='get'"));
    }

    #[test]
    fn names_each_fault_as_rfc_6120_does() {
        let long = format!("{OPEN}<message to='b.example' from='a.example'><body>{}", "x".repeat(10_001));
        for (text, condition) in [
            ("<!DOCTYPE x><stream>", StreamCondition::RestrictedXml),
            ("<stream:stream>", StreamCondition::BadNamespacePrefix),
            ("<a xmlns='jabber:server'>", StreamCondition::BadFormat),
            ("<?xml version='1.0' encoding='latin1'?>", StreamCondition::UnsupportedEncoding),
            ("<?xml version='1.1'?>", StreamCondition::NotWellFormed),
            ("<?xml encoding='utf-8' version='1.0'?>", StreamCondition::NotWellFormed),
            (&format!("{OPEN}text"), StreamCondition::BadFormat),
            (&format!("{OPEN}<message to='@'/>"), StreamCondition::ImproperAddressing),
            (&format!("{OPEN}<message xmlns='jabber:client'/>"), StreamCondition::InvalidNamespace),
            (&format!("{OPEN}<message><a></message></a>"), StreamCondition::NotWellFormed),
            (&format!("{OPEN}</stream>"), StreamCondition::NotWellFormed),
            (&format!("{OPEN}{OPEN}"), StreamCondition::RestrictedXml),
            (&long, StreamCondition::PolicyViolation),
        ] {
            let error = read(text, 16).unwrap_err();
            assert_eq!(error.condition(), condition, "{text}: {error}");
        }
        let mut reader = StreamReader::new(Limits::default());
        reader.push(b"<stream \xff\xfe>");
        assert_eq!(reader.poll().unwrap_err(), ReadError::UnsupportedEncoding);
    }

    #[test]
    fn an_error_is_given_again_and_nothing_is_read_behind_it() {
        let mut reader = StreamReader::new(Limits::default());
        reader.push(b"<!x");
        let error = reader.poll().unwrap_err();
        reader.push(OPEN.as_bytes());
        assert_eq!(reader.poll().unwrap_err(), error);
        assert_eq!(reader.buffered(), 0);
    }
}

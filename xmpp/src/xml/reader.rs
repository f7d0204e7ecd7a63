//! The push reader of one stream.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use super::element::Element;
use super::framer::{Frame, Framer};
use super::limits::{Limits, Total};
use super::scanner::{Root, Scanned, Scanner, StreamBindings, is_name_start, leading_space};
use super::tree;
use crate::address::AddressError;
use crate::namespace;
use crate::stanza::Stanza;
use crate::stream::{StreamCondition, StreamHeader};

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
/// A complete element is scanned once, where it lies in the buffer. One that is cut is looked at by a framer that
/// remembers its place, until it is complete. After an error the reader gives nothing more: the stream is lost (RFC 6120,
/// section 4.9.1.1).
#[derive(Debug)]
pub struct StreamReader {
    buffer: BytesMut,
    framer: Framer,
    scanner: Scanner,
    /// Whether the element at the front of the buffer was scanned in vain: it is cut, or faulty.
    is_left_to_framer: bool,
    limits: Limits,
    spent: Total,
    bindings: StreamBindings,
    root_name: String,
    phase: Phase,
    work: Work,
}

/// What reading has cost so far, counted instead of timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Bytes looked at, each time that they are.
    pub examined: u64,
    /// Bytes copied.
    pub copied: u64,
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
            scanner: Scanner::default(),
            is_left_to_framer: false,
            limits,
            spent: Total::default(),
            bindings: StreamBindings::default(),
            root_name: String::new(),
            phase: Phase::Opening,
            work: Work::default(),
        }
    }

    /// Takes bytes as they came from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Failed(_) | Phase::Closed) {
            self.work.copied += bytes.len() as u64;
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
        self.framer.set_max_depth(limits.depth);
    }

    /// Whether the stream has been closed by its end tag, and that been told.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Begins a new stream and forgets the old one, its unread bytes included (RFC 6120, section 4.3.3); what was spent
    /// of [`Limits::total`] stays spent.
    pub fn reset(&mut self) {
        *self = Self { spent: self.spent, work: self.work, ..Self::new(self.limits) };
    }

    /// What reading has cost so far.
    pub fn work(&self) -> Work {
        self.work
    }

    fn next_event(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        loop {
            if let Some(event) = self.scan_ahead()? {
                return Ok(Some(event));
            }
            let before = self.framer.position();
            // What is beyond the limits is not looked at, however much came at once.
            let window = self.buffer.len().min(self.allowance().saturating_add(1));
            let frame = self.framer.next(&self.buffer[..window]);
            self.work.examined += (frame_length(&frame).unwrap_or(self.framer.position()) - before) as u64;
            let Some(frame) = frame? else { break };
            self.is_left_to_framer = false;
            match frame {
                Frame::Skip(length) => self.consume(length, 0)?,
                Frame::Declaration(length) => check_declaration(&self.take(length)?)?,
                Frame::Root { length, empty } => return self.open(length, empty).map(Some),
                Frame::Element(length) => return self.complete_element(length).map(Some),
                Frame::Close(length) => return self.close(length).map(Some),
            }
        }
        self.check_piece(self.buffer.len())?;
        if self.buffer.is_empty() {
            // An idle stream holds no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(None)
    }

    /// Scans the element at the front of the buffer, if it is complete and sound; everything else is the framer's, so
    /// that the result does not depend on how the bytes were cut.
    fn scan_ahead(&mut self) -> Result<Option<StreamEvent>, ReadError> {
        if self.phase != Phase::Open || self.is_left_to_framer || self.framer.position() > 0 {
            return Ok(None);
        }
        let space = leading_space(&self.buffer);
        self.work.examined += space as u64;
        self.consume(space, 0)?;
        if !matches!(self.buffer[..], [b'<', second, ..] if is_name_start(second)) {
            return Ok(None);
        }
        let scanned = self.scanner.element(&self.buffer, &self.bindings, self.limits);
        let Ok(Some(scanned)) = scanned else {
            self.work.examined += self.buffer.len() as u64;
            self.is_left_to_framer = true;
            return Ok(None);
        };
        let (length, elements) = (scanned.text.len(), scanned.elements);
        if length > self.allowance() {
            return self.check_piece(length).map(|()| None);
        }
        let event = event_of(&scanned, &self.scanner, &self.bindings)?;
        self.work.examined += length as u64;
        self.work.copied += length as u64;
        self.framer.piece_taken();
        self.consume(length, elements)?;
        Ok(Some(event))
    }

    /// The framer has found the end of an element that came in pieces, or that has a fault.
    fn complete_element(&mut self, length: usize) -> Result<StreamEvent, ReadError> {
        self.check_piece(length)?;
        self.work.examined += length as u64;
        let scanned = self.scanner.element(&self.buffer[..length], &self.bindings, self.limits)?;
        let scanned = scanned.filter(|scanned| scanned.text.len() == length).ok_or(NOT_ONE)?;
        let elements = scanned.elements;
        let event = event_of(&scanned, &self.scanner, &self.bindings)?;
        self.work.copied += length as u64;
        self.consume(length, elements)?;
        Ok(event)
    }

    fn open(&mut self, length: usize, empty: bool) -> Result<StreamEvent, ReadError> {
        self.check_piece(length)?;
        let root = self.scanner.root(&self.buffer[..length], self.limits)?;
        self.consume(length, 1)?;
        let Root { qualified_name, namespace, local, attributes, bindings } = root;
        if local != "stream" {
            return Err(ReadError::BadFormat("the root element is no stream"));
        }
        self.bindings = bindings;
        self.root_name = qualified_name;
        self.phase = if empty { Phase::Closing } else { Phase::Open };
        Ok(StreamEvent::Open(StreamHeader::from_root(&namespace, &self.bindings, &attributes)?))
    }

    fn close(&mut self, length: usize) -> Result<StreamEvent, ReadError> {
        let text = self.take(length)?;
        let name =
            text.strip_prefix("</").unwrap_or(&text).trim_end_matches('>').trim_end_matches([' ', '\t', '\r', '\n']);
        if self.phase != Phase::Open || name != self.root_name {
            return Err(ReadError::NotWellFormed("an end tag that nothing opened"));
        }
        self.phase = Phase::Closed;
        self.buffer = BytesMut::new();
        Ok(StreamEvent::Close)
    }

    fn take(&mut self, length: usize) -> Result<String, ReadError> {
        self.check_piece(length)?;
        let text = std::str::from_utf8(&self.buffer[..length]).map_err(|_| ReadError::UnsupportedEncoding)?.to_owned();
        self.consume(length, 0)?;
        Ok(text)
    }

    fn consume(&mut self, bytes: usize, elements: usize) -> Result<(), ReadError> {
        self.check_total(bytes, elements)?;
        self.spent.bytes = self.spent.bytes.saturating_add(bytes);
        self.spent.elements = self.spent.elements.saturating_add(elements);
        self.buffer.advance(bytes);
        Ok(())
    }

    /// How many bytes the next piece may have.
    fn allowance(&self) -> usize {
        let total = self.limits.total.map_or(usize::MAX, |total| total.bytes.saturating_sub(self.spent.bytes));
        total.min(self.limits.stanza_bytes)
    }

    /// Refuses a piece that is too long, complete or not; the narrower limit speaks first.
    fn check_piece(&self, bytes: usize) -> Result<(), ReadError> {
        if self.allowance() < self.limits.stanza_bytes {
            self.check_total(bytes, 0)?;
        }
        let limit = self.limits.stanza_bytes;
        if bytes > limit { Err(ReadError::TooLarge { what: "bytes of an element", limit }) } else { Ok(()) }
    }

    fn check_total(&self, bytes: usize, elements: usize) -> Result<(), ReadError> {
        let Some(total) = self.limits.total else { return Ok(()) };
        if self.spent.bytes.saturating_add(bytes) > total.bytes {
            return Err(ReadError::TooLarge { what: "bytes in all", limit: total.bytes });
        }
        if self.spent.elements.saturating_add(elements) > total.elements {
            return Err(ReadError::TooLarge { what: "elements in all", limit: total.elements });
        }
        Ok(())
    }
}

const NOT_ONE: ReadError = ReadError::NotWellFormed("not exactly one element");

fn frame_length(frame: &Result<Option<Frame>, ReadError>) -> Option<usize> {
    match frame {
        Ok(Some(
            Frame::Skip(length)
            | Frame::Declaration(length)
            | Frame::Root { length, .. }
            | Frame::Element(length)
            | Frame::Close(length),
        )) => Some(*length),
        _ => None,
    }
}

/// Reads a stanza that stands alone, its default namespace `jabber:client` if it declares none.
pub(crate) fn stanza_from_text(text: &str) -> Result<Stanza, ReadError> {
    let bindings = StreamBindings::with_default(namespace::CLIENT);
    let mut scanner = Scanner::default();
    let scanned = scanner.element(text.as_bytes(), &bindings, Limits::default())?;
    let scanned = scanned.filter(|scanned| scanned.text.len() == text.len()).ok_or(NOT_ONE)?;
    match event_of(&scanned, &scanner, &bindings)? {
        StreamEvent::Stanza(stanza) => Ok(stanza),
        _ => Err(ReadError::BadFormat("no stanza")),
    }
}

/// A stanza keeps its bytes if they mean the same in every stream; otherwise they are written anew. Everything else
/// becomes a tree.
fn event_of(scanned: &Scanned<'_>, scanner: &Scanner, stream: &StreamBindings) -> Result<StreamEvent, ReadError> {
    let is_content = |uri: &str| uri == namespace::SERVER || uri == namespace::CLIENT;
    let (uri, content) = (scanned.namespace.uri(scanned.text, stream), stream.default_namespace());
    if is_content(&uri) && is_content(content) && uri != content {
        return Err(ReadError::InvalidNamespace);
    }
    if !is_content(&uri) || !matches!(scanned.name.local.of(scanned.text), "message" | "presence" | "iq") {
        return Ok(StreamEvent::Element(tree::build(scanned.text, stream)?));
    }
    if is_content(content)
        && let Some(stanza) = Stanza::from_scanned(scanned, scanner.first_attributes(), stream)?
    {
        return Ok(StreamEvent::Stanza(stanza));
    }
    Stanza::from_element(tree::build(scanned.text, stream)?).map(StreamEvent::Stanza)
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
    fn gives_the_same_error_for_every_chunking() {
        let long = "x".repeat(12_000);
        for tail in [
            format!("<message><body>{long}<!-- --></body></message>"),
            format!("<message><body>{long}</body></message>"),
            format!("<message a='<'>{long}</message>"),
            "<message a='<'/><message><!-- -->".to_owned(),
            format!("<message>{}", "<a>".repeat(101)),
            format!("<message><1/>{}</message>", "<a>".repeat(100)),
            format!("<message/>{}<!x", " ".repeat(12_000)),
            "<message><a></b></message>".to_owned(),
            "<message a='<'>".to_owned(),
        ] {
            let text = format!("{OPEN}{tail}");
            let whole = read(&text, text.len());
            for chunk in [1, 2, 3, 7, 64, 4096, 10_001] {
                assert_eq!(read(&text, chunk), whole, "chunks of {chunk}: {}", &tail[..tail.len().min(60)]);
            }
        }
    }

    #[test]
    fn an_element_that_came_behind_its_first_byte_leaves_no_trace() {
        for tail in ["text", "text>", "<a/>", " <a/>", "</stream:stream>", "<!x"] {
            let rest = format!("message to='b.example' from='a.example'/>{tail}");
            let whole = read(&format!("{OPEN}<{rest}"), 4096);
            let mut reader = StreamReader::new(Limits::default());
            let mut events = Vec::new();
            let mut result = Ok(());
            for piece in [OPEN, "<", &rest] {
                reader.push(piece.as_bytes());
                result = result.and_then(|()| {
                    loop {
                        match reader.poll() {
                            Ok(Some(event)) => events.push(event),
                            Ok(None) => return Ok(()),
                            Err(error) => return Err(error),
                        }
                    }
                });
            }
            assert_eq!(result.map(|()| events), whole, "{tail}");
        }
    }

    #[test]
    fn makes_prefixes_of_the_stream_header_explicit_in_a_stanza() {
        let open = OPEN.replace(" from=", " xmlns:p='urn:p' from=");
        let events = read(&format!("{open}<message to='b.example' from='a.example'><p:x/></message>"), 4096).unwrap();
        let StreamEvent::Stanza(stanza) = &events[1] else { panic!("{events:?}") };
        assert!(stanza.text().contains("<x xmlns='urn:p'/>"), "{}", stanza.text());
        assert_eq!(stanza.payload_name(), Some(("x", "urn:p")));
        assert!(Stanza::parse(&stanza.text()).is_ok());
    }

    #[test]
    fn takes_a_prefix_free_peer_and_a_peer_that_prefixes_stanzas() {
        let text = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='jabber:server' version='1.0'>\
            <features/><s:iq type='get' id='1' to='b.example' from='a.example'><ping xmlns='urn:xmpp:ping'/></s:iq></stream>";
        let events = read(text, 5).unwrap();
        assert!(matches!(&events[1], StreamEvent::Element(e) if e.is("features", namespace::STREAM)));
        let StreamEvent::Stanza(stanza) = &events[2] else { panic!("{events:?}") };
        assert_eq!(stanza.payload_name(), Some(("ping", namespace::PING)));
        assert!(stanza.text().starts_with("<iq to='b.example' from='a.example' id='1' type='get'"));
    }

    #[test]
    fn a_stanza_of_a_prefix_free_stream_stands_alone() {
        let open = "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>";
        for content in ["jabber:server", "jabber:client"] {
            let text = format!("{open}<message xmlns='{content}' to='b.example'><body>x</body></message>");
            let events = read(&text, 4096).unwrap();
            let StreamEvent::Stanza(stanza) = &events[1] else { panic!("{events:?}") };
            assert_eq!(stanza.text(), "<message to='b.example'><body>x</body></message>");
        }
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
            (&format!("{OPEN}<message a='<'/>"), StreamCondition::NotWellFormed),
            (&format!("{OPEN}<message><!-- --></message>"), StreamCondition::RestrictedXml),
            (&format!("{OPEN}<message>&nbsp;</message>"), StreamCondition::RestrictedXml),
            (&format!("{OPEN}<message><a></message></a>"), StreamCondition::NotWellFormed),
            (&format!("{OPEN}</stream>"), StreamCondition::NotWellFormed),
            (&format!("{OPEN}{OPEN}"), StreamCondition::RestrictedXml),
            (&long, StreamCondition::PolicyViolation),
        ] {
            let error = read(text, 16).unwrap_err();
            assert_eq!(error.condition(), condition, "{text}: {error}");
        }
        for bytes in [&b"<stream \xff\xfe>"[..], b"<stream x='\xc0\x80'>"] {
            let mut reader = StreamReader::new(Limits::default());
            reader.push(bytes);
            assert_eq!(reader.poll().unwrap_err(), ReadError::UnsupportedEncoding);
        }
    }

    #[test]
    fn what_was_spent_before_a_restart_stays_spent() {
        let limits = Limits { total: Some(Total { bytes: 1000, elements: 4 }), ..Limits::default() };
        let mut reader = StreamReader::new(limits);
        let read = |reader: &mut StreamReader, text: &str| {
            reader.push(text.as_bytes());
            while reader.poll()?.is_some() {}
            Ok::<_, ReadError>(())
        };
        read(&mut reader, OPEN).unwrap();
        read(&mut reader, "<a xmlns='urn:a'><b/></a>").unwrap();
        reader.reset();
        read(&mut reader, OPEN).unwrap();
        let error = read(&mut reader, "<a xmlns='urn:a'/>").unwrap_err();
        assert_eq!(error, ReadError::TooLarge { what: "elements in all", limit: 4 });
        let mut reader = StreamReader::new(limits);
        read(&mut reader, OPEN).unwrap();
        let error = read(&mut reader, &" ".repeat(1000)).unwrap_err();
        assert_eq!(error, ReadError::TooLarge { what: "bytes in all", limit: 1000 });
    }

    #[test]
    fn a_stanza_that_names_its_content_namespace_is_written_without_it() {
        let text =
            format!("{OPEN}<message xmlns='jabber:server' from='a.example' to='b.example'><body>x</body></message>");
        let events = read(&text, 4096).unwrap();
        let StreamEvent::Stanza(stanza) = &events[1] else { panic!("{events:?}") };
        assert_eq!(stanza.text(), "<message to='b.example' from='a.example'><body>x</body></message>");
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

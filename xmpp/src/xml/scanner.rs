//! One pass over one first-level element: well-formedness, namespaces, limits, and where its header is.
//!
//! The scanner reads bytes that begin with `<` and stops behind the element. It accepts what expat accepts, less what
//! RFC 6120 (section 11.1) forbids. It allocates nothing per element: its tables are kept from one to the next.

mod lexer;

use self::lexer::{Step, Stop, byte, character_data, name, same_value, skip_space, text, value};
pub(crate) use self::lexer::{is_name_start, leading_space};
use super::characters::{attribute_value, check_characters};
use super::{Limits, ReadError};
use crate::namespace;

/// The namespace declarations of the stream header, valid for everything in the stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamBindings {
    declared: Vec<(String, String)>,
}

impl StreamBindings {
    pub(crate) fn with_default(namespace: &str) -> Self {
        Self { declared: vec![(String::new(), namespace.to_owned())] }
    }

    /// The default namespace: that of the stanzas, unless the peer prefixes them.
    pub(crate) fn default_namespace(&self) -> &str {
        self.resolve("").unwrap_or_default()
    }

    pub(crate) fn resolve(&self, prefix: &str) -> Option<&str> {
        self.declared.iter().find(|(declared, _)| declared == prefix).map(|(_, uri)| uri.as_str())
    }
}

/// A piece of the scanned text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    fn bytes<'t>(&self, bytes: &'t [u8]) -> &'t [u8] {
        &bytes[self.start..self.end]
    }
}

/// A qualified name; `prefix` is empty if there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub(crate) prefix: Span,
    pub(crate) local: Span,
}

impl Name {
    fn whole(&self) -> Span {
        let start = if self.prefix.start == self.prefix.end { self.local.start } else { self.prefix.start };
        Span { start, end: self.local.end }
    }
}

/// One attribute that is no namespace declaration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(crate) name: Name,
    pub(crate) value: Value,
}

/// The text between the quotes; `is_plain` if it stands for itself, without references and line breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) span: Span,
    pub(crate) is_plain: bool,
}

/// What a name's prefix stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Namespace {
    /// No namespace at all.
    None,
    /// That of the prefix `xml`.
    Xml,
    /// One that the stream header declares, by its place there.
    Stream(usize),
    /// One that is declared within the element.
    Here(Value),
}

/// What a scan has found.
#[derive(Debug)]
pub(crate) struct Scanned<'t> {
    /// The element, and nothing else.
    pub(crate) text: &'t str,
    pub(crate) name: Name,
    pub(crate) namespace: Namespace,
    /// The offset behind the attributes of the element itself: that of `>` or `/>`.
    pub(crate) attributes_end: usize,
    /// Name and namespace of the first child element.
    pub(crate) child: Option<(Name, Namespace)>,
    /// Whether the text means something else in another stream: it uses prefixes of the stream header, or declares the
    /// content namespace itself.
    pub(crate) depends_on_stream: bool,
    /// How many elements it is in all.
    pub(crate) elements: usize,
}

/// How many declarations may be in force at one place: each prefix is looked up among them, so their number bounds what
/// one element costs.
const MAX_BINDINGS: usize = 128;

/// The tables of a scan, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    open: Vec<Open>,
    bindings: Vec<Binding>,
    attributes: Vec<Attribute>,
    /// The attributes of the element itself.
    first: Vec<Attribute>,
}

/// An element that is open, and how many declarations were in force before it.
#[derive(Debug, Clone, Copy)]
struct Open {
    name: Span,
    bindings: usize,
}

#[derive(Debug, Clone, Copy)]
struct Binding {
    prefix: Span,
    uri: Value,
}

impl Scanner {
    /// Scans the element at the beginning of `bytes`; `None` if they end within it.
    pub(crate) fn element<'t>(
        &mut self,
        bytes: &'t [u8],
        stream: &StreamBindings,
        limits: Limits,
    ) -> Result<Option<Scanned<'t>>, ReadError> {
        self.open.clear();
        self.bindings.clear();
        let mut pass = Pass { bytes, stream, limits, elements: 0, head: None, child: None, depends_on_stream: false };
        match self.run(&mut pass) {
            Ok(scanned) => Ok(Some(scanned)),
            Err(Stop::Incomplete) => Ok(None),
            Err(Stop::Fault(error)) => Err(error),
        }
    }

    /// The attributes of the element that was scanned last.
    pub(crate) fn first_attributes(&self) -> &[Attribute] {
        &self.first
    }

    /// Scans the start tag of a stream, `<...>` or `<.../>`.
    pub(crate) fn root(&mut self, bytes: &[u8], limits: Limits) -> Result<Root, ReadError> {
        self.open.clear();
        self.bindings.clear();
        let none = StreamBindings::default();
        let mut pass =
            Pass { bytes, stream: &none, limits, elements: 0, head: None, child: None, depends_on_stream: false };
        let text = check_characters(bytes)?;
        match self.start_tag(&mut pass, 0) {
            Ok(end) if end == bytes.len() => {}
            Err(Stop::Fault(ReadError::NotWellFormed(UNDECLARED))) if pass.head.is_none() => {
                return Err(ReadError::BadNamespacePrefix);
            }
            Err(Stop::Fault(error)) => return Err(error),
            _ => return Err(MALFORMED_TAG),
        }
        let Some(Head { name, namespace, .. }) = pass.head else { return Err(MALFORMED_TAG) };
        self.root_of(text, name, namespace)
    }

    fn root_of(&self, text: &str, name: Name, namespace: Namespace) -> Result<Root, ReadError> {
        let uri = |namespace| -> Result<String, ReadError> {
            Ok(match namespace {
                Namespace::Here(value) => attribute_value(value.span.of(text))?.into_owned(),
                Namespace::Xml => namespace::XML.to_owned(),
                Namespace::None | Namespace::Stream(_) => String::new(),
            })
        };
        let mut declared = Vec::new();
        for binding in &self.bindings {
            declared.push((binding.prefix.of(text).to_owned(), uri(Namespace::Here(binding.uri))?));
        }
        let mut attributes = Vec::new();
        for attribute in &self.first {
            let name = attribute.name.whole().of(text).to_owned();
            attributes.push((name, attribute_value(attribute.value.span.of(text))?.into_owned()));
        }
        Ok(Root {
            qualified_name: name.whole().of(text).to_owned(),
            local: name.local.of(text).to_owned(),
            namespace: uri(namespace)?,
            attributes,
            bindings: StreamBindings { declared },
        })
    }

    fn run<'t>(&mut self, pass: &mut Pass<'t, '_>) -> Step<Scanned<'t>> {
        if byte(pass.bytes, 0)? != b'<' {
            return Err(ReadError::NotWellFormed("text outside of the element").into());
        }
        let mut at = 0;
        loop {
            at = self.markup(pass, at)?;
            if self.open.is_empty() {
                break;
            }
            at = text(pass.bytes, at)?;
        }
        let text = check_characters(&pass.bytes[..at])?;
        let Some(Head { name, namespace, attributes_end }) = pass.head else { return Err(MALFORMED_TAG.into()) };
        let Pass { child, depends_on_stream, elements, .. } = *pass;
        Ok(Scanned { text, name, namespace, attributes_end, child, depends_on_stream, elements })
    }

    /// Reads the markup that begins at this `<`; gives the offset behind it.
    fn markup(&mut self, pass: &mut Pass<'_, '_>, at: usize) -> Step<usize> {
        match byte(pass.bytes, at + 1)? {
            b'/' => self.end_tag(pass.bytes, at),
            b'!' if !self.open.is_empty() => character_data(pass.bytes, at),
            b'!' => Err(ReadError::RestrictedXml("a comment or a document type declaration").into()),
            b'?' => Err(ReadError::RestrictedXml("a processing instruction").into()),
            _ => self.start_tag(pass, at),
        }
    }

    fn end_tag(&mut self, bytes: &[u8], at: usize) -> Step<usize> {
        const MISMATCH: ReadError = ReadError::NotWellFormed("an end tag that nothing opened");
        let Some(open) = self.open.pop() else { return Err(MISMATCH.into()) };
        self.bindings.truncate(open.bindings);
        let expected = open.name.bytes(bytes);
        let found = &bytes[at + 2..];
        if !found.starts_with(expected) {
            let is_cut = found.len() < expected.len() && expected.starts_with(found);
            return Err(if is_cut { Stop::Incomplete } else { MISMATCH.into() });
        }
        let end = skip_space(bytes, at + 2 + expected.len());
        match byte(bytes, end)? {
            b'>' => Ok(end + 1),
            _ => Err(MISMATCH.into()),
        }
    }

    fn start_tag(&mut self, pass: &mut Pass<'_, '_>, at: usize) -> Step<usize> {
        let bytes = pass.bytes;
        let name = name(bytes, at + 1)?;
        pass.count_element()?;
        let before = self.bindings.len();
        self.attributes.clear();
        let attributes_end = self.attributes_of_tag(pass, name.local.end, before)?;
        let is_empty = bytes[attributes_end] == b'/';
        if is_empty && byte(bytes, attributes_end + 1)? != b'>' {
            return Err(MALFORMED_TAG.into());
        }
        self.note(pass, name, attributes_end)?;
        self.resolve_attributes(pass)?;
        if is_empty {
            // What the root of a stream declares is read after this.
            if !self.open.is_empty() {
                self.bindings.truncate(before);
            }
            return Ok(attributes_end + 2);
        }
        self.open.push(Open { name: name.whole(), bindings: before });
        if self.open.len() > pass.limits.depth {
            return Err(ReadError::TooLarge { what: "nested elements", limit: pass.limits.depth }.into());
        }
        Ok(attributes_end + 1)
    }

    /// Reads attributes and declarations; gives the offset of the `>` or `/` behind them.
    fn attributes_of_tag(&mut self, pass: &mut Pass<'_, '_>, mut at: usize, before: usize) -> Step<usize> {
        let bytes = pass.bytes;
        let mut count = 0;
        loop {
            let next = skip_space(bytes, at);
            match byte(bytes, next)? {
                b'>' | b'/' => return Ok(next),
                _ if next == at => return Err(MALFORMED_TAG.into()),
                _ => {}
            }
            count += 1;
            if count > pass.limits.attributes {
                let limit = pass.limits.attributes;
                return Err(ReadError::TooLarge { what: "attributes of an element", limit }.into());
            }
            let name = name(bytes, next)?;
            let equals = skip_space(bytes, name.local.end);
            if byte(bytes, equals)? != b'=' {
                return Err(ReadError::NotWellFormed("an attribute without a value").into());
            }
            let value = value(bytes, skip_space(bytes, equals + 1))?;
            at = value.span.end + 1;
            match (name.prefix.bytes(bytes), name.local.bytes(bytes)) {
                (b"", b"xmlns") => self.declare(pass, Span::default(), value, before)?,
                (b"xmlns", _) => self.declare(pass, name.local, value, before)?,
                _ => self.attributes.push(Attribute { name, value }),
            }
        }
    }

    fn declare(&mut self, pass: &mut Pass<'_, '_>, prefix: Span, uri: Value, before: usize) -> Step<()> {
        const FORBIDDEN: ReadError = ReadError::NotWellFormed("a forbidden namespace declaration");
        let name = prefix.bytes(pass.bytes);
        let is = |known: &str| same_value(pass.bytes, uri, known.as_bytes());
        let is_forbidden = match name {
            b"xml" => !is(namespace::XML),
            b"xmlns" => true,
            b"" => is(namespace::XML) || is(namespace::XMLNS),
            _ => uri.span.start == uri.span.end || is(namespace::XML) || is(namespace::XMLNS),
        };
        if is_forbidden || self.bindings[before..].iter().any(|b| b.prefix.bytes(pass.bytes) == name) {
            return Err(FORBIDDEN.into());
        }
        if self.bindings.len() == MAX_BINDINGS {
            let what = "namespace declarations in force";
            return Err(ReadError::TooLarge { what, limit: MAX_BINDINGS }.into());
        }
        pass.depends_on_stream |= is(pass.stream.default_namespace());
        self.bindings.push(Binding { prefix, uri });
        Ok(())
    }

    /// Refuses undeclared prefixes, and two attributes of one expanded name (Namespaces in XML, section 6.3).
    fn resolve_attributes(&self, pass: &mut Pass<'_, '_>) -> Step<()> {
        /// Up to here, comparing all pairs costs less than sorting, and nothing is allocated.
        const FEW: usize = 16;
        let bytes = pass.bytes;
        for prefix in self.attributes.iter().map(|attribute| attribute.name.prefix) {
            if !prefix.bytes(bytes).is_empty() {
                self.resolve(pass, prefix)?;
            }
        }
        let is_twice =
            if self.attributes.len() <= FEW { self.is_any_pair_the_same(pass)? } else { self.is_any_name_twice(pass)? };
        if is_twice { Err(ReadError::NotWellFormed("a duplicate attribute").into()) } else { Ok(()) }
    }

    fn is_any_pair_the_same(&self, pass: &mut Pass<'_, '_>) -> Step<bool> {
        let bytes = pass.bytes;
        for (at, one) in self.attributes.iter().enumerate() {
            for other in &self.attributes[..at] {
                if one.name.local.bytes(bytes) != other.name.local.bytes(bytes) {
                    continue;
                }
                let (prefix, other_prefix) = (one.name.prefix, other.name.prefix);
                let both = !prefix.bytes(bytes).is_empty() && !other_prefix.bytes(bytes).is_empty();
                let same_prefix = prefix.bytes(bytes) == other_prefix.bytes(bytes);
                if same_prefix || (both && self.same_namespace(pass, prefix, other_prefix)?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The same for many attributes, in little more than linear time.
    fn is_any_name_twice(&self, pass: &mut Pass<'_, '_>) -> Step<bool> {
        let mut names = Vec::with_capacity(self.attributes.len());
        for attribute in &self.attributes {
            let prefix = attribute.name.prefix;
            let uri = match prefix.bytes(pass.bytes).is_empty() {
                true => String::new(),
                false => {
                    let namespace = self.resolve(pass, prefix)?;
                    pass.uri(namespace)?.into_owned()
                }
            };
            names.push((attribute.name.local.bytes(pass.bytes), uri));
        }
        names.sort_unstable();
        Ok(names.windows(2).any(|pair| pair[0] == pair[1]))
    }

    fn same_namespace(&self, pass: &mut Pass<'_, '_>, one: Span, other: Span) -> Step<bool> {
        let (one, other) = (self.resolve(pass, one)?, self.resolve(pass, other)?);
        Ok(pass.uri(one)? == pass.uri(other)?)
    }

    fn resolve(&self, pass: &mut Pass<'_, '_>, prefix: Span) -> Step<Namespace> {
        let name = prefix.bytes(pass.bytes);
        if name == b"xml" {
            return Ok(Namespace::Xml);
        }
        if let Some(binding) = self.bindings.iter().rev().find(|b| b.prefix.bytes(pass.bytes) == name) {
            return Ok(Namespace::Here(binding.uri));
        }
        match pass.stream.declared.iter().position(|(declared, _)| declared.as_bytes() == name) {
            Some(place) => {
                pass.depends_on_stream |= !name.is_empty();
                Ok(Namespace::Stream(place))
            }
            None if name.is_empty() => Ok(Namespace::None),
            None => Err(ReadError::NotWellFormed(UNDECLARED).into()),
        }
    }

    /// Keeps what is wanted of the element itself and of its first child; of all others only the prefix is checked.
    fn note(&mut self, pass: &mut Pass<'_, '_>, name: Name, attributes_end: usize) -> Step<()> {
        match self.open.len() {
            0 => {
                let namespace = self.resolve(pass, name.prefix)?;
                pass.head = Some(Head { name, namespace, attributes_end });
                self.first.clone_from(&self.attributes);
            }
            1 if pass.child.is_none() => pass.child = Some((name, self.resolve(pass, name.prefix)?)),
            _ if name.prefix.start != name.prefix.end => {
                self.resolve(pass, name.prefix)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// What one pass is told and what it has found so far.
struct Pass<'t, 's> {
    bytes: &'t [u8],
    stream: &'s StreamBindings,
    limits: Limits,
    elements: usize,
    head: Option<Head>,
    child: Option<(Name, Namespace)>,
    depends_on_stream: bool,
}

#[derive(Clone, Copy)]
struct Head {
    name: Name,
    namespace: Namespace,
    attributes_end: usize,
}

impl Pass<'_, '_> {
    fn count_element(&mut self) -> Result<(), ReadError> {
        self.elements += 1;
        let limit = self.limits.elements;
        if self.elements > limit { Err(ReadError::TooLarge { what: "elements in one", limit }) } else { Ok(()) }
    }

    fn uri(&self, namespace: Namespace) -> Result<std::borrow::Cow<'_, str>, ReadError> {
        match namespace {
            Namespace::None => Ok("".into()),
            Namespace::Xml => Ok(namespace::XML.into()),
            Namespace::Stream(place) => Ok(self.stream.declared[place].1.as_str().into()),
            Namespace::Here(value) => {
                let raw = std::str::from_utf8(value.span.bytes(self.bytes));
                attribute_value(raw.map_err(|_| ReadError::UnsupportedEncoding)?)
            }
        }
    }
}

/// The stream's start tag: its names, its attributes, and the declarations that hold from now on.
pub(crate) struct Root {
    pub(crate) qualified_name: String,
    pub(crate) local: String,
    pub(crate) namespace: String,
    /// By qualified name.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) bindings: StreamBindings,
}

const MALFORMED_TAG: ReadError = ReadError::NotWellFormed("a malformed tag");
const UNDECLARED: &str = "an undeclared prefix";

impl Namespace {
    /// The URI; in the text of a scan that has succeeded, a reference in it resolves.
    pub(crate) fn uri<'t>(self, text: &'t str, stream: &'t StreamBindings) -> std::borrow::Cow<'t, str> {
        match self {
            Self::None => "".into(),
            Self::Xml => namespace::XML.into(),
            Self::Stream(place) => stream.declared[place].1.as_str().into(),
            Self::Here(value) => attribute_value(value.span.of(text)).unwrap_or_default(),
        }
    }
}

//! One pass over one complete first-level element: quick-xml splits it, the checks it leaves out are made here.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::characters::{attribute_value, check_characters, resolve_reference, split_name};
use super::{Limits, ReadError};
use crate::namespace;

/// The namespace declarations of the stream header, valid for everything in the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamBindings {
    declared: Vec<(String, String)>,
}

impl StreamBindings {
    pub(super) fn with_default(namespace: &str) -> Self {
        Self { declared: vec![(String::new(), namespace.to_owned())] }
    }

    /// The default namespace: that of the stanzas, unless the peer prefixes them.
    pub(super) fn default_namespace(&self) -> &str {
        self.declared.iter().find(|(prefix, _)| prefix.is_empty()).map_or("", |(_, uri)| uri)
    }
}

/// One start tag, its namespaces resolved.
pub(super) struct Tag<'t> {
    pub(super) prefix: &'t str,
    pub(super) local: &'t str,
    pub(super) namespace: &'t str,
    pub(super) attributes: &'t [Attribute<'t>],
    /// All declarations in force that the element and its ancestors made.
    pub(super) declarations: &'t [Binding<'t>],
    /// 0 for the first-level element itself.
    pub(super) depth: usize,
    /// The offset just behind the name and the attributes: that of `>` or `/>`.
    pub(super) attributes_end: usize,
}

/// One attribute that is no namespace declaration.
pub(super) struct Attribute<'t> {
    pub(super) prefix: &'t str,
    pub(super) local: &'t str,
    /// Empty for an attribute without a prefix.
    pub(super) namespace: Cow<'t, str>,
    pub(super) value: Cow<'t, str>,
}

/// Takes what a scan finds.
pub(super) trait Sink {
    fn start(&mut self, tag: &Tag<'_>) -> Result<(), ReadError>;
    fn end(&mut self) {}
    fn text(&mut self, _text: &str) {}
}

/// One declaration within the element: prefix, name and the depth at which it was made.
pub(super) struct Binding<'t> {
    pub(super) prefix: &'t str,
    pub(super) uri: Cow<'t, str>,
    depth: usize,
}

/// The declarations in force at one place, the stream's own below those of the element.
struct Scope<'t> {
    stream: &'t StreamBindings,
    local: Vec<Binding<'t>>,
    /// Which declarations of the stream were used, by position.
    used: Vec<bool>,
}

impl<'t> Scope<'t> {
    fn new(stream: &'t StreamBindings) -> Self {
        Self { stream, local: Vec::new(), used: vec![false; stream.declared.len()] }
    }

    fn resolve(&mut self, prefix: &str) -> Option<Cow<'t, str>> {
        if prefix == "xml" {
            return Some(Cow::Borrowed(namespace::XML));
        }
        if let Some(binding) = self.local.iter().rev().find(|b| b.prefix == prefix) {
            return Some(binding.uri.clone());
        }
        if let Some(at) = self.stream.declared.iter().position(|(p, _)| p == prefix) {
            self.used[at] = true;
            return Some(Cow::Borrowed(&self.stream.declared[at].1));
        }
        prefix.is_empty().then_some(Cow::Borrowed(""))
    }

    fn leave(&mut self, depth: usize) {
        while self.local.last().is_some_and(|b| b.depth >= depth) {
            self.local.pop();
        }
    }
}

/// Which prefixes of the stream header an element uses, other than the default one.
pub(super) type UsedPrefixes = Vec<(String, String)>;

/// Checks one complete element and tells the sink what it finds.
///
/// `text` must be exactly one element, with nothing around it. Fails with what RFC 6120 calls the fault.
pub(super) fn scan<'t>(
    text: &'t str,
    stream: &'t StreamBindings,
    limits: Limits,
    sink: &mut impl Sink,
) -> Result<UsedPrefixes, ReadError> {
    const NOT_ONE: ReadError = ReadError::NotWellFormed("not exactly one element");
    check_characters(text)?;
    let mut scope = Scope::new(stream);
    let mut reader = Reader::from_str(text);
    let mut depth = 0;
    let mut is_over = false;
    loop {
        let event = reader.read_event().map_err(|_| ReadError::NotWellFormed("malformed markup"))?;
        let is_outside = depth == 0 && !matches!(event, Event::Eof);
        if is_outside && (is_over || !matches!(event, Event::Start(_) | Event::Empty(_))) {
            return Err(restriction(&event).unwrap_or(NOT_ONE));
        }
        match event {
            Event::Start(tag) => {
                let end = reader.buffer_position() as usize - 1;
                start(&tag, text, depth, end, &mut scope, limits.attributes, sink)?;
                depth += 1;
                if depth > limits.depth {
                    return Err(ReadError::TooLarge { what: "nested elements", limit: limits.depth });
                }
            }
            Event::Empty(tag) => {
                let end = reader.buffer_position() as usize - 2;
                start(&tag, text, depth, end, &mut scope, limits.attributes, sink)?;
                sink.end();
                scope.leave(depth);
            }
            Event::End(_) => {
                depth -= 1;
                sink.end();
                scope.leave(depth);
            }
            Event::Text(part) if part.contains("]]>") => return Err(ReadError::NotWellFormed("a ']]>' in text")),
            Event::Text(part) => sink.text(&part.xml10_content()),
            Event::CData(part) => sink.text(&part.xml10_content()),
            Event::GeneralRef(reference) => sink.text(resolve_reference(&reference)?.encode_utf8(&mut [0; 4])),
            Event::Eof => break,
            other => return Err(restriction(&other).unwrap_or(NOT_ONE)),
        }
        is_over = depth == 0;
    }
    if !is_over {
        return Err(NOT_ONE);
    }
    let declared = stream.declared.iter().zip(scope.used);
    Ok(declared.filter(|((prefix, _), used)| *used && !prefix.is_empty()).map(|(binding, _)| binding.clone()).collect())
}

/// What RFC 6120 (section 11.1) keeps out of streams.
fn restriction(event: &Event<'_>) -> Option<ReadError> {
    match event {
        Event::Comment(_) => Some(ReadError::RestrictedXml("a comment")),
        Event::PI(_) | Event::Decl(_) => Some(ReadError::RestrictedXml("a processing instruction")),
        Event::DocType(_) => Some(ReadError::RestrictedXml("a document type declaration")),
        _ => None,
    }
}

fn start<'t>(
    tag: &BytesStart<'_>,
    text: &'t str,
    depth: usize,
    end: usize,
    scope: &mut Scope<'t>,
    max_attributes: usize,
    sink: &mut impl Sink,
) -> Result<(), ReadError> {
    let raw_length = tag.attributes_raw().len();
    let name_length = tag.name().as_ref().len();
    let start = end - raw_length - name_length;
    let (prefix, local) = split_name(&text[start..start + name_length])?;
    let attributes = attributes(&text[end - raw_length..end], depth, scope, max_attributes)?;
    let namespace = scope.resolve(prefix).ok_or(ReadError::NotWellFormed("an undeclared prefix"))?;
    let declarations = &scope.local;
    let tag =
        Tag { prefix, local, namespace: &namespace, attributes: &attributes, declarations, depth, attributes_end: end };
    sink.start(&tag)
}

/// Reads the attributes of one tag: declarations go to the scope, the rest is resolved and given back.
fn attributes<'t>(
    raw: &'t str,
    depth: usize,
    scope: &mut Scope<'t>,
    max_attributes: usize,
) -> Result<Vec<Attribute<'t>>, ReadError> {
    let mut found = Vec::new();
    let mut count = 0;
    let mut rest = raw;
    while let Some((name, value)) = next_attribute(&mut rest)? {
        count += 1;
        if count > max_attributes {
            return Err(ReadError::TooLarge { what: "attributes of an element", limit: max_attributes });
        }
        let (prefix, local) = split_name(name)?;
        let value = attribute_value(value)?;
        match (prefix, local) {
            ("", "xmlns") => declare("", value, depth, scope)?,
            ("xmlns", _) => declare(local, value, depth, scope)?,
            _ => found.push(Attribute { prefix, local, namespace: Cow::Borrowed(""), value }),
        }
    }
    resolve_attributes(&mut found, scope)?;
    Ok(found)
}

/// Takes `name='value'` with the white space before it from the front of `rest`; `None` at its end.
fn next_attribute<'t>(rest: &mut &'t str) -> Result<Option<(&'t str, &'t str)>, ReadError> {
    const BAD: ReadError = ReadError::NotWellFormed("a malformed attribute");
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let trimmed = rest.trim_start_matches(is_space);
    if trimmed.is_empty() {
        return Ok(None);
    }
    if trimmed.len() == rest.len() {
        return Err(BAD);
    }
    let (name, behind) = trimmed.split_once('=').ok_or(BAD)?;
    let behind = behind.trim_start_matches(is_space);
    let quote = behind.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or(BAD)?;
    let (value, behind) = behind[1..].split_once(quote).ok_or(BAD)?;
    *rest = behind;
    Ok(Some((name.trim_end_matches(is_space), value)))
}

fn declare<'t>(prefix: &'t str, uri: Cow<'t, str>, depth: usize, scope: &mut Scope<'t>) -> Result<(), ReadError> {
    let forbidden = match prefix {
        "xml" => uri != namespace::XML,
        "xmlns" => true,
        "" => uri == namespace::XML || uri == namespace::XMLNS,
        _ => uri.is_empty() || uri == namespace::XML || uri == namespace::XMLNS,
    };
    let twice = scope.local.iter().any(|b| b.depth == depth && b.prefix == prefix);
    if forbidden || twice {
        return Err(ReadError::NotWellFormed("a forbidden namespace declaration"));
    }
    scope.local.push(Binding { prefix, uri, depth });
    Ok(())
}

/// Resolves the prefixes and refuses two attributes of one expanded name.
fn resolve_attributes<'t>(attributes: &mut [Attribute<'t>], scope: &mut Scope<'t>) -> Result<(), ReadError> {
    for at in 0..attributes.len() {
        if !attributes[at].prefix.is_empty() {
            let uri = scope.resolve(attributes[at].prefix).ok_or(ReadError::NotWellFormed("an undeclared prefix"))?;
            attributes[at].namespace = uri;
        }
        let (before, this) = attributes.split_at(at);
        if before.iter().any(|a| a.local == this[0].local && a.namespace == this[0].namespace) {
            return Err(ReadError::NotWellFormed("a duplicate attribute"));
        }
    }
    Ok(())
}

/// The stream's start tag: its qualified name, its attributes, and the declarations that hold from now on.
pub(super) struct Root {
    pub(super) qualified_name: String,
    pub(super) namespace: String,
    pub(super) local: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) bindings: StreamBindings,
}

/// Reads the start tag of the root element, `<...>` or `<.../>`.
pub(super) fn scan_root(text: &str, max_attributes: usize) -> Result<Root, ReadError> {
    check_characters(text)?;
    let inner = text.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/');
    let name_length = inner.find([' ', '\t', '\r', '\n']).unwrap_or(inner.len());
    let (prefix, local) = split_name(&inner[..name_length])?;
    let none = StreamBindings::default();
    let mut scope = Scope::new(&none);
    let attributes = attributes(&inner[name_length..], 0, &mut scope, max_attributes)?;
    let namespace = scope.resolve(prefix).ok_or(ReadError::BadNamespacePrefix)?;
    let qualified =
        |a: &Attribute<'_>| if a.namespace == namespace::XML { format!("xml:{}", a.local) } else { a.local.to_owned() };
    Ok(Root {
        qualified_name: inner[..name_length].to_owned(),
        namespace: namespace.into_owned(),
        local: local.to_owned(),
        attributes: attributes
            .iter()
            .filter(|a| a.namespace.is_empty() || a.namespace == namespace::XML)
            .map(|a| (qualified(a), a.value.clone().into_owned()))
            .collect(),
        bindings: StreamBindings {
            declared: scope.local.into_iter().map(|b| (b.prefix.to_owned(), b.uri.into_owned())).collect(),
        },
    })
}

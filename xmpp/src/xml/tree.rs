//! Trees of text that the scanner has passed: quick-xml splits it, namespaces are resolved here.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::ReadError;
use super::characters::{attribute_value, resolve_reference};
use super::element::{Attribute, Element, content_as_client};
use super::scanner::StreamBindings;
use crate::namespace;

/// Builds the tree of one element that the scanner has passed, within a stream of these bindings.
///
/// Fails only on text that was not scanned.
pub(super) fn build(text: &str, stream: &StreamBindings) -> Result<Element, ReadError> {
    let mut builder = Builder { stream, bindings: Vec::new(), open: Vec::new(), done: None };
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|_| NOT_SCANNED)? {
            Event::Start(tag) => builder.start(&tag)?,
            Event::Empty(tag) => {
                builder.start(&tag)?;
                builder.end();
            }
            Event::End(_) => builder.end(),
            Event::Text(part) => builder.text(&part.xml10_content()),
            Event::CData(part) => builder.text(&part.xml10_content()),
            Event::GeneralRef(reference) => builder.text(resolve_reference(&reference)?.encode_utf8(&mut [0; 4])),
            Event::Eof => break,
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => return Err(NOT_SCANNED),
        }
    }
    builder.done.ok_or(NOT_SCANNED)
}

const NOT_SCANNED: ReadError = ReadError::NotWellFormed("malformed markup");

struct Builder<'s> {
    stream: &'s StreamBindings,
    /// Prefix, URI, and the depth at which it was declared.
    bindings: Vec<(String, String, usize)>,
    /// The elements that are open, outermost first.
    open: Vec<Element>,
    done: Option<Element>,
}

impl Builder<'_> {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), ReadError> {
        let depth = self.open.len();
        let mut attributes = Vec::new();
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| NOT_SCANNED)?;
            let value = attribute_value(&attribute.value)?.into_owned();
            match split(attribute.key.as_ref()) {
                ("", "xmlns") => self.bindings.push((String::new(), value, depth)),
                ("xmlns", prefix) => self.bindings.push((prefix.to_owned(), value, depth)),
                (prefix, local) => attributes.push((prefix.to_owned(), local.to_owned(), value)),
            }
        }
        let name = tag.name();
        let (prefix, local) = split(name.as_ref());
        let mut element = Element::new(local.to_owned(), content_as_client(self.resolve(prefix)).to_owned());
        for (prefix, local, value) in attributes {
            let namespace = if prefix.is_empty() { "" } else { self.resolve(&prefix) };
            let namespace = Cow::Owned(namespace.to_owned());
            element.push_attribute(Attribute { name: Cow::Owned(local), namespace, value });
        }
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        let depth = self.open.len();
        while self.bindings.last().is_some_and(|(_, _, declared)| *declared >= depth) {
            self.bindings.pop();
        }
        match self.open.last_mut() {
            Some(parent) => parent.push(element),
            None => self.done = Some(element),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(parent) = self.open.last_mut() {
            parent.push_text(text);
        }
    }

    fn resolve(&self, prefix: &str) -> &str {
        if prefix == "xml" {
            return namespace::XML;
        }
        let here = self.bindings.iter().rev().find(|(declared, ..)| declared == prefix);
        here.map(|(_, uri, _)| uri.as_str()).or_else(|| self.stream.resolve(prefix)).unwrap_or_default()
    }
}

fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

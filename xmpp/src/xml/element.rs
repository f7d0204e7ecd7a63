//! Element trees: payloads, features and everything else that is small and looked into.

use std::borrow::Cow;
use std::fmt;

use super::scanner::{Scanner, StreamBindings};
use super::tree::build;
use super::{Limits, ReadError, escape_into};
use crate::namespace;

type Name = Cow<'static, str>;

/// One XML element with its namespace, attributes and children.
///
/// Built by its chaining methods, or parsed by [`Element::parse`]. The content namespace of stanzas is always
/// `jabber:client` here, whatever stream they came by.
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    name: Name,
    namespace: Name,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

/// One attribute; `namespace` is empty for one without a prefix.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Name,
    pub(super) namespace: Name,
    pub(super) value: String,
}

/// What an element holds: elements and text, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data, references resolved.
    Text(String),
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<Name>, namespace: impl Into<Name>) -> Self {
        Self { name: name.into(), namespace: namespace.into(), attributes: Vec::new(), children: Vec::new() }
    }

    /// Parses one complete element; inherited namespaces are none.
    ///
    /// Fails on anything that a stream may not hold, and beyond the default [`Limits`].
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let none = StreamBindings::default();
        match Scanner::default().element(text.as_bytes(), &none, Limits::default())? {
            Some(scanned) if scanned.text.len() == text.len() => build(text, &none),
            _ => Err(ReadError::NotWellFormed("not exactly one element")),
        }
    }

    /// Adds an attribute without a namespace, or replaces its value.
    pub fn attr(mut self, name: impl Into<Name>, value: impl fmt::Display) -> Self {
        self.set_attribute(name, value.to_string());
        self
    }

    /// Adds the attribute if there is a value.
    pub fn attr_opt(self, name: impl Into<Name>, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds a child element.
    pub fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// Adds child elements.
    pub fn with_children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Adds character data, to that before it if there is any; nothing if it is empty.
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.push_text(text.as_ref());
        self
    }

    /// Adds a child element to this one.
    pub fn push(&mut self, child: Element) {
        self.children.push(Node::Element(child));
    }

    /// Sets an attribute without a namespace.
    pub fn set_attribute(&mut self, name: impl Into<Name>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|a| a.name == name && a.namespace.is_empty()) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { name, namespace: Cow::Borrowed(""), value }),
        }
    }

    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace; empty if there is none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this is the element of that name and namespace.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The value of an attribute without a namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == name && a.namespace.is_empty()).map(|a| a.value.as_str())
    }

    /// The attributes without a namespace, as name and value.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().filter(|a| a.namespace.is_empty()).map(|a| (&*a.name, a.value.as_str()))
    }

    /// `xml:lang` (RFC 6120, section 8.1.5).
    pub fn lang(&self) -> Option<&str> {
        self.attributes.iter().find(|a| a.name == "lang" && a.namespace == namespace::XML).map(|a| a.value.as_str())
    }

    /// Sets `xml:lang`.
    pub fn with_lang(mut self, lang: &str) -> Self {
        self.attributes.retain(|a| !(a.name == "lang" && a.namespace == namespace::XML));
        self.attributes.push(Attribute {
            name: Cow::Borrowed("lang"),
            namespace: Cow::Borrowed(namespace::XML),
            value: lang.to_owned(),
        });
        self
    }

    /// The child elements, in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// All children, text included.
    pub fn nodes(&self) -> &[Node] {
        &self.children
    }

    /// The first child of that name and namespace.
    pub fn find(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, namespace))
    }

    /// The first child of that name and namespace, taken out of the tree.
    pub fn take(&mut self, name: &str, namespace: &str) -> Option<Element> {
        let at = self.children.iter().position(|n| matches!(n, Node::Element(e) if e.is(name, namespace)))?;
        match self.children.remove(at) {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        }
    }

    /// The character data directly within this element, joined.
    pub fn content(&self) -> String {
        self.children.iter().fold(String::new(), |mut text, node| {
            if let Node::Text(part) = node {
                text.push_str(part);
            }
            text
        })
    }

    /// Appends the element as XML, where `inherited` is the default namespace in force around it.
    pub fn write(&self, out: &mut String, inherited: &str) {
        let is_xml = self.namespace == namespace::XML;
        let prefix = if is_xml { "xml:" } else { "" };
        out.push('<');
        out.push_str(prefix);
        out.push_str(&self.name);
        if !is_xml && self.namespace != inherited {
            write_attribute(out, "xmlns", &self.namespace);
        }
        self.write_attributes(out);
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        // The prefix `xml` declares nothing: the children inherit from further out.
        self.write_children(out, if is_xml { inherited } else { &self.namespace });
        out.push_str("</");
        out.push_str(prefix);
        out.push_str(&self.name);
        out.push('>');
    }

    /// The element as it goes into a stream: one of the stream namespace gets the prefix `stream`.
    ///
    /// The prefix is not required, but there are peers that know features and errors by no other (RFC 6120,
    /// section 4.8.5).
    pub fn to_stream_xml(&self) -> String {
        let mut out = String::new();
        match &*self.namespace {
            namespace::STREAM => self.write_prefixed(&mut out, "stream", None),
            // XEP-0220, section 2: there are peers that know these elements by their prefix alone.
            namespace::DIALBACK => self.write_prefixed(&mut out, "db", Some(namespace::DIALBACK)),
            _ => self.write(&mut out, namespace::CLIENT),
        }
        out
    }

    /// With this prefix, which is declared here or by the stream header; children are in its content namespace.
    fn write_prefixed(&self, out: &mut String, prefix: &str, declared: Option<&str>) {
        out.push_str(&format!("<{prefix}:{}", self.name));
        if let Some(namespace) = declared {
            write_attribute(out, &format!("xmlns:{prefix}"), namespace);
        }
        self.write_attributes(out);
        out.push('>');
        self.write_children(out, namespace::SERVER);
        out.push_str(&format!("</{prefix}:{}>", self.name));
    }

    pub(crate) fn write_children(&self, out: &mut String, inherited: &str) {
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(out, inherited),
                Node::Text(text) => escape_into(out, text),
            }
        }
    }

    fn write_attributes(&self, out: &mut String) {
        self.write_these_attributes(out, |_| true);
    }

    fn write_these_attributes(&self, out: &mut String, wanted: impl Fn(&Attribute) -> bool) {
        for (at, attribute) in self.attributes.iter().filter(|a| wanted(a)).enumerate() {
            match &*attribute.namespace {
                "" => write_attribute(out, &attribute.name, &attribute.value),
                namespace::XML => write_attribute(out, &format!("xml:{}", attribute.name), &attribute.value),
                other => {
                    write_attribute(out, &format!("xmlns:a{at}"), other);
                    write_attribute(out, &format!("a{at}:{}", attribute.name), &attribute.value);
                }
            }
        }
    }

    pub(super) fn push_attribute(&mut self, attribute: Attribute) {
        self.attributes.push(attribute);
    }

    /// As [`Element::text`]: one tree has one form in XML, so that it reads as it was written.
    pub(super) fn push_text(&mut self, text: &str) {
        match self.children.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(before)) => before.push_str(text),
            _ => self.children.push(Node::Text(text.to_owned())),
        }
    }

    pub(crate) fn remove_attribute(&mut self, name: &str) {
        self.attributes.retain(|a| !(a.name == name && a.namespace.is_empty()));
    }

    pub(crate) fn write_attributes_except_lang(&self, out: &mut String) {
        let is_lang = |a: &Attribute| a.name == "lang" && a.namespace == namespace::XML;
        self.write_these_attributes(out, |attribute| !is_lang(attribute));
    }
}

fn write_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape_into(out, value);
    out.push('\'');
}

impl Drop for Element {
    /// Without recursion: a tree that was built deep must not exhaust the stack when it goes.
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.children);
        while let Some(node) = rest.pop() {
            if let Node::Element(mut element) = node {
                rest.append(&mut element.children);
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out, "");
        f.write_str(&out)
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses an element of a stanza that was read before: its default namespace is that of stanzas.
pub(crate) fn parse_with_content_default(text: &str) -> Result<Element, ReadError> {
    build(text, &StreamBindings::with_default(namespace::CLIENT))
}

/// Inside Convoke the content namespace of every stream is `jabber:client` (RFC 6120, section 4.8.3).
pub(super) fn content_as_client(uri: &str) -> &str {
    if uri == namespace::SERVER { namespace::CLIENT } else { uri }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_parses_back_to_the_same_tree() {
        let element = Element::new("query", "urn:a")
            .attr("node", "x'<&>\n")
            .with_lang("de")
            .child(Element::new("item", "urn:a").text("a < b & c"))
            .child(Element::new("item", "urn:b").child(Element::new("none", "")));
        assert_eq!(Element::parse(&element.to_string()).unwrap(), element);
    }

    #[test]
    fn empty_and_adjoining_character_data_read_as_they_were_written() {
        for text in ["<a><![CDATA[]]></a>", "<a>b<![CDATA[]]></a>", "<a>b<![CDATA[c]]>d</a>", "<a><![CDATA[]]><b/></a>"]
        {
            let element = Element::parse(text).unwrap();
            assert_eq!(Element::parse(&element.to_string()).unwrap(), element, "{text}");
        }
        let built = Element::new("a", "").text("").text("b").text("").text("c");
        assert_eq!(built.nodes(), [Node::Text("bc".to_owned())]);
        assert_eq!(Element::new("a", "").text("").to_string(), "<a/>");
    }

    #[test]
    fn resolves_prefixes_of_elements_and_attributes() {
        let element = Element::parse("<p:a xmlns:p='urn:p' xmlns:q='urn:q' q:x='1' x='2'><p:b/></p:a>").unwrap();
        assert!(element.is("a", "urn:p"));
        assert_eq!(element.attribute("x"), Some("2"));
        assert!(element.find("b", "urn:p").is_some());
        assert_eq!(Element::parse(&element.to_string()).unwrap(), element);
    }

    #[test]
    fn refuses_more_or_less_than_one_element() {
        for text in [
            "",
            "text",
            "<a/><b/>",
            "<a>",
            "<a></b>",
            "x<a/>",
            "<a/>x",
            "<a/> ",
            " <a/>",
            "<a/>&amp;",
            "</a>",
            "<a/></a>",
        ] {
            assert!(Element::parse(text).is_err(), "{text}");
            let stanza = text.replace('a', "message");
            assert!(crate::Stanza::parse(&stanza).is_err(), "{stanza}");
        }
    }

    #[test]
    fn dropping_a_deep_tree_does_not_recurse() {
        let deep = (0..1_000_000).fold(Element::new("a", ""), |inner, _| Element::new("a", "").child(inner));
        std::thread::Builder::new().stack_size(64 * 1024).spawn(move || drop(deep)).unwrap().join().unwrap();
    }

    #[test]
    fn refuses_deep_nesting_and_many_attributes() {
        let nested = |depth: usize| format!("{}{}", "<message>".repeat(depth), "</message>".repeat(depth));
        assert!(Element::parse(&nested(100)).is_ok() && crate::Stanza::parse(&nested(100)).is_ok());
        assert!(Element::parse(&nested(101)).is_err() && crate::Stanza::parse(&nested(101)).is_err());
        let attributes: String = (0..65).map(|n| format!(" a{n}=''")).collect();
        assert!(Element::parse(&format!("<a{attributes}/>")).is_err());
        let declaring = |from: usize, to: usize| -> String {
            (from..to).map(|n| format!("<a xmlns:p{n}='urn:{n}' xmlns:q{n}='urn:q'>")).collect()
        };
        assert!(Element::parse(&format!("{}{}", declaring(0, 64), "</a>".repeat(64))).is_ok());
        assert!(Element::parse(&format!("{}{}", declaring(0, 65), "</a>".repeat(65))).is_err());
    }

    #[test]
    fn refuses_what_quick_xml_lets_through() {
        for text in [
            "<a>\u{1}</a>",
            "<a b='\u{1}'/>",
            "<a>\u{fffe}</a>",
            "<a>&#1;</a>",
            "<a b='&#1;'/>",
            "<a b='<'/>",
            "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>",
            "<a xmlns:p=''/>",
            "<!DOCTYPE a><a/>",
            "<a><?pi?></a>",
            "<a><!-- c --></a>",
            "<1a/>",
            "<a$b/>",
            "<a 1x='1'/>",
            "<a:b:c xmlns:a='u'/>",
            "<a b='1'c='2'/>",
            "<a>]]></a>",
            "<a><?xml version='1.0'?></a>",
            "<p:a/>",
            "<a p:b='1'/>",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a b/>",
            "<a>&nbsp;</a>",
            "<a>&</a>",
            "< a/>",
            "<a></ a>",
            "<a xmlns='u' xmlns='v'/>",
            "<a xmlns:xmlns='u'/>",
            "<a xmlns:xml='u'/>",
            "<></>",
        ] {
            assert!(Element::parse(text).is_err(), "{text:?}");
        }
    }
}

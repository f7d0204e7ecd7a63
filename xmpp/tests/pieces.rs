//! What a document says, in the form in which the two parsers are compared.

use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, namespace};

/// An expanded name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) local: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attribute {
    pub(crate) name: Name,
    pub(crate) value: String,
}

/// A start tag with its attributes sorted, coalesced text, or an end tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Start { name: Name, attributes: Vec<Attribute> },
    Text(String),
    End,
}

impl Name {
    fn new(namespace: &str, local: &str) -> Self {
        Self { namespace: namespace.to_owned(), local: local.to_owned() }
    }

    /// Whether an [`Element`] tells of an attribute of this name: of no namespace, or `xml:lang`.
    fn is_told(&self) -> bool {
        self.namespace.is_empty() || (self.namespace == namespace::XML && self.local == "lang")
    }

    fn with_client_content(self) -> Self {
        if self.namespace == namespace::SERVER {
            Self { namespace: namespace::CLIENT.to_owned(), ..self }
        } else {
            self
        }
    }
}

impl Piece {
    /// The same with `jabber:client` for the content namespace, as Convoke has it inside.
    pub(crate) fn with_client_content(self) -> Self {
        match self {
            Self::Start { name, attributes } => Self::Start { name: name.with_client_content(), attributes },
            other => other,
        }
    }

    /// The same with only those attributes that an [`Element`] tells of.
    pub(crate) fn told(mut self) -> Self {
        if let Self::Start { attributes, .. } = &mut self {
            attributes.retain(|attribute| attribute.name.is_told());
        }
        self
    }
}

/// The pieces of a tree, as far as its accessors tell.
pub(crate) fn pieces_of(element: &Element) -> Vec<Piece> {
    let mut pieces = Vec::new();
    add(&mut pieces, element);
    pieces
}

fn add(pieces: &mut Vec<Piece>, element: &Element) {
    let plain = element.attributes().map(|(local, value)| (Name::new("", local), value));
    let lang = element.lang().map(|value| (Name::new(namespace::XML, "lang"), value));
    let attributes = plain.chain(lang).map(|(name, value)| Attribute { name, value: value.to_owned() });
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort();
    pieces.push(Piece::Start { name: Name::new(element.namespace(), element.name()), attributes });
    for node in element.nodes() {
        match (node, pieces.last_mut()) {
            (Node::Element(child), _) => add(pieces, child),
            (Node::Text(text), Some(Piece::Text(before))) => before.push_str(text),
            (Node::Text(text), _) if text.is_empty() => {}
            (Node::Text(text), _) => pieces.push(Piece::Text(text.clone())),
        }
    }
    pieces.push(Piece::End);
}

/// The pieces of each child of the root; a last one that is not complete is left out.
pub(crate) fn first_level(pieces: &[Piece]) -> Vec<&[Piece]> {
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Start { .. } => {
                depth += 1;
                if depth == 2 {
                    begin = at;
                }
            }
            Piece::End => {
                depth -= 1;
                if depth == 1 {
                    found.push(&pieces[begin..=at]);
                }
            }
            Piece::Text(_) => {}
        }
    }
    found
}

/// How deep the elements nest, the root being one level.
pub(crate) fn depth(pieces: &[Piece]) -> usize {
    let levels = pieces.iter().scan(0_usize, |depth, piece| {
        match piece {
            Piece::Start { .. } => *depth += 1,
            Piece::End => *depth -= 1,
            Piece::Text(_) => {}
        }
        Some(*depth)
    });
    levels.max().unwrap_or(0)
}

//! Where in the bytes of a stanza its header is.

use std::borrow::Cow;

use super::kind::Kind;
use crate::Condition;
use crate::address::{Parts, normal_address};
use crate::namespace;
use crate::xml::scanner::{Name, Namespace, Span, StreamBindings, Value};
use crate::xml::{ReadError, attribute_value, escape_into};

/// A value of the header: a piece of the bytes, within one of their parts, or its own text where they hold references.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Range { start: u32, end: u32 },
    Owned(Box<str>),
    Known(&'static str),
}

impl Text {
    /// Looks at its own few bytes alone: a header is read often, and the stanza may be large.
    pub(super) fn get<'a>(&'a self, [own, shared]: [&'a [u8]; 2]) -> &'a str {
        match self {
            // Both ends were found in valid text, at its quotes or at the ends of a name: this is valid, too.
            Self::Range { start, end } => {
                let (start, end) = (*start as usize, *end as usize);
                let bytes = match start.checked_sub(own.len()) {
                    None => &own[start..end],
                    Some(start) => &shared[start..end - own.len()],
                };
                std::str::from_utf8(bytes).unwrap_or_default()
            }
            Self::Owned(text) => text,
            Self::Known(text) => text,
        }
    }

    pub(super) fn range(span: Span) -> Self {
        Self::Range { start: span.start as u32, end: span.end as u32 }
    }

    pub(super) fn value(value: Value, text: &str) -> Result<Self, ReadError> {
        if value.is_plain {
            return Ok(Self::range(value.span));
        }
        Ok(Self::Owned(attribute_value(value.span.of(text))?.into()))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) text: Text,
    pub(super) parts: Parts,
}

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) fault: Option<Condition>,
    pub(super) to: Option<Address>,
    pub(super) from: Option<Address>,
    pub(super) id: Option<Text>,
    pub(super) lang: Option<Text>,
    /// Name and namespace of the first child element.
    pub(super) payload: Option<(Text, Text)>,
    pub(super) layout: Layout,
}

/// Where in the start tag what is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// The attributes of the header come first, up to here.
    Normal { rest: u32 },
    /// As the sender wrote it; all attributes end here.
    AsSent { attributes_end: u32 },
}

impl Address {
    /// The address where it stands, if it is normal there.
    pub(super) fn in_place(value: Value, text: &str) -> Result<Option<Self>, ReadError> {
        if !value.is_plain {
            return Ok(None);
        }
        let (normal, parts) = normal_address(value.span.of(text)).map_err(ReadError::ImproperAddressing)?;
        Ok(matches!(normal, Cow::Borrowed(_)).then(|| Self { text: Text::range(value.span), parts }))
    }
}

pub(super) fn payload_of(
    child: (Name, Namespace),
    text: &str,
    stream: &StreamBindings,
) -> Result<(Text, Text), ReadError> {
    let (name, uri) = child;
    let uri = match uri {
        // Whatever stream it came by, the content namespace is `jabber:client` here.
        _ if matches!(&*uri.uri(text, stream), namespace::CLIENT | namespace::SERVER) => Text::Known(namespace::CLIENT),
        Namespace::Here(value) => Text::value(value, text)?,
        Namespace::None => Text::Known(""),
        Namespace::Xml => Text::Known(namespace::XML),
        Namespace::Stream(_) => owned(&uri.uri(text, stream)),
    };
    Ok((Text::range(name.local), uri))
}

pub(super) fn owned(text: &str) -> Text {
    Text::Owned(text.into())
}

/// The attributes in the inside of a start tag that the header does not hold, as they came.
pub(super) fn other_attributes(mut rest: &str) -> String {
    let mut others = String::new();
    while let Some((name, behind)) = rest.split_once('=') {
        let quoted = behind.trim_start();
        let Some(quote) = quoted.chars().next() else { break };
        let Some(length) = quoted[1..].find(quote) else { break };
        let (value, behind) = quoted.split_at(length + 2);
        if !matches!(name.trim(), "to" | "from" | "id" | "type" | "xml:lang") {
            others.push(' ');
            others.push_str(name.trim());
            others.push('=');
            others.push_str(value);
        }
        rest = behind;
    }
    others
}

pub(super) fn write_value(out: &mut String, name: &str, value: &str) -> Text {
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

//! Stream headers, features, stream errors and SASL failures (RFC 6120, sections 4 and 6).

mod condition;
mod error;
mod features;

use std::fmt;

use crate::namespace;
use crate::xml::scanner::StreamBindings;
use crate::xml::{ReadError, escape_into};
use crate::{Domainpart, Jid};

pub use condition::{SaslFailure, StreamCondition};
pub use error::{OtherHost, StreamError};
pub use features::Features;

/// The content namespace that a stream header declares (RFC 6120, section 4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// `jabber:server`.
    Server,
    /// `jabber:client`.
    Client,
    /// The default namespace is that of the stream: every element declares its own (RFC 6120, section 4.8.3).
    Undeclared,
    /// A namespace that no stream of ours has.
    Unknown,
}

/// The version of a stream (RFC 6120, section 4.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The number before the dot.
    pub major: u16,
    /// The number behind the dot.
    pub minor: u16,
}

impl Version {
    /// The version of RFC 6120.
    pub const XMPP_1_0: Self = Self { major: 1, minor: 0 };

    /// Reads `1.0`; numbers are compared as numbers, so `01.0` is the same.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The start tag of a stream (RFC 6120, section 4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHeader {
    /// Whom it is for.
    pub to: Option<Jid>,
    /// Whom it is from.
    pub from: Option<Jid>,
    /// The identifier that the receiving entity chose.
    pub id: Option<String>,
    /// The version; `None` means 0.9 (RFC 6120, section 4.7.5).
    pub version: Option<Version>,
    /// The default language of the stream's texts.
    pub lang: Option<String>,
    /// Whether the namespace of server dialback is declared, as `db`: the sender can do that (XEP-0220, section 2.4.1).
    pub dialback: bool,
    /// The content namespace.
    pub content: Content,
}

impl StreamHeader {
    /// The header that a server sends to a server: version 1.0, English, no id.
    pub fn server(from: Option<&Domainpart>, to: Option<&Domainpart>) -> Self {
        Self {
            to: to.cloned().map(Jid::from),
            from: from.cloned().map(Jid::from),
            id: None,
            version: Some(Version::XMPP_1_0),
            lang: Some("en".to_owned()),
            dialback: false,
            content: Content::Server,
        }
    }

    /// The same header with the identifier that a receiving entity gives (RFC 6120, section 4.7.3).
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same header with the namespace of server dialback declared, or not.
    pub fn with_dialback(mut self, dialback: bool) -> Self {
        self.dialback = dialback;
        self
    }

    /// The XML declaration and the start tag as they go to the wire.
    pub fn write(&self) -> String {
        let content = if self.content == Content::Client { namespace::CLIENT } else { namespace::SERVER };
        let mut out =
            format!("<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='{}'", namespace::STREAM);
        if self.dialback {
            out.push_str(&format!(" xmlns:db='{}'", namespace::DIALBACK));
        }
        let version = self.version.map(|version| version.to_string());
        for (name, value) in [
            ("from", self.from.as_ref().map(Jid::as_str)),
            ("to", self.to.as_ref().map(Jid::as_str)),
            ("id", self.id.as_deref()),
            ("version", version.as_deref()),
            ("xml:lang", self.lang.as_deref()),
        ] {
            if let Some(value) = value {
                out.push_str(&format!(" {name}='"));
                escape_into(&mut out, value);
                out.push('\'');
            }
        }
        out.push('>');
        out
    }

    pub(crate) fn from_root(
        root: &str,
        bindings: &StreamBindings,
        attributes: &[(String, String)],
    ) -> Result<Self, ReadError> {
        if root != namespace::STREAM {
            return Err(ReadError::InvalidNamespace);
        }
        let get = |name: &str| attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let address = |name| {
            let text = get(name).filter(|text| !text.is_empty());
            text.map(Jid::new).transpose().map_err(ReadError::ImproperAddressing)
        };
        Ok(Self {
            to: address("to")?,
            from: address("from")?,
            id: get("id").map(str::to_owned),
            version: get("version").and_then(Version::parse),
            lang: get("xml:lang").map(str::to_owned),
            dialback: bindings.resolve("db") == Some(namespace::DIALBACK),
            content: match bindings.default_namespace() {
                namespace::SERVER => Content::Server,
                namespace::CLIENT => Content::Client,
                namespace::STREAM | "" => Content::Undeclared,
                _ => Content::Unknown,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, StreamEvent, StreamReader};

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let (a, b) = (Domainpart::new("a.example").unwrap(), Domainpart::new("bücher.example").unwrap());
        let header = StreamHeader::server(Some(&a), Some(&b)).with_id("x'<&");
        let mut reader = StreamReader::new(Limits::default());
        reader.push(header.write().as_bytes());
        assert_eq!(reader.poll().unwrap(), Some(StreamEvent::Open(header)));
    }

    #[test]
    fn compares_versions_as_numbers() {
        assert_eq!(Version::parse("01.0"), Some(Version::XMPP_1_0));
        assert!(Version::parse("1.10").unwrap() > Version::parse("1.9").unwrap());
        for bad in ["", "1", "1.", ".1", "1.x", "+1.0", "1.0.0"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }
}

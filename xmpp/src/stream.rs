//! Stream headers, features, stream errors and SASL failures (RFC 6120, sections 4 and 6).

use std::fmt;

use thiserror::Error;

use crate::namespace;
use crate::xml::{Element, ReadError, escape_into};
use crate::{Domainpart, Jid};

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
            content: Content::Server,
        }
    }

    /// The same header with the identifier that a receiving entity gives (RFC 6120, section 4.7.3).
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The XML declaration and the start tag as they go to the wire.
    pub fn write(&self) -> String {
        let content = if self.content == Content::Client { namespace::CLIENT } else { namespace::SERVER };
        let mut out =
            format!("<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='{}'", namespace::STREAM);
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

    pub(crate) fn from_root(root: &str, default: &str, attributes: &[(String, String)]) -> Result<Self, ReadError> {
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
            content: match default {
                namespace::SERVER => Content::Server,
                namespace::CLIENT => Content::Client,
                namespace::STREAM | "" => Content::Undeclared,
                _ => Content::Unknown,
            },
        })
    }
}

macro_rules! named_conditions {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of the standard.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the element.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|condition| condition.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named_conditions! {
    /// The defined stream error conditions, in the order of RFC 6120, section 4.9.3.
    StreamCondition {
        /// Bad XML that is well-formed.
        BadFormat = "bad-format",
        /// A prefix that cannot be used or is not declared.
        BadNamespacePrefix = "bad-namespace-prefix",
        /// A new stream conflicts with this one.
        Conflict = "conflict",
        /// The peer did not answer in time.
        ConnectionTimeout = "connection-timeout",
        /// The domain in `to` is no longer served here.
        HostGone = "host-gone",
        /// The domain in `to` is not served here.
        HostUnknown = "host-unknown",
        /// `to` or `from` of a stanza is missing or malformed.
        ImproperAddressing = "improper-addressing",
        /// The server failed.
        InternalServerError = "internal-server-error",
        /// `from` is not the domain that was authenticated.
        InvalidFrom = "invalid-from",
        /// The stream namespace or the content namespace is wrong.
        InvalidNamespace = "invalid-namespace",
        /// XML that does not follow its schema.
        InvalidXml = "invalid-xml",
        /// Something was sent before authentication that needs it.
        NotAuthorized = "not-authorized",
        /// Not well-formed XML.
        NotWellFormed = "not-well-formed",
        /// A policy is violated.
        PolicyViolation = "policy-violation",
        /// The server could not connect to another one that it needs.
        RemoteConnectionFailed = "remote-connection-failed",
        /// Features have changed: negotiate anew.
        Reset = "reset",
        /// There is not enough of something.
        ResourceConstraint = "resource-constraint",
        /// XML that streams may not hold.
        RestrictedXml = "restricted-xml",
        /// Connect to another host.
        SeeOtherHost = "see-other-host",
        /// The server is being shut down.
        SystemShutdown = "system-shutdown",
        /// None of the others.
        UndefinedCondition = "undefined-condition",
        /// An encoding other than UTF-8.
        UnsupportedEncoding = "unsupported-encoding",
        /// A mandatory feature that this entity does not know.
        UnsupportedFeature = "unsupported-feature",
        /// A first-level element that this entity does not know.
        UnsupportedStanzaType = "unsupported-stanza-type",
        /// A version that this entity does not speak.
        UnsupportedVersion = "unsupported-version",
    }
}

named_conditions! {
    /// The SASL failures, in the order of RFC 6120, section 6.5.
    SaslFailure {
        /// The exchange was aborted.
        Aborted = "aborted",
        /// The account is disabled.
        AccountDisabled = "account-disabled",
        /// The credentials have expired.
        CredentialsExpired = "credentials-expired",
        /// The mechanism needs TLS first.
        EncryptionRequired = "encryption-required",
        /// The data is not base64 as it must be.
        IncorrectEncoding = "incorrect-encoding",
        /// The peer may not act for that identity.
        InvalidAuthzid = "invalid-authzid",
        /// The mechanism was not offered.
        InvalidMechanism = "invalid-mechanism",
        /// The request is malformed.
        MalformedRequest = "malformed-request",
        /// The mechanism is too weak for this peer.
        MechanismTooWeak = "mechanism-too-weak",
        /// The credentials do not prove the identity.
        NotAuthorized = "not-authorized",
        /// A temporary failure.
        TemporaryAuthFailure = "temporary-auth-failure",
    }
}

/// A stream error (RFC 6120, section 4.9): fatal for the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("stream error {condition}{}", text.as_ref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StreamError {
    /// What is wrong.
    pub condition: StreamCondition,
    /// A description for people; never parsed.
    pub text: Option<String>,
    /// The application-specific condition, if any.
    pub application: Option<Box<Element>>,
}

impl StreamError {
    /// An error without a text.
    pub fn new(condition: StreamCondition) -> Self {
        Self { condition, text: None, application: None }
    }

    /// With a description for people.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The `stream:error` element.
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", namespace::STREAM)
            .child(Element::new(self.condition.as_str(), namespace::STREAM_ERRORS));
        if let Some(text) = &self.text {
            error.push(Element::new("text", namespace::STREAM_ERRORS).with_lang("en").text(text.clone()));
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }

    /// Reads a `stream:error`; an unknown condition is undefined (RFC 6120, section 4.9.2). `None` for other elements.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is("error", namespace::STREAM) {
            return None;
        }
        let standard = |e: &&Element| e.namespace() == namespace::STREAM_ERRORS;
        Some(Self {
            condition: element
                .children()
                .filter(standard)
                .find_map(|e| StreamCondition::parse(e.name()))
                .unwrap_or(StreamCondition::UndefinedCondition),
            text: element.find("text", namespace::STREAM_ERRORS).map(Element::content),
            application: element.children().find(|e| !standard(e)).map(|e| Box::new(e.clone())),
        })
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        Self::new(error.condition()).with_text(error.to_string())
    }
}

/// Stream features (RFC 6120, section 4.3.2), as far as a negotiation reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// STARTTLS is offered.
    pub starttls: bool,
    /// The SASL mechanisms that are offered, in order.
    pub mechanisms: Vec<String>,
    /// The largest element that the peer accepts, in bytes (XEP-0478).
    pub max_bytes: Option<u64>,
    /// The stream may carry stanzas in both directions, if that is asked for (XEP-0288).
    pub bidi: bool,
    /// Stanzas may be acknowledged (XEP-0198).
    pub stream_management: bool,
    /// Names and namespaces of features not known here that are marked as required.
    pub unknown_required: Vec<(String, String)>,
}

impl Features {
    /// Reads `stream:features`; `None` for other elements.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is("features", namespace::STREAM) {
            return None;
        }
        let mut features = Self::default();
        for feature in element.children() {
            features.read(feature);
        }
        Some(features)
    }

    fn read(&mut self, feature: &Element) {
        match (feature.name(), feature.namespace()) {
            ("starttls", namespace::TLS) => self.starttls = true,
            ("mechanisms", namespace::SASL) => {
                let names = feature.children().filter(|e| e.is("mechanism", namespace::SASL));
                self.mechanisms.extend(names.map(Element::content));
            }
            ("limits", namespace::STREAM_LIMITS) => {
                let bytes = feature.find("max-bytes", namespace::STREAM_LIMITS);
                self.max_bytes = bytes.and_then(|e| e.content().trim().parse().ok());
            }
            ("bidi", namespace::BIDI_FEATURE) => self.bidi = true,
            ("sm", namespace::STREAM_MANAGEMENT) => self.stream_management = true,
            (name, uri) if feature.children().any(|child| child.name() == "required") => {
                self.unknown_required.push((name.to_owned(), uri.to_owned()));
            }
            _ => {}
        }
    }

    /// An empty `stream:features`.
    pub fn element() -> Element {
        Element::new("features", namespace::STREAM)
    }

    /// The STARTTLS feature, marked as required (RFC 6120, section 5.4.1).
    pub fn starttls_required() -> Element {
        Element::new("starttls", namespace::TLS).child(Element::new("required", namespace::TLS))
    }

    /// The SASL feature (RFC 6120, section 6.4.1).
    pub fn sasl(mechanisms: &[&str]) -> Element {
        let names = mechanisms.iter().map(|name| Element::new("mechanism", namespace::SASL).text(*name));
        Element::new("mechanisms", namespace::SASL).with_children(names)
    }

    /// The feature of bidirectional streams (XEP-0288, section 2.1).
    pub fn bidi() -> Element {
        Element::new("bidi", namespace::BIDI_FEATURE)
    }

    /// The feature of stream management (XEP-0198, section 2).
    pub fn stream_management() -> Element {
        Element::new("sm", namespace::STREAM_MANAGEMENT)
    }

    /// The limits feature (XEP-0478, section 3).
    pub fn limits(max_bytes: usize) -> Element {
        Element::new("limits", namespace::STREAM_LIMITS)
            .child(Element::new("max-bytes", namespace::STREAM_LIMITS).text(max_bytes.to_string()))
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

    #[test]
    fn every_stream_error_survives_the_wire() {
        for &condition in StreamCondition::ALL {
            let error = StreamError::new(condition).with_text("why");
            let text = error.to_element().to_string();
            assert_eq!(StreamError::from_element(&Element::parse(&text).unwrap()), Some(error));
        }
    }

    #[test]
    fn tells_unknown_required_features_from_voluntary_ones() {
        let element = Features::element()
            .child(Features::starttls_required())
            .child(Features::sasl(&["EXTERNAL"]))
            .child(Features::limits(10_000))
            .child(Element::new("c", "urn:c"))
            .child(Element::new("x", "urn:x").child(Element::new("required", "urn:x")));
        let features = Features::from_element(&element).unwrap();
        assert!(features.starttls);
        assert_eq!(features.mechanisms, ["EXTERNAL"]);
        assert_eq!(features.max_bytes, Some(10_000));
        assert_eq!(features.unknown_required, [("x".to_owned(), "urn:x".to_owned())]);
    }
}

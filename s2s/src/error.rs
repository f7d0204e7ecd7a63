//! Why a negotiation fails, and what the peer is told.

use std::fmt;

use convoke_xmpp::negotiation::{Failure, TlsFailure};
use convoke_xmpp::stream::{OtherHost, SaslFailure, StreamCondition, StreamError, Version};
use convoke_xmpp::{Condition, Domainpart, Jid, ReadError};
use thiserror::Error;

use crate::identity::IdentityError;

/// How far a dial or a negotiation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// DNS.
    Resolution,
    /// The TCP connection.
    Connection,
    /// The first stream header and its features, in the clear.
    Opening,
    /// `<starttls/>` and its answer.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// The stream header and features within TLS.
    Secured,
    /// SASL.
    Authentication,
    /// The stream header and features after SASL.
    Authenticated,
    /// Stanzas may flow.
    Established,
}

impl Stage {
    /// The stage as a word of lower-case letters and hyphens, for reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolution => "resolution",
            Self::Connection => "connection",
            Self::Opening => "opening",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::Secured => "secured",
            Self::Authentication => "authentication",
            Self::Authenticated => "authenticated",
            Self::Established => "established",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Stage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a negotiation failed, in either role.
///
/// [`Failure::stream_error`] names what the peer is told. Where it gives `None`, the stream has been closed by an output
/// already, or there is no stream that could carry an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NegotiationFailure {
    /// The whole negotiation took longer than its deadline.
    #[error("the peer did not answer in time (stage {stage})")]
    TimedOut {
        /// How far it had come.
        stage: Stage,
    },
    /// The peer closed the connection without closing the stream.
    #[error("the peer closed the connection (stage {stage})")]
    Disconnected {
        /// How far it had come.
        stage: Stage,
    },
    /// The peer closed the stream and gave no reason.
    #[error("the peer closed the stream without a reason (stage {stage})")]
    PeerClosed {
        /// How far it had come.
        stage: Stage,
    },
    /// The peer reported a stream error.
    #[error("the peer reported: {error} (stage {stage})")]
    StreamError {
        /// How far it had come.
        stage: Stage,
        /// What the peer reported.
        #[source]
        error: StreamError,
    },
    /// The peer sent something that is no acceptable XML stream.
    #[error("the peer's stream is unacceptable: {0}")]
    Malformed(#[from] ReadError),
    /// The content namespace of the peer's stream is not `jabber:server` (RFC 6120, section 4.8.2).
    #[error("the content namespace of the peer's stream is not jabber:server")]
    ContentNamespace,
    /// The peer does not speak XMPP 1.0 (RFC 6120, section 4.7.5).
    #[error("the peer speaks XMPP {}, not 1.0", version.unwrap_or(Version { major: 0, minor: 9 }))]
    UnsupportedVersion {
        /// The version that it named; `None` if it named none that can be read.
        version: Option<Version>,
    },
    /// The peer asked for a domain that is not served here (RFC 6120, section 4.9.3.6).
    #[error("the peer asked for {}, which is not served here", to.as_ref().map_or("no domain", Jid::as_str))]
    HostUnknown {
        /// What it asked for.
        to: Option<Jid>,
    },
    /// The peer is none of the domains that this side federates with.
    #[error("this server does not federate with {domain}")]
    NotFederated {
        /// Who it says that it is.
        domain: Domainpart,
    },
    /// The peer did not say, within TLS, which domain it is (RFC 6120, section 4.7.1).
    #[error("the peer called itself {}, which is no domain", from.as_ref().map_or("nothing", Jid::as_str))]
    ImproperFrom {
        /// What it called itself.
        from: Option<Jid>,
    },
    /// The peer called itself something else than what it is.
    #[error("the peer called itself {from} instead of {expected}")]
    InvalidFrom {
        /// What it called itself.
        from: Jid,
        /// What it is, as far as that was known.
        expected: Domainpart,
    },
    /// The peer sent a stanza before the negotiation was complete (RFC 6120, section 4.3.5).
    #[error("the peer sent a stanza before the negotiation was complete (stage {stage})")]
    EarlyStanza {
        /// How far it had come.
        stage: Stage,
    },
    /// The peer sent something that has no place here.
    #[error("the peer sent {found} where it has no place (stage {stage})")]
    Unexpected {
        /// How far it had come.
        stage: Stage,
        /// The name of what it sent.
        found: Unexpected,
    },
    /// The peer does not offer STARTTLS and would not begin it either (RFC 7590, section 3.1).
    #[error("the peer does not offer STARTTLS")]
    TlsNotOffered,
    /// The peer refused `<starttls/>`, or asked for it where it was not offered and was refused
    /// (RFC 6120, section 5.4.2.2).
    #[error("STARTTLS was refused")]
    TlsRefused,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {}", .0.reason)]
    TlsFailed(TlsFailure),
    /// The peer's certificate does not prove that it is the domain in question.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The peer offers no SASL mechanism that can be used here.
    #[error("the peer does not offer SASL EXTERNAL but {offered:?}")]
    MechanismsLacking {
        /// What it offers, the first few.
        offered: Vec<String>,
    },
    /// The peer demands a stream feature that is not known here (RFC 6120, section 4.9.3.23).
    #[error("the peer demands the unknown feature {name} ({namespace})")]
    UnsupportedFeature {
        /// The element's name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// SASL failed: as initiating entity, by the peer's verdict; as receiving entity, by ours.
    #[error("SASL EXTERNAL failed: {failure}{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Sasl {
        /// How.
        failure: SaslFailure,
        /// The peer's description for people, its beginning, escaped; never parsed. `None` if it gave none, or the verdict
        /// was ours.
        text: Option<String>,
    },
    /// The peer tried to authenticate too often (RFC 6120, section 6.4.5).
    #[error("the peer failed to authenticate {attempts} times, last by {last}")]
    TooManyAttempts {
        /// How often.
        attempts: u8,
        /// How the last attempt failed.
        last: SaslFailure,
    },
    /// Server dialback did not prove the domain (XEP-0220).
    #[error("dialback failed: {}", condition.map_or("the key is not valid", Condition::as_str))]
    Dialback {
        /// Why there is no verdict; `None` if the verdict is that the key is not valid.
        condition: Option<Condition>,
    },
    /// The operating system gave no random numbers for a stream identifier.
    #[error("no random numbers for a stream identifier")]
    NoRandomness,
    /// The SASL engine could not make its message.
    #[error("the SASL engine failed")]
    SaslEngine,
}

/// Something that the peer sent at the wrong time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexpected {
    /// A first-level element.
    Element {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A stream header.
    StreamHeader,
    /// A TLS handshake that nobody asked for: the driver's fault, not the peer's.
    TlsHandshake,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { name, namespace } => write!(f, "the element {name} ({namespace})"),
            Self::StreamHeader => f.write_str("a stream header"),
            Self::TlsHandshake => f.write_str("a TLS handshake"),
        }
    }
}

impl NegotiationFailure {
    /// The condition that tells the peer; the one place where failures become wire conditions.
    fn condition(&self) -> Option<StreamCondition> {
        use StreamCondition as Wire;
        match self {
            // Within the TLS handshake there is no stream; a closed one takes no error.
            Self::TimedOut { stage: Stage::Tls } => None,
            Self::TimedOut { .. } => Some(Wire::ConnectionTimeout),
            Self::Disconnected { .. } | Self::PeerClosed { .. } | Self::StreamError { .. } => None,
            Self::Malformed(error) => Some(error.condition()),
            Self::ContentNamespace => Some(Wire::InvalidNamespace),
            Self::UnsupportedVersion { .. } => Some(Wire::UnsupportedVersion),
            Self::HostUnknown { .. } => Some(Wire::HostUnknown),
            Self::NotFederated { .. } => Some(Wire::PolicyViolation),
            Self::ImproperFrom { .. } => Some(Wire::ImproperAddressing),
            Self::InvalidFrom { .. } => Some(Wire::InvalidFrom),
            Self::EarlyStanza { .. } => Some(Wire::NotAuthorized),
            Self::Unexpected { found: Unexpected::Element { .. }, .. } => Some(Wire::NotAuthorized),
            Self::Unexpected { found: Unexpected::StreamHeader, .. } => Some(Wire::BadFormat),
            Self::Unexpected { found: Unexpected::TlsHandshake, .. } => Some(Wire::InternalServerError),
            Self::TlsNotOffered | Self::TlsRefused | Self::TlsFailed(_) => None,
            Self::Sasl { .. } | Self::Dialback { .. } => None,
            // RFC 6120, section 6.4.5: nothing to offer, and no weaker way is allowed.
            Self::Identity(_) => Some(Wire::PolicyViolation),
            Self::MechanismsLacking { offered } if offered.is_empty() => Some(Wire::PolicyViolation),
            // SASL is mandatory (section 6.3.1), and what was offered of it is not supported here.
            Self::MechanismsLacking { .. } => Some(Wire::UnsupportedFeature),
            Self::UnsupportedFeature { .. } => Some(Wire::UnsupportedFeature),
            Self::TooManyAttempts { .. } => Some(Wire::PolicyViolation),
            Self::NoRandomness | Self::SaslEngine => Some(Wire::InternalServerError),
        }
    }
}

impl NegotiationFailure {
    /// Where the peer sends us instead (RFC 6120, section 4.9.3.19); `None` for every other failure, and where it was said
    /// in the clear: anybody could have.
    ///
    /// Who goes there asks for the same domain, and judges the certificate by the same one.
    pub fn other_host(&self) -> Option<&OtherHost> {
        match self {
            Self::StreamError { stage, error } if *stage > Stage::Tls => error.other_host.as_ref(),
            _ => None,
        }
    }
}

impl Failure for NegotiationFailure {
    fn stream_error(&self) -> Option<StreamError> {
        self.condition().map(|condition| StreamError::new(condition).with_text(self.to_string()))
    }
}

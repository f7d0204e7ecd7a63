//! One word for each kind of fault.

use std::fmt;
use std::io;

use convoke_net::NegotiationError;
use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use super::fault::Cause;
use crate::dane::DaneError;
use crate::error::NegotiationFailure;
use crate::resolver::ResolveError;

/// What kind of fault it was, as a word that stays the same: in logs, in reports, and as the application-specific
/// condition of bounced stanzas, where it names an element of the namespace
/// [`CONVOKE_ERRORS`](convoke_xmpp::namespace::CONVOKE_ERRORS).
///
/// [`Display`](fmt::Display) writes the word, of lower-case letters, digits and hyphens, such as `tcp-refused` or
/// `certificate-expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultCode {
    /// `dns-no-service`: the domain says that it has no server (RFC 2782, target `.`).
    DnsNoService,
    /// `dns-no-address`: the domain, or the host that its records name, has no address.
    DnsNoAddress,
    /// `dns-timeout`: no nameserver answered in time.
    DnsTimeout,
    /// `dns-failed`: the nameserver answered with an error.
    DnsFailed,
    /// `tcp-refused`: nobody listens there.
    TcpRefused,
    /// `tcp-unreachable`: no way leads to the address.
    TcpUnreachable,
    /// `tcp-timeout`: the address does not answer.
    TcpTimeout,
    /// `tcp-failed`: the operating system made no connection for another reason.
    TcpFailed,
    /// `tls-not-offered`: the peer has no STARTTLS.
    TlsNotOffered,
    /// `tls-refused`: the peer offered STARTTLS and refused it.
    TlsRefused,
    /// `tls-injection`: somebody sent bytes ahead of the handshake, to have them taken for encrypted ones.
    TlsInjection,
    /// `tls-alert`: the peer ended TLS with an alert; many refuse a certificate so.
    TlsAlert,
    /// `tls-handshake`: the handshake failed on this side, or the peer broke it off.
    TlsHandshake,
    /// `tls-impossible`: this side has no certificate for its domain, or cannot name the other's in TLS.
    TlsImpossible,
    /// `certificate-*`: the certificate does not prove the domain; the rest is
    /// [`IdentityError::as_str`](crate::IdentityError::as_str).
    Certificate(&'static str),
    /// `stream-*`: the peer ended the stream with this error (RFC 6120, section 4.9.3).
    Stream(StreamCondition),
    /// `stream-closed`: the peer closed the stream without an error.
    StreamClosed,
    /// `sasl-*`: the peer refused to authenticate this side (RFC 6120, section 6.5).
    Sasl(SaslFailure),
    /// `sasl-no-external`: the peer does not offer SASL EXTERNAL; many refuse a certificate so.
    SaslNoExternal,
    /// `dialback-refused`: the server says that the key of dialback is not valid.
    DialbackRefused,
    /// `dialback-failed`: the server says that it cannot tell.
    DialbackFailed,
    /// `peer-malformed`: what the peer sent is no acceptable XML stream.
    PeerMalformed,
    /// `peer-namespace`: the peer speaks another protocol than that of servers.
    PeerNamespace,
    /// `peer-version`: the peer does not speak XMPP 1.0.
    PeerVersion,
    /// `peer-name`: the peer calls itself something else.
    PeerName,
    /// `peer-out-of-turn`: the peer sent something that had no place yet.
    PeerOutOfTurn,
    /// `peer-demands-feature`: the peer demands a stream feature that is not known here.
    PeerDemandsFeature,
    /// `not-federated`: this server's own policy excludes the domain.
    NotFederated,
    /// `disconnected`: the peer broke the connection off.
    Disconnected,
    /// `silence`: the peer did not answer in time.
    Silence,
    /// `internal`: this side failed.
    Internal,
}

impl FaultCode {
    /// Whether DNS led nowhere, so that no connection could even be tried.
    pub fn is_dns(self) -> bool {
        matches!(self, Self::DnsNoService | Self::DnsNoAddress | Self::DnsTimeout | Self::DnsFailed)
    }

    /// What an operator can do about it, in one sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::DnsNoService => "The domain says that it has no XMPP server; ask its operator whether that is meant.",
            Self::DnsNoAddress => "Check the spelling of the domain, and that its SRV targets have A or AAAA records.",
            Self::DnsTimeout => "No nameserver answered: check the nameservers of this server and the way to them.",
            Self::DnsFailed => "The nameserver reported an error: check the domain's delegation and its DNSSEC.",
            Self::TcpRefused => "Nobody listens there: check that the server runs, and the ports in its SRV records.",
            Self::TcpUnreachable => "No route leads there: check this server's network, above all for IPv6.",
            Self::TcpTimeout => "Nothing answers there: check the firewalls between both servers.",
            Self::TcpFailed => "The operating system made no connection: read the text and check this machine.",
            Self::TlsNotOffered | Self::TlsRefused => "The other server has to offer STARTTLS: check its certificate.",
            Self::TlsInjection => "Somebody between the servers meddles with the connection: check the network.",
            Self::TlsAlert => "The other server refused TLS, often because of this side's certificate: see its log.",
            Self::TlsHandshake => {
                "TLS failed: check that both servers have TLS 1.2 or 1.3, and the kind of the record."
            }
            Self::TlsImpossible => "This server has no certificate for the domain that it dials as: configure one.",
            Self::Certificate(fault) => certificate_remedy(fault),
            Self::Stream(condition) => stream_remedy(condition),
            Self::Sasl(_) | Self::SaslNoExternal => {
                "The other server does not accept this side's certificate: check its names, chain and expiry."
            }
            Self::DialbackRefused | Self::DialbackFailed => {
                "The other server could not verify this one: check that DNS leads from there to here, and its log."
            }
            Self::NotFederated => "The policy of this server excludes the domain: see its lists.",
            Self::Internal => "This server failed: see its log and report it.",
            Self::StreamClosed | Self::Disconnected | Self::Silence => {
                "The other server gave no reason: see its log, and check what stands between both."
            }
            Self::PeerMalformed
            | Self::PeerNamespace
            | Self::PeerVersion
            | Self::PeerName
            | Self::PeerOutOfTurn
            | Self::PeerDemandsFeature => "No proper XMPP server answers there: check the host and the port.",
        }
    }

    fn family(self) -> (&'static str, &'static str) {
        match self {
            Self::Certificate(fault) => ("certificate-", fault),
            Self::Stream(condition) => ("stream-", condition.as_str()),
            Self::Sasl(failure) => ("sasl-", failure.as_str()),
            Self::DnsNoService => ("dns-", "no-service"),
            Self::DnsNoAddress => ("dns-", "no-address"),
            Self::DnsTimeout => ("dns-", "timeout"),
            Self::DnsFailed => ("dns-", "failed"),
            Self::TcpRefused => ("tcp-", "refused"),
            Self::TcpUnreachable => ("tcp-", "unreachable"),
            Self::TcpTimeout => ("tcp-", "timeout"),
            Self::TcpFailed => ("tcp-", "failed"),
            Self::TlsNotOffered => ("tls-", "not-offered"),
            Self::TlsRefused => ("tls-", "refused"),
            Self::TlsInjection => ("tls-", "injection"),
            Self::TlsAlert => ("tls-", "alert"),
            Self::TlsHandshake => ("tls-", "handshake"),
            Self::TlsImpossible => ("tls-", "impossible"),
            Self::StreamClosed => ("stream-", "closed"),
            Self::SaslNoExternal => ("sasl-", "no-external"),
            Self::DialbackRefused => ("dialback-", "refused"),
            Self::DialbackFailed => ("dialback-", "failed"),
            Self::PeerMalformed => ("peer-", "malformed"),
            Self::PeerNamespace => ("peer-", "namespace"),
            Self::PeerVersion => ("peer-", "version"),
            Self::PeerName => ("peer-", "name"),
            Self::PeerOutOfTurn => ("peer-", "out-of-turn"),
            Self::PeerDemandsFeature => ("peer-", "demands-feature"),
            Self::NotFederated => ("", "not-federated"),
            Self::Disconnected => ("", "disconnected"),
            Self::Silence => ("", "silence"),
            Self::Internal => ("", "internal"),
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, rest) = self.family();
        f.write_str(family)?;
        f.write_str(rest)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for FaultCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn certificate_remedy(fault: &str) -> &'static str {
    match fault {
        "expired" => "The other server's certificate has expired: its operator has to renew it.",
        "not-yet-valid" => "The other server's certificate is not valid yet: check the clocks of both servers.",
        "unknown-issuer" => {
            "The other server's certificate is of an authority that is not trusted here: trust it, or not."
        }
        "wrong-name" => {
            "The other server's certificate names other domains: its operator has to get one for this domain."
        }
        "no-certificate" => "The other server showed no certificate: its operator has to configure one.",
        _ => "The other server's certificate proves nothing: read the text, and tell its operator.",
    }
}

fn stream_remedy(condition: StreamCondition) -> &'static str {
    match condition {
        StreamCondition::HostUnknown | StreamCondition::HostGone => {
            "The server that DNS names does not serve the domain: its operator has to mend the SRV records or the server."
        }
        StreamCondition::SystemShutdown | StreamCondition::ResourceConstraint | StreamCondition::Reset => {
            "The other server is busy or going down: try again later."
        }
        StreamCondition::PolicyViolation | StreamCondition::NotAuthorized => {
            "The other server refuses this one, by its policy or because of the certificate: read the text, ask its operator."
        }
        StreamCondition::SeeOtherHost => "The other server sends on and on to others: its operator has to mend that.",
        _ => "The other server ended the stream: read its text and its log.",
    }
}

impl From<&Cause> for FaultCode {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Resolve(error) => error.into(),
            Cause::Dane(DaneError::TimedOut { .. }) => Self::DnsTimeout,
            Cause::Dane(_) => Self::DnsFailed,
            Cause::Connect(error) => of_tcp(error),
            Cause::Negotiation(error) => of_negotiation(error),
        }
    }
}

impl From<&ResolveError> for FaultCode {
    fn from(error: &ResolveError) -> Self {
        match error {
            ResolveError::NoService { .. } => Self::DnsNoService,
            ResolveError::NoAddress { .. } => Self::DnsNoAddress,
            ResolveError::TimedOut { .. } => Self::DnsTimeout,
            ResolveError::Lookup { .. } => Self::DnsFailed,
        }
    }
}

fn of_tcp(error: &io::Error) -> FaultCode {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FaultCode::TcpRefused,
        io::ErrorKind::TimedOut => FaultCode::TcpTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => FaultCode::TcpUnreachable,
        _ => FaultCode::TcpFailed,
    }
}

fn of_negotiation(error: &NegotiationError<NegotiationFailure>) -> FaultCode {
    match error {
        NegotiationError::Refused(failure) => of_failure(failure),
        NegotiationError::Closed(_) => FaultCode::StreamClosed,
        NegotiationError::Injection { .. } => FaultCode::TlsInjection,
        NegotiationError::Tls(_) => FaultCode::TlsImpossible,
        NegotiationError::Disconnected => FaultCode::Disconnected,
        NegotiationError::Timeout => FaultCode::Silence,
        _ => FaultCode::Internal,
    }
}

fn of_failure(failure: &NegotiationFailure) -> FaultCode {
    use NegotiationFailure as Failure;
    match failure {
        Failure::TimedOut { .. } => FaultCode::Silence,
        Failure::Disconnected { .. } => FaultCode::Disconnected,
        Failure::PeerClosed { .. } => FaultCode::StreamClosed,
        Failure::StreamError { error, .. } => FaultCode::Stream(error.condition),
        Failure::Malformed(_) => FaultCode::PeerMalformed,
        Failure::ContentNamespace => FaultCode::PeerNamespace,
        Failure::UnsupportedVersion { .. } => FaultCode::PeerVersion,
        Failure::HostUnknown { .. } | Failure::ImproperFrom { .. } | Failure::InvalidFrom { .. } => FaultCode::PeerName,
        Failure::EarlyStanza { .. } | Failure::Unexpected { .. } => FaultCode::PeerOutOfTurn,
        Failure::TlsNotOffered => FaultCode::TlsNotOffered,
        Failure::TlsRefused => FaultCode::TlsRefused,
        Failure::TlsFailed(tls) if tls.alert.is_some() => FaultCode::TlsAlert,
        Failure::TlsFailed(_) => FaultCode::TlsHandshake,
        Failure::Identity(error) => FaultCode::Certificate(error.as_str()),
        Failure::MechanismsLacking { .. } => FaultCode::SaslNoExternal,
        Failure::UnsupportedFeature { .. } => FaultCode::PeerDemandsFeature,
        Failure::Sasl { failure, .. } | Failure::TooManyAttempts { last: failure, .. } => FaultCode::Sasl(*failure),
        Failure::Dialback { condition: None } => FaultCode::DialbackRefused,
        Failure::Dialback { .. } => FaultCode::DialbackFailed,
        Failure::NotFederated { .. } => FaultCode::NotFederated,
        Failure::NoRandomness | Failure::SaslEngine => FaultCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn every_code() -> Vec<FaultCode> {
        use FaultCode::*;
        let single = [
            DnsNoService,
            DnsNoAddress,
            DnsTimeout,
            DnsFailed,
            TcpRefused,
            TcpUnreachable,
            TcpTimeout,
            TcpFailed,
            TlsNotOffered,
            TlsRefused,
            TlsInjection,
            TlsAlert,
            TlsHandshake,
            TlsImpossible,
            StreamClosed,
            SaslNoExternal,
            DialbackRefused,
            DialbackFailed,
            PeerMalformed,
            PeerNamespace,
            PeerVersion,
            PeerName,
            PeerOutOfTurn,
            PeerDemandsFeature,
            NotFederated,
            Disconnected,
            Silence,
            Internal,
            Certificate("expired"),
        ];
        let streams = StreamCondition::ALL.iter().map(|condition| Stream(*condition));
        let sasl = SaslFailure::ALL.iter().map(|failure| Sasl(*failure));
        single.into_iter().chain(streams).chain(sasl).collect()
    }

    #[test]
    fn codes_are_distinct_names_of_elements_and_have_a_remedy_of_one_sentence() {
        let mut seen = HashSet::new();
        for code in every_code() {
            let word = code.to_string();
            let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(is_word(&word) && word.starts_with(|c: char| c.is_ascii_lowercase()), "{word}");
            assert!(code.remedy().ends_with('.') && !code.remedy().contains(". "), "{word}");
            assert!(seen.insert(word.clone()), "{word} twice");
        }
    }

    #[test]
    fn the_operating_system_s_reasons_have_codes_of_their_own() {
        for (kind, code) in [
            (io::ErrorKind::ConnectionRefused, "tcp-refused"),
            (io::ErrorKind::TimedOut, "tcp-timeout"),
            (io::ErrorKind::NetworkUnreachable, "tcp-unreachable"),
            (io::ErrorKind::PermissionDenied, "tcp-failed"),
        ] {
            assert_eq!(FaultCode::from(&Cause::Connect(kind.into())).to_string(), code);
        }
    }
}

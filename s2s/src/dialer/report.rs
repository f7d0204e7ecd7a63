//! What a dial did, from the first question to DNS to the last features.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use convoke_xmpp::Domainpart;

use super::fault::Fault;
use super::milliseconds;
use crate::error::Stage;
use crate::identity::{IdentityError, NameKind};
use crate::negotiation::Established;
use crate::resolver::{Family, ResolveError};
use crate::target::{Service, SrvRecord, Target};
use crate::vouching::Vouched;

/// Everything that happened when a domain was dialled.
///
/// With the feature `serde` it can be serialized, with the names of the fields as they stand here, codes and stages as
/// words, and times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DialReport {
    /// The domain of this side.
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub local: Domainpart,
    /// The domain that was dialled.
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub remote: Domainpart,
    /// What DNS was asked, in the order of the answers.
    pub lookups: Vec<Lookup>,
    /// What the domain vouches for by DNS or HTTPS; `None` if policy does not name it.
    pub evidence: Option<EvidenceReport>,
    /// What was tried, in order; the last one is the one that succeeded, if any did.
    pub attempts: Vec<Attempt>,
    /// What the stream offers that was established, if one was.
    pub established: Option<StreamReport>,
    /// Why none was established, if so: the fault of the attempt that came furthest, of the first of those.
    pub fault: Option<Fault>,
    /// How long it took in all, from the first question to the last features.
    pub milliseconds: u64,
}

/// One question to DNS and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Lookup {
    /// The name that was asked for, with A-labels.
    pub name: String,
    /// The kind of record.
    pub kind: RecordKind,
    /// The answer; empty if there are no such records, or none came.
    pub records: Vec<Record>,
    /// Why no answer came, if so.
    pub fault: Option<Fault>,
    /// How long it took.
    pub milliseconds: u64,
}

/// The kinds of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "UPPERCASE"))]
pub enum RecordKind {
    /// The servers of a service.
    Srv,
    /// IPv6 addresses.
    Aaaa,
    /// IPv4 addresses.
    A,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
pub enum Record {
    /// Of [`RecordKind::Srv`].
    Srv(SrvRecord),
    /// Of the others.
    Address(IpAddr),
}

/// What a domain vouches for itself, see [`Evidence`](crate::identity::Evidence).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EvidenceReport {
    /// How many TLSA records it has for all its servers; if there is one, nothing else proves the domain.
    pub tlsa: usize,
    /// How many fingerprints its POSH document has.
    pub posh: usize,
    /// For how many seconds they are believed.
    pub seconds: u64,
    /// Why it is not known what the domain vouches for, if so, in English.
    pub fault: Option<String>,
}

/// One address of a target that was tried, or a target without one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Attempt {
    /// The target.
    pub target: Target,
    /// Its address; `None` if it has none.
    pub address: Option<SocketAddr>,
    /// How far it came.
    pub stage: Stage,
    /// What TLS found, if it came so far.
    pub tls: Option<TlsReport>,
    /// Why it failed; `None` for the one that did not.
    pub fault: Option<Fault>,
    /// How long it took, the connection included.
    pub milliseconds: u64,
}

/// What a TLS handshake found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TlsReport {
    /// The version, such as `TLSv1.3`.
    pub version: &'static str,
    /// The protocol that ALPN selected, if any.
    pub alpn: Option<String>,
    /// What the peer's certificate is worth.
    pub certificate: Verdict,
}

/// What a certificate is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Verdict {
    /// It proves the domain, by a name of this kind.
    Proved(#[cfg_attr(feature = "serde", serde(serialize_with = "text"))] NameKind),
    /// It does not, for this reason.
    Refused(#[cfg_attr(feature = "serde", serde(serialize_with = "text"))] IdentityError),
}

/// What an established stream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StreamReport {
    /// Whether it carries stanzas in both directions (XEP-0288).
    pub bidi: bool,
    /// Whether the peer offers to acknowledge stanzas (XEP-0198).
    pub stream_management: bool,
    /// Whether further domains may be authorised on it (XEP-0344).
    pub dialback: bool,
    /// The largest element that the peer says it accepts, in bytes (XEP-0478).
    pub max_bytes: Option<u64>,
}

impl DialReport {
    pub(super) fn new(local: &Domainpart, remote: &Domainpart) -> Self {
        Self {
            local: local.clone(),
            remote: remote.clone(),
            lookups: Vec::new(),
            evidence: None,
            attempts: Vec::new(),
            established: None,
            fault: None,
            milliseconds: 0,
        }
    }

    /// Whether a stream was established.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.established.is_some()
    }

    /// The fault that explains most: who came furthest met what has to be mended.
    pub(super) fn furthest_fault(&self) -> Option<Fault> {
        // Of equals the last one is taken, so the first is made the last.
        self.attempts.iter().rev().max_by_key(|attempt| attempt.stage)?.fault.clone()
    }
}

impl Lookup {
    pub(super) fn new<T>(name: String, kind: RecordKind, answer: &Result<Vec<T>, ResolveError>, took: Duration) -> Self
    where
        T: Clone + Into<Record>,
    {
        let records = answer.iter().flatten().cloned().map(Into::into).collect();
        let fault = answer.as_ref().err().map(Fault::from);
        Self { name, kind, records, fault, milliseconds: milliseconds(took) }
    }
}

impl From<&Vouched> for EvidenceReport {
    fn from(vouched: &Vouched) -> Self {
        match vouched {
            Ok(evidence) => Self {
                tlsa: evidence.tlsa.len(),
                posh: evidence.posh.len(),
                seconds: evidence.until.duration_since(SystemTime::now()).unwrap_or_default().as_secs(),
                fault: None,
            },
            Err(fault) => Self { tlsa: 0, posh: 0, seconds: 0, fault: Some(fault.to_string()) },
        }
    }
}

impl From<SrvRecord> for Record {
    fn from(record: SrvRecord) -> Self {
        Self::Srv(record)
    }
}

impl From<IpAddr> for Record {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for DialReport {
    /// One line for people, with every attempt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(fault) = &self.fault else {
            return write!(f, "{} was reached in {} ms", self.remote, self.milliseconds);
        };
        write!(f, "{} cannot be reached ({})", self.remote, fault.code)?;
        if self.attempts.is_empty() {
            return write!(f, ": {}", fault.text);
        }
        for (attempt, separator) in self.attempts.iter().zip(std::iter::once(": ").chain(std::iter::repeat("; "))) {
            write!(f, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        if let Some(address) = self.address {
            write!(f, " ({address})")?;
        }
        match &self.fault {
            Some(fault) => write!(f, ": {}", fault.text),
            None => write!(f, ": {}", self.stage),
        }
    }
}

impl RecordKind {
    /// The kind as a zone file names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Srv => "SRV",
            Self::Aaaa => "AAAA",
            Self::A => "A",
        }
    }
}

impl From<Family> for RecordKind {
    fn from(family: Family) -> Self {
        match family {
            Family::V6 => Self::Aaaa,
            Family::V4 => Self::A,
        }
    }
}

impl fmt::Display for Record {
    /// As in a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv(srv) => write!(f, "{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl From<&Established> for StreamReport {
    fn from(established: &Established) -> Self {
        Self {
            bidi: established.bidi,
            stream_management: established.stream_management,
            dialback: established.dialback,
            max_bytes: established.peer_max_bytes,
        }
    }
}

/// The name under which the servers of a domain are asked for.
pub(super) fn service_name(service: Service, domain: &Domainpart) -> String {
    format!("{}.{}", service.label(), domain.to_ascii())
}

#[cfg(feature = "serde")]
fn text<T: fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

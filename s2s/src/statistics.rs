//! What operators see of a link.

use std::sync::Arc;

use convoke_xmpp::Domainpart;

use crate::dialer::DialReport;

/// The outgoing half of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// There is no stream; the next stanza dials.
    Idle,
    /// A stream is being negotiated; stanzas wait.
    Dialing,
    /// There is a stream.
    Open,
    /// The domain could not be reached and is left alone for a while; stanzas are given back at once.
    Waiting,
}

/// One pair of domains, counted since the link was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatistics {
    /// The domain of this side.
    pub local: Domainpart,
    /// The other domain.
    pub remote: Domainpart,
    /// The outgoing half.
    pub state: LinkState,
    /// Stanzas that wait to be sent.
    pub queued: usize,
    /// Stanzas sent.
    pub stanzas_out: u64,
    /// Their bytes, before TLS.
    pub bytes_out: u64,
    /// Writes that carried them.
    pub writes_out: u64,
    /// Incoming streams at present.
    pub incoming_streams: usize,
    /// Stanzas received, those that were refused included.
    pub stanzas_in: u64,
    /// Their bytes, before TLS.
    pub bytes_in: u64,
    /// How often the domain was dialled.
    pub dials: u64,
    /// How often that failed.
    pub failures: u64,
    /// Why it failed the last time, for people.
    pub last_failure: Option<String>,
    /// What the last dial did, whether it failed or not.
    pub last_report: Option<Arc<DialReport>>,
}

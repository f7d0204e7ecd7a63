//! What operators see of a link.

use std::sync::Arc;

use convoke_xmpp::Domainpart;

use crate::dialer::DialReport;

/// Who empties the queue of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkState {
    /// There is no stream; the next stanza dials.
    Idle,
    /// A stream is being negotiated, or the peer is expected back; stanzas wait.
    Dialing,
    /// There is a stream, dialled here or in both directions.
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
    /// Whether the link is kept up though there are no stanzas for it.
    pub persistent: bool,
    /// The pair of domains, local and remote, whose stream carries the stanzas of this one, if it is not one of its own
    /// (XEP-0344): what waits, what was sent and what was acknowledged is counted there.
    pub carried_by: Option<(Domainpart, Domainpart)>,
    /// Stanzas that wait to be sent.
    pub queued: usize,
    /// Stanzas that were sent and that the peer has not acknowledged yet, though it will (XEP-0198).
    pub unacknowledged: usize,
    /// Stanzas that the peer has acknowledged.
    pub acknowledged: u64,
    /// Stanzas sent; one that was sent again counts again.
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
    /// Lost sessions that were resumed, in either direction.
    pub resumed: u64,
    /// Lost sessions that the peer could not resume: what it had not acknowledged was given back.
    pub not_resumed: u64,
    /// Why it failed the last time, for people.
    pub last_failure: Option<String>,
    /// What the last dial did, whether it failed or not.
    pub last_report: Option<Arc<DialReport>>,
}

//! What operators see of a federation and its links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use crate::dialback::Content;
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

/// What domains vouch for themselves, see [`FederationConfig::evidence`](crate::FederationConfig::evidence).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvidenceStatistics {
    /// Domains that have TLSA records, at present.
    pub dane: usize,
    /// Domains that have a POSH document, at present.
    pub posh: usize,
    /// How often it was looked up what a domain vouches for.
    pub refreshes: u64,
    /// How often that failed.
    pub failures: u64,
    /// When the first evidence ends, if it is not renewed; `None` if there is none.
    pub next_expiry: Option<SystemTime>,
}

/// What has come of the claims of peers whose certificates prove nothing (XEP-0220).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialbackStatistics {
    /// Those that the authoritative server of the domain has confirmed.
    pub confirmed: u64,
    /// Those that it has denied.
    pub denied: u64,
    /// Those about which it could not be asked, or gave no answer.
    pub unanswered: u64,
}

/// The verdicts on claims so far.
#[derive(Debug, Default)]
pub(crate) struct DialbackCounters {
    confirmed: AtomicU64,
    denied: AtomicU64,
    unanswered: AtomicU64,
}

impl DialbackCounters {
    /// Counts a verdict, as the peer is told it.
    pub(crate) fn count(&self, verdict: &Content) {
        let counter = match verdict {
            Content::Valid => &self.confirmed,
            Content::Invalid => &self.denied,
            Content::Failed(_) | Content::Key(_) => &self.unanswered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn statistics(&self) -> DialbackStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DialbackStatistics {
            confirmed: read(&self.confirmed),
            denied: read(&self.denied),
            unanswered: read(&self.unanswered),
        }
    }
}

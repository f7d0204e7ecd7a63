//! What a federation is made of, and the reasons of its defaults.

use std::sync::Arc;
use std::time::Duration;

use convoke_net::{AdmissionLimits, Credentials, OutboxLimits};
use convoke_xmpp::{Domainpart, Limits};

use crate::dialback::Secret;
use crate::identity::Trust;
use crate::negotiation::Authzid;
use crate::policy::{DomainPattern, DomainPolicy, RateRule};
use crate::resolver::Resolver;
use crate::vouching::EvidenceRule;

/// A domain that is served here, and what it proves itself with.
#[derive(Debug, Clone)]
pub struct LocalDomain {
    /// The domain.
    pub name: Domainpart,
    /// Its certificate chain and key.
    pub credentials: Credentials,
}

/// Two domains between which there is always to be a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PersistentLink {
    /// The domain that is served here.
    pub local: Domainpart,
    /// The other domain.
    pub remote: Domainpart,
}

/// How to federate.
pub struct FederationConfig {
    /// The domains that are served here.
    pub domains: Vec<LocalDomain>,
    /// Whose certificates prove other domains, and which.
    pub trust: Trust,
    /// Which domains may vouch for their certificates themselves, and by what. Default none: a look-up more for each dial,
    /// and somebody else to believe, are for an operator to decide.
    pub evidence: Vec<EvidenceRule>,
    /// How other domains are found.
    pub resolver: Arc<dyn Resolver>,
    /// With whom to federate. Default everybody whose certificate proves who it is.
    pub policy: DomainPolicy,
    /// The domains for which DNS is proof enough, in both directions, where their certificate proves nothing or ours does
    /// not convince them (XEP-0220, over TLS). Default none: whoever can forge an answer of DNS, or stands between, can be
    /// any of these.
    pub dialback: Vec<DomainPattern>,
    /// What the keys of dialback are made from. Default random bits: several processes that serve the same domain have to
    /// share one, or else they do not confirm each other's keys.
    pub dialback_secret: Option<Arc<Secret>>,
    /// How fast domains may send; the first rule that applies counts. Default none: what a stanza costs here is bounded by
    /// the queue that it goes to, not by the link.
    pub rates: Vec<RateRule>,
    /// How many incoming streams there may be for one pair of domains; further ones are refused with
    /// `resource-constraint`. Default 8: one is enough, and lost ones may take a while to be noticed.
    pub streams: usize,
    /// What one address may do before it has authenticated.
    pub admission: AdmissionLimits,
    /// What is named as authorization identity to peers. Default [`Authzid::Domain`], which all known peers accept.
    pub authzid: Authzid,
    /// What a peer may send once it is known; before, [`Limits::before_authentication`] hold. Default
    /// [`Limits::default`]; never below what RFC 6120 demands.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much may wait for one domain, while it is dialled or does not read. Default 32,768 stanzas and 16 MiB: half a
    /// minute of a thousand small stanzas a second.
    pub queue: OutboxLimits,
    /// Whether streams may carry stanzas in both directions (XEP-0288), with peers that can. Default yes.
    pub bidi: bool,
    /// Whether stanzas are acknowledged and lost streams resumed (XEP-0198), with peers that can. Default yes.
    pub stream_management: bool,
    /// Whether the stanzas of several pairs of domains share one stream, where its certificates prove all of them and the
    /// peer offers it (XEP-0344). Default yes.
    pub multiplexing: bool,
    /// Pairs of domains that are to be joined always: dialled at the start and whenever there is no stream. A domain that
    /// cannot be dialled is reached by the streams that it keeps up itself. Default none.
    pub persistent: Vec<PersistentLink>,
    /// Stanzas whose first child is in one of these namespaces overtake the bulk of others in a queue, as presence does.
    /// Default none.
    pub urgent: Vec<String>,
    /// When a domain that could not be reached is dialled again.
    pub backoff: Backoff,
    /// How many pairs of domains are kept in mind. Default 10,000; beyond, those without a stream are forgotten, and if
    /// there are none, stanzas to further domains are answered with `resource-constraint`.
    pub links: usize,
    /// How many incoming connections one listener holds. Default 10,000, about 120 MiB; more wait to be accepted.
    pub connections: usize,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One question to DNS. Default 10 s: two attempts of five, as resolvers do.
    pub resolve: Duration,
    /// One TCP connection. Default 10 s: three lost packets; the next address may be better.
    pub connect: Duration,
    /// One answer of the peer in a negotiation that was dialled, or one TLS handshake. Default 10 s: several round trips
    /// around the world; the next target may be better, and who waits for it waits for this first.
    pub answer: Duration,
    /// One dial, all targets of a domain included. Default 60 s: some of them may be silent, and those who wait for an
    /// answer do not wait much longer.
    pub dial: Duration,
    /// One negotiation, TLS included, in either role. Default 30 s.
    pub negotiation: Duration,
    /// A stream without any stanza. Default 1 h: shorter ones have cost other servers the presence of their peers.
    pub idle: Duration,
    /// A peer that does not read. Default 60 s.
    pub write: Duration,
    /// Silence before a space keeps the connection alive, and before a peer that does not acknowledge is asked whether it
    /// is there (XEP-0199). Default 5 min (RFC 6120, section 4.6.4).
    pub keepalive: Duration,
    /// The closing handshake. Default 5 s.
    pub close: Duration,
    /// An answer to the question what was handled (XEP-0198), or whether the peer is there (XEP-0199). Default 30 s: all
    /// that was written before the question may have to be read first. A peer that takes longer is taken for lost.
    pub acknowledgement: Duration,
    /// How long a lost session can be resumed, in either role. Default 5 min: longer than the restart of a router and than
    /// a first pause of [`Backoff`]; meanwhile what was not acknowledged is held.
    pub resume: Duration,
    /// How long a domain is dialled again and again whose stream was just lost, before it counts as out of reach. Default
    /// 10 s: a restart of a router or a server takes less, and nobody has to be told.
    pub patience: Duration,
    /// How long a peer whose own stream was used in both directions is waited for, when that is lost, before it is
    /// dialled. Default 30 s: it dials at once when it notices.
    pub peer_return: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            dial: Duration::from_secs(60),
            negotiation: Duration::from_secs(30),
            idle: Duration::from_secs(60 * 60),
            write: Duration::from_secs(60),
            keepalive: Duration::from_secs(5 * 60),
            close: Duration::from_secs(5),
            acknowledgement: Duration::from_secs(30),
            resume: Duration::from_secs(5 * 60),
            patience: Duration::from_secs(10),
            peer_return: Duration::from_secs(30),
        }
    }
}

/// Truncated exponential back-off with full jitter (RFC 6120, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper end of the first pause, which is drawn uniformly from zero on. Default 60 s, as RFC 6120 says.
    pub first: Duration,
    /// The upper end of all later pauses, which doubles until here. Default 5 min: a peer that is back is found soon.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(60), longest: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// Draws the pause after this many failures in a row.
    pub(crate) fn draw(&self, failures: u32) -> Duration {
        // Without random numbers there is no jitter, only the longest pause.
        self.pause(failures, getrandom::u32().unwrap_or(u32::MAX))
    }

    /// The pause after this many failures in a row, where `random` is uniform over the whole range.
    fn pause(&self, failures: u32, random: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let ceiling = self.first.saturating_mul(1 << doublings).min(self.longest);
        ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

impl FederationConfig {
    /// The defaults for these domains; `trust` may be mere [`TrustAnchors`](crate::TrustAnchors).
    pub fn new(domains: Vec<LocalDomain>, trust: impl Into<Trust>, resolver: Arc<dyn Resolver>) -> Self {
        Self {
            domains,
            trust: trust.into(),
            evidence: Vec::new(),
            resolver,
            policy: DomainPolicy::default(),
            dialback: Vec::new(),
            dialback_secret: None,
            rates: Vec::new(),
            streams: 8,
            admission: AdmissionLimits::default(),
            authzid: Authzid::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            queue: OutboxLimits { stanzas: 32_768, bytes: 16 * 1024 * 1024 },
            bidi: true,
            stream_management: true,
            multiplexing: true,
            persistent: Vec::new(),
            urgent: Vec::new(),
            backoff: Backoff::default(),
            links: 10_000,
            connections: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_at_random_below_a_ceiling_that_doubles_and_ends() {
        let backoff = Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(300) };
        let ceilings: Vec<_> = (1..=5).map(|failures| backoff.pause(failures, u32::MAX).as_secs()).collect();
        assert_eq!(ceilings, [60, 120, 240, 300, 300]);
        assert_eq!(backoff.pause(1, 0), Duration::ZERO);
        assert_eq!(backoff.pause(u32::MAX, u32::MAX), Duration::from_secs(300));
    }
}

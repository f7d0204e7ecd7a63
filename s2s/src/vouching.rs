//! What domains vouch for, looked up and kept fresh: TLSA records and POSH documents of the domains that policy names.
//!
//! A domain that is named itself is asked about from the start on, so that its evidence is there when it calls. One that a
//! pattern with `*.` means is asked about when it is dialled from here, and from then on as long as there is a link to it.
//! Nothing is looked up because somebody claims a name.
//!
//! Evidence is renewed well before it ends. When that fails the old one counts until its end, and from then on the domain
//! is as any other; but a domain whose TLSA records are wanted is not dialled while it cannot be told whether there are
//! any (RFC 7673, section 3.1): whoever can suppress an answer could otherwise choose what is believed.

mod due;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use convoke_xmpp::Domainpart;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::due::Due;
use crate::config::Backoff;
use crate::dane::DaneError;
use crate::identity::{Evidence, IdentityVerifier};
use crate::policy::DomainPattern;
#[cfg(feature = "posh")]
use crate::posh::PoshFetchError;

/// How many domains are asked about at a time in the background.
const AT_ONCE: usize = 8;

/// Somebody who can be asked what a domain vouches for, other than its own servers.
#[async_trait]
pub trait EvidenceSource: Send + Sync {
    /// What the domain vouches for now, and until when; empty evidence if it vouches for nothing.
    ///
    /// Ends in bounded time. Certificates that are met on the way are for `judge` to judge.
    async fn evidence(&self, domain: &Domainpart, judge: &Arc<IdentityVerifier>) -> Result<Evidence, EvidenceError>;
}

/// Which domains a source is asked about.
#[derive(Clone)]
pub struct EvidenceRule {
    /// The domains; none for nobody.
    pub domains: Vec<DomainPattern>,
    /// Whom to ask. Where several rules apply they are asked in order, and none after one that had TLSA records.
    pub source: Arc<dyn EvidenceSource>,
}

/// Why it is not known what a domain vouches for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// DNS cannot be asked, or cannot be believed.
    #[error(transparent)]
    Dane(#[from] DaneError),
    /// The web server cannot be asked, or cannot be believed.
    #[cfg(feature = "posh")]
    #[error(transparent)]
    Posh(#[from] PoshFetchError),
}

/// The evidence of a federation: by which rules it is found, and when it is looked up again.
pub(crate) struct Vouching {
    rules: Vec<EvidenceRule>,
    verifier: Arc<IdentityVerifier>,
    backoff: Backoff,
    due: Mutex<HashMap<Domainpart, Due>>,
    changed: Notify,
}

/// What is known of a domain that is going to be dialled.
pub(crate) type Vouched = Result<Arc<Evidence>, EvidenceError>;

impl Vouching {
    pub(crate) fn new(rules: Vec<EvidenceRule>, verifier: Arc<IdentityVerifier>, backoff: Backoff) -> Self {
        let vouching = Self { rules, verifier, backoff, due: Mutex::default(), changed: Notify::new() };
        let named = vouching.rules.iter().flat_map(|rule| rule.domains.iter().filter_map(DomainPattern::exact));
        let due = named.map(|domain| (domain.clone(), Due::now())).collect();
        Self { due: Mutex::new(due), ..vouching }
    }

    /// Whether any domain may ever be asked about.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What a domain vouches for that is going to be dialled, looked up if it is not known; `None` if policy does not name it.
    pub(crate) async fn before_dial(&self, domain: &Domainpart) -> Option<Vouched> {
        self.rules_for(domain).next()?;
        if let Some(known) = self.verifier.evidence(domain, SystemTime::now()) {
            return Some(Ok(known));
        }
        Some(self.refresh(domain).await)
    }

    /// Has everything looked up again at once.
    pub(crate) fn refresh_all(&self) {
        self.lock().values_mut().for_each(|due| *due = Due::now());
        self.changed.notify_one();
    }

    /// Looks up what is due, until shutdown; `is_linked` says whether there is a link to a domain.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken, is_linked: impl Fn(&Domainpart) -> bool) {
        let mut under_way = JoinSet::new();
        loop {
            let next = self.lock().values().map(|due| due.at).min();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notified() => {}
                Some(_) = under_way.join_next() => {}
                () = until(next), if under_way.len() < AT_ONCE => {
                    for domain in self.take_due(AT_ONCE - under_way.len(), &is_linked) {
                        let vouching = Arc::clone(&self);
                        // What came of it has been told by then.
                        under_way.spawn(async move { drop(vouching.refresh(&domain).await) });
                    }
                }
            }
        }
    }

    /// Takes up to so many domains that are due; one that nobody needs any more is forgotten when its evidence is over.
    fn take_due(&self, most: usize, is_linked: impl Fn(&Domainpart) -> bool) -> Vec<Domainpart> {
        let now = Instant::now();
        let due: Vec<_> = self.lock().iter().filter(|(_, due)| due.at <= now).map(|(name, _)| name.clone()).collect();
        let (needed, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|domain| self.is_named(domain) || is_linked(domain));
        others.iter().for_each(|domain| self.forget(domain));
        let mut table = self.lock();
        let taken: Vec<_> = needed.into_iter().take(most).collect();
        for domain in &taken {
            // The outcome sets the real time.
            table.entry(domain.clone()).and_modify(|due| due.at = now + due::LOOKUP_TIME);
        }
        taken
    }

    async fn refresh(&self, domain: &Domainpart) -> Vouched {
        match self.look_up(domain).await {
            Ok(evidence) => Ok(self.believe(domain, evidence)),
            Err(fault) => {
                self.note_failure(domain, &fault);
                Err(fault)
            }
        }
    }

    async fn look_up(&self, domain: &Domainpart) -> Result<Evidence, EvidenceError> {
        let mut found: Option<Evidence> = None;
        for rule in self.rules_for(domain) {
            let more = rule.source.evidence(domain, &self.verifier).await?;
            let all = match found.take() {
                Some(known) => known.and(more),
                None => more,
            };
            let is_enough = !all.tlsa.is_empty();
            found = Some(all);
            if is_enough {
                break;
            }
        }
        Ok(found.unwrap_or_else(|| Evidence::none(SystemTime::now())))
    }

    fn believe(&self, domain: &Domainpart, evidence: Evidence) -> Arc<Evidence> {
        let now = SystemTime::now();
        let (before, evidence) = (self.verifier.evidence(domain, now), Arc::new(evidence));
        let lifetime = evidence.until.duration_since(now).unwrap_or_default();
        self.lock().insert(domain.clone(), Due::within(lifetime));
        self.changed.notify_one();
        self.verifier.replace_evidence(domain, Some(Evidence::clone(&evidence)));
        let (tlsa, posh, seconds) = (evidence.tlsa.len(), evidence.posh.len(), lifetime.as_secs());
        if before.is_some_and(|before| before.says_the_same(&evidence)) {
            debug!(%domain, tlsa, posh, seconds, "evidence confirmed");
        } else {
            info!(%domain, tlsa, posh, seconds, "evidence replaced");
        }
        evidence
    }

    fn note_failure(&self, domain: &Domainpart, fault: &EvidenceError) {
        let left = self.left(domain);
        if left.is_none() {
            self.verifier.replace_evidence(domain, None);
        }
        let pause = self.lock().entry(domain.clone()).or_default().failed(&self.backoff, left);
        self.changed.notify_one();
        match left.map(|left| left.as_secs()) {
            Some(seconds) => warn!(%domain, %fault, seconds, ?pause, "evidence not replaced: the old one counts on"),
            None => warn!(%domain, %fault, ?pause, "evidence not found"),
        }
    }

    /// Asks no more about a domain; what it has vouched for counts until its end.
    fn forget(&self, domain: &Domainpart) {
        let left = self.left(domain);
        let mut table = self.lock();
        match (left, table.get_mut(domain)) {
            (Some(left), Some(due)) => due.at = Instant::now() + left,
            _ => {
                table.remove(domain);
                self.verifier.replace_evidence(domain, None);
            }
        }
    }

    /// How long the evidence of a domain still counts; `None` if there is none in force.
    fn left(&self, domain: &Domainpart) -> Option<Duration> {
        let now = SystemTime::now();
        self.verifier.evidence(domain, now)?.until.duration_since(now).ok()
    }

    fn is_named(&self, domain: &Domainpart) -> bool {
        self.rules.iter().flat_map(|rule| &rule.domains).any(|pattern| pattern.exact() == Some(domain))
    }

    fn rules_for(&self, domain: &Domainpart) -> impl Iterator<Item = &EvidenceRule> {
        let applies = |rule: &&EvidenceRule| rule.domains.iter().any(|pattern| pattern.matches(domain.as_str()));
        self.rules.iter().filter(applies)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Domainpart, Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

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
mod rules;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
use self::rules::Rules;
use crate::config::Backoff;
use crate::dane::DaneError;
use crate::identity::{Evidence, IdentityVerifier};
use crate::live_trust::LiveTrust;
use crate::policy::DomainPattern;
#[cfg(feature = "posh")]
use crate::posh::PoshFetchError;
use crate::statistics::EvidenceStatistics;

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
    trust: Arc<LiveTrust>,
    backoff: Backoff,
    table: Mutex<Table>,
    changed: Notify,
    refreshes: AtomicU64,
    failures: AtomicU64,
}

/// The rules, and what they have come to.
struct Table {
    rules: Rules,
    due: HashMap<Domainpart, Due>,
}

/// What is known of a domain that is going to be dialled.
pub(crate) type Vouched = Result<Arc<Evidence>, EvidenceError>;

impl Vouching {
    pub(crate) fn new(rules: Vec<EvidenceRule>, trust: Arc<LiveTrust>, backoff: Backoff) -> Self {
        let rules = Rules::new(rules);
        let due = rules.named().map(|domain| (domain.clone(), Due::now())).collect();
        let (refreshes, failures) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { trust, backoff, table: Mutex::new(Table { rules, due }), changed: Notify::new(), refreshes, failures }
    }

    /// What a domain vouches for that is going to be dialled, looked up if it is not known; `None` if policy does not name it.
    pub(crate) async fn before_dial(&self, domain: &Domainpart) -> Option<Vouched> {
        if !self.rules().apply_to(domain) {
            return None;
        }
        match self.in_force(domain) {
            Some(known) => Some(Ok(known)),
            None => self.refresh(domain).await,
        }
    }

    /// Has everything looked up again at once.
    pub(crate) fn refresh_all(&self) {
        self.lock().due.values_mut().for_each(|due| *due = Due::now());
        self.changed.notify_one();
    }

    /// Looks up by other rules from now on, and everything at once. What domains vouch for that no rule names any more counts
    /// no more.
    pub(crate) fn replace_rules(&self, rules: Vec<EvidenceRule>) {
        let mut table = self.lock();
        let rules = Rules::new(rules);
        for (domain, _) in table.due.extract_if(|domain, _| !rules.apply_to(domain)) {
            info!(%domain, "evidence dropped: no rule names the domain any more");
            self.trust.replace_evidence(&domain, None);
        }
        table.due.values_mut().for_each(|due| *due = Due::now());
        for domain in rules.named() {
            table.due.entry(domain.clone()).or_default();
        }
        table.rules = rules;
        self.changed.notify_one();
    }

    pub(crate) fn statistics(&self) -> EvidenceStatistics {
        let known = self.trust.verifier().all_evidence(SystemTime::now());
        let count = |says: fn(&Evidence) -> bool| known.iter().filter(|evidence| says(evidence)).count();
        EvidenceStatistics {
            dane: count(|evidence| !evidence.tlsa.is_empty()),
            posh: count(|evidence| !evidence.posh.is_empty()),
            refreshes: self.refreshes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            next_expiry: known.iter().map(|evidence| evidence.until).min(),
        }
    }

    /// Looks up what is due, until shutdown; `is_linked` says whether there is a link to a domain.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken, is_linked: impl Fn(&Domainpart) -> bool) {
        let mut under_way = JoinSet::new();
        loop {
            let next = self.lock().due.values().map(|due| due.at).min();
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
        let (now, rules) = (Instant::now(), self.rules());
        let is_due = |(domain, due): (&Domainpart, &Due)| (due.at <= now).then(|| domain.clone());
        let due: Vec<_> = self.lock().due.iter().filter_map(is_due).collect();
        let is_needed = |domain: &Domainpart| rules.named().any(|named| named == domain) || is_linked(domain);
        let (needed, others): (Vec<_>, Vec<_>) = due.into_iter().partition(is_needed);
        others.iter().for_each(|domain| self.forget(domain));
        let mut table = self.lock();
        let taken: Vec<_> = needed.into_iter().take(most).collect();
        for domain in &taken {
            // The outcome sets the real time.
            table.due.entry(domain.clone()).and_modify(|due| due.at = now + due::LOOKUP_TIME);
        }
        taken
    }

    /// What the domain vouches for by the rules that are in force when the answer is there; `None` if none names it.
    async fn refresh(&self, domain: &Domainpart) -> Option<Vouched> {
        loop {
            let rules = self.rules();
            if !rules.apply_to(domain) {
                return None;
            }
            self.refreshes.fetch_add(1, Ordering::Relaxed);
            let found = rules.look_up(domain, self.trust.verifier()).await;
            let mut table = self.lock();
            if table.rules.are_still(&rules) {
                return Some(self.note(&mut table, domain, found));
            }
        }
    }

    /// Under the lock that replacing the rules needs too: nobody is believed by rules that are not in force.
    fn note(&self, table: &mut Table, domain: &Domainpart, found: Result<Evidence, EvidenceError>) -> Vouched {
        self.changed.notify_one();
        match found {
            Ok(evidence) => Ok(self.believe(table, domain, evidence)),
            Err(fault) => {
                self.note_failure(table, domain, &fault);
                Err(fault)
            }
        }
    }

    fn believe(&self, table: &mut Table, domain: &Domainpart, evidence: Evidence) -> Arc<Evidence> {
        let (before, evidence) = (self.in_force(domain), Arc::new(evidence));
        let lifetime = evidence.until.duration_since(SystemTime::now()).unwrap_or_default();
        table.due.insert(domain.clone(), Due::within(lifetime));
        self.trust.replace_evidence(domain, Some(Evidence::clone(&evidence)));
        let (tlsa, posh, seconds) = (evidence.tlsa.len(), evidence.posh.len(), lifetime.as_secs());
        if before.is_some_and(|before| before.says_the_same(&evidence)) {
            debug!(%domain, tlsa, posh, seconds, "evidence confirmed");
        } else {
            info!(%domain, tlsa, posh, seconds, "evidence replaced");
        }
        evidence
    }

    fn note_failure(&self, table: &mut Table, domain: &Domainpart, fault: &EvidenceError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let left = self.left(domain);
        if left.is_none() {
            self.trust.replace_evidence(domain, None);
        }
        let pause = table.due.entry(domain.clone()).or_default().failed(&self.backoff, left);
        match left.map(|left| left.as_secs()) {
            Some(seconds) => warn!(%domain, %fault, seconds, ?pause, "evidence not replaced: the old one counts on"),
            None => warn!(%domain, %fault, ?pause, "evidence not found"),
        }
    }

    /// Asks no more about a domain; what it has vouched for counts until its end.
    fn forget(&self, domain: &Domainpart) {
        let left = self.left(domain);
        let mut table = self.lock();
        match (left, table.due.get_mut(domain)) {
            (Some(left), Some(due)) => due.at = Instant::now() + left,
            _ => {
                table.due.remove(domain);
                self.trust.replace_evidence(domain, None);
            }
        }
    }

    /// How long the evidence of a domain still counts; `None` if there is none in force.
    fn left(&self, domain: &Domainpart) -> Option<Duration> {
        self.in_force(domain)?.until.duration_since(SystemTime::now()).ok()
    }

    fn in_force(&self, domain: &Domainpart) -> Option<Arc<Evidence>> {
        self.trust.verifier().evidence(domain, SystemTime::now())
    }

    fn rules(&self) -> Rules {
        self.lock().rules.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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

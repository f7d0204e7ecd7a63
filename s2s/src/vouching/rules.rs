//! The rules that are in force together: who is asked about which domains.

use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use super::{EvidenceError, EvidenceRule};
use crate::identity::{Evidence, IdentityVerifier};
use crate::policy::DomainPattern;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Rules(Arc<[EvidenceRule]>);

impl Rules {
    pub(super) fn new(rules: Vec<EvidenceRule>) -> Self {
        Self(rules.into())
    }

    /// The domains that are named themselves.
    pub(super) fn named(&self) -> impl Iterator<Item = &Domainpart> {
        self.0.iter().flat_map(|rule| rule.domains.iter().filter_map(DomainPattern::exact))
    }

    /// Whether the domain is named itself, or by a pattern.
    pub(super) fn apply_to(&self, domain: &Domainpart) -> bool {
        self.of(domain).next().is_some()
    }

    /// Whether nothing has been replaced in between.
    pub(super) fn are_still(&self, others: &Self) -> bool {
        Arc::ptr_eq(&self.0, &others.0)
    }

    /// What the domain vouches for.
    pub(super) async fn look_up(
        &self,
        domain: &Domainpart,
        judge: &Arc<IdentityVerifier>,
    ) -> Result<Evidence, EvidenceError> {
        let mut found: Option<Evidence> = None;
        for rule in self.of(domain) {
            let more = rule.source.evidence(domain, judge).await?;
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

    fn of(&self, domain: &Domainpart) -> impl Iterator<Item = &EvidenceRule> {
        let applies = |rule: &&EvidenceRule| rule.domains.iter().any(|pattern| pattern.matches(domain.as_str()));
        self.0.iter().filter(applies)
    }
}

//! What a domain has said of its own certificates elsewhere, in DNS or by HTTPS.

use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use super::posh::PoshFingerprint;
use super::tlsa::TlsaRecord;
use super::{IdentityError, NameKind, PeerIdentity, expiry, in_force, parse};

/// What a domain vouches for, and until when: looked up in advance, for domains that policy names.
///
/// Nothing is looked up when a stranger calls itself so: the verifier has the evidence already or does without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The usable TLSA records of all servers of the domain, each found by answers that DNSSEC has secured
    /// (RFC 7673, section 3). Where there is one, nothing else proves the domain (section 4).
    pub tlsa: Vec<TlsaRecord>,
    /// The fingerprints of its POSH document (RFC 7711). A certificate that is not among them may be proved by its path.
    pub posh: Vec<PoshFingerprint>,
    /// When it has to be looked up anew; from then on it is worth nothing.
    pub until: SystemTime,
}

impl Evidence {
    /// Nothing is vouched for until then.
    #[must_use]
    pub fn none(until: SystemTime) -> Self {
        Self { tlsa: Vec::new(), posh: Vec::new(), until }
    }

    /// What both say, until the first of them ends.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tlsa.extend(other.tlsa);
        self.posh.extend(other.posh);
        Self { until: self.until.min(other.until), ..self }
    }

    /// Whether they differ in nothing but their ends.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        Self::said_by(Some(self)) == Self::said_by(Some(other))
    }

    /// All that is said, whatever its end; nothing where there is no evidence.
    pub(super) fn said_by(evidence: Option<&Self>) -> (&[TlsaRecord], &[PoshFingerprint]) {
        evidence.map_or((&[], &[]), |evidence| (&evidence.tlsa, &evidence.posh))
    }

    /// Whether it proves that the certificate, given as DER, is one of the domain's; `None` if that is left to its path.
    pub(super) fn prove(
        &self,
        certificate: &[u8],
        at: SystemTime,
        domain: &Domainpart,
    ) -> Result<Option<PeerIdentity>, IdentityError> {
        let parsed = parse(certificate)?;
        let proved = |matched, not_after| Ok(Some(PeerIdentity { domain: domain.clone(), matched, not_after }));
        if !self.tlsa.is_empty() {
            if !self.tlsa.iter().any(|record| record.matches(certificate)) {
                return Err(IdentityError::NotVouched(domain.clone()));
            }
            // The end of the certificate does not matter (RFC 7671, section 5.1), so that it may be over.
            return proved(NameKind::Tlsa, expiry(&parsed).max(self.until));
        }
        if self.posh.iter().any(|fingerprint| fingerprint.matches(certificate)) {
            // RFC 7711, section 6: an expired certificate is not valid whoever vouches for it.
            in_force(&parsed, at)?;
            return proved(NameKind::Posh, expiry(&parsed));
        }
        Ok(None)
    }
}

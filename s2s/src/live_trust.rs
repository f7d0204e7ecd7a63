//! What certificates are judged by, and the streams that have to know when it is replaced.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use convoke_xmpp::Domainpart;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::identity::{Evidence, IdentityVerifier, Trust};

/// The verifier of a federation; whoever replaces something in it by way of this tells all live streams.
pub(crate) struct LiveTrust {
    verifier: Arc<IdentityVerifier>,
    replaced: Mutex<CancellationToken>,
}

impl LiveTrust {
    pub(crate) fn new(verifier: Arc<IdentityVerifier>) -> Self {
        Self { verifier, replaced: Mutex::default() }
    }

    pub(crate) fn verifier(&self) -> &Arc<IdentityVerifier> {
        &self.verifier
    }

    /// Other roots, revocation lists and pins.
    pub(crate) fn replace_trust(&self, trust: impl Into<Trust>) {
        self.verifier.replace_trust(trust);
        self.tell();
    }

    /// Other evidence of a domain. If it says the same as before no stream is woken, unless the old one had ended: then
    /// somebody may have been believed without it meanwhile.
    pub(crate) fn replace_evidence(&self, domain: &Domainpart, evidence: Option<Evidence>) {
        let had_ended = self.verifier.evidence(domain, SystemTime::now()).is_none();
        let was_dropped = had_ended && self.verifier.replace_evidence(domain, None);
        if self.verifier.replace_evidence(domain, evidence) || was_dropped {
            self.tell();
        }
    }

    fn tell(&self) {
        let before = std::mem::take(&mut *self.replaced.lock().unwrap_or_else(PoisonError::into_inner));
        before.cancel();
    }

    /// Ends with the next replacement. Each stream has its own: they share no lock while they wait.
    pub(crate) fn replacement(&self) -> WaitForCancellationFutureOwned {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).child_token().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{TlsaRecord, TrustAnchors};

    const HOUR: Duration = Duration::from_secs(3600);

    fn live_trust() -> LiveTrust {
        let authority = convoke_dev::CertificateAuthority::new("Test CA").unwrap();
        let trust = TrustAnchors::from_pem(authority.certificate_pem()).unwrap();
        LiveTrust::new(Arc::new(IdentityVerifier::new(trust, webpki::ALL_VERIFICATION_ALGS)))
    }

    fn vouched(byte: u8, until: SystemTime) -> Option<Evidence> {
        let tlsa = vec![TlsaRecord::new(3, 1, 1, &[byte; 32]).unwrap()];
        Some(Evidence { tlsa, ..Evidence::none(until) })
    }

    #[test]
    fn streams_are_woken_by_evidence_that_says_something_else_and_by_no_other() {
        let (trust, domain) = (live_trust(), Domainpart::new("a.example").unwrap());
        let (later, before) = (SystemTime::now() + HOUR, SystemTime::now() - HOUR);
        for (title, evidence, wakes) in [
            ("nothing as before", Some(Evidence::none(later)), false),
            ("the first record", vouched(1, later), true),
            ("the same for longer", vouched(1, later + HOUR), false),
            ("another record", vouched(2, later), true),
            ("the same until a time that is over", vouched(2, before), false),
            ("the same behind a time in which nothing counted", vouched(2, later), true),
            ("nothing any more", None, true),
            ("nothing still", None, false),
        ] {
            let waiting = trust.replaced.lock().unwrap().child_token();
            trust.replace_evidence(&domain, evidence);
            assert_eq!(waiting.is_cancelled(), wakes, "{title}");
        }
    }
}

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

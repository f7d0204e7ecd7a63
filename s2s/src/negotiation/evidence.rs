//! What a peer has shown, kept as long as its stream.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use crate::identity::{IdentityError, IdentityVerifier, PeerIdentity};

/// The certificates of a stream and who judges them: the peer may turn out to be further domains, or to be refused by
/// other trust than it was accepted by.
#[derive(Clone)]
pub(super) struct Evidence {
    chain: Arc<[Vec<u8>]>,
    verifier: Arc<IdentityVerifier>,
    /// How many changes there had been of what certificates are judged by, before these were first judged.
    changes: u64,
}

impl Evidence {
    /// To be made before the certificates are judged.
    pub(super) fn new(chain: &[impl AsRef<[u8]>], verifier: &Arc<IdentityVerifier>) -> Self {
        let chain = chain.iter().map(|der| der.as_ref().to_vec()).collect();
        Self { chain, verifier: Arc::clone(verifier), changes: verifier.count_of_changes() }
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn verify(&self, domain: &Domainpart, at: SystemTime) -> Result<PeerIdentity, IdentityError> {
        self.verifier.verify_chain(&self.chain, at, domain)
    }
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && Arc::ptr_eq(&self.verifier, &other.verifier)
    }
}

impl Eq for Evidence {}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

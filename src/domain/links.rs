//! The ways from one domain to others, for whoever must not keep the domain alive.

#[cfg(feature = "s2s")]
use std::sync::{Arc, Weak};

#[cfg(feature = "s2s")]
use convoke_s2s::Federation;
use convoke_xmpp::Domainpart;

use crate::nodes::LinkReport;

/// The ways from one domain to others.
pub(crate) struct Links {
    from: Domainpart,
    #[cfg(feature = "s2s")]
    federation: Option<Weak<Federation>>,
}

impl Links {
    pub(super) fn new(from: Domainpart, #[cfg(feature = "s2s")] federation: Option<&Arc<Federation>>) -> Self {
        Self {
            from,
            #[cfg(feature = "s2s")]
            federation: federation.map(Arc::downgrade),
        }
    }

    /// Whether there is a way at all.
    pub(crate) fn is_federated(&self) -> bool {
        #[cfg(feature = "s2s")]
        return self.federation.is_some();
        #[cfg(not(feature = "s2s"))]
        false
    }

    /// What is known of each way.
    pub(crate) fn report(&self) -> Vec<LinkReport> {
        #[cfg(feature = "s2s")]
        if let Some(federation) = self.federation.as_ref().and_then(Weak::upgrade) {
            let links = federation.statistics().into_iter().filter(|link| link.local == self.from);
            return links.map(|link| LinkReport::of(&link)).collect();
        }
        tracing::trace!(from = %self.from, "no way to other domains");
        Vec::new()
    }
}

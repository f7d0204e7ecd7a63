//! Whom to reach, and how.

use std::sync::Arc;
use std::time::Duration;

use convoke_xmpp::Domainpart;
use convoke_xmpp::negotiation::TlsStart;

use crate::dialback::{Dialback, Secret};
use crate::negotiation::Authzid;

/// Whom to reach, as whom.
#[derive(Debug, Clone)]
pub struct InitiatingConfig {
    /// The domain of this side; its certificate is shown.
    pub local: Domainpart,
    /// The domain to reach; its certificate is expected.
    pub remote: Domainpart,
    /// What to name as authorization identity. Default [`Authzid::Domain`].
    pub authzid: Authzid,
    /// Whether TLS comes first, without STARTTLS (XEP-0368). Default no.
    pub direct_tls: bool,
    /// Whether to ask for a stream that carries stanzas in both directions, where the peer offers it (XEP-0288). Default
    /// no.
    pub bidi: bool,
    /// The largest first-level element in bytes that is accepted on a stream in both directions, if the peer is to be
    /// told (XEP-0478, section 3.2). Default not.
    pub max_bytes: Option<usize>,
    /// Whether the certificates of the peer are kept, so that further domains can be authorised on the stream where the
    /// peer offers it (XEP-0344). Default no.
    pub dialback: bool,
    /// Where dialback by keys is good enough for the peer: what makes ours. Its certificate may prove nothing then, and ours
    /// need not convince it (XEP-0220). Default not.
    pub secret: Option<Arc<Secret>>,
    /// What the peer is asked in place of everything else: the negotiation succeeds if it says that a key is valid, and the
    /// stream is good for nothing more (XEP-0220, section 2.1.2). Default nothing.
    pub question: Option<Dialback>,
    /// How long the whole negotiation may take, TLS included. Default 30 s: six round trips and two handshakes, and a
    /// peer that answers more slowly would not carry stanzas either.
    pub deadline: Duration,
}

impl InitiatingConfig {
    /// The defaults for this pair of domains.
    pub fn new(local: Domainpart, remote: Domainpart) -> Self {
        Self {
            local,
            remote,
            authzid: Authzid::default(),
            direct_tls: false,
            bidi: false,
            max_bytes: None,
            dialback: false,
            secret: None,
            question: None,
            deadline: Duration::from_secs(30),
        }
    }
}

impl InitiatingConfig {
    pub(super) fn tls_start(&self, alpn: Option<&'static [u8]>) -> TlsStart {
        TlsStart::Initiating { local: self.local.clone(), remote: self.remote.clone(), alpn }
    }
}

//! What a peer claims to be that has no certificate to prove it.

use std::time::SystemTime;

use convoke_xmpp::Domainpart;

use super::Established;
use super::evidence::Evidence;
use crate::dialback::Dialback;
use crate::identity::PeerIdentity;

/// What a receiving entity knows when its part of the negotiation is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Who the peer is.
    Proved(Box<Established>),
    /// Who it says that it is: to be verified, where policy leaves the domain to dialback, and before any stanza.
    Claimed(Box<Claim>),
}

/// A domain that a peer claims to be, with a key for its authoritative server (XEP-0220, section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub(super) request: Dialback,
    pub(super) id: String,
    pub(super) evidence: Evidence,
    pub(super) bidi: bool,
    pub(super) peer_max_bytes: Option<u64>,
    pub(super) stream_management: bool,
    pub(super) tls_version: &'static str,
    pub(super) resumed: bool,
    pub(super) lang: Option<String>,
}

impl Claim {
    /// The request, from the domain that the peer claims to be to the one of this side; it has to be answered.
    pub fn request(&self) -> &Dialback {
        &self.request
    }

    /// The domain of this side.
    pub fn local(&self) -> &Domainpart {
        &self.request.to
    }

    /// The domain that the peer claims to be.
    pub fn remote(&self) -> &Domainpart {
        &self.request.from
    }

    /// What to ask the authoritative server of that domain.
    pub fn question(&self) -> Dialback {
        // A claim is made of a request.
        self.request.verification(&self.id).unwrap_or_else(|| self.request.clone())
    }

    /// What the claim is worth by the word of that server, given at `at` on a stream of its own; `None` if that was the
    /// answer to another question.
    pub fn vouched_for(self, by: &Established, at: SystemTime) -> Option<Established> {
        if by.vouched.as_ref() != Some(&self.question()) || by.identity.domain() != self.remote() {
            return None;
        }
        let identity = PeerIdentity::by_dialback(self.remote(), at);
        let Self { request, id, evidence, bidi, peer_max_bytes, stream_management, tls_version, resumed, lang } = self;
        let (local, dialback, vouched) = (request.to, true, None);
        Some(Established {
            local,
            id,
            identity,
            peer_max_bytes,
            bidi,
            stream_management,
            tls_version,
            resumed,
            lang,
            dialback,
            evidence,
            vouched,
        })
    }
}

impl From<Established> for Received {
    fn from(established: Established) -> Self {
        Self::Proved(Box::new(established))
    }
}

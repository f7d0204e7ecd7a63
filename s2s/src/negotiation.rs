//! The two roles of a server-to-server negotiation, without I/O.
//!
//! [`Initiating`] and [`Receiving`] are [`Negotiator`](convoke_xmpp::negotiation::Negotiator)s. What their driver has to
//! know besides that contract:
//!
//! * Outputs are performed before an error is acted upon: a stream error that needs a stream header of our own is
//!   preceded by [`OpenStream`](convoke_xmpp::negotiation::Output::OpenStream).
//! * An error without a stream error ends a stream that is closed by an output
//!   [`Close(None)`](convoke_xmpp::negotiation::Output::Close), if there was one to close; the closing tag is to be sent,
//!   and then the connection is closed.
//! * The certificates in [`TlsInfo`](convoke_xmpp::negotiation::TlsInfo) are judged here and nowhere else: TLS itself
//!   has to accept any certificate whose key the peer has.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use convoke_s2s::{IdentityVerifier, Initiating, InitiatingConfig, TrustAnchors};
//! use convoke_xmpp::{Domainpart, negotiation::{Negotiator, Output}};
//! # use convoke_dev::CertificateAuthority;
//! # use rustls_pki_types::{CertificateDer, pem::PemObject};
//! # let authority = CertificateAuthority::new("Test CA")?;
//! # let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())?.to_vec();
//!
//! let verifier = IdentityVerifier::new(TrustAnchors::new(vec![root], vec![])?, webpki::ALL_VERIFICATION_ALGS);
//! let config = InitiatingConfig::new(Domainpart::new("a.example")?, Domainpart::new("b.example")?);
//! let mut negotiation = Initiating::new(config, Arc::new(verifier), Instant::now());
//! assert!(matches!(negotiation.poll_output(), Some(Output::OpenStream(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claim;
mod evidence;
mod identifier;
mod initiating;
mod machine;
mod receiving;

use std::time::SystemTime;

use convoke_xmpp::Domainpart;
use convoke_xmpp::stream::StreamHeader;

pub use claim::{Claim, Received};
pub use initiating::{Initiating, InitiatingConfig};
pub use receiving::{Receiving, ReceivingConfig};

use crate::dialback::Dialback;
use crate::identity::{IdentityError, NameKind, PeerIdentity};
use evidence::Evidence;

/// What an initiating entity names as authorization identity in SASL EXTERNAL (RFC 6120, section 6.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Authzid {
    /// Its own domain. The default, because there are receiving entities that take nothing else (XEP-0178, section 3).
    #[default]
    Domain,
    /// None, written `=`, as RFC 6120 would have it.
    Empty,
}

/// The protocol that direct TLS names for server-to-server streams (XEP-0368, section 3).
pub const ALPN: &[u8] = b"xmpp-server";

/// What a successful negotiation proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The domain of this side.
    pub local: Domainpart,
    /// The identifier that the receiving entity has given the stream (RFC 6120, section 4.7.3); empty if it has not.
    pub id: String,
    /// The proved identity of the other side.
    pub identity: PeerIdentity,
    /// The largest first-level element that the peer says it accepts, in bytes (XEP-0478).
    pub peer_max_bytes: Option<u64>,
    /// Whether the stream carries stanzas in both directions (XEP-0288).
    pub bidi: bool,
    /// Whether the receiving entity offers to acknowledge stanzas (XEP-0198).
    pub stream_management: bool,
    /// The TLS version, such as `TLSv1.3`.
    pub tls_version: &'static str,
    /// Whether an earlier TLS session was resumed; the certificates were verified anew nevertheless.
    pub resumed: bool,
    /// The language of the peer's texts that name none, where it is not that of our own streams, English (RFC 6120,
    /// sections 4.7.4 and 8.1.5).
    pub lang: Option<String>,
    /// Whether further domains may be authorised on the stream, by the certificates of its TLS (XEP-0344).
    pub dialback: bool,
    evidence: Evidence,
    /// The question of dialback that the peer has answered with yes, if that was what the stream was for.
    vouched: Option<Dialback>,
}

impl Established {
    /// The proof that the peer is this domain too, by the certificates that it has shown, as the clock stands at `at`.
    ///
    /// `None` where they do not prove it any more or never did, and where [`Established::dialback`] is not set.
    pub fn also(&self, domain: &Domainpart, at: SystemTime) -> Option<PeerIdentity> {
        self.dialback.then(|| self.evidence.verify(domain, at).ok())?
    }

    /// By what the certificates that the peer has shown prove this domain, if they are judged as it is right now. Who was
    /// found by dialback has not been trusted for those.
    ///
    /// Fails with what is wrong with them, as the clock stands at `at`.
    pub fn judge(&self, domain: &Domainpart, at: SystemTime) -> Result<PeerIdentity, IdentityError> {
        if self.identity.matched() == NameKind::Dialback && self.identity.domain() == domain {
            return Ok(self.identity.clone());
        }
        self.evidence.verify(domain, at)
    }

    /// How many changes there had been of what certificates are judged by, before [`Established::identity`] was judged: see
    /// [`IdentityVerifier::changes_since`](crate::IdentityVerifier::changes_since).
    pub fn changes(&self) -> u64 {
        self.evidence.changes()
    }
}

/// The longest language tag that is believed: RFC 5646, section 4.4.1, names 35 characters as enough.
const LONGEST_TAG: usize = 35;

/// The language of this header, where stanzas need to be told.
fn foreign_language(header: &StreamHeader) -> Option<String> {
    let is_tag = |tag: &str| tag.len() <= LONGEST_TAG && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let lang = header.lang.as_deref().filter(|tag| !tag.is_empty() && is_tag(tag));
    lang.filter(|tag| !tag.eq_ignore_ascii_case("en")).map(str::to_owned)
}

#[cfg(test)]
mod tests;

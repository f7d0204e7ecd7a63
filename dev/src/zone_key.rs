//! The key that signs the root zone of a rehearsal (DNSSEC).

use std::time::Duration;

use hickory_server::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_server::proto::dnssec::rdata::DNSKEY;
use hickory_server::proto::dnssec::{DnsSecError, DnssecSigner, SigningKey};
use hickory_server::proto::rr::Name;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// How long signatures are valid: longer than any rehearsal lasts.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An Ed25519 key (RFC 8080).
pub(crate) struct ZoneKey {
    private: PrivatePkcs8KeyDer<'static>,
    public: DNSKEY,
}

impl ZoneKey {
    pub(crate) fn generate() -> Result<Self, DnsSecError> {
        let private = Ed25519SigningKey::generate_pkcs8()?;
        let public = DNSKEY::from_key(&Ed25519SigningKey::from_pkcs8(&private)?.to_public_key()?);
        Ok(Self { private, public })
    }

    /// Signs the root zone.
    pub(crate) fn signer(&self) -> Result<DnssecSigner, DnsSecError> {
        let key = Box::new(Ed25519SigningKey::from_pkcs8(&self.private)?);
        Ok(DnssecSigner::new(self.public.clone(), key, Name::root(), SIGNATURE_LIFETIME))
    }

    /// The DNSKEY record of the root, as a zone file writes it.
    pub(crate) fn record(&self) -> String {
        format!(". 0 IN DNSKEY {}", self.public)
    }
}

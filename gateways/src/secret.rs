//! Randomness, keyed hashes and values that must not be shown.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// 32 bytes of a secret; shown by nothing but [`Secret::reveal`].
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// A new secret from the operating system.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// HMAC-SHA-256 (RFC 2104) of the parts, joined.
    pub(crate) fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length; the other arm cannot be reached.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// The secret in the form of Standard Webhooks: `whsec_` and base64. For its owner, once.
    pub(crate) fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Makes identifiers that nobody outside can guess or repeat: a keyed hash of a counter.
#[derive(Debug)]
pub(crate) struct Identifiers {
    key: Secret,
    next: AtomicU64,
}

impl Identifiers {
    pub(crate) fn new(key: Secret) -> Self {
        Self { key, next: AtomicU64::new(0) }
    }

    /// 128 bits in 22 characters of `A-Z a-z 0-9 - _`.
    pub(crate) fn next(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        URL_SAFE_NO_PAD.encode(&self.key.authenticate(&[&count.to_be_bytes()])[..16])
    }
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authenticates_as_rfc_4231_does() {
        // RFC 4231, test case 3, has a key of 20 bytes; HMAC pads keys with zeros, so 32 bytes give the same.
        let mut key = [0; 32];
        key[..20].fill(0xaa);
        let mac = Secret(key).authenticate(&[&[0xdd; 30], &[0xdd; 20]]);
        assert_eq!(mac[..8], [0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46]);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret([7; 32]);
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.reveal(), format!("whsec_{}", STANDARD.encode([7; 32])));
    }

    #[test]
    fn identifiers_differ_within_and_between_gateways() {
        let (one, other) = (Identifiers::new(Secret([1; 32])), Identifiers::new(Secret([2; 32])));
        let mut all: Vec<String> = (0..100).flat_map(|_| [one.next(), other.next()]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 200);
    }
}

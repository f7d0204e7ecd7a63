//! Dialback keys: who has the secret has made the request (XEP-0185).

use std::fmt;

use convoke_xmpp::Domainpart;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The proof in a dialback request; compared in a time that does not depend on it, and never shown.
#[derive(Clone)]
pub struct Key(String);

/// What the servers of a domain share, and nobody else knows.
pub struct Secret {
    /// The digest of the secret in hexadecimal: the key of the HMAC, as long as it should be however short the secret is.
    digest: String,
}

impl Key {
    /// The text of a request, without the whitespace around it.
    pub(super) fn read(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The key as it goes to the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Secret {
    /// A secret of the operator's, for domains that several servers serve.
    pub fn new(secret: &[u8]) -> Self {
        Self { digest: hexadecimal(&Sha256::digest(secret)) }
    }

    /// A secret of 256 random bits; `None` if the operating system gives none.
    pub fn random() -> Option<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok()?;
        Some(Self::new(&secret))
    }

    /// The key by which `originating` asks `receiving`, on the stream to which that has given the identifier `id`.
    pub fn key(&self, receiving: &Domainpart, originating: &Domainpart, id: &str) -> Key {
        // HMAC takes a key of any length; without one no key of a peer is equal to this.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.digest.as_bytes()) else { return Key(String::new()) };
        mac.update(format!("{receiving} {originating} {id}").as_bytes());
        Key(hexadecimal(&mac.finalize().into_bytes()))
    }

    /// Whether `originating` has made this key for that stream.
    pub fn has_made(&self, key: &Key, receiving: &Domainpart, originating: &Domainpart, id: &str) -> bool {
        !key.0.is_empty() && self.key(receiving, originating, id) == *key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domainpart {
        Domainpart::new(name).unwrap()
    }

    fn example() -> (Secret, Domainpart, Domainpart) {
        (Secret::new(b"s3cr3tf0rd14lb4ck"), domain("xmpp.example.com"), domain("example.org"))
    }

    /// XEP-0185, section 3.
    #[test]
    fn makes_the_key_of_the_specification() {
        let (secret, receiving, originating) = example();
        assert_eq!(secret.digest, "a7136eb1f46c9ef18c5e78c36ca257067c69b3d518285f0b18a96c33beae9acc");
        let key = secret.key(&receiving, &originating, "D60000229F");
        assert_eq!(key.as_str(), "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
    }

    #[test]
    fn a_key_is_good_for_one_stream_of_one_pair_by_one_secret() {
        let (secret, receiving, originating) = example();
        let key = secret.key(&receiving, &originating, "1");
        assert!(secret.has_made(&key, &receiving, &originating, "1"));
        assert!(!secret.has_made(&key, &receiving, &originating, "2"));
        assert!(!secret.has_made(&key, &originating, &receiving, "1"));
        assert!(!Secret::new(b"another").has_made(&key, &receiving, &originating, "1"));
        assert!(!Secret::random().unwrap().has_made(&key, &receiving, &originating, "1"));
        assert!(!secret.has_made(&Key::read(&key.as_str()[..63]), &receiving, &originating, "1"));
        assert!(!secret.has_made(&Key::read(""), &receiving, &originating, "1"));
    }

    #[test]
    fn neither_secret_nor_key_is_shown() {
        let (secret, receiving, originating) = example();
        let shown = format!("{secret:?} {:?}", secret.key(&receiving, &originating, "1"));
        assert_eq!(shown, "Secret(..) Key(..)");
    }
}

//! Certificates that a domain vouches for by HTTPS: PKIX over Secure HTTP (POSH, RFC 7711).

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};
use thiserror::Error;

/// How many fingerprints of a document are looked at: those of a server and its successor, several times over.
const MAX_FINGERPRINTS: usize = 64;

/// The examples of RFC 7711 are padded here and unpadded there.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What `https://<domain>/.well-known/posh/xmpp-server.json` may hold (RFC 7711, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoshDocument {
    /// The certificates that the domain vouches for (section 3.1).
    Fingerprints {
        /// At least one.
        fingerprints: Vec<PoshFingerprint>,
        /// How long it may be believed; never zero.
        expires: Duration,
    },
    /// Where the fingerprints are (section 3.2).
    Reference {
        /// An `https` URI. What is there must be fingerprints, not another reference.
        url: String,
        /// How long it may be believed; never zero.
        expires: Duration,
    },
}

/// One certificate, by the hashes of its DER encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoshFingerprint {
    sha256: Option<[u8; 32]>,
    sha512: Option<Box<[u8; 64]>>,
}

/// Why a document vouches for nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoshError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has not the members that it should have.
    #[error("a POSH document has `expires` and either `fingerprints` or `url`")]
    Form,
    /// It has no fingerprint by SHA-256 or SHA-512.
    #[error("it has no fingerprint by sha-256 or sha-512")]
    NoFingerprint,
    /// It refers to something else than an `https` URI.
    #[error("it refers to something that is not fetched by https")]
    Insecure,
    /// It says itself that it must not be believed (`expires` is 0).
    #[error("it has expired by its own account")]
    Expired,
}

impl PoshDocument {
    /// Reads a document. What RFC 7711 does not speak of is passed over.
    pub fn parse(json: &[u8]) -> Result<Self, PoshError> {
        let document: Value = serde_json::from_slice(json)?;
        let expires = document["expires"].as_u64().ok_or(PoshError::Form)?;
        if expires == 0 {
            return Err(PoshError::Expired);
        }
        let expires = Duration::from_secs(expires);
        match (&document["fingerprints"], &document["url"]) {
            (Value::Array(descriptors), Value::Null) => {
                Ok(Self::Fingerprints { fingerprints: fingerprints(descriptors)?, expires })
            }
            (Value::Null, Value::String(url)) if url.starts_with("https://") => {
                Ok(Self::Reference { url: url.clone(), expires })
            }
            (Value::Null, Value::String(_)) => Err(PoshError::Insecure),
            _ => Err(PoshError::Form),
        }
    }
}

fn fingerprints(descriptors: &[Value]) -> Result<Vec<PoshFingerprint>, PoshError> {
    let usable: Vec<_> = descriptors.iter().filter_map(fingerprint).take(MAX_FINGERPRINTS).collect();
    if usable.is_empty() { Err(PoshError::NoFingerprint) } else { Ok(usable) }
}

/// `None` without a hash that is known and not weak, or with one that cannot be read.
fn fingerprint(descriptor: &Value) -> Option<PoshFingerprint> {
    let sha256 = hash(&descriptor["sha-256"])?;
    let sha512 = hash(&descriptor["sha-512"])?.map(Box::new);
    (sha256.is_some() || sha512.is_some()).then_some(PoshFingerprint { sha256, sha512 })
}

/// `Some(None)` where it is not there, `None` where it cannot be read.
fn hash<const LENGTH: usize>(text: &Value) -> Option<Option<[u8; LENGTH]>> {
    match text {
        Value::Null => Some(None),
        Value::String(text) => BASE64.decode(text).ok()?.try_into().ok().map(Some),
        _ => None,
    }
}

impl PoshFingerprint {
    /// Whether this is the certificate, given as DER: by every hash that is there.
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let by_256 = self.sha256.is_none_or(|hash| Sha256::digest(certificate)[..] == hash);
        let by_512 = self.sha512.as_ref().is_none_or(|hash| Sha512::digest(certificate)[..] == hash[..]);
        by_256 && by_512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(certificate: &[u8]) -> (String, String) {
        (BASE64.encode(Sha256::digest(certificate)), BASE64.encode(Sha512::digest(certificate)))
    }

    fn fingerprints(json: &str) -> Vec<PoshFingerprint> {
        match PoshDocument::parse(json.as_bytes()).unwrap() {
            PoshDocument::Fingerprints { fingerprints, expires } => {
                assert_eq!(expires, Duration::from_secs(604_800));
                fingerprints
            }
            PoshDocument::Reference { url, .. } => panic!("a reference to {url}"),
        }
    }

    /// RFC 7711, section 3.1.
    #[test]
    fn any_fingerprint_may_match_but_by_every_hash_it_has() {
        let ((a256, a512), (b256, _)) = (hashes(b"a"), hashes(b"b"));
        let json = format!(
            r#"{{"fingerprints": [{{"sha-256": "{a256}", "sha-512": "{a512}"}}, {{"sha-256": "{}", "md5": "x"}}],
            "expires": 604800, "unknown": true}}"#,
            b256.trim_end_matches('=')
        );
        let found = fingerprints(&json);
        assert_eq!(found.iter().map(|one| one.matches(b"a")).collect::<Vec<_>>(), [true, false]);
        assert_eq!(found.iter().map(|one| one.matches(b"b")).collect::<Vec<_>>(), [false, true]);
        let mixed = fingerprints(&json.replace(&a512, &hashes(b"b").1));
        assert!(!mixed[0].matches(b"a") && !mixed[0].matches(b"b"));
    }

    /// RFC 7711, section 3.2.
    #[test]
    fn a_reference_leads_to_https() {
        let json = br#"{"url":"https://hosting.example.net/.well-known/posh/spice.json","expires":86400}"#;
        let url = "https://hosting.example.net/.well-known/posh/spice.json".to_owned();
        let expected = PoshDocument::Reference { url, expires: Duration::from_secs(86_400) };
        assert_eq!(PoshDocument::parse(json).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_vouches_for_nothing() {
        let (hash, _) = hashes(b"a");
        for (json, expected) in [
            ("no JSON".to_owned(), "it is not JSON"),
            ("[]".to_owned(), "a POSH document has"),
            (format!(r#"{{"fingerprints":[{{"sha-256":"{hash}"}}]}}"#), "a POSH document has"),
            (format!(r#"{{"fingerprints":[{{"sha-256":"{hash}"}}],"expires":-1}}"#), "a POSH document has"),
            (format!(r#"{{"fingerprints":[{{"sha-256":"{hash}"}}],"expires":0}}"#), "it has expired"),
            (r#"{"fingerprints":[],"expires":1}"#.to_owned(), "it has no fingerprint"),
            (r#"{"fingerprints":[{"sha-1":"AAAA"}],"expires":1}"#.to_owned(), "it has no fingerprint"),
            (r#"{"fingerprints":[{"sha-256":"AAAA"}],"expires":1}"#.to_owned(), "it has no fingerprint"),
            (r#"{"url":"http://a.example/","expires":1}"#.to_owned(), "it refers to something"),
            (r#"{"url":"https://a.example/","fingerprints":[],"expires":1}"#.to_owned(), "a POSH document has"),
            (r#"{"expires":1}"#.to_owned(), "a POSH document has"),
        ] {
            let error = PoshDocument::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }
}

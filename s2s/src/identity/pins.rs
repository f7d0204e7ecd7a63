//! Pinned keys: a short list of public keys, one of which has to be on a certificate's path.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{IdentityError, parse};

/// The SHA-256 of a SubjectPublicKeyInfo in DER: a key, whichever certificates it has.
///
/// Written as base64, as RFC 7469 (section 2.4) writes `pin-sha256`. A pin survives the renewal of a certificate whose
/// key is kept. It narrows what the roots allow and never replaces them.
///
/// ```
/// use convoke_s2s::SpkiPin;
///
/// let pin: SpkiPin = "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=".parse()?;
/// assert_eq!(pin.to_string(), "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=");
/// # Ok::<(), convoke_s2s::PinError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpkiPin([u8; 32]);

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a pin is the base64 of a SHA-256: 44 characters, the last of which is `=`")]
pub struct PinError;

impl SpkiPin {
    /// The pin of the key in this certificate, given as DER. Fails with [`IdentityError::Unreadable`].
    pub fn of_certificate(certificate: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self::of_key(parse(certificate)?.public_key().raw))
    }

    /// The pin of this SubjectPublicKeyInfo in DER.
    pub(super) fn of_key(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The pin of a SubjectPublicKeyInfo whose outer SEQUENCE was taken off, as trust anchors keep it.
    pub(super) fn of_bare_key(content: &[u8]) -> Self {
        let mut key = vec![0x30];
        match content.len() {
            short @ ..0x80 => key.push(short as u8),
            long => {
                let bytes = long.to_be_bytes();
                let significant = &bytes[long.leading_zeros() as usize / 8..];
                key.push(0x80 | significant.len() as u8);
                key.extend_from_slice(significant);
            }
        }
        key.extend_from_slice(content);
        Self::of_key(&key)
    }
}

impl FromStr for SpkiPin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digest = STANDARD.decode(text).map_err(|_| PinError)?;
        digest.try_into().map(Self).map_err(|_| PinError)
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_its_outer_tag_has_the_same_pin() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1234] {
            let content = vec![7; length];
            let header = match length {
                0..=0x7f => vec![0x30, length as u8],
                0x80..=0xff => vec![0x30, 0x81, length as u8],
                _ => vec![0x30, 0x82, (length >> 8) as u8, length as u8],
            };
            assert_eq!(SpkiPin::of_bare_key(&content), SpkiPin::of_key(&[header, content].concat()), "{length}");
        }
    }

    #[test]
    fn refuses_texts_that_are_no_pins() {
        for text in
            ["", "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM", "AAAA", "not base64 at all, whatever is said of it"]
        {
            assert_eq!(text.parse::<SpkiPin>(), Err(PinError), "{text}");
        }
    }
}

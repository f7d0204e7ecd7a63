//! Stream identifiers (RFC 6120, section 4.7.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::NegotiationFailure;

/// Bytes of randomness in an identifier: unique, and nobody can guess it.
const RANDOM_BYTES: usize = 18;

/// A new identifier: 144 random bits as 24 characters.
pub(super) fn stream_id() -> Result<String, NegotiationFailure> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|_| NegotiationFailure::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::stream_id;

    /// Rule 13.
    #[test]
    fn never_repeats() {
        let ids: HashSet<_> = (0..1_000_000).map(|_| stream_id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000_000);
        assert!(ids.iter().all(|id| id.len() == 24));
    }
}

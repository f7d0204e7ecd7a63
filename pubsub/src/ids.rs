//! Identifiers that nobody can guess.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Refusal;

/// Gives identifiers that have not been given before.
pub(crate) trait IdSource {
    /// A fresh identifier: letters and digits.
    fn fresh(&mut self) -> Result<String, Refusal>;
}

/// 128 random bits in hexadecimal: unique without a look at those in use.
pub(crate) struct RandomIds;

impl IdSource for RandomIds {
    fn fresh(&mut self) -> Result<String, Refusal> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|_| Refusal::NoRandomness)?;
        Ok(format!("{:032x}", u128::from_be_bytes(bits)))
    }
}

/// The `id` of notifications: unique within the service (XEP-0060, section 13.4).
pub(crate) struct MessageIds {
    prefix: String,
    next: AtomicU64,
}

impl MessageIds {
    /// Ids that differ from those of an earlier run; without randomness they are still unique within this one.
    pub(crate) fn new() -> Self {
        let prefix = RandomIds.fresh().map(|id| id[..12].to_owned()).unwrap_or_default();
        Self { prefix, next: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> String {
        format!("{}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_given_once() {
        let mut ids: Vec<_> = (0..100).map(|_| RandomIds.fresh().unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == 32));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 100);
        let messages = MessageIds::new();
        assert_ne!(messages.next(), messages.next());
        assert_ne!(MessageIds::new().next(), messages.next());
    }
}

//! Identifiers that nobody can guess.

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

use convoke_xmpp::Jid;

use crate::broker::Refusal;

/// Gives identifiers that have not been given before.
pub(crate) trait IdSource {
    /// Fresh bits.
    fn bits(&mut self) -> Result<u128, Refusal>;

    /// A fresh identifier: letters and digits.
    fn fresh(&mut self) -> Result<String, Refusal> {
        Ok(format!("{:032x}", self.bits()?))
    }
}

/// 128 random bits: unique without a look at those in use.
pub(crate) struct RandomIds;

impl IdSource for RandomIds {
    fn bits(&mut self) -> Result<u128, Refusal> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|_| Refusal::NoRandomness)?;
        Ok(u128::from_be_bytes(bits))
    }
}

/// The `id` of notifications: unique within the service (XEP-0060, section 13.4), and known to their recipient alone.
///
/// An id is a count and a keyed hash of it and of the recipient. So nothing need be kept to tell whether somebody got a
/// notification of that id, and nobody can make one up.
#[derive(Default)]
pub(crate) struct MessageIds {
    key: RandomState,
    count: u64,
}

impl MessageIds {
    /// Writes the id of the next notification for this recipient in place of what is there.
    pub(crate) fn write_next(&mut self, recipient: &Jid, out: &mut String) {
        self.count += 1;
        out.clear();
        // Text takes whatever is written into it.
        let _ = write!(out, "{:x}-{:016x}", self.count, self.proof(self.count, recipient));
    }

    /// How many ids have been written.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Which of the ids it is, if it was written for this recipient.
    pub(crate) fn count_of(&self, id: &str, recipient: &Jid) -> Option<u64> {
        let (count, proof) = id.split_once('-')?;
        let [count, proof] = [count, proof].map(|digits| u64::from_str_radix(digits, 16).ok());
        // Two numbers are compared at once: how long that takes tells nothing.
        count.filter(|count| proof == Some(self.proof(*count, recipient)))
    }

    fn proof(&self, count: u64, recipient: &Jid) -> u64 {
        self.key.hash_one((count, recipient.as_str()))
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
    }

    #[test]
    fn only_the_recipient_of_a_notification_knows_its_id() {
        let (mut ids, mut other) = (MessageIds::default(), MessageIds::default());
        let jid = |text: &str| Jid::new(text).unwrap();
        let next = |ids: &mut MessageIds, recipient: &str| {
            let mut id = "before".to_owned();
            ids.write_next(&jid(recipient), &mut id);
            id
        };
        let first = next(&mut ids, "a@a.example");
        let second = next(&mut ids, "a@a.example");
        assert_ne!(first, second);
        let a = jid("a@a.example");
        assert_eq!((ids.count_of(&first, &a), ids.count_of(&second, &a), ids.count()), (Some(1), Some(2), 2));
        assert_eq!(ids.count_of(&first, &jid("b@a.example")), None);
        assert_eq!(ids.count_of(&next(&mut other, "a@a.example"), &a), None);
        for made_up in ["", "1", "1-0", "3-0000000000000000", "-"] {
            assert_eq!(ids.count_of(made_up, &a), None, "{made_up}");
        }
    }
}

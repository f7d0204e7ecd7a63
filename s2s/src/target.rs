//! In which order the targets of an SRV lookup are tried (RFC 2782).

/// One SRV record: where a domain's server can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrvRecord {
    /// Targets of a lower number are tried first.
    pub priority: u16,
    /// The share of first attempts among targets of equal priority; 0 is seldom but possible.
    pub weight: u16,
    /// The TCP port.
    pub port: u16,
    /// The host name, with A-labels; `.` says that there is no such service.
    pub target: String,
}

impl SrvRecord {
    /// Whether the record says that the domain offers no such service (RFC 2782, "Target").
    pub fn declines(&self) -> bool {
        self.target == "."
    }
}

/// Whether a domain says that it has no such service: the one record's target is the root.
///
/// Then nothing is to be dialled at all (RFC 6120, section 3.2.1, rule 3).
pub fn is_declined(records: &[SrvRecord]) -> bool {
    matches!(records, [record] if record.declines())
}

/// Puts records into the order in which they are to be tried (RFC 2782, "Priority" and "Weight").
///
/// Ascending by priority; within one priority every place is drawn at random, in proportion to the weights that are
/// left. `random` gives uniform numbers over the whole range of `u32`.
pub fn order(mut records: Vec<SrvRecord>, random: &mut dyn FnMut() -> u32) -> Vec<SrvRecord> {
    // Weight 0 comes first within its priority, as the algorithm of RFC 2782 wants it: it is drawn by a 0 only.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let equals = records.iter().take_while(|record| record.priority == priority);
        let sum: u64 = equals.clone().map(|record| u64::from(record.weight)).sum();
        let chosen = at_running_sum(equals, draw(sum, random));
        ordered.push(records.remove(chosen));
    }
    ordered
}

/// A number from 0 to `sum`, both included.
fn draw(sum: u64, random: &mut dyn FnMut() -> u32) -> u64 {
    // An answer of DNS holds a few thousand records at most, so the product stays far below 2^64.
    (u64::from(random()) * (sum + 1)) >> 32
}

/// The first record whose running sum of weights reaches `drawn`.
fn at_running_sum<'a>(records: impl Iterator<Item = &'a SrvRecord>, drawn: u64) -> usize {
    let running = records.scan(0, |sum, record| {
        *sum += u64::from(record.weight);
        Some(*sum)
    });
    running.take_while(|sum| *sum < drawn).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 5269, target: target.to_owned() }
    }

    /// Marsaglia's xorshift: the same numbers in every run.
    fn generator(mut state: u64) -> impl FnMut() -> u32 {
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u32
        }
    }

    fn targets(records: &[SrvRecord]) -> Vec<&str> {
        records.iter().map(|record| record.target.as_str()).collect()
    }

    #[test]
    fn tries_lower_priorities_first_whatever_the_weights() {
        let records = vec![record(20, 65_535, "c"), record(0, 0, "a"), record(10, 1, "b")];
        let mut random = generator(1);
        for _ in 0..100 {
            assert_eq!(targets(&order(records.clone(), &mut random)), ["a", "b", "c"]);
        }
    }

    /// Rule 4 of the table in the crate's documentation.
    #[test]
    fn draws_first_targets_in_proportion_to_their_weights() {
        const DRAWS: usize = 10_000;
        let weights = [10u16, 20, 70];
        let records: Vec<_> = weights.iter().map(|weight| record(5, *weight, &weight.to_string())).collect();
        let mut random = generator(0x2545_f491_4f6c_dd1d);
        let mut seen = [0f64; 3];
        for _ in 0..DRAWS {
            let first = order(records.clone(), &mut random).remove(0);
            seen[weights.iter().position(|weight| *weight == first.weight).unwrap()] += 1.0;
        }
        // A draw is uniform over 0..=100, and 0 belongs to the first record.
        let expected = [11.0, 20.0, 70.0].map(|share| share / 101.0 * DRAWS as f64);
        let chi_square: f64 =
            seen.iter().zip(expected).map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
        // Two degrees of freedom, significance 0.001.
        assert!(chi_square < 13.8, "{chi_square}: {seen:?}");
    }

    #[test]
    fn draws_weight_zero_seldom_but_draws_it() {
        let records = vec![record(5, 99, "heavy"), record(5, 0, "zero")];
        let mut random = generator(7);
        let zero_first = (0..10_000).filter(|_| order(records.clone(), &mut random)[0].target == "zero").count();
        assert!((50..200).contains(&zero_first), "{zero_first}");
    }

    #[test]
    fn a_draw_covers_both_ends_of_the_running_sum() {
        let records = vec![record(5, 1, "one"), record(5, 0, "zero")];
        assert_eq!(targets(&order(records.clone(), &mut || 0)), ["zero", "one"]);
        assert_eq!(targets(&order(records, &mut || u32::MAX)), ["one", "zero"]);
    }

    #[test]
    fn loses_and_doubles_no_record_even_at_the_ends_of_the_random_range() {
        let records: Vec<_> = (0..20).map(|n| record(n % 3, n % 4 * 21_845, &n.to_string())).collect();
        for number in [0, 1, u32::MAX / 2, u32::MAX] {
            let mut sorted = order(records.clone(), &mut || number);
            assert!(sorted.is_sorted_by_key(|record| record.priority));
            sorted.sort_by_key(|record| record.target.parse::<u16>().unwrap());
            assert_eq!(sorted, records);
        }
    }

    /// Rule 1.
    #[test]
    fn a_single_root_target_declines_the_service() {
        assert!(is_declined(&[record(0, 0, ".")]));
        assert!(!is_declined(&[record(0, 0, "."), record(1, 0, "a")]));
        assert!(!is_declined(&[]));
    }
}

//! Which targets a domain has and in which order they are tried (RFC 2782; XEP-0368, section 3).

use std::fmt;

/// The port of server-to-server streams where no SRV record names another (RFC 6120, section 3.2.2).
pub const DEFAULT_PORT: u16 = 5269;

/// How many targets of one domain are kept, those of the best priorities: DNS answers are under the control of others,
/// and no more than a handful is ever tried.
pub const MAX_TARGETS: usize = 32;

/// The two services under which the servers of a domain are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `_xmpp-server._tcp`: a stream that begins in the clear and goes on with STARTTLS (RFC 6120, section 3.2.1).
    StartTls,
    /// `_xmpps-server._tcp`: TLS first (XEP-0368, section 3).
    DirectTls,
}

impl Service {
    /// Service and protocol as the owner name of an SRV record begins.
    pub fn label(self) -> &'static str {
        match self {
            Self::StartTls => "_xmpp-server._tcp",
            Self::DirectTls => "_xmpps-server._tcp",
        }
    }
}

/// One SRV record: where a domain's server can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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

/// One host and port to try, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Target {
    /// The host name, with A-labels and without the final dot, or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether TLS comes first, without STARTTLS.
    pub direct_tls: bool,
    /// The priority of its SRV record; 0 where there was none.
    pub priority: u16,
    /// The weight of its SRV record; 0 where there was none.
    pub weight: u16,
}

impl Target {
    /// A target without an SRV record, by STARTTLS.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, direct_tls: false, priority: 0, weight: 0 }
    }

    fn of(service: Service, record: SrvRecord) -> Self {
        Self {
            host: record.target.trim_end_matches('.').to_owned(),
            port: record.port,
            direct_tls: service == Service::DirectTls,
            priority: record.priority,
            weight: record.weight,
        }
    }
}

impl fmt::Display for Target {
    /// Host and port, an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// What the SRV records of a domain amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// These targets, in the order in which they are to be tried; never empty. Nothing else is to be tried
    /// (RFC 6120, section 3.2.1, rule 8).
    Targets(Vec<Target>),
    /// The domain says that it has no server: nothing is to be dialled at all (RFC 6120, section 3.2.1, rule 3).
    Declined,
    /// There is no record: the domain itself is to be tried, on [`DEFAULT_PORT`] (RFC 6120, section 3.2.1, rule 9).
    Unknown,
}

impl Located {
    /// Mixes the records of both services into one order (XEP-0368, section 3).
    ///
    /// A `.` of one service leaves the other; it is an answer, so that the domain itself is not tried. `random` gives
    /// uniform numbers over the whole range of `u32`.
    pub fn from_records(
        records: impl IntoIterator<Item = (Service, SrvRecord)>,
        random: &mut dyn FnMut() -> u32,
    ) -> Self {
        let mut records = records.into_iter().peekable();
        if records.peek().is_none() {
            return Self::Unknown;
        }
        let offered = records.filter(|(_, record)| !record.declines());
        let mut targets = order(offered.map(|(service, record)| Target::of(service, record)).collect(), random);
        targets.truncate(MAX_TARGETS);
        if targets.is_empty() { Self::Declined } else { Self::Targets(targets) }
    }
}

/// Puts targets into the order in which they are to be tried (RFC 2782, "Priority" and "Weight").
///
/// Ascending by priority; within one priority every place is drawn at random, in proportion to the weights that are
/// left. `random` gives uniform numbers over the whole range of `u32`.
pub fn order(mut targets: Vec<Target>, random: &mut dyn FnMut() -> u32) -> Vec<Target> {
    // Weight 0 comes first within its priority, as the algorithm of RFC 2782 wants it: it is drawn by a 0 only.
    targets.sort_by_key(|target| (target.priority, target.weight != 0));
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let priority = first.priority;
        let equals = targets.iter().take_while(|target| target.priority == priority);
        let sum: u64 = equals.clone().map(|target| u64::from(target.weight)).sum();
        let chosen = at_running_sum(equals, draw(sum, random));
        ordered.push(targets.remove(chosen));
    }
    ordered
}

/// A number from 0 to `sum`, both included.
fn draw(sum: u64, random: &mut dyn FnMut() -> u32) -> u64 {
    // An answer of DNS holds a few thousand records at most, so the product stays far below 2^64.
    (u64::from(random()) * (sum + 1)) >> 32
}

/// The first target whose running sum of weights reaches `drawn`.
fn at_running_sum<'a>(targets: impl Iterator<Item = &'a Target>, drawn: u64) -> usize {
    let running = targets.scan(0, |sum, target| {
        *sum += u64::from(target.weight);
        Some(*sum)
    });
    running.take_while(|sum| *sum < drawn).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 10_000;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 5269, target: target.to_owned() }
    }

    fn target(priority: u16, weight: u16, host: &str) -> Target {
        Target { priority, weight, ..Target::new(host, 5269) }
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

    fn hosts(targets: &[Target]) -> Vec<&str> {
        targets.iter().map(|target| target.host.as_str()).collect()
    }

    fn located(records: Vec<(Service, SrvRecord)>) -> Located {
        Located::from_records(records, &mut generator(1))
    }

    /// How far what was seen is from what was expected.
    fn chi_square(seen: &[f64], expected: &[f64]) -> f64 {
        seen.iter().zip(expected).map(|(seen, expected)| (seen - expected).powi(2) / expected).sum()
    }

    #[test]
    fn tries_lower_priorities_first_whatever_the_weights() {
        let targets = vec![target(20, 65_535, "c"), target(0, 0, "a"), target(10, 1, "b")];
        let mut random = generator(1);
        for _ in 0..100 {
            assert_eq!(hosts(&order(targets.clone(), &mut random)), ["a", "b", "c"]);
        }
    }

    /// Rule 4 of the table in the crate's documentation.
    #[test]
    fn draws_first_targets_in_proportion_to_their_weights() {
        let weights = [10u16, 20, 70];
        let targets: Vec<_> = weights.iter().map(|weight| target(5, *weight, &weight.to_string())).collect();
        let mut random = generator(0x2545_f491_4f6c_dd1d);
        let mut seen = [0f64; 3];
        for _ in 0..DRAWS {
            let first = order(targets.clone(), &mut random).remove(0);
            seen[weights.iter().position(|weight| *weight == first.weight).unwrap()] += 1.0;
        }
        // A draw is uniform over 0..=100, and 0 belongs to the first target.
        let expected = [11.0, 20.0, 70.0].map(|share| share / 101.0 * DRAWS as f64);
        // Two degrees of freedom, significance 0.001.
        assert!(chi_square(&seen, &expected) < 13.8, "{seen:?}");
    }

    /// Rules 4 and 7: every permutation of both services' targets comes as often as drawing without replacement says.
    #[test]
    fn mixes_both_services_in_one_order_by_priority_and_weight() {
        let records = vec![
            (Service::DirectTls, record(5, 1, "d")),
            (Service::StartTls, record(5, 3, "s")),
            (Service::DirectTls, record(5, 6, "t")),
            (Service::StartTls, record(1, 0, "first")),
            (Service::DirectTls, record(9, 0, "last")),
        ];
        let mut random = generator(0x9e37_79b9_7f4a_7c15);
        let permutations = ["dst", "dts", "sdt", "std", "tds", "tsd"];
        let mut seen = [0f64; 6];
        for _ in 0..DRAWS {
            let Located::Targets(targets) = Located::from_records(records.clone(), &mut random) else { panic!() };
            assert_eq!((targets[0].host.as_str(), targets[4].host.as_str()), ("first", "last"));
            assert!(targets.iter().all(|target| target.direct_tls == !matches!(target.host.as_str(), "s" | "first")));
            let middle: String = targets[1..4].iter().map(|target| target.host.as_str()).collect();
            seen[permutations.iter().position(|permutation| **permutation == middle).unwrap()] += 1.0;
        }
        // A draw from `sum` is uniform over 0..=sum, and its 0 belongs to whoever is asked first: d, s, t.
        let first = |weights: [f64; 3], of: usize| {
            let sum: f64 = weights.iter().sum();
            let lowest = weights.iter().position(|weight| *weight > 0.0).unwrap();
            (weights[of] + if of == lowest { 1.0 } else { 0.0 }) / (sum + 1.0)
        };
        let expected = permutations.map(|permutation| {
            let mut weights = [1.0, 3.0, 6.0];
            let mut chance = 1.0;
            for host in permutation.chars() {
                let of = "dst".find(host).unwrap();
                chance *= first(weights, of);
                weights[of] = 0.0;
            }
            chance * DRAWS as f64
        });
        // Five degrees of freedom, significance 0.001.
        assert!(chi_square(&seen, &expected) < 20.5, "{seen:?}, expected {expected:?}");
    }

    #[test]
    fn draws_weight_zero_seldom_but_draws_it() {
        let targets = vec![target(5, 99, "heavy"), target(5, 0, "zero")];
        let mut random = generator(7);
        let zero_first = (0..DRAWS).filter(|_| order(targets.clone(), &mut random)[0].host == "zero").count();
        assert!((50..200).contains(&zero_first), "{zero_first}");
    }

    #[test]
    fn a_draw_covers_both_ends_of_the_running_sum() {
        let targets = vec![target(5, 1, "one"), target(5, 0, "zero")];
        assert_eq!(hosts(&order(targets.clone(), &mut || 0)), ["zero", "one"]);
        assert_eq!(hosts(&order(targets, &mut || u32::MAX)), ["one", "zero"]);
    }

    #[test]
    fn loses_and_doubles_no_target_even_at_the_ends_of_the_random_range() {
        let targets: Vec<_> = (0..20).map(|n| target(n % 3, n % 4 * 21_845, &n.to_string())).collect();
        for number in [0, 1, u32::MAX / 2, u32::MAX] {
            let mut sorted = order(targets.clone(), &mut || number);
            assert!(sorted.is_sorted_by_key(|target| target.priority));
            sorted.sort_by_key(|target| target.host.parse::<u16>().unwrap());
            assert_eq!(sorted, targets);
        }
    }

    /// Rule 1.
    #[test]
    fn a_single_root_target_declines_the_service() {
        assert_eq!(located(vec![(Service::StartTls, record(0, 0, "."))]), Located::Declined);
        assert_eq!(located(vec![(Service::DirectTls, record(0, 0, "."))]), Located::Declined);
        let both = [Service::DirectTls, Service::StartTls].map(|service| (service, record(0, 0, ".")));
        assert_eq!(located(both.into()), Located::Declined);
        assert_eq!(located(Vec::new()), Located::Unknown);
    }

    /// Rule 2.
    #[test]
    fn a_root_target_of_one_service_leaves_the_other() {
        for (declined, offered) in [(Service::DirectTls, Service::StartTls), (Service::StartTls, Service::DirectTls)] {
            let records = vec![(declined, record(0, 0, ".")), (offered, record(7, 3, "x.example."))];
            let Located::Targets(targets) = located(records) else { panic!("{offered:?}") };
            let direct_tls = offered == Service::DirectTls;
            assert_eq!(targets, [Target { direct_tls, ..target(7, 3, "x.example") }]);
        }
    }

    #[test]
    fn keeps_a_bounded_number_of_targets_of_the_best_priorities() {
        let records = (0..1000u16).rev().map(|n| (Service::StartTls, record(n, 0, &n.to_string()))).collect();
        let Located::Targets(targets) = located(records) else { panic!() };
        assert_eq!(targets.len(), MAX_TARGETS);
        assert!(targets.iter().zip(0..).all(|(target, n)| target.priority == n));
    }
}

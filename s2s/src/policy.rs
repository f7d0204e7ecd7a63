//! With whom to federate, and how much of others is taken.

use std::fmt;
use std::str::FromStr;
#[cfg(feature = "net")]
use std::time::{Duration, Instant};

use convoke_xmpp::{AddressError, Domainpart};

/// Which domains to federate with, in both directions.
///
/// Without any pattern, with everybody whose certificate proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainPolicy {
    /// If there is any, only the domains that one of these matches.
    pub allow: Vec<DomainPattern>,
    /// None of the domains that one of these matches, whatever is allowed.
    pub block: Vec<DomainPattern>,
}

impl DomainPolicy {
    /// Whether streams to and from the domain are allowed.
    pub fn allows(&self, domain: &str) -> bool {
        let matched = |patterns: &[DomainPattern]| patterns.iter().any(|pattern| pattern.matches(domain));
        (self.allow.is_empty() || matched(&self.allow)) && !matched(&self.block)
    }
}

/// A domain, or with `*.` in front all domains below it, at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainPattern {
    domain: Domainpart,
    below: bool,
}

impl DomainPattern {
    /// The domain, if the pattern means one alone.
    pub fn exact(&self) -> Option<&Domainpart> {
        (!self.below).then_some(&self.domain)
    }

    /// Whether the pattern means this domain.
    pub fn matches(&self, domain: &str) -> bool {
        if !self.below {
            return self.domain.as_str() == domain;
        }
        domain.strip_suffix(self.domain.as_str()).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
    }
}

impl fmt::Display for DomainPattern {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.domain)
    }
}

impl FromStr for DomainPattern {
    type Err = AddressError;

    /// Reads `example.org` or `*.example.org`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let below = text.strip_prefix("*.");
        Ok(Self { domain: Domainpart::new(below.unwrap_or(text))?, below: below.is_some() })
    }
}

/// How fast a domain may send to one domain here, over all its streams.
///
/// Who sends faster is not refused but read more slowly, until TCP slows it down: nothing is lost. A stream that is shared by
/// several pairs of domains (XEP-0344) is read as slowly as the slowest of them demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes of stanzas a second, in the long run.
    pub bytes_per_second: u32,
    /// Bytes that may come at once after a pause.
    pub burst: u32,
}

/// To whom a [`Rate`] applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateRule {
    /// The domains; none for everybody.
    pub domains: Vec<DomainPattern>,
    /// How fast each of them may send.
    pub rate: Rate,
}

impl RateRule {
    /// The rate of the first rule that applies to the domain.
    #[cfg(feature = "net")]
    pub(crate) fn of(rules: &[Self], domain: &str) -> Option<Rate> {
        let applies = |rule: &&Self| rule.domains.is_empty() || rule.domains.iter().any(|each| each.matches(domain));
        rules.iter().find(applies).map(|rule| rule.rate)
    }
}

/// What is left of a [`Rate`] at a time.
#[cfg(feature = "net")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    rate: Rate,
    /// Negative while more was sent than allowed: a stanza is let through whole.
    left: f64,
    at: Instant,
}

#[cfg(feature = "net")]
impl Allowance {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: f64::from(rate.burst), at: now }
    }

    /// Takes note of what has come; how long to wait before more is read, if at all.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        let per_second = f64::from(self.rate.bytes_per_second.max(1));
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * per_second;
        self.left = (self.left + gained).min(f64::from(self.rate.burst)) - bytes as f64;
        self.at = now;
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<DomainPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_pattern_means_one_domain_or_all_below_it() {
        let pattern = |text: &str| text.parse::<DomainPattern>().unwrap();
        assert!(pattern("b.example").matches("b.example"));
        assert!(pattern("B.Example").matches("b.example"));
        assert!(!pattern("b.example").matches("a.b.example"));
        assert!(pattern("*.b.example").matches("a.b.example"));
        assert!(pattern("*.b.example").matches("x.a.b.example"));
        for other in ["b.example", ".b.example", "ab.example", "b.example.org"] {
            assert!(!pattern("*.b.example").matches(other), "{other}");
        }
        assert_eq!(pattern("B.example").exact().map(Domainpart::as_str), Some("b.example"));
        assert_eq!(pattern("*.b.example").exact(), None);
        assert_eq!(["B.example", "*.b.example"].map(|text| pattern(text).to_string()), ["b.example", "*.b.example"]);
        assert!("".parse::<DomainPattern>().is_err() && "*.".parse::<DomainPattern>().is_err());
    }

    #[test]
    fn what_is_blocked_is_blocked_whatever_is_allowed() {
        let everybody = DomainPolicy::default();
        assert!(everybody.allows("x.example"));
        let some = DomainPolicy { allow: patterns(&["*.b.example"]), block: patterns(&["evil.b.example"]) };
        assert!(some.allows("a.b.example"));
        assert!(!some.allows("evil.b.example") && !some.allows("c.example"));
    }

    #[cfg(feature = "net")]
    #[test]
    fn a_domain_may_send_its_burst_at_once_and_then_at_its_rate() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(Rate { bytes_per_second: 1000, burst: 5000 }, begin);
        assert_eq!(allowance.spend(5000, begin), None);
        assert_eq!(allowance.spend(500, begin), Some(Duration::from_millis(500)));
        let later = begin + Duration::from_millis(500);
        assert_eq!(allowance.spend(0, later), None);
        // A pause earns the burst and no more.
        assert_eq!(allowance.spend(5000, later + Duration::from_secs(3600)), None);
        assert!(allowance.spend(1, later + Duration::from_secs(3600)).is_some());
    }

    #[cfg(feature = "net")]
    #[test]
    fn the_first_rule_that_applies_counts() {
        let rate = |bytes_per_second| Rate { bytes_per_second, burst: 1 };
        let rule = |domains: &[&str], bytes| RateRule { domains: patterns(domains), rate: rate(bytes) };
        let rules = [rule(&["*.b.example", "c.example"], 1), rule(&["c.example"], 2), rule(&[], 3)];
        let found = ["a.b.example", "c.example", "b.example"].map(|domain| RateRule::of(&rules, domain));
        assert_eq!(found, [Some(rate(1)), Some(rate(1)), Some(rate(3))]);
        assert_eq!(RateRule::of(&[], "b.example"), None);
    }
}

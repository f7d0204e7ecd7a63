//! With whom to federate.

use std::str::FromStr;

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
    /// Whether the pattern means this domain.
    pub fn matches(&self, domain: &str) -> bool {
        if !self.below {
            return self.domain.as_str() == domain;
        }
        domain.strip_suffix(self.domain.as_str()).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
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
}

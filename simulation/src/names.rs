//! Who takes part.

use std::time::Duration;

use convoke_xmpp::Domainpart;

/// An honest domain, by its place in [`DOMAINS`].
pub(crate) type Index = usize;

/// The honest domains; each is the name of its host too.
pub(crate) const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];

/// A domain with a good certificate of its own and bad intentions, and its host.
pub(crate) const MALLORY: &str = "m.example";

/// Users of each domain who write to those of the others.
pub(crate) const USERS: u64 = 3;

/// All pairs of different domains.
pub(crate) fn ordered_pairs() -> impl Iterator<Item = (Index, Index)> {
    (0..DOMAINS.len()).flat_map(|from| (0..DOMAINS.len()).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

/// The place of an honest domain.
pub(crate) fn index(domain: &str) -> Option<Index> {
    DOMAINS.iter().position(|name| *name == domain)
}

pub(crate) fn domainpart(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

/// Since the simulation began; for code that runs on one of its hosts.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

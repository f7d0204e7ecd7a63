//! What has changed of that by which certificates are judged.

use std::collections::VecDeque;

use convoke_xmpp::Domainpart;

/// How many domains are remembered: who has not looked for longer judges everybody anew.
const REMEMBERED: usize = 64;

/// All changes so far: how many there were, and of which domains the latest were.
#[derive(Debug, Default)]
pub(super) struct Changes {
    count: u64,
    latest: VecDeque<Domainpart>,
}

/// Who is to be judged anew, after changes of what certificates are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concerned {
    /// The peers of all streams.
    Everybody,
    /// These domains; none for nobody.
    Domains(Vec<Domainpart>),
}

impl Concerned {
    /// Whether this domain is to be judged anew.
    #[must_use]
    pub fn includes(&self, domain: &Domainpart) -> bool {
        match self {
            Self::Everybody => true,
            Self::Domains(domains) => domains.contains(domain),
        }
    }
}

impl Changes {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Everybody is judged by something else from now on.
    pub(super) fn note_all(&mut self) {
        self.count += 1;
        self.latest.clear();
    }

    /// This domain is.
    pub(super) fn note(&mut self, domain: &Domainpart) {
        self.count += 1;
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(domain.clone());
    }

    /// Whom those changes concern that came when there had been `count` already.
    pub(super) fn since(&self, count: u64) -> Concerned {
        let missed = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        match self.latest.len().checked_sub(missed) {
            Some(known) => Concerned::Domains(self.latest.iter().skip(known).cloned().collect()),
            None => Concerned::Everybody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(number: usize) -> Domainpart {
        Domainpart::new(&format!("d{number}.example")).unwrap()
    }

    fn domains(numbers: impl IntoIterator<Item = usize>) -> Concerned {
        Concerned::Domains(numbers.into_iter().map(domain).collect())
    }

    #[test]
    fn a_change_concerns_its_domain_alone_and_those_who_have_not_seen_it() {
        let mut changes = Changes::default();
        assert_eq!(changes.since(0), domains([]));
        changes.note(&domain(1));
        let seen = changes.count();
        changes.note(&domain(2));
        assert_eq!((changes.since(0), changes.since(seen)), (domains([1, 2]), domains([2])));
        assert_eq!(changes.since(changes.count()), domains([]));
    }

    #[test]
    fn a_change_of_everything_concerns_everybody_who_has_not_seen_it() {
        let mut changes = Changes::default();
        changes.note(&domain(1));
        changes.note_all();
        let seen = changes.count();
        changes.note(&domain(2));
        assert_eq!((changes.since(seen - 1), changes.since(seen)), (Concerned::Everybody, domains([2])));
    }

    #[test]
    fn who_has_missed_more_than_is_remembered_judges_everybody() {
        let mut changes = Changes::default();
        (0..=REMEMBERED).for_each(|number| changes.note(&domain(number)));
        assert_eq!(changes.since(0), Concerned::Everybody);
        assert_eq!(changes.since(1), domains(1..=REMEMBERED));
    }
}

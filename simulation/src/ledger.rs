//! What was sent and what became of it, as a witness outside of all hosts has seen it.
//!
//! Whatever may not happen is written down as a violation when it is seen; what may not be missing is asked for at the end.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};
use std::time::Duration;

use convoke_xmpp::{Origin, Stanza};

use crate::names::{DOMAINS, Index, ordered_pairs};
use crate::plan::{Fault, HEALED, RECOVERY, SILENCE};

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// One line for each event, with its time: equal for equal seeds.
    pub(crate) trace: Vec<String>,
    /// What may not be.
    pub(crate) violations: Vec<String>,
    pub(crate) tally: Tally,
    entries: Vec<Entry>,
    /// The last stanza that was delivered of each pair of addresses.
    delivered: HashMap<(String, String), usize>,
    dials: Vec<(Duration, Index, Index)>,
    faults: Vec<(Duration, Fault)>,
    cuts: HashSet<(Index, Index)>,
}

/// How much a simulation has really done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    /// Stanzas that a federation has taken.
    pub(crate) accepted: usize,
    /// Of these, those that the other domain has received.
    pub(crate) delivered: usize,
    /// Of these, those that were given back.
    pub(crate) bounced: usize,
    /// Those that were not taken.
    pub(crate) refused: usize,
    /// Of those taken, those that were lost with the host that sent them.
    pub(crate) crashed: usize,
    /// Attempts of the attacker.
    pub(crate) attacks: usize,
    /// Attempts to reach a domain.
    pub(crate) dials: usize,
}

/// One stanza.
#[derive(Debug)]
struct Entry {
    from: Index,
    to: Index,
    sent: Duration,
    refused: bool,
    delivered: Option<Duration>,
    bounced: Option<Duration>,
}

impl Ledger {
    /// Takes note of something that happened.
    pub(crate) fn note(&mut self, time: Duration, event: impl Display) {
        self.trace.push(format!("{:>10.3} {event}", time.as_secs_f64()));
    }

    fn violation(&mut self, time: Duration, what: impl Display) {
        self.note(time, format_args!("VIOLATION: {what}"));
        self.violations.push(format!("at {:.3} s: {what}", time.as_secs_f64()));
    }

    pub(crate) fn fault(&mut self, time: Duration, fault: Fault) {
        self.note(time, format_args!("{fault:?}"));
        self.faults.push((time, fault));
    }

    /// A domain breaks its connections with another one; whether it had any.
    pub(crate) fn cut(&mut self, time: Duration, from: Index, to: Index, any: bool) {
        self.note(time, format_args!("{} cuts {}: {any}", DOMAINS[from], DOMAINS[to]));
        self.cuts.insert((from, to));
    }

    /// A domain asks where another one is, in order to dial it.
    pub(crate) fn dial(&mut self, time: Duration, from: Index, to: Index) {
        self.note(time, format_args!("{} dials {}", DOMAINS[from], DOMAINS[to]));
        self.tally.dials += 1;
        self.dials.push((time, from, to));
    }

    /// A new stanza, by whose number it is known from now on: its identifier.
    pub(crate) fn begin(&mut self, time: Duration, from: Index, to: Index) -> usize {
        self.entries.push(Entry { from, to, sent: time, refused: false, delivered: None, bounced: None });
        self.tally.accepted += 1;
        let number = self.entries.len() - 1;
        self.note(time, format_args!("{} sends {number} to {}", DOMAINS[from], DOMAINS[to]));
        number
    }

    /// The federation has not taken it.
    pub(crate) fn refused(&mut self, time: Duration, number: usize, why: impl Display) {
        self.note(time, format_args!("{number} is refused: {why}"));
        self.tally.accepted -= 1;
        self.tally.refused += 1;
        self.entries[number].refused = true;
    }

    /// A router has been told that this cannot be delivered.
    pub(crate) fn bounced(&mut self, time: Duration, at: Index, stanza: &Stanza, why: impl Display) {
        let Some(number) = number(stanza) else {
            return self.violation(time, format_args!("{} was given back {stanza:?}", DOMAINS[at]));
        };
        self.note(time, format_args!("{number} is given back: {why}"));
        let entry = &mut self.entries[number];
        if entry.from != at || entry.refused || entry.bounced.is_some() {
            let fault = format!("{number} was given back in {}, wrongly or again: {entry:?}", DOMAINS[at]);
            return self.violation(time, fault);
        }
        entry.bounced = Some(time);
        self.tally.bounced += 1;
    }

    /// A router has been handed this by its federation.
    pub(crate) fn routed(&mut self, time: Duration, at: Index, stanza: &Stanza, origin: &Origin) {
        if let Some(forged) = self.forgery(at, stanza, origin) {
            return self.violation(time, format_args!("{} was handed {forged}: {stanza:?}", DOMAINS[at]));
        }
        let Some(number) = number(stanza) else { return };
        self.note(time, format_args!("{number} is delivered"));
        let entry = &mut self.entries[number];
        if entry.refused || entry.delivered.is_some() {
            let fault = format!("{number} was delivered although refused, or twice: {entry:?}");
            return self.violation(time, fault);
        }
        entry.delivered = Some(time);
        self.tally.delivered += 1;
        self.check_order(time, number, stanza);
    }

    /// What is false about a stanza, if anything: the witness knows who has really sent it.
    fn forgery(&self, at: Index, stanza: &Stanza, origin: &Origin) -> Option<&'static str> {
        let from = stanza.from().map(|from| from.domain().to_owned());
        let Some(entry) = number(stanza).and_then(|number| self.entries.get(number)) else {
            return Some("what no domain has sent");
        };
        match origin {
            Origin::Remote(domain) if Some(domain.as_str()) == from.as_deref() => {}
            _ => return Some("a stanza that is not of the domain that was proved"),
        }
        if from.as_deref() != Some(DOMAINS[entry.from]) {
            return Some("a stanza of another domain than the one that has sent it");
        }
        (entry.to != at).then_some("what was for another domain")
    }

    fn check_order(&mut self, time: Duration, number: usize, stanza: &Stanza) {
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else { return };
        let before = self.delivered.insert((from.as_str().to_owned(), to.as_str().to_owned()), number);
        let Some(before) = before.filter(|before| *before > number) else { return };
        let entry = &self.entries[number];
        // What a host sent before it crashed may be on its way longer than what it sends when it is back; and so may what was
        // in doubt and has been given back, on a connection that was cut, on a line that has become faster.
        if entry.bounced.is_none() && !self.crashed(entry.from, entry.sent, time) {
            self.violation(time, format_args!("{number} was delivered after {before}, which was sent after it"));
        }
    }

    /// The attacker tries something.
    pub(crate) fn attack(&mut self, time: Duration, attempt: u64, victim: Index) {
        self.note(time, format_args!("attack {attempt} on {}", DOMAINS[victim]));
        self.tally.attacks += 1;
    }

    /// The attacker was handed a stanza.
    pub(crate) fn stolen(&mut self, time: Duration, stanza: &Stanza) {
        self.violation(time, format_args!("the attacker was handed {stanza:?}"));
    }

    /// A domain has ended: how many tasks would not, and how many stanzas were left.
    pub(crate) fn shut_down(&mut self, time: Duration, at: Index, aborted: usize, queued: usize) {
        self.note(time, format_args!("{} has shut down", DOMAINS[at]));
        if aborted > 0 || queued > 0 {
            self.violation(time, format_args!("{} left {aborted} tasks and {queued} stanzas behind", DOMAINS[at]));
        }
    }

    /// Asks for all that may not be missing.
    pub(crate) fn close(&mut self, time: Duration, ended: usize) {
        if ended != DOMAINS.len() {
            self.violation(time, format_args!("only {ended} of {} domains have shut down", DOMAINS.len()));
        }
        (0..self.entries.len()).for_each(|number| self.check_fate(time, number));
        ordered_pairs().for_each(|(from, to)| self.check_recovery(time, from, to));
        ordered_pairs().for_each(|(from, to)| self.check_backoff(time, from, to));
    }

    /// What was taken is delivered once, or given back once; both only where an acknowledgement can have been lost, neither
    /// only if the host that took it crashed.
    fn check_fate(&mut self, time: Duration, number: usize) {
        let entry = &self.entries[number];
        match (entry.delivered, entry.bounced) {
            _ if entry.refused => {}
            (None, None) if self.crashed(entry.from, entry.sent, SILENCE) => self.tally.crashed += 1,
            (None, None) => self.violation(time, format!("{number} is lost: {entry:?}")),
            (Some(_), Some(_)) if !self.troubled(entry.from, entry.to) => {
                self.violation(time, format!("{number} was delivered and given back: {entry:?}"));
            }
            _ => {}
        }
    }

    /// With all faults healed, every pair talks again in time.
    fn check_recovery(&mut self, time: Duration, from: Index, to: Index) {
        let of_pair = self.entries.iter().filter(|entry| (entry.from, entry.to) == (from, to) && entry.sent >= HEALED);
        let first = of_pair.filter_map(|entry| entry.delivered).min();
        if first.is_none_or(|first| first > HEALED + RECOVERY) {
            let (from, to) = (DOMAINS[from], DOMAINS[to]);
            self.violation(time, format_args!("{from} has not reached {to} again, at last {first:?}"));
        }
    }

    /// A domain that cannot be reached is dialled no more often than the pauses allow, whatever is sent to it.
    fn check_backoff(&mut self, time: Duration, from: Index, to: Index) {
        for (begin, end) in self.unreachable(from, to) {
            let dials = self.dials.iter().filter(|dial| (dial.1, dial.2) == (from, to));
            let dials = dials.filter(|dial| (begin..end).contains(&dial.0)).count();
            let most = most_dials(end - begin);
            if dials > most {
                let (from, to) = (DOMAINS[from], DOMAINS[to]);
                let what = format!("{from} dialled {to} {dials} times from {begin:?} to {end:?}, more than {most}");
                self.violation(time, what);
            }
        }
    }

    /// The times in which nothing of one domain can reach the other.
    fn unreachable(&self, from: Index, to: Index) -> Vec<(Duration, Duration)> {
        let mut times = Vec::new();
        for (number, (begin, fault)) in self.faults.iter().enumerate() {
            let ends = |end: Fault| self.faults[number..].iter().find(|later| later.1 == end).map(|later| later.0);
            let end = match *fault {
                Fault::Crash(host) if host == to => ends(Fault::Restart(host)),
                Fault::Hijack(host) if host == to => ends(Fault::Honest(host)),
                Fault::Partition(a, b) if (a, b) == (from, to) || (b, a) == (from, to) => ends(Fault::Repair(a, b)),
                Fault::PartitionOneWay(a, b) if (a, b) == (from, to) => ends(Fault::Repair(a, b)),
                _ => None,
            };
            times.extend(end.map(|end| (*begin, end)));
        }
        times
    }

    fn crashed(&self, host: Index, since: Duration, until: Duration) -> bool {
        self.faults.iter().any(|(time, fault)| *fault == Fault::Crash(host) && (since..=until).contains(time))
    }

    /// Whether anything went wrong between two domains: only then may a stanza be given back that was delivered.
    fn troubled(&self, from: Index, to: Index) -> bool {
        self.faults.iter().any(|(_, fault)| match *fault {
            Fault::Partition(a, b) | Fault::PartitionOneWay(a, b) | Fault::Hold(a, b) | Fault::Slow(a, b, _) => {
                (a, b) == (from, to) || (b, a) == (from, to)
            }
            Fault::Crash(host) => host == to,
            _ => false,
        }) || self.cuts.iter().any(|(a, b)| (*a, *b) == (from, to) || (*b, *a) == (from, to))
    }
}

/// The pauses of [`world`](crate::world) are drawn uniformly from zero to 2, 4, 8, 16 and then always 20 s. That many
/// dials in such a time have a chance below one in a hundred million, so who is over has not paused.
fn most_dials(unreachable: Duration) -> usize {
    16 + 4 * (unreachable.as_secs() as usize) / 20
}

/// The number of a stanza, which is its identifier.
fn number(stanza: &Stanza) -> Option<usize> {
    stanza.id()?.parse().ok()
}

impl Tally {
    /// Adds what another simulation has done.
    pub(crate) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.bounced += other.bounced;
        self.refused += other.refused;
        self.crashed += other.crashed;
        self.attacks += other.attacks;
        self.dials += other.dials;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, bounced, refused, crashed, attacks, dials } = self;
        write!(
            f,
            "{accepted} stanzas accepted ({delivered} delivered, {bounced} given back, {crashed} gone with their host), \
             {refused} refused, {dials} dials, {attacks} attacks"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::domainpart;

    const SOON: Duration = Duration::from_secs(1);

    fn stanza(from: Index, to: Index, number: usize) -> Stanza {
        let (from, to) = (DOMAINS[from], DOMAINS[to]);
        Stanza::parse(&format!("<message from='u@{from}' to='u@{to}' id='{number}'/>")).unwrap()
    }

    fn from(domain: Index) -> Origin {
        Origin::Remote(domainpart(DOMAINS[domain]))
    }

    /// What is found when everybody has recovered and shut down, and this has happened before.
    fn verdict(before: impl FnOnce(&mut Ledger)) -> Vec<String> {
        let mut ledger = Ledger::default();
        before(&mut ledger);
        for (one, other) in ordered_pairs() {
            let number = ledger.begin(HEALED, one, other);
            ledger.routed(HEALED + SOON, other, &stanza(one, other, number), &from(one));
        }
        ledger.close(SILENCE, DOMAINS.len());
        ledger.violations
    }

    fn delivered(ledger: &mut Ledger, number: usize) {
        ledger.routed(SOON, 1, &stanza(0, 1, number), &from(0));
    }

    #[test]
    fn a_stanza_is_delivered_or_given_back() {
        assert!(
            verdict(|ledger| {
                let [one, other] = [(); 2].map(|()| ledger.begin(SOON, 0, 1));
                delivered(ledger, one);
                ledger.bounced(SOON, 0, &stanza(0, 1, other), "");
            })
            .is_empty()
        );
        let found = verdict(|ledger| {
            ledger.begin(SOON, 0, 1);
        });
        assert!(found[0].contains("0 is lost"), "{found:?}");
    }

    #[test]
    fn a_stanza_may_be_gone_with_the_host_that_took_it_and_no_other() {
        let crashed = |host| {
            verdict(|ledger| {
                ledger.begin(SOON, 0, 1);
                ledger.fault(2 * SOON, Fault::Crash(host));
            })
        };
        assert!(crashed(0).is_empty());
        assert_eq!(crashed(1).len(), 1);
    }

    #[test]
    fn nothing_is_delivered_or_given_back_twice_nor_after_it_was_refused() {
        let found = verdict(|ledger| {
            let [doubled, returned, refused] = [(); 3].map(|()| ledger.begin(SOON, 0, 1));
            (0..2).for_each(|_| delivered(ledger, doubled));
            (0..2).for_each(|_| ledger.bounced(SOON, 0, &stanza(0, 1, returned), ""));
            ledger.refused(SOON, refused, "");
            delivered(ledger, refused);
        });
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn nothing_is_delivered_and_given_back_where_nothing_went_wrong() {
        let both = |fault| {
            verdict(|ledger| {
                let number = ledger.begin(SOON, 0, 1);
                ledger.fault(SOON, fault);
                delivered(ledger, number);
                ledger.bounced(SOON, 0, &stanza(0, 1, number), "");
            })
        };
        assert!(both(Fault::Partition(1, 0)).is_empty());
        assert_eq!(both(Fault::Partition(1, 2)).len(), 1);
    }

    #[test]
    fn a_stanza_of_another_domain_than_was_proved_is_forged() {
        let forged = |at, stanza: Stanza, origin| {
            verdict(|ledger| {
                let number = ledger.begin(SOON, 0, 1);
                delivered(ledger, number);
                ledger.routed(SOON, at, &stanza, &origin);
            })
            .len()
        };
        assert_eq!(forged(1, stanza(0, 1, 0), from(2)), 1);
        assert_eq!(forged(1, stanza(2, 1, 0), from(2)), 1);
        assert_eq!(forged(2, stanza(0, 2, 0), from(0)), 1);
        assert_eq!(forged(1, stanza(0, 1, 1000), from(0)), 1);
        assert_eq!(forged(1, stanza(0, 1, 0), Origin::Local), 1);
    }

    #[test]
    fn order_is_kept_between_two_addresses() {
        let found = verdict(|ledger| {
            let [first, second] = [(); 2].map(|()| ledger.begin(SOON, 0, 1));
            delivered(ledger, second);
            delivered(ledger, first);
        });
        assert!(found.len() == 1 && found[0].contains("after 1"), "{found:?}");
    }

    #[test]
    fn what_was_given_back_has_no_place_in_the_order_any_more() {
        let found = verdict(|ledger| {
            ledger.fault(SOON, Fault::Slow(0, 1, SOON));
            let [first, second] = [(); 2].map(|()| ledger.begin(SOON, 0, 1));
            ledger.bounced(SOON, 0, &stanza(0, 1, first), "");
            delivered(ledger, second);
            delivered(ledger, first);
        });
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_pair_talks_again_in_time() {
        let mut ledger = Ledger::default();
        ledger.close(SILENCE, DOMAINS.len());
        assert_eq!(ledger.violations.len(), ordered_pairs().count());
    }

    #[test]
    fn a_domain_that_cannot_be_reached_is_not_dialled_all_the_time() {
        let dialled = |times: u32| {
            verdict(|ledger| {
                ledger.fault(SOON, Fault::PartitionOneWay(0, 1));
                (0..times).for_each(|time| ledger.dial(SOON + SOON * 20 * time / times, 0, 1));
                ledger.fault(21 * SOON, Fault::Repair(0, 1));
            })
        };
        assert!(dialled(20).is_empty());
        assert_eq!(dialled(21).len(), 1);
    }

    #[test]
    fn everybody_shuts_down_and_leaves_nothing_behind() {
        let found = verdict(|ledger| {
            ledger.shut_down(SOON, 0, 0, 0);
            ledger.shut_down(SOON, 1, 1, 0);
            ledger.shut_down(SOON, 2, 0, 1);
            ledger.close(SOON, DOMAINS.len() - 1);
        });
        assert!(found.iter().filter(|violation| violation.contains("left")).count() == 2, "{found:?}");
        assert!(found.iter().any(|violation| violation.contains("only 2 of 3")), "{found:?}");
    }
}

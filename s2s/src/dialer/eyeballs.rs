//! In which order, and when, the addresses of one host are tried (RFC 8305), without I/O.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::resolver::Family;

/// How long IPv4 addresses wait for the IPv6 ones that are still asked for (RFC 8305, section 3), and addresses that
/// failed lately for others.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long an attempt is alone before the next one begins beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of one family are kept: DNS answers are under the control of others.
const MAX_ADDRESSES: usize = 8;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Connect to this address, beside whatever is in progress.
    Attempt(IpAddr),
    /// Wait for an event, but only until then, if a time is given.
    Wait(Option<Instant>),
    /// There is nothing left to try.
    Finished,
}

/// The addresses of one host, and what has become of them.
///
/// IPv6 comes first, families alternate (RFC 8305, section 4); addresses that failed lately come after all others.
#[derive(Debug)]
pub(super) struct Eyeballs {
    v6: Addresses,
    v4: Addresses,
    /// Whose turn it is.
    next: Family,
    in_progress: Vec<IpAddr>,
    /// No further attempt begins before.
    not_before: Option<Instant>,
}

/// What is known of one family.
#[derive(Debug, Default)]
struct Addresses {
    answered: bool,
    good: VecDeque<IpAddr>,
    blamed: VecDeque<IpAddr>,
}

impl Eyeballs {
    /// Both families are being asked for.
    pub(super) fn new() -> Self {
        let (v6, v4) = (Addresses::default(), Addresses::default());
        Self { v6, v4, next: Family::V6, in_progress: Vec::new(), not_before: None }
    }

    /// DNS has answered about one family, or will not any more; `is_blamed` tells the addresses that failed lately.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        family: Family,
        addresses: Vec<IpAddr>,
        is_blamed: impl Fn(&IpAddr) -> bool,
    ) {
        self.of(family).take(addresses, is_blamed);
        let is_first = !(self.v6.answered && self.v4.answered);
        let is_wanted = family == Family::V6 && !self.v6.good.is_empty();
        if is_first && !is_wanted {
            self.not_before = Some(now + RESOLUTION_DELAY);
        } else if self.in_progress.is_empty() {
            self.not_before = None;
        }
    }

    /// The attempt at this address has failed: the next one need not wait.
    pub(super) fn failed(&mut self, address: IpAddr) {
        self.in_progress.retain(|other| *other != address);
        self.not_before = None;
    }

    /// The attempt at this address has succeeded: the others are given up for now, and are the first to be tried if this
    /// one proves to be of no use.
    pub(super) fn connected(&mut self, address: IpAddr) {
        self.not_before = None;
        for other in std::mem::take(&mut self.in_progress).into_iter().rev().filter(|other| *other != address) {
            self.of(family_of(other)).good.push_front(other);
        }
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, now: Instant) -> Step {
        if !self.has_more() {
            let is_over = self.in_progress.is_empty() && self.v6.answered && self.v4.answered;
            return if is_over { Step::Finished } else { Step::Wait(None) };
        }
        match self.not_before {
            Some(until) if now < until => Step::Wait(Some(until)),
            _ => self.attempt(now),
        }
    }

    fn has_more(&self) -> bool {
        [&self.v6, &self.v4].into_iter().any(|addresses| !addresses.good.is_empty() || !addresses.blamed.is_empty())
    }

    fn attempt(&mut self, now: Instant) -> Step {
        let Some(address) = self.pop() else { return Step::Wait(None) };
        self.next = if address.is_ipv6() { Family::V4 } else { Family::V6 };
        self.not_before = Some(now + ATTEMPT_DELAY);
        self.in_progress.push(address);
        Step::Attempt(address)
    }

    fn pop(&mut self) -> Option<IpAddr> {
        let (first, second) = match self.next {
            Family::V6 => (&mut self.v6, &mut self.v4),
            Family::V4 => (&mut self.v4, &mut self.v6),
        };
        let queues = [&mut first.good, &mut second.good, &mut first.blamed, &mut second.blamed];
        queues.into_iter().find_map(VecDeque::pop_front)
    }

    fn of(&mut self, family: Family) -> &mut Addresses {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }
}

impl Addresses {
    fn take(&mut self, addresses: Vec<IpAddr>, is_blamed: impl Fn(&IpAddr) -> bool) {
        self.answered = true;
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            let queue = if is_blamed(&address) { &mut self.blamed } else { &mut self.good };
            if !queue.contains(&address) {
                queue.push_back(address);
            }
        }
    }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv6() { Family::V6 } else { Family::V4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn v6(last: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Eyeballs that know these addresses, and the time.
    fn knowing(v6: Vec<IpAddr>, v4: Vec<IpAddr>) -> (Eyeballs, Instant) {
        let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
        eyeballs.answered(now, Family::V6, v6, |_| false);
        eyeballs.answered(now, Family::V4, v4, |_| false);
        (eyeballs, now)
    }

    /// The attempts that follow if each one fails at once.
    fn all(mut eyeballs: Eyeballs, now: Instant) -> Vec<IpAddr> {
        let mut seen = Vec::new();
        while let Step::Attempt(address) = eyeballs.poll(now) {
            eyeballs.failed(address);
            seen.push(address);
        }
        assert_eq!(eyeballs.poll(now), Step::Finished);
        seen
    }

    /// RFC 8305, section 4.
    #[test]
    fn families_alternate_and_ipv6_comes_first() {
        let (eyeballs, now) = knowing(vec![v6(1), v6(2), v6(3)], vec![v4(1), v4(2)]);
        assert_eq!(all(eyeballs, now), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    }

    /// RFC 8305, section 3.
    #[test]
    fn ipv4_waits_fifty_milliseconds_for_the_answer_about_ipv6_and_no_longer() {
        let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
        assert_eq!(eyeballs.poll(now), Step::Wait(None));
        eyeballs.answered(now, Family::V4, vec![v4(1)], |_| false);
        let until = now + 50 * MILLISECOND;
        assert_eq!(eyeballs.poll(now), Step::Wait(Some(until)));
        assert_eq!(eyeballs.poll(until - MILLISECOND), Step::Wait(Some(until)));
        assert_eq!(eyeballs.poll(until), Step::Attempt(v4(1)));
    }

    /// RFC 8305, section 3: a positive answer is used at once, and a negative one ends the wait.
    #[test]
    fn the_answer_about_ipv6_ends_the_wait_whatever_it_is() {
        for (answer, first) in [(vec![v6(1)], v6(1)), (vec![], v4(1))] {
            let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
            eyeballs.answered(now, Family::V4, vec![v4(1)], |_| false);
            eyeballs.answered(now + MILLISECOND, Family::V6, answer, |_| false);
            assert_eq!(eyeballs.poll(now + MILLISECOND), Step::Attempt(first));
        }
        let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
        eyeballs.answered(now, Family::V6, vec![v6(1)], |_| false);
        assert_eq!(eyeballs.poll(now), Step::Attempt(v6(1)));
    }

    /// RFC 8305, section 5.
    #[test]
    fn the_next_attempt_begins_after_a_quarter_of_a_second_beside_the_first() {
        let (mut eyeballs, now) = knowing(vec![v6(1)], vec![v4(1), v4(2)]);
        assert_eq!(eyeballs.poll(now), Step::Attempt(v6(1)));
        let (second, third) = (now + 250 * MILLISECOND, now + 500 * MILLISECOND);
        assert_eq!(eyeballs.poll(now), Step::Wait(Some(second)));
        assert_eq!(eyeballs.poll(second), Step::Attempt(v4(1)));
        assert_eq!(eyeballs.poll(second), Step::Wait(Some(third)));
        eyeballs.failed(v6(1));
        assert_eq!(eyeballs.poll(second), Step::Attempt(v4(2)), "a failure makes waiting pointless");
        assert_eq!(eyeballs.poll(second), Step::Wait(None));
        eyeballs.failed(v4(1));
        eyeballs.failed(v4(2));
        assert_eq!(eyeballs.poll(second), Step::Finished);
    }

    #[test]
    fn who_lost_the_race_is_tried_next_if_the_winner_proves_useless() {
        let (mut eyeballs, now) = knowing(vec![v6(1), v6(2)], vec![v4(1)]);
        assert_eq!(eyeballs.poll(now), Step::Attempt(v6(1)));
        let later = now + 250 * MILLISECOND;
        assert_eq!(eyeballs.poll(later), Step::Attempt(v4(1)));
        eyeballs.connected(v4(1));
        assert_eq!(all(eyeballs, later), [v6(1), v6(2)]);
    }

    #[test]
    fn addresses_that_failed_lately_come_last_and_are_not_left_out() {
        let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
        eyeballs.answered(now, Family::V6, vec![v6(1), v6(2)], |address| *address == v6(1));
        eyeballs.answered(now, Family::V4, vec![v4(1)], |_| false);
        assert_eq!(all(eyeballs, now), [v6(2), v4(1), v6(1)]);
    }

    #[test]
    fn addresses_that_failed_lately_wait_for_the_other_family() {
        let (mut eyeballs, now) = (Eyeballs::new(), Instant::now());
        eyeballs.answered(now, Family::V6, vec![v6(1)], |_| true);
        assert_eq!(eyeballs.poll(now), Step::Wait(Some(now + 50 * MILLISECOND)));
        eyeballs.answered(now, Family::V4, vec![v4(1)], |_| false);
        assert_eq!(all(eyeballs, now), [v4(1), v6(1)]);
    }

    #[test]
    fn keeps_a_bounded_number_of_addresses_and_each_once() {
        let many = (0..100).flat_map(|last| [v4(last), v4(last)]).collect();
        let (eyeballs, now) = knowing(Vec::new(), many);
        assert_eq!(all(eyeballs, now), [v4(0), v4(1), v4(2), v4(3)]);
    }

    #[test]
    fn without_any_address_there_is_nothing_to_do() {
        let (eyeballs, now) = knowing(Vec::new(), Vec::new());
        assert_eq!(all(eyeballs, now), [] as [IpAddr; 0]);
    }
}

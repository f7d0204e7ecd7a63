//! What a seed decides beforehand: who sends what when, and what goes wrong when.

use std::ops::Range;
use std::time::Duration;

use crate::names::{DOMAINS, Index, USERS, ordered_pairs};
use crate::random::Generator;

/// Faults and load are drawn within the time before.
pub(crate) const HEALED: Duration = Duration::from_secs(90);

/// So long after all faults have healed every pair must have talked again: a silent connection is found out, a back-off
/// runs out, and a negotiation succeeds, with room for what was in the way of the first.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);

/// Nothing more is sent, so that what is on its way can arrive.
pub(crate) const SILENCE: Duration = HEALED.saturating_add(RECOVERY);

/// Everybody shuts down.
pub(crate) const SHUTDOWN: Duration = SILENCE.saturating_add(Duration::from_secs(30));

/// The simulation ends, whatever has become of the shutdown.
pub(crate) const END: Duration = SHUTDOWN.saturating_add(Duration::from_secs(20));

/// Something that an honest domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Sends one stanza.
    Send { to: Index, from_user: u64, to_user: u64, request: bool },
    /// Breaks its connections with this domain.
    Cut { to: Index },
}

/// Something that befalls the network or a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What is sent between the two is lost, and so is what is under way.
    Partition(Index, Index),
    /// What the first sends to the second is lost.
    PartitionOneWay(Index, Index),
    /// Ends either.
    Repair(Index, Index),
    /// What is sent between the two waits.
    Hold(Index, Index),
    /// Ends that: all of it arrives.
    Release(Index, Index),
    /// What is sent between the two takes so long.
    Slow(Index, Index, Duration),
    /// What runs on the host is gone without a word of its own; its operating system closes its connections.
    Crash(Index),
    /// It begins anew.
    Restart(Index),
    /// DNS leads everybody who asks for this domain to the attacker.
    Hijack(Index),
    /// DNS tells the truth again.
    Honest(Index),
}

/// The whole course of a simulation, apart from what the domains make of it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The longest that anything takes on a healthy line.
    pub(crate) latency: Duration,
    /// How long a lost session can be resumed: some are, some are not.
    pub(crate) resume: Duration,
    /// Which domains take TLS without STARTTLS too.
    pub(crate) direct: [bool; DOMAINS.len()],
    /// In order of time.
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// Of each honest domain, in order of time.
    pub(crate) deeds: [Vec<(Duration, Deed)>; DOMAINS.len()],
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Generator::new(seed);
        let latency = Duration::from_millis(random.one_of(&[10, 50, 200]));
        let resume = random.time(seconds(5)..seconds(60));
        let direct = DOMAINS.map(|_| random.percent(50));
        let mut plan = Self { latency, resume, direct, faults: Vec::new(), deeds: Default::default() };
        for (from, to) in ordered_pairs() {
            plan.load(from, to, &mut random);
            plan.probes(from, to, &mut random);
        }
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            plan.trouble_line(one, other, &mut random);
        }
        for host in 0..DOMAINS.len() {
            plan.trouble_host(host, &mut random);
        }
        plan.faults.sort_by_key(|(time, _)| *time);
        plan.deeds.iter_mut().for_each(|deeds| deeds.sort_by_key(|(time, _)| *time));
        plan
    }

    /// One stanza now and then, bursts, and a cut connection or two.
    fn load(&mut self, from: Index, to: Index, random: &mut Generator) {
        let pause = Duration::from_millis(random.one_of(&[200, 1000, 5000]));
        for time in times(seconds(1)..HEALED, Duration::ZERO..pause * 2, random) {
            self.send(from, to, time, random);
        }
        for _ in 0..random.within(0..4) {
            let time = random.time(seconds(1)..HEALED);
            for _ in 0..random.within(10..200) {
                self.send(from, to, time, random);
            }
        }
        for _ in 0..random.within(0..3) {
            let time = random.time(seconds(1)..HEALED);
            self.deeds[from].push((time, Deed::Cut { to }));
        }
    }

    /// Twice a second when all faults have healed.
    fn probes(&mut self, from: Index, to: Index, random: &mut Generator) {
        for time in times(HEALED..SILENCE, Duration::from_millis(400)..Duration::from_millis(600), random) {
            self.send(from, to, time, random);
        }
    }

    fn send(&mut self, from: Index, to: Index, time: Duration, random: &mut Generator) {
        let (from_user, to_user) = (random.within(0..USERS), random.within(0..USERS));
        self.deeds[from].push((time, Deed::Send { to, from_user, to_user, request: random.percent(20) }));
    }

    /// One trouble after the other, each with an end before the next begins.
    fn trouble_line(&mut self, one: Index, other: Index, random: &mut Generator) {
        let mut time = random.time(seconds(2)..seconds(40));
        while time < HEALED - seconds(1) {
            let (one, other) = if random.percent(50) { (one, other) } else { (other, one) };
            let lasts = random.time(Duration::from_millis(100)..seconds(30));
            let healed = (time + lasts).min(HEALED);
            let [begin, end] = match random.within(0..4) {
                0 => [Fault::Partition(one, other), Fault::Repair(one, other)],
                1 => [Fault::PartitionOneWay(one, other), Fault::Repair(one, other)],
                2 => [Fault::Hold(one, other), Fault::Release(one, other)],
                _ => {
                    let delay = random.time(self.latency..seconds(5));
                    [Fault::Slow(one, other, delay), Fault::Slow(one, other, self.latency)]
                }
            };
            self.faults.extend([(time, begin), (healed, end)]);
            time = healed + random.time(Duration::from_millis(100)..seconds(40));
        }
    }

    fn trouble_host(&mut self, host: Index, random: &mut Generator) {
        if random.percent(40) {
            let time = random.time(seconds(5)..HEALED - seconds(2));
            let back = (time + random.time(Duration::from_millis(10)..seconds(20))).min(HEALED);
            self.faults.extend([(time, Fault::Crash(host)), (back, Fault::Restart(host))]);
        }
        if random.percent(30) {
            let time = random.time(Duration::ZERO..HEALED - seconds(2));
            let back = (time + random.time(seconds(1)..seconds(30))).min(HEALED);
            self.faults.extend([(time, Fault::Hijack(host)), (back, Fault::Honest(host))]);
        }
    }
}

/// Times within this range, each so long after the one before.
fn times(within: Range<Duration>, pause: Range<Duration>, random: &mut Generator) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut time = within.start;
    while time < within.end {
        times.push(time);
        time += random.time(pause.clone()).max(Duration::from_millis(1));
    }
    times
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

//! What waits to be sent: urgent stanzas ahead of the bulk of others.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use convoke_xmpp::{JidRef, Kind, PresenceType, Stanza};

use super::BATCH_BYTES;

/// How many counters tell pairs of addresses apart; two pairs that share one only keep each other's order.
const COUNTERS: usize = 1024;

/// Three queues, taken from in this order. Between any two bare addresses stanzas leave in the order in which they came
/// (RFC 6120, section 10.1): an urgent stanza never overtakes one of its own pair.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// What has been handed out before and came back.
    first: VecDeque<Stanza>,
    urgent: VecDeque<Stanza>,
    bulk: VecDeque<Stanza>,
    bytes: usize,
    /// The pairs of `bulk`. Made when an urgent stanza first finds a backlog, and gone with the backlog: without one,
    /// nothing is counted.
    pairs: Option<Pairs>,
    /// The pairs of `urgent`: what follows one of them may not fall behind by way of `bulk`, which can be ahead of a long
    /// urgent lane.
    urgent_pairs: Option<Pairs>,
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.urgent.len() + self.bulk.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a stanza; whether it is urgent is only asked where there is something to overtake.
    pub(super) fn push(&mut self, stanza: Stanza, is_urgent: impl FnOnce(&Stanza) -> bool) {
        self.bytes += stanza.size();
        let follows = !self.urgent.is_empty() && self.urgent_pairs.iter_mut().any(|pairs| pairs.contain(&stanza));
        if follows || (!self.bulk.is_empty() && is_urgent(&stanza) && !self.has_bulk_of_the_pair_of(&stanza)) {
            self.urgent_pairs.get_or_insert_with(Pairs::default).add(&stanza);
            return self.urgent.push_back(stanza);
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.add(&stanza);
        }
        self.bulk.push_back(stanza);
    }

    /// Puts a stanza in front of all others.
    pub(super) fn push_first(&mut self, stanza: Stanza) {
        self.bytes += stanza.size();
        self.first.push_front(stanza);
    }

    /// Removes the newest waiting availability of the same sender to the same recipient, if this stanza is one, too: it
    /// says nothing any more. Says whether there was one.
    pub(super) fn supersede(&mut self, newer: &Stanza) -> bool {
        if !is_availability(newer) {
            return false;
        }
        let same =
            |stanza: &Stanza| is_availability(stanza) && stanza.from() == newer.from() && stanza.to() == newer.to();
        for lane in [&mut self.bulk, &mut self.urgent, &mut self.first] {
            if let Some(stanza) = lane.iter().rposition(same).and_then(|at| lane.remove(at)) {
                self.bytes -= stanza.size();
                // The counters of the bulk are too high by one then, which only keeps an order that need not be kept.
                return true;
            }
        }
        false
    }

    /// Hands out stanzas of up to [`BATCH_BYTES`] and `most` of them, at least one if there is any; urgent ones fill half
    /// of that while others wait.
    pub(super) fn take(&mut self, most: usize, mut each: impl FnMut(Stanza)) -> usize {
        let of_urgent = if self.bulk.is_empty() { BATCH_BYTES } else { BATCH_BYTES / 2 };
        let mut batch = Batch { most, count: 0, bytes: 0 };
        batch.take(&mut self.first, BATCH_BYTES, &mut each);
        let pairs = &mut self.urgent_pairs;
        batch.take(&mut self.urgent, of_urgent, |stanza| {
            pairs.iter_mut().for_each(|pairs| pairs.remove(&stanza));
            each(stanza);
        });
        let pairs = &mut self.pairs;
        batch.take(&mut self.bulk, BATCH_BYTES, |stanza| {
            pairs.iter_mut().for_each(|pairs| pairs.remove(&stanza));
            each(stanza);
        });
        self.bytes -= batch.bytes;
        if self.bulk.is_empty() {
            self.pairs = None;
        }
        if self.urgent.is_empty() {
            self.urgent_pairs = None;
        }
        batch.count
    }

    /// Takes what matches, in order; the rest stays.
    pub(super) fn take_if(&mut self, matches: impl Fn(&Stanza) -> bool) -> Vec<Stanza> {
        let mut taken = Vec::new();
        for lane in [&mut self.first, &mut self.urgent, &mut self.bulk] {
            let (out, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(lane).into_iter().partition(&matches);
            *lane = kept;
            taken.extend(out);
        }
        self.bytes -= taken.iter().map(Stanza::size).sum::<usize>();
        // Counted anew from what is left, when it is asked for again.
        self.pairs = None;
        self.urgent_pairs = (!self.urgent.is_empty()).then(|| Pairs::of(&self.urgent));
        taken
    }

    /// Frees the room of queues that are empty.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    fn has_bulk_of_the_pair_of(&mut self, stanza: &Stanza) -> bool {
        self.pairs.get_or_insert_with(|| Pairs::of(&self.bulk)).contain(stanza)
    }
}

/// What has been handed out at a time.
struct Batch {
    most: usize,
    count: usize,
    bytes: usize,
}

impl Batch {
    fn take(&mut self, lane: &mut VecDeque<Stanza>, budget: usize, mut each: impl FnMut(Stanza)) {
        while let Some(stanza) = lane.front() {
            let bytes = self.bytes + stanza.size();
            if self.count == self.most || (self.count > 0 && bytes > budget) {
                return;
            }
            (self.count, self.bytes) = (self.count + 1, bytes);
            lane.pop_front().into_iter().for_each(&mut each);
        }
    }
}

fn is_availability(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), Kind::Presence(PresenceType::Available | PresenceType::Unavailable))
}

/// How many stanzas there are of each pair of bare addresses, or more.
#[derive(Debug)]
struct Pairs(Box<[u32; COUNTERS]>);

impl Default for Pairs {
    fn default() -> Self {
        Self(Box::new([0; COUNTERS]))
    }
}

impl Pairs {
    fn of(stanzas: &VecDeque<Stanza>) -> Self {
        let mut pairs = Self::default();
        stanzas.iter().for_each(|stanza| pairs.add(stanza));
        pairs
    }

    fn add(&mut self, stanza: &Stanza) {
        let counter = self.counter(stanza);
        *counter = counter.saturating_add(1);
    }

    fn remove(&mut self, stanza: &Stanza) {
        let counter = self.counter(stanza);
        *counter = counter.saturating_sub(1);
    }

    fn contain(&mut self, stanza: &Stanza) -> bool {
        *self.counter(stanza) > 0
    }

    fn counter(&mut self, stanza: &Stanza) -> &mut u32 {
        let mut hasher = DefaultHasher::new();
        for address in [stanza.from(), stanza.to()] {
            address.map(|address: JidRef<'_>| (address.local(), address.domain())).hash(&mut hasher);
        }
        &mut self.0[hasher.finish() as usize % COUNTERS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(text: &str) -> Stanza {
        Stanza::parse(text).unwrap()
    }

    fn message(from: usize, to: usize, id: usize) -> Stanza {
        stanza(&format!("<message from='u{from}@a/x' to='u{to}@b' id='{id}'><body>hello</body></message>"))
    }

    fn presence(from: usize, to: usize, id: usize) -> Stanza {
        stanza(&format!("<presence from='u{from}@a/x' to='u{to}@b' id='{id}'/>"))
    }

    fn is_urgent(stanza: &Stanza) -> bool {
        matches!(stanza.kind(), Kind::Presence(_))
    }

    fn batch(lanes: &mut Lanes) -> Vec<Stanza> {
        let mut taken = Vec::new();
        lanes.take(usize::MAX, |stanza| taken.push(stanza));
        taken
    }

    fn id(stanza: &Stanza) -> usize {
        stanza.id().unwrap().parse().unwrap()
    }

    #[test]
    fn a_presence_is_among_the_next_batch_however_much_waits() {
        let mut lanes = Lanes::default();
        (0..10_000).for_each(|id| lanes.push(message(id % 10, 1, id), is_urgent));
        lanes.push(presence(77, 77, 10_000), is_urgent);
        assert_eq!(id(&batch(&mut lanes)[0]), 10_000);
        assert_eq!(lanes.len(), 10_001 - batch_len());
        // Of its own pair something waits: behind that.
        lanes.push(presence(9, 1, 10_001), is_urgent);
        let rest: Vec<_> =
            std::iter::repeat_with(|| batch(&mut lanes)).take_while(|b| !b.is_empty()).flatten().collect();
        assert_eq!(rest.last().map(id), Some(10_001));
        assert!(lanes.is_empty() && lanes.bytes() == 0 && lanes.pairs.is_none());
    }

    /// One presence, and as many messages as fit behind it.
    fn batch_len() -> usize {
        let room = BATCH_BYTES - presence(77, 77, 10_000).size();
        let (mut bytes, mut count) = (0, 0);
        while bytes + message(count % 10, 1, count).size() <= room {
            bytes += message(count % 10, 1, count).size();
            count += 1;
        }
        count + 1
    }

    #[test]
    fn bulk_goes_on_however_much_is_urgent() {
        let mut lanes = Lanes::default();
        lanes.push(message(0, 0, 0), is_urgent);
        (1..10_000).for_each(|id| lanes.push(presence(id, id, id), is_urgent));
        assert!(batch(&mut lanes).iter().any(|stanza| id(stanza) == 0));
    }

    #[test]
    fn what_follows_an_urgent_stanza_of_its_pair_stays_behind_it_however_long_the_urgent_lane_is() {
        let mut lanes = Lanes::default();
        lanes.push(message(0, 0, 0), is_urgent);
        (1..3000).for_each(|id| lanes.push(presence(id, id, id), is_urgent));
        lanes.push(message(2999, 2999, 3000), is_urgent);
        let all: Vec<_> =
            std::iter::repeat_with(|| batch(&mut lanes)).take_while(|b| !b.is_empty()).flatten().collect();
        let place = |wanted| all.iter().position(|stanza| id(stanza) == wanted).unwrap();
        assert!(place(2999) < place(3000) && place(0) < place(2999));
        assert!(lanes.urgent_pairs.is_none());
    }

    #[test]
    fn only_the_newest_availability_of_a_pair_counts() {
        let mut lanes = Lanes::default();
        for each in [presence(1, 1, 1), message(1, 1, 2), presence(2, 1, 3)] {
            lanes.push(each, is_urgent);
        }
        let newest = presence(1, 1, 4);
        assert!(
            lanes.supersede(&newest) && !lanes.supersede(&presence(3, 1, 5)) && !lanes.supersede(&message(1, 1, 6))
        );
        lanes.push(newest, is_urgent);
        let mut left: Vec<_> = batch(&mut lanes).iter().map(id).collect();
        left.sort_unstable();
        assert_eq!((left, lanes.bytes()), (vec![2, 3, 4], 0));
    }

    /// RFC 6120, section 10.1, for many random mixes of pushes and batches.
    #[test]
    fn order_is_kept_for_each_pair_whatever_overtakes_whatever() {
        for seed in 1..=20_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut random = |below: u64| {
                (state, _) = (state ^ state << 13, ());
                state ^= state >> 7;
                state ^= state << 17;
                (state % below) as usize
            };
            let (mut lanes, mut next, mut out) = (Lanes::default(), 0, Vec::new());
            for _ in 0..2000 {
                let (from, to) = (random(20), random(3));
                let pushed = if random(3) == 0 { presence(from, to, next) } else { message(from, to, next) };
                lanes.push(pushed, is_urgent);
                next += 1;
                if random(50) == 0 {
                    lanes.take(random(200), |stanza| out.push(stanza));
                }
                if random(400) == 0 {
                    // What was handed out last comes back.
                    let back = out.split_off(out.len().saturating_sub(random(30)));
                    back.into_iter().rev().for_each(|stanza| lanes.push_first(stanza));
                }
            }
            while lanes.take(usize::MAX, |stanza| out.push(stanza)) > 0 {}
            assert_eq!(out.len(), next, "seed {seed}");
            let mut last = std::collections::HashMap::new();
            for stanza in &out {
                let pair = (stanza.from().unwrap().bare().to_owned(), stanza.to().unwrap().bare().to_owned());
                let before = last.insert(pair, id(stanza));
                assert!(before < Some(id(stanza)), "seed {seed}: {before:?} before {stanza:?}");
            }
        }
    }
}

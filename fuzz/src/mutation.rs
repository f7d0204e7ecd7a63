//! Chance, from a seed: the same seed gives the same inputs on every machine.

/// The longest input, in bytes; what limits guard against is in reach with small limits.
pub const LONGEST: usize = 4096;

/// How many changes one input gets at most.
const MOST_CHANGES: u64 = 6;

/// Makes new inputs of old ones.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    tokens: Vec<Vec<u8>>,
}

impl Mutator {
    /// A mutator whose whole behaviour follows from the seed and these dictionary tokens.
    pub fn new(seed: u64, tokens: Vec<Vec<u8>>) -> Self {
        Self { state: seed, tokens }
    }

    /// A changed copy of one of the inputs, at most [`LONGEST`] bytes; empty without inputs.
    pub fn next_input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.choice(corpus).map(<[u8]>::to_vec).unwrap_or_default();
        for _ in 0..=self.below(MOST_CHANGES as usize) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        match self.below(9) {
            0 => self.flip_a_bit(input),
            1 => self.set_a_byte(input),
            2 => self.remove(input),
            3 => self.repeat(input),
            4 => self.splice(input, corpus),
            5 => input.truncate(self.below(input.len() + 1)),
            6 => self.insert_bytes(input),
            // Where structure counts, its words find more than bytes do.
            _ => self.insert_token(input),
        }
    }

    fn flip_a_bit(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.below(input.len()), self.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set_a_byte(&mut self, input: &mut [u8]) {
        const TELLING: &[u8] = b"<>&'\"=/:;#![]-? \t\r\n\0\x01\x7f\x80\xc2\xff0aA";
        let (at, chosen) = (self.below(input.len()), self.below(TELLING.len()));
        if let Some(byte) = input.get_mut(at) {
            *byte = TELLING[chosen];
        }
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input.len());
        input.drain(start..end);
    }

    fn repeat(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input.len());
        let part = input[start..end].to_vec();
        let times = 1 + self.below(4);
        insert(input, end, &part.repeat(times));
    }

    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let Some(other) = self.choice(corpus) else { return };
        let (start, end) = self.range(other.len());
        let at = self.below(input.len() + 1);
        insert(input, at, &other[start..end]);
    }

    fn insert_bytes(&mut self, input: &mut Vec<u8>) {
        let bytes = self.next().to_le_bytes();
        let (at, length) = (self.below(input.len() + 1), 1 + self.below(bytes.len()));
        insert(input, at, &bytes[..length]);
    }

    fn insert_token(&mut self, input: &mut Vec<u8>) {
        let tokens = std::mem::take(&mut self.tokens);
        if let Some(token) = self.choice(&tokens) {
            let at = self.below(input.len() + 1);
            insert(input, at, token);
        }
        self.tokens = tokens;
    }

    fn choice<'a>(&mut self, of: &'a [Vec<u8>]) -> Option<&'a [u8]> {
        of.get(self.below(of.len())).map(Vec::as_slice)
    }

    /// A range within `length`; mostly a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 32 };
        (start, start + self.below((length - start).min(longest) + 1))
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014): every seed is as good as any other.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64) -> Vec<Vec<u8>> {
        let corpus = [b"<message/>".to_vec(), b"abc".repeat(2000), Vec::new()];
        let mut mutator = Mutator::new(seed, crate::tokens());
        (0..5000).map(|_| mutator.next_input(&corpus)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_another_one_others() {
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn inputs_are_bounded_and_vary() {
        let inputs = inputs(7);
        assert!(inputs.iter().all(|input| input.len() <= LONGEST));
        let distinct: std::collections::HashSet<_> = inputs.iter().collect();
        assert!(distinct.len() > inputs.len() / 2, "{}", distinct.len());
    }

    #[test]
    fn without_a_corpus_there_are_inputs_all_the_same() {
        let mut mutator = Mutator::new(3, crate::tokens());
        assert!((0..100).any(|_| !mutator.next_input(&[]).is_empty()));
    }
}

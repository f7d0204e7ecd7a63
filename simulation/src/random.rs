//! All random numbers of a simulation, from its seed.

use std::cell::Cell;
use std::ops::Range;
use std::slice;
use std::time::Duration;

thread_local! {
    /// What `getrandom` gives to whatever runs on this thread: one simulation at a time.
    static SOURCE: Cell<Generator> = const { Cell::new(Generator(0)) };
}

/// From now on what this thread asks of `getrandom` follows from the seed: stream identifiers, jitter, the order of
/// targets. TLS has a source of its own, and nothing that a simulation looks at depends on it.
pub(crate) fn seed(seed: u64) {
    // Not what the plan is drawn from, lest the two go hand in hand.
    SOURCE.set(Generator(seed ^ 0x5dee_ce66_d1ce_4e5b));
}

/// Stands for the operating system: `--cfg getrandom_backend="custom"` has every call come here, by this name.
// SAFETY: nothing else in the program has this name; the signature is the one that getrandom documents.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(destination: *mut u8, length: usize) -> Result<(), getrandom::Error> {
    let mut generator = SOURCE.get();
    // SAFETY: getrandom passes a buffer of its caller, valid for writes of so many bytes. It may not be initialized, and
    // so it is first made to be.
    let buffer = unsafe {
        destination.write_bytes(0, length);
        slice::from_raw_parts_mut(destination, length)
    };
    for chunk in buffer.chunks_mut(8) {
        chunk.copy_from_slice(&generator.next().to_le_bytes()[..chunk.len()]);
    }
    SOURCE.set(generator);
    Ok(())
}

/// SplitMix64: small, and every seed is a good one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generator(u64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of this range; the tiny bias of a remainder does not matter here.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len() as u64) as usize]
    }

    /// A time of this range, to the millisecond.
    pub(crate) fn time(&mut self, range: Range<Duration>) -> Duration {
        Duration::from_millis(self.within(range.start.as_millis() as u64..range.end.as_millis() as u64))
    }

    /// Whether something comes true that does so this often in a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.within(0..100) < chance
    }
}

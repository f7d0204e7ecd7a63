//! An allocator that counts, for tests and benchmarks of memory.
//!
//! It asks the system for everything and keeps one [`Tally`] per thread: two ends of a connection that live on two threads
//! are measured apart, and tests that run beside each other do not disturb one another. What one thread allocates and
//! another frees stands on both tallies, so keep what is measured on its thread.
//!
//! ```
//! use convoke_counting_allocator::{CountingAllocator, measure};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let (kept, used) = measure(|| vec![0_u8; 1000]);
//! assert_eq!((used.allocations, used.live), (1, 1000));
//! drop(kept);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Const and without a destructor: the first access must not allocate, nor the last come too late.
    static TALLY: Cell<Tally> = const { Cell::new(Tally { allocations: 0, allocated: 0, live: 0, peak: 0 }) };
}

/// What one thread has asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that gave memory: allocations and reallocations.
    pub allocations: u64,
    /// Bytes asked for by them; a reallocation counts what it adds.
    pub allocated: u64,
    /// Bytes allocated and not freed. Negative where the thread frees what others have allocated.
    pub live: i64,
    /// The most that `live` has been since the thread began or [`reset_peak`] was called.
    pub peak: i64,
}

impl Tally {
    fn allocate(mut self, bytes: usize) -> Self {
        self.allocations += 1;
        self.allocated += bytes as u64;
        self.live += bytes as i64;
        self.peak = self.peak.max(self.live);
        self
    }

    fn free(mut self, bytes: usize) -> Self {
        self.live -= bytes as i64;
        self
    }

    fn reallocate(self, old: usize, new: usize) -> Self {
        if new >= old { self.allocate(new - old) } else { self.free(old - new).allocate(0) }
    }
}

/// The tally of this thread. All zero unless the process allocates by [`CountingAllocator`].
pub fn tally() -> Tally {
    TALLY.get()
}

/// Sets the peak of this thread to what is live now, and says how much that is.
pub fn reset_peak() -> i64 {
    let tally = tally();
    TALLY.set(Tally { peak: tally.live, ..tally });
    tally.live
}

/// What this thread allocates while `work` runs: `live` is what stays, `peak` the most at any time, both from zero.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Tally) {
    let live = reset_peak();
    let before = tally();
    let result = work();
    let after = tally();
    let used = Tally {
        allocations: after.allocations - before.allocations,
        allocated: after.allocated - before.allocated,
        live: after.live - live,
        peak: after.peak - live,
    };
    (result, used)
}

/// The system's allocator, counted. Declare it as `#[global_allocator]` of a test or benchmark binary.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

/// Counts nothing while the thread is being torn down.
fn count(change: impl FnOnce(Tally) -> Tally) {
    let _ = TALLY.try_with(|tally| tally.set(change(tally.get())));
}

// SAFETY: every call is passed to `System` unchanged, which keeps the contract; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|tally| tally.allocate(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(|tally| tally.allocate(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|tally| tally.free(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`, and `System` has given the pointer.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(|tally| tally.reallocate(layout.size(), size));
        // SAFETY: the caller keeps the contract of `realloc`, and `System` has given the pointer.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn tells_what_stays_from_what_was_needed_for_a_while() {
        let (kept, used) = measure(|| {
            drop(vec![0_u8; 1000]);
            vec![0_u8; 300]
        });
        assert_eq!(used, Tally { allocations: 2, allocated: 1300, live: 300, peak: 1000 });
        drop(kept);
    }

    #[test]
    fn counts_what_a_reallocation_adds() {
        let mut bytes = vec![0_u8; 100];
        let ((), used) = measure(|| bytes.reserve_exact(150));
        assert_eq!(used, Tally { allocations: 1, allocated: 150, live: 150, peak: 150 });
        bytes.truncate(20);
        let ((), used) = measure(|| bytes.shrink_to_fit());
        assert_eq!(used.live, -230);
    }

    #[test]
    fn keeps_the_threads_apart() {
        let ((), used) = measure(|| {
            let elsewhere = std::thread::spawn(|| measure(|| drop(vec![0_u8; 1 << 20])).1.peak);
            assert_eq!(elsewhere.join().ok(), Some(1 << 20));
        });
        assert!(used.peak < 1 << 16, "{used:?}");
    }
}

//! Servers beside each other: ours and those of other makers, each a process of its own with certificates of one authority,
//! and the generator, which speaks to them over raw streams as domains of its own.

mod contestant;
mod identity;
mod line;
mod sample;
pub mod server;
mod stream;

pub(crate) use contestant::{Contestant, Sink};
pub(crate) use identity::Identity;
pub(crate) use line::Line;
pub(crate) use sample::{Meter, Sample, Samples};
pub(crate) use stream::{Incoming, Outgoing, dial};

use std::hint::black_box;

use crate::clock::thread_time;

/// Milliseconds of CPU time for always the same work: how fast the machine is at the moment.
pub(crate) fn calibrate() -> f64 {
    let start = thread_time();
    let mixed =
        (0..20_000_000_u64).fold(1_u64, |mixed, number| black_box(mixed ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    black_box(mixed);
    (thread_time() - start).as_secs_f64() * 1e3
}

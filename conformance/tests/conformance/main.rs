//! The checker, on our own federation and on a server that gets everything wrong.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod credulous;
mod dialler;
mod faults;
mod ours;
mod world;

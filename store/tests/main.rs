//! What both stores promise, and what the one on disk promises besides.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod conformance;
mod disk;

//! The integration tests of Convoke, in one binary.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod bounces;
mod conformance;
mod examples;
mod layering;
mod peers;
mod support;

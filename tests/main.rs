//! The integration tests of Convoke, in one binary.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod bounces;
mod conformance;
mod examples;
mod kills;
mod layering;
mod lost_routes;
mod nodes;
mod peers;
mod personal;
mod support;

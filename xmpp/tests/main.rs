//! The reader against expat, against itself in pieces, and against the cost it may have.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod agreement;
mod cases;
mod chunks;
mod conformance_suite;
mod corpus;
mod deep_trees;
mod differential;
mod expat;
mod linearity;
mod mutants;
mod names;
mod pieces;
mod reading;

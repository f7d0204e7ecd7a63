//! What certificates say when others read them, and what a resolver finds.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod certificates;
mod dns;

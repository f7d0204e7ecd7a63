//! The binary itself, as an operator runs it.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod certs;
mod check;
mod check_s2s;
#[cfg(unix)]
mod dial;
#[cfg(unix)]
mod evidence;
#[cfg(unix)]
mod federation;
#[cfg(unix)]
mod pubsub;
#[cfg(unix)]
mod reload;
#[cfg(unix)]
mod serve;
mod support;
mod token;

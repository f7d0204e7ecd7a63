//! The gateway over real HTTP on loopback, with the rest of XMPP played by the test.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod access;
mod events;
mod operations;
mod services;
mod stanzas;
mod support;
mod tls;

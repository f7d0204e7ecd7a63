//! Driver and sessions on real sockets of this machine.

// clippy's own exception covers test functions, not their helpers.
#![allow(clippy::unwrap_used)]

mod driver;
mod greeting;
mod session;
#[cfg(feature = "ring")]
mod tls;

//! Certificates, good and bad, each shown to a real listener and to a real dialer.

#![cfg(feature = "net")]
// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod dane;
mod forge;
mod judge;
mod live;
#[cfg(feature = "posh")]
mod posh;
mod resumption;
mod table;

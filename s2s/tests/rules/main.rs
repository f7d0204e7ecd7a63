//! Each rule of a federation as a test on real sockets: the peer of these tests writes its own bytes.
//!
//! The rules and their numbers stand in the documentation of the crate; `table` keeps both together.

#![cfg(feature = "net")]
// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod certificates;
mod dial;
mod dialback;
mod dialled;
mod extensions;
mod headers;
mod limits;
mod listening;
mod restarts;
mod sasl;
mod seed;
mod stanzas;
mod table;
mod tls;
mod wire;
mod xml;

/// The small internet of the other tests; some of what it can do is not needed here.
#[allow(dead_code)]
#[path = "../federation/world.rs"]
mod world;

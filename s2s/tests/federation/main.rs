//! Federations on real sockets of this machine, found through a real DNS server.

#![cfg(feature = "net")]
// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod both_ways;
mod certificates;
mod dial;
mod dial_eyeballs;
mod dial_faults;
mod dial_records;
mod dialback;
mod direct;
mod evidence;
mod exchange;
#[path = "../certificates/forge.rs"]
#[allow(dead_code)]
mod forge;
mod incoming;
mod multiplexing;
mod peer;
mod pings;
mod policy;
mod proxy;
mod renewal;
mod resumption;
mod trust;
mod vouched;
#[path = "../rules/wire.rs"]
#[allow(dead_code)]
mod wire;
mod world;

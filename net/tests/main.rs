//! Driver and sessions on real sockets of this machine.

// clippy's own exception covers test functions, not their helpers.
#![allow(clippy::unwrap_used)]

use convoke_counting_allocator::CountingAllocator;

/// Memory is counted by thread: what is measured runs on a thread of its own.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

mod closing;
mod deadlines;
mod descriptors;
mod driver;
mod greeting;
mod session;
mod slow_reader;

#[cfg(feature = "ring")]
mod before_authentication;
#[cfg(feature = "ring")]
mod idle;
#[cfg(feature = "ring")]
mod tls;
#[cfg(feature = "ring")]
mod tls_versions;

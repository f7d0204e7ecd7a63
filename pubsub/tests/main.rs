//! The service as its requesters and subscribers see it: stanzas in, stanzas out.
//!
//! The transcripts are the numbered examples of XEP-0060, version 1.30, shortened, with the attributes
//! that an example leaves out. `type='headline'` is added to notifications, and their ids are not compared.

#![allow(clippy::unwrap_used)]

use convoke_counting_allocator::CountingAllocator;

mod accounts;
mod approval;
mod client;
mod commit;
mod configuration;
mod creators;
mod delivery;
mod entity;
mod examples;
mod followers;
mod kinds;
mod last;
mod limits;
mod management;
mod matrix;
mod model;
mod moved;
mod multiple;
mod options;
mod ordering;
mod owner;
mod paging;
mod personal;
mod presence;
mod publisher;
mod registry;
mod store;
mod subscriber;
mod support;

/// Tells what a notification costs.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

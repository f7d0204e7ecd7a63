//! Both roles, driven without sockets and with virtual time: against each other, and against transcripts.

mod bidi;
mod dialback;
mod direct_tls;
mod further_domains;
mod harness;
mod initiating;
mod pair;
mod receiving;

//! Convoke and Debian's Prosody as neighbours: what each sends the other arrives, over real sockets, found by SRV
//! records, with STARTTLS and SASL EXTERNAL and without dialback.
//!
//! What is shown is seen from outside of Convoke: in what a raw client at Prosody gets, and in Prosody's own log.

mod bursts;
mod discovery;
mod leases;
mod negotiation;
mod neighbours;
mod outages;
mod presence;
mod refusals;

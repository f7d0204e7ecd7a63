//! The gateway over real HTTP on loopback, with the rest of XMPP played by the test.

mod access;
mod events;
mod operations;
mod services;
mod stanzas;
mod support;
mod tls;

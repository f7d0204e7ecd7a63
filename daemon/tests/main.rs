//! The binary itself, as an operator runs it.

mod certs;
mod check;
#[cfg(unix)]
mod federation;
#[cfg(unix)]
mod serve;
mod support;
mod token;

//! The Convoke daemon.

fn main() {}

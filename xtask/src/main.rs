//! Convoke's own commands.

fn main() {}

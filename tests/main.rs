//! The integration tests of Convoke, in one binary.

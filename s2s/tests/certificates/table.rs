//! The truth table. What is expected is written out beside each certificate.

mod chains;
mod constraints;
mod groups;
mod keys;
mod names;
mod revocation;
mod times;
mod usages;
mod vouched;

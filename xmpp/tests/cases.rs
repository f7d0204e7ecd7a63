//! Texts that a stream may hold and texts that it may not, written by hand.
//!
//! `BAD` and `GOOD` are the content of a stream; they are tried there and within a stanza. The documents are whole
//! streams, in which [`as_document`] puts the name, the namespaces and the version of a stream element for `S:S`.

mod bad;
mod documents;
mod good;

pub(crate) use bad::{BAD, BAD_BYTES};
pub(crate) use documents::{
    BAD_DOCUMENTS, DATA_BEHIND_THE_ROOT, GOOD_DOCUMENTS, RESTRICTED_DOCUMENTS, STREAM, as_document,
};
pub(crate) use good::GOOD;

//! The XML of a stream: a strict push reader, and element trees for payloads.
//!
//! A [`StreamReader`] takes bytes as they come and gives whole first-level elements. It accepts the subset of XML that
//! RFC 6120 (section 11.1) allows: no comments, processing instructions, DTDs or entities other than the five
//! predefined ones. quick-xml splits the markup; the checks that it leaves to its callers are made here.

mod characters;
mod element;
mod framer;
mod reader;
mod scan;

pub use element::{Element, Node};
pub use reader::{Limits, ReadError, StreamEvent, StreamReader};

pub(crate) use characters::escape_into;
pub(crate) use element::parse_with_content_default;
pub(crate) use reader::stanza_from_text;

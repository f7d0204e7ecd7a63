//! The XML of a stream: a strict push reader, and element trees for payloads.
//!
//! A [`StreamReader`] takes bytes as they come and gives whole first-level elements. It accepts the subset of XML that
//! RFC 6120 (section 11.1) allows: no comments, processing instructions, DTDs or entities other than the five
//! predefined ones. A scanner of our own validates in one pass; quick-xml builds the trees of what has passed it.

mod characters;
mod element;
mod framer;
mod limits;
mod names;
mod reader;
pub(crate) mod scanner;
mod tree;

pub use element::{Element, Node};
pub use limits::{Limits, Total};
pub use reader::{ReadError, StreamEvent, StreamReader, Work};

pub(crate) use characters::{attribute_value, escape_into};
pub(crate) use element::parse_with_content_default;
pub(crate) use reader::stanza_from_text;

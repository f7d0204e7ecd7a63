//! Stanzas as JSON, both ways and without loss.
//!
//! | key | meaning |
//! |---|---|
//! | `kind` | `message`, `presence` or `iq` |
//! | `type` | the type; `normal` and `available` where XMPP leaves it out |
//! | `to`, `from`, `id`, `lang` | the attributes of that name, and `xml:lang` |
//! | `subject`, `body`, `thread` | of a message: the text of the first such child that has no attributes |
//! | `show`, `status`, `priority` | of a presence: likewise; the priority is a number |
//! | `error` | `{type, condition, text, by}` of a stanza of type error |
//! | `attrs` | further attributes of the stanza itself |
//! | `children` | what the other keys do not say, in order: text as strings, elements as objects |
//! | `xml` | the whole stanza, if JSON cannot say it; then the other keys only repeat its header |
//!
//! An element is `{name, xmlns, attrs, children}` or `{name, xmlns, attrs, text}`; without `xmlns` it has the namespace
//! of the element around it. One with attributes of a foreign namespace, or nested more than [`MAX_DEPTH`] deep, is
//! `{xml}`. Where the order of the children would get lost, `children` lists all of them, and the other keys repeat
//! what it holds: a key that says the same as a child adds nothing.
//!
//! In the direction to XML nothing is dropped: what has no meaning is refused by its JSON pointer (RFC 6901).

mod element;
mod from_json;
mod shortcuts;
mod strict;
mod to_json;

use convoke_xmpp::{AddressError, ReadError};
use thiserror::Error;

pub use element::MAX_DEPTH;
pub use from_json::from_json;
pub(crate) use from_json::from_xml;
pub(crate) use shortcuts::error_to_json;
pub use strict::parse as parse_json;
pub use to_json::to_json;

/// Why a JSON value is no stanza.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault} at {pointer:?}")]
pub struct MappingError {
    /// Where: a JSON pointer (RFC 6901), empty for the whole value.
    pub pointer: String,
    /// What is wrong there.
    pub fault: Fault,
}

impl MappingError {
    fn at(key: &str, fault: Fault) -> Self {
        Self { pointer: String::new(), fault }.within(key)
    }

    fn here(fault: Fault) -> Self {
        Self { pointer: String::new(), fault }
    }

    /// The same error, seen from the value around it.
    fn within(self, step: &str) -> Self {
        let step = step.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("/{step}{}", self.pointer), fault: self.fault }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The key has no meaning here.
    #[error("this key has no meaning here")]
    UnknownKey,
    /// The key is needed.
    #[error("this key is missing")]
    Missing,
    /// The value has another JSON type.
    #[error("this must be {0}")]
    NotA(&'static str),
    /// The value is none of those that the standard knows.
    #[error("this must be one of {}", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    /// The value is no address (RFC 7622).
    #[error("{0}")]
    Address(AddressError),
    /// The text or name cannot stand in XML.
    #[error("this cannot be written as XML")]
    NotXml,
    /// The XML is not well-formed, or no single element.
    #[error("{0}")]
    Xml(ReadError),
    /// The key says something else than `children` or `xml` does.
    #[error("this contradicts another key")]
    Contradiction,
    /// It nests deeper than the gateway carries.
    #[error("this nests deeper than {MAX_DEPTH} elements")]
    TooDeep,
}

#[cfg(test)]
mod tests;

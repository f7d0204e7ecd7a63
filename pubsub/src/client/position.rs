//! How far the history of a node has come, where the service says so.

use convoke_xmpp::Element;

use crate::POSITION;

/// Where the history of a node stands with a notification, or as of a list of items.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// Differs between a node and another one that has its name before or after it.
    pub incarnation: String,
    /// The first of the changes that the message stands for; as `sequence` if it is one.
    pub first: u64,
    /// The number of the last of these changes; the next one has the next number.
    pub sequence: u64,
}

/// The position within a message or the payload of a result; `None` if the service gives none.
pub fn parse_position(parent: &Element) -> Option<Position> {
    let position = parent.find("position", POSITION)?;
    let sequence = position.attribute("seq")?.parse().ok()?;
    let first = position.attribute("first").map_or(Some(sequence), |first| first.parse().ok())?;
    Some(Position { incarnation: position.attribute("inc")?.to_owned(), first, sequence })
}

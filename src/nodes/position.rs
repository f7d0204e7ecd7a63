//! How far a follower is: nothing is told twice, and no gap is hidden.
//!
//! A service that numbers the changes of its nodes says so in each notification and in each list of items by
//! `<position xmlns='urn:convoke:pubsub:0' inc='…' seq='…'/>`: `inc` is the incarnation of the node, `seq` counts its
//! changes by one each. A message that stands for several changes names the `first` of them too; one that
//! stands for none, since it tells again what was told before, has `recalled='true'`.

use convoke_xmpp::Element;

const NAMESPACE: &str = "urn:convoke:pubsub:0";

/// The state of a node after some change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) incarnation: String,
    pub(super) sequence: u64,
}

/// The changes that a notification stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: Position,
}

/// How a notification relates to what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It tells nothing new.
    Known,
    /// It comes next, as far as can be told.
    Next,
    /// Something before it is missing.
    Ahead,
}

impl Position {
    /// The position in a message or in the result of a request; `None` if the service gives none.
    pub(super) fn read(parent: &Element) -> Option<Self> {
        Span::read(parent).map(|span| span.last)
    }

    /// Whether all that the other one stands for is known here.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation && other.sequence <= self.sequence
    }
}

impl Span {
    pub(super) fn read(parent: &Element) -> Option<Self> {
        let position = parent.find("position", NAMESPACE)?;
        let incarnation = position.attribute("inc")?.to_owned();
        let sequence = position.attribute("seq")?.parse().ok()?;
        let first = position.attribute("first").map_or(Some(sequence), |first| first.parse().ok())?;
        Some(Self { first, last: Position { incarnation, sequence } })
    }
}

/// Whether a message is no change: an item is sent again, such as the last one to a new subscriber (XEP-0060, section
/// 6.1.7).
pub(super) fn is_recalled(message: &Element) -> bool {
    let position = message.find("position", NAMESPACE);
    position.is_some_and(|position| position.attribute("recalled") == Some("true"))
}

/// Relates a notification to the last change that is known. Without numbers everything is new: telling it again does no
/// harm, since an item says what is, not what has changed.
pub(super) fn relate(seen: Option<&Position>, told: Option<&Span>) -> Relation {
    match (seen, told) {
        (None, _) => Relation::Next,
        // Such as the last item that is sent for a new subscription: the snapshot has it.
        (Some(_), None) => Relation::Known,
        (Some(seen), Some(told)) if seen.incarnation != told.last.incarnation => Relation::Ahead,
        (Some(seen), Some(told)) if told.last.sequence <= seen.sequence => Relation::Known,
        (Some(seen), Some(told)) if told.first <= seen.sequence.saturating_add(1) => Relation::Next,
        _ => Relation::Ahead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Option<Span> {
        Span::read(&Element::parse(&format!("<message xmlns='jabber:client'>{text}</message>")).unwrap())
    }

    #[test]
    fn a_position_is_read_where_it_is_whole() {
        let position = |attributes: &str| span(&format!("<position xmlns='urn:convoke:pubsub:0' {attributes}/>"));
        let last = Position { incarnation: "x".to_owned(), sequence: 7 };
        assert_eq!(position("inc='x' seq='7'"), Some(Span { first: 7, last: last.clone() }));
        assert_eq!(position("inc='x' seq='7' first='3'"), Some(Span { first: 3, last }));
        for damaged in ["", "inc='x'", "seq='7'", "inc='x' seq='-1'", "inc='x' seq='7' first='y'"] {
            assert_eq!(position(damaged), None, "{damaged}");
        }
        assert_eq!(span("<position xmlns='urn:other' inc='x' seq='7'/>"), None);
    }

    #[test]
    fn a_notification_is_known_next_or_ahead() {
        let at = |incarnation: &str, sequence| Position { incarnation: incarnation.to_owned(), sequence };
        let told = |incarnation: &str, first, last| Some(Span { first, last: at(incarnation, last) });
        for (told, relation) in [
            (told("x", 6, 6), Relation::Known),
            (told("x", 7, 7), Relation::Known),
            (told("x", 8, 8), Relation::Next),
            (told("x", 8, 12), Relation::Next),
            (told("x", 5, 9), Relation::Next),
            (told("x", 9, 9), Relation::Ahead),
            (told("y", 1, 1), Relation::Ahead),
            (None, Relation::Known),
        ] {
            assert_eq!(relate(Some(&at("x", 7)), told.as_ref()), relation, "{told:?}");
            assert_eq!(relate(None, told.as_ref()), Relation::Next, "{told:?}");
        }
    }
}

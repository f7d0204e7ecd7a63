//! What a subscriber makes of the notifications of one node.

use convoke_pubsub::client::{self, Change, Event, Item, Position};
use convoke_xmpp::{Element, Stanza};

/// The items of a node, oldest first: ids and values.
pub(super) type Items = Vec<(String, String)>;

/// What is there, and as of which change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    incarnation: String,
    sequence: u64,
    items: Items,
}

/// A node as a subscriber sees it, that asked once and has listened since.
#[derive(Debug, Clone)]
pub(super) struct View {
    now: Snapshot,
    /// Whether it was to be told of every change since it asked.
    pub(super) is_whole: bool,
    /// Whether something may be collected for it.
    pub(super) may_lag: bool,
}

/// What a notification does to a view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// Something before it is missing.
    Gap,
}

impl Snapshot {
    /// What a result of `items` says.
    pub(super) fn read(result: &Element) -> Option<Self> {
        let Position { incarnation, sequence, .. } = client::parse_position(result)?;
        let items = client::parse_items(result)?.into_iter().map(entry).collect();
        Some(Self { incarnation, sequence, items })
    }

    pub(super) fn items(&self) -> &Items {
        &self.items
    }
}

impl View {
    pub(super) fn new(now: Snapshot) -> Self {
        Self { now, is_whole: true, may_lag: false }
    }

    /// Takes in a notification.
    pub(super) fn hear(&mut self, message: &Stanza) -> Effect {
        let (Some(event), Some(position)) =
            (client::parse_event(message), client::parse_position(&message.to_element()))
        else {
            return Effect::Nothing;
        };
        let is_other = position.incarnation != self.now.incarnation;
        if !is_other && position.sequence <= self.now.sequence {
            return Effect::Nothing;
        }
        if is_other || position.first > self.now.sequence + 1 {
            return Effect::Gap;
        }
        self.now.sequence = position.sequence;
        self.now.apply(event);
        Effect::Nothing
    }

    /// Whether it is what there is, as far as it must be.
    pub(super) fn check(&self, truth: &Snapshot) -> Result<(), String> {
        let is_there = self.now.sequence == truth.sequence && self.now.incarnation == truth.incarnation;
        if is_there && self.now != *truth {
            return Err(format!("a view without a gap differs: {:?}, not {truth:?}", self.now));
        }
        if !is_there && self.is_whole && !self.may_lag {
            return Err(format!("a subscriber was not told: {:?}, not {truth:?}", self.now));
        }
        Ok(())
    }
}

impl Snapshot {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Items { changes, .. } => changes.into_iter().for_each(|change| self.change(change)),
            Event::Purged { .. } => self.items.clear(),
            _ => {}
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Published(item) => {
                let (id, value) = entry(item);
                self.items.retain(|(known, _)| *known != id);
                self.items.push((id, value));
            }
            Change::Retracted(id) => self.items.retain(|(known, _)| *known != id),
            _ => {}
        }
    }
}

fn entry(item: Item) -> (String, String) {
    let value = item.payload.as_ref().map(Element::content).unwrap_or_default();
    (item.id, value)
}

/// Whether a notification tells again what was told before.
pub(super) fn is_recalled(message: &Stanza) -> bool {
    let message = message.to_element();
    let position = message.find("position", "urn:convoke:pubsub:0");
    position.is_some_and(|position| position.attribute("recalled") == Some("true"))
}

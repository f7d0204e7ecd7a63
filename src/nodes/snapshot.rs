//! All items of a node, asked for page by page while the node may change.

use std::collections::HashMap;

use convoke_pubsub::client::{Change, Event, Item};

use super::notification::Notification;
use super::page::Page;
use super::position::{Position, Relation};

/// A snapshot as far as it has come.
#[derive(Default)]
pub(super) struct Listing {
    items: Vec<Item>,
    /// As of which state of the node the first page was made.
    since: Option<Position>,
}

/// All items of a node.
pub(super) struct Snapshot {
    /// The oldest first.
    pub(super) items: Vec<Item>,
    /// As of which state of the node, if the service says so.
    pub(super) position: Option<Position>,
    /// Whether what has changed while the pages were asked for is part of it.
    pub(super) is_whole: bool,
}

impl Listing {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds the next page.
    pub(super) fn add(&mut self, page: Page) {
        if self.items.is_empty() {
            self.since = page.position;
        }
        self.items.extend(page.items);
    }

    /// All pages are there, the last one as of this state of the node; `waiting` takes the notifications that lead there.
    pub(super) fn complete(
        self,
        until: Option<Position>,
        waiting: impl FnOnce(&Position) -> Vec<Notification>,
    ) -> Snapshot {
        let Self { mut items, since } = self;
        let (position, is_whole) = match (since, until) {
            (Some(since), Some(until)) if since != until => {
                let merged = merge(&mut items, &since, &until, waiting(&until));
                (Some(if merged { until } else { since }), merged)
            }
            (_, until) => (until, true),
        };
        keep_newest(&mut items);
        Snapshot { items, position, is_whole }
    }
}

/// Brings the items of several pages to the state of the last one; `false` if a change is missing.
fn merge(items: &mut Vec<Item>, since: &Position, until: &Position, waiting: Vec<Notification>) -> bool {
    let mut seen = since.clone();
    for notification in waiting {
        match notification.relate(Some(&seen)) {
            Relation::Known => continue,
            Relation::Ahead => return false,
            Relation::Next => apply(items, notification.event),
        }
        seen = notification.span.map_or(seen, |span| span.last);
    }
    seen == *until
}

fn apply(items: &mut Vec<Item>, event: Option<Event>) {
    match event {
        Some(Event::Items { changes, .. }) => {
            for change in changes {
                let id = match &change {
                    Change::Published(item) => &item.id,
                    Change::Retracted(id) => id,
                    _ => continue,
                };
                items.retain(|item| item.id != *id);
                if let Change::Published(item) = change {
                    items.push(item);
                }
            }
        }
        Some(Event::Purged { .. }) => items.clear(),
        _ => {}
    }
}

/// An item that was published again between two pages is on both.
fn keep_newest(items: &mut Vec<Item>) {
    let mut newest = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        newest.insert(item.id.clone(), at);
    }
    let mut at = 0..;
    items.retain(|item| newest.get(&item.id).copied() == at.next());
}

//! What subscribers are told, before anybody is addressed.

use std::sync::Arc;

use convoke_xmpp::namespace::PUBSUB_EVENT;
use convoke_xmpp::{Broadcast, Element, Jid, MessageType, Stanza};

use super::subids::SubIds;
use crate::broker::{NodeId, SubId};
use crate::protocol::{position_element, subid_headers};
use crate::state::Position;

/// What a retraction is reckoned to take up.
const RETRACTION_BYTES: usize = 256;

/// One change of a node, as its subscribers are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    /// The address of the service.
    pub(crate) from: Jid,
    pub(crate) kind: MessageType,
    pub(crate) node: NodeId,
    /// Whether the node is a state: its newest item makes every earlier one worthless.
    pub(crate) is_state: bool,
    /// The position of the node since the change; `None` for what concerns one subscriber alone.
    pub(crate) position: Option<Position>,
    /// The element `event`.
    pub(crate) event: Element,
    /// What follows it: a delay, for instance.
    pub(crate) extras: Vec<Element>,
}

/// A notice, written once for all who get it.
#[derive(Debug)]
pub(super) struct Letter {
    notice: Notice,
    /// What happened to items: the children of `items`; empty for every other event.
    entries: Vec<Arc<Element>>,
    broadcast: Broadcast,
}

impl Letter {
    pub(super) fn new(notice: Notice) -> Self {
        let entries = notice.event.find("items", PUBSUB_EVENT).into_iter().flat_map(Element::children);
        let entries = entries.cloned().map(Arc::new).collect();
        let broadcast = Broadcast::new(&notice.message(notice.event.clone(), notice.sequence()));
        Self { notice, entries, broadcast }
    }

    /// The service and the node: what has an order of its own.
    pub(super) fn source(&self) -> (&Jid, &NodeId) {
        (&self.notice.from, &self.notice.node)
    }

    /// Whether it tells of items, so that one message can tell of more of them.
    pub(super) fn is_of_items(&self) -> bool {
        !self.entries.is_empty() && self.notice.extras.is_empty()
    }

    /// The headers that name the subscriptions by which an address has it (XEP-0060, sections 7.1.2.4, 7.2.2.2 and
    /// 13.16): only what is told of items differs from one to another.
    fn headers(&self, subids: &SubIds) -> Option<Element> {
        (subids.are_told() && self.notice.event.find("items", PUBSUB_EVENT).is_some())
            .then(|| subid_headers(subids.iter()))
    }

    fn bytes(&self) -> usize {
        self.broadcast.shared_bytes()
    }
}

impl Notice {
    fn incarnation(&self) -> Option<&str> {
        self.position.as_ref().map(|position| &*position.incarnation)
    }

    fn sequence(&self) -> Option<u64> {
        self.position.as_ref().map(|position| position.sequence)
    }

    /// The message with this event, which stands for all changes since `first`.
    fn message(&self, event: Element, first: Option<u64>) -> Stanza {
        let message = Stanza::message(self.kind).with_from(&self.from).with_payload(event);
        let position = self.position.as_ref().map(|position| position_since(position, first));
        position.iter().chain(&self.extras).fold(message, |message, child| message.with_payload(child.clone()))
    }
}

fn position_since(position: &Position, first: Option<u64>) -> Element {
    let element = position_element(position);
    match first.filter(|first| *first != position.sequence) {
        Some(first) => element.attr("first", first),
        None => element,
    }
}

/// One message that waits: a letter, and what it stands for besides.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    latest: Arc<Letter>,
    subids: SubIds,
    /// Whether all of it is about a state.
    is_state: bool,
    /// The first of the changes that it stands for.
    first: Option<u64>,
    /// What happened to items before.
    earlier: Vec<Arc<Element>>,
    bytes: usize,
}

impl Pending {
    pub(super) fn new(letter: Arc<Letter>, subids: SubIds) -> Self {
        let (first, is_state) = (letter.notice.sequence(), letter.notice.is_state);
        Self { bytes: letter.bytes(), latest: letter, subids, is_state, first, earlier: Vec::new() }
    }

    pub(super) fn source(&self) -> (&Jid, &NodeId) {
        self.latest.source()
    }

    pub(super) fn is_state(&self) -> bool {
        self.is_state
    }

    /// Whether one message can tell of the later changes, too.
    pub(super) fn can_absorb(&self, later: &Self) -> bool {
        self.latest.is_of_items()
            && later.latest.is_of_items()
            && self.subids == later.subids
            && self.source() == later.source()
            && self.latest.notice.incarnation() == later.latest.notice.incarnation()
    }

    /// Lets it stand for later changes as well.
    ///
    /// Of a state the newest item is enough, and the first retraction: it may be of the item that the subscriber has.
    pub(super) fn absorb(&mut self, later: Self) {
        self.earlier.extend(self.latest.entries.iter().cloned().chain(later.earlier));
        self.bytes += later.bytes;
        self.is_state &= later.is_state;
        if self.is_state {
            self.earlier.retain(|entry| entry.name() == "retract");
            self.earlier.truncate(1);
            self.bytes = later.latest.bytes() + self.earlier.len() * RETRACTION_BYTES;
        }
        self.latest = later.latest;
    }

    /// Notes that a subscription has ended; `false` if it was the last by which the address has this.
    pub(super) fn outlives(&mut self, subid: SubId) -> bool {
        self.subids.remove(subid)
    }

    /// The bytes that it holds on to, as if it shared them with nobody.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many changes of items it tells of.
    pub(super) fn changes(&self) -> usize {
        self.earlier.len() + self.latest.entries.len()
    }

    /// The message for one subscriber.
    pub(super) fn message(&self, to: &Jid, id: &str) -> Stanza {
        let message = self.unnamed_message(to, id);
        match self.latest.headers(&self.subids) {
            Some(headers) => message.with_payload(headers),
            None => message,
        }
    }

    fn unnamed_message(&self, to: &Jid, id: &str) -> Stanza {
        let notice = &self.latest.notice;
        if self.earlier.is_empty() && self.first == notice.sequence() {
            return self.latest.broadcast.to_with_id(to, id);
        }
        let entries = self.earlier.iter().chain(&self.latest.entries).map(|entry| Element::clone(entry));
        let items = Element::new("items", PUBSUB_EVENT).attr("node", &notice.node).with_children(entries);
        let event = Element::new("event", PUBSUB_EVENT).child(items);
        notice.message(event, self.first).with_to(to).with_id(id)
    }
}

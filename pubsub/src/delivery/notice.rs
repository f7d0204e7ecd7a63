//! What subscribers are told, before anybody is addressed.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use convoke_xmpp::namespace::{DATA_FORMS, PUBSUB_EVENT};
use convoke_xmpp::{Broadcast, Element, Jid, MessageType, Stanza};

use super::subids::SubIds;
use crate::broker::{NodeId, SubId};
use crate::protocol::{delay, position_element, subid_headers};
use crate::state::Position;

/// One change of a node, as its subscribers are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) head: Head,
    /// The element `event`.
    pub(crate) event: Element,
}

/// What a notice is about.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The address of the service.
    pub(crate) from: Jid,
    pub(crate) kind: MessageType,
    pub(crate) node: NodeId,
    /// Whether the node is a state: its newest item makes every earlier one worthless.
    pub(crate) is_state: bool,
    /// Whether it is no change: an item that was told of before is told again.
    pub(crate) is_recalled: bool,
    /// When the change happened; of what is recalled, when that was published.
    pub(crate) stamp: SystemTime,
    /// The position of the node since the change; `None` for what concerns one subscriber alone.
    pub(crate) position: Option<Position>,
}

impl Notice {
    /// Whether its recipients have to answer it: a form takes the place of the event.
    pub(crate) fn is_question(&self) -> bool {
        self.event.namespace() == DATA_FORMS
    }
}

/// A notice, written once for all who get it.
#[derive(Debug)]
pub(super) struct Letter {
    /// Counts the letters of the service.
    number: u64,
    head: Head,
    /// Whether it tells of items, perhaps without naming any.
    has_items: bool,
    /// How many changes of items it tells of; none for every other event.
    changes: usize,
    broadcast: Broadcast,
    /// The same for those to whom it comes late.
    late: OnceLock<Broadcast>,
    /// What happened to items, for those who are told of several changes at once.
    entries: OnceLock<Vec<Arc<Element>>>,
}

impl Letter {
    pub(super) fn new(number: u64, Notice { head, event }: Notice) -> Self {
        let (has_items, changes) = (event.find("items", PUBSUB_EVENT).is_some(), entries(&event).count());
        let message = head.message(event, head.sequence());
        let message = if head.is_recalled { message.with_payload(head.delay()) } else { message };
        let (late, entries) = Default::default();
        Self { number, head, has_items, changes, broadcast: Broadcast::new(&message), late, entries }
    }

    /// The service and the node: what has an order of its own.
    pub(super) fn source(&self) -> (&Jid, &NodeId) {
        (&self.head.from, &self.head.node)
    }

    /// Whether it tells of items, so that one message can tell of more of them.
    pub(super) fn is_of_items(&self) -> bool {
        self.changes > 0 && !self.head.is_recalled
    }

    /// The headers that name the subscriptions by which an address has it (XEP-0060, sections 7.1.2.4, 7.2.2.2 and
    /// 13.16): only what is told of items differs from one to another.
    fn headers(&self, subids: &SubIds) -> Option<Element> {
        (subids.are_told() && self.has_items).then(|| subid_headers(subids.iter()))
    }

    fn bytes(&self) -> usize {
        self.broadcast.shared_bytes()
    }

    /// What is recalled says anyhow when it was published.
    fn late(&self) -> &Broadcast {
        if self.head.is_recalled {
            return &self.broadcast;
        }
        self.late.get_or_init(|| Broadcast::new(&self.unaddressed().with_payload(self.head.delay())))
    }

    fn entries(&self) -> &[Arc<Element>] {
        self.entries.get_or_init(|| {
            let message = self.unaddressed().to_element();
            let event = message.find("event", PUBSUB_EVENT);
            event.into_iter().flat_map(entries).cloned().map(Arc::new).collect()
        })
    }

    fn unaddressed(&self) -> Stanza {
        self.broadcast.to(&self.head.from)
    }
}

/// What an event tells of items.
fn entries(event: &Element) -> impl Iterator<Item = &Element> {
    event.find("items", PUBSUB_EVENT).into_iter().flat_map(Element::children)
}

impl Head {
    fn incarnation(&self) -> Option<&str> {
        self.position.as_ref().map(|position| &*position.incarnation)
    }

    fn sequence(&self) -> Option<u64> {
        self.position.as_ref().map(|position| position.sequence)
    }

    /// The message with this event, which stands for all changes since `first`.
    fn message(&self, event: Element, first: Option<u64>) -> Stanza {
        let message = Stanza::message(self.kind).with_from(&self.from).with_payload(event);
        match &self.position {
            Some(position) => message.with_payload(self.position_since(position, first)),
            None => message,
        }
    }

    fn position_since(&self, position: &Position, first: Option<u64>) -> Element {
        let first = first.filter(|first| *first != position.sequence);
        let recalled = self.is_recalled.then_some("true");
        position_element(position).attr_opt("first", first).attr_opt("recalled", recalled)
    }

    fn delay(&self) -> Element {
        delay(&self.from, self.stamp)
    }
}

/// One message for one subscriber: a letter, and what it stands for besides.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    latest: Arc<Letter>,
    subids: SubIds,
    /// Whether all of it is about a state.
    is_state: bool,
    /// The first of the changes that it stands for.
    first: Option<u64>,
    /// The number of the first letter that it stands for.
    first_number: u64,
    /// What happened to items before.
    earlier: Vec<Arc<Element>>,
    bytes: usize,
    has_waited: bool,
    is_returned: bool,
}

impl Pending {
    pub(super) fn new(letter: Arc<Letter>, subids: SubIds) -> Self {
        Self {
            subids,
            is_state: letter.head.is_state,
            first: letter.head.sequence(),
            first_number: letter.number,
            earlier: Vec::new(),
            bytes: letter.bytes(),
            has_waited: false,
            is_returned: false,
            latest: letter,
        }
    }

    /// The same as one that has to wait: it says how late it is (XEP-0203).
    pub(super) fn late(self) -> Self {
        Self { has_waited: true, ..self }
    }

    /// The same as one that was sent and came back.
    pub(super) fn returned(&self) -> Self {
        Self { is_returned: true, ..self.clone() }.late()
    }

    pub(super) fn is_returned(&self) -> bool {
        self.is_returned
    }

    /// The number of the last letter that it stands for.
    pub(super) fn number(&self) -> u64 {
        self.latest.number
    }

    /// Whether it stands for the letter of this number of a node.
    pub(super) fn is_of(&self, source: (&Jid, &NodeId), number: u64) -> bool {
        self.source() == source && self.covers(number)
    }

    /// Whether it stands for this letter of the same source, among others.
    pub(super) fn covers(&self, number: u64) -> bool {
        (self.first_number..=self.number()).contains(&number)
    }

    /// Whether both are one letter and nothing else, for whomever they are.
    pub(super) fn is_same_letter(&self, other: &Self) -> bool {
        let is_plain = |pending: &Self| pending.is_single() && !pending.is_named();
        Arc::ptr_eq(&self.latest, &other.latest) && is_plain(self) && is_plain(other)
    }

    /// Whether it tells all subscribers of a change, rather than one of what concerns it alone.
    pub(super) fn is_change(&self) -> bool {
        self.latest.head.position.is_some() && !self.latest.head.is_recalled
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
            && self.is_by_the_subscriptions_of(later)
            && self.source() == later.source()
            && self.latest.head.incarnation() == later.latest.head.incarnation()
    }

    /// Lets it stand for later changes as well.
    ///
    /// Of a state the newest item is enough, and of the retractions the first, which may be of the item that the subscriber
    /// was told of before, and the last: it may have asked for the item meanwhile that was there until then.
    pub(super) fn absorb(&mut self, later: Self) {
        self.earlier.extend(self.latest.entries().iter().cloned().chain(later.earlier));
        self.bytes += later.bytes;
        self.is_state &= later.is_state;
        if self.is_state {
            self.earlier.retain(|entry| entry.name() == "retract");
            keep_first_and_last(&mut self.earlier);
            self.bytes = later.latest.bytes() + self.earlier.len() * RETRACTION_BYTES;
        }
        self.is_returned |= later.is_returned;
        self.latest = later.latest;
    }

    /// Of what came back it is not known by which subscription it went out, unless it said so.
    fn is_by_the_subscriptions_of(&self, later: &Self) -> bool {
        self.subids == later.subids || !(self.is_named() || later.is_named())
    }

    fn is_named(&self) -> bool {
        self.subids.are_told()
    }

    /// Notes that a subscription has ended; `false` if it was the last by which the address has this.
    pub(super) fn outlives(&mut self, subid: SubId) -> bool {
        let is_of_any = self.is_returned && !self.is_named();
        !is_of_any && self.subids.remove(subid)
    }

    /// The bytes that it holds on to, as if it shared them with nobody.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many changes of items it tells of.
    pub(super) fn changes(&self) -> usize {
        self.earlier.len() + self.latest.changes
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
        if self.is_single() {
            let broadcast = if self.has_waited { self.latest.late() } else { &self.latest.broadcast };
            return broadcast.to_with_id(to, id);
        }
        let head = &self.latest.head;
        let entries = self.earlier.iter().chain(self.latest.entries()).map(|entry| Element::clone(entry));
        let items = Element::new("items", PUBSUB_EVENT).attr("node", &head.node).with_children(entries);
        let event = Element::new("event", PUBSUB_EVENT).child(items);
        head.message(event, self.first).with_payload(head.delay()).with_to(to).with_id(id)
    }

    fn is_single(&self) -> bool {
        self.earlier.is_empty() && self.first == self.latest.head.sequence()
    }
}

/// Leaves the first retraction, and the last if it is of another item.
fn keep_first_and_last(retractions: &mut Vec<Arc<Element>>) {
    let Some(last) = retractions.pop() else { return };
    retractions.truncate(1);
    if retractions.first().is_none_or(|first| first.attribute("id") != last.attribute("id")) {
        retractions.push(last);
    }
}

/// What a retraction is reckoned to take up.
const RETRACTION_BYTES: usize = 256;

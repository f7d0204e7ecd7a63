//! Notifications as they come in.

use convoke_pubsub::client::{self, Event};
use convoke_xmpp::namespace::PUBSUB_EVENT;
use convoke_xmpp::{Element, Kind, MessageType, Stanza};

use super::position::{self, Position, Relation, Span};

/// What one message tells of one node.
#[derive(Debug)]
pub(super) struct Notification {
    /// What has changed; `None` for a change that is not about items, such as one of the configuration.
    pub(super) event: Option<Event>,
    /// Which changes of the node these are, if the service numbers them.
    pub(super) span: Option<Span>,
    /// Whether it is no change: the last item, sent again to a new subscriber (XEP-0060, section 6.1.7).
    pub(super) is_recalled: bool,
    /// Whose subscription has ended without being asked to (section 8.8.4).
    pub(super) unsubscribed: Option<String>,
    /// How much memory it takes, about: the bytes of the message.
    pub(super) bytes: usize,
}

/// Whether the message may be a notification; cheap, and asked of every stanza.
pub(super) fn is_notification(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), Kind::Message(kind) if kind != MessageType::Error)
        && stanza.has_payload("event", PUBSUB_EVENT)
}

impl Notification {
    /// The name of the node and what is told of it.
    pub(super) fn read(stanza: &Stanza) -> Option<(String, Self)> {
        let message = stanza.to_element();
        let content = message.find("event", PUBSUB_EVENT)?.children().next()?;
        let node = content.attribute("node")?.to_owned();
        let notification = Self {
            event: client::parse_event(stanza),
            span: Span::read(&message),
            is_recalled: position::is_recalled(&message),
            unsubscribed: unsubscribed(content),
            bytes: stanza.size(),
        };
        Some((node, notification))
    }

    /// Relates it to the last change that is known. What is recalled carries the present position of the node, and is not
    /// the change that led there.
    pub(super) fn relate(&self, seen: Option<&Position>) -> Relation {
        if self.is_recalled && seen.is_some() {
            return Relation::Known;
        }
        position::relate(seen, self.span.as_ref())
    }
}

fn unsubscribed(content: &Element) -> Option<String> {
    let has_ended = content.is("subscription", PUBSUB_EVENT) && content.attribute("subscription") == Some("none");
    content.attribute("jid").filter(|_| has_ended).map(str::to_owned)
}

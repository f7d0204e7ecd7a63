//! Notifications as they come in.

use convoke_pubsub::client::{self, Event};
use convoke_xmpp::namespace::PUBSUB_EVENT;
use convoke_xmpp::{Kind, MessageType, Stanza};

use super::position::Span;

/// What one message tells of one node.
#[derive(Debug)]
pub(super) struct Notification {
    /// What has changed; `None` for a change that is not about items, such as one of the configuration.
    pub(super) event: Option<Event>,
    /// Which changes of the node these are, if the service numbers them.
    pub(super) span: Option<Span>,
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
        let node = message.find("event", PUBSUB_EVENT)?.children().next()?.attribute("node")?.to_owned();
        let (event, span) = (client::parse_event(stanza), Span::read(&message));
        Some((node, Self { event, span, bytes: stanza.bytes().len() }))
    }
}

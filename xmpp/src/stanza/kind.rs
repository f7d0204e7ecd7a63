//! Kinds and types of stanzas.

use crate::Condition;

/// What kind of stanza it is, with the meaning of its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message (RFC 6121, section 5).
    Message(MessageType),
    /// A presence (RFC 6121, section 4).
    Presence(PresenceType),
    /// An iq (RFC 6120, section 8.2.3).
    Iq(IqType),
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Presence(_) => "presence",
            Self::Iq(_) => "iq",
        }
    }

    /// The value of `type`; `None` where it is left out.
    pub fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Message(kind) => kind.attribute(),
            Self::Presence(kind) => kind.attribute(),
            Self::Iq(kind) => kind.attribute(),
        }
    }

    /// Whether this reports an error.
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::Message(MessageType::Error) | Self::Presence(PresenceType::Error) | Self::Iq(IqType::Error)
        )
    }
}

macro_rules! stanza_type {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            fn attribute(self) -> Option<&'static str> {
                match self { $(Self::$variant => $text,)* }
            }

            fn parse(text: Option<&str>) -> Option<Self> {
                $(if text == $text { return Some(Self::$variant); })*
                None
            }
        }
    };
}

stanza_type! {
    /// The types of an iq (RFC 6120, section 8.2.3).
    IqType {
        /// A request for information.
        Get = Some("get"),
        /// A request to do something.
        Set = Some("set"),
        /// A successful answer.
        Result = Some("result"),
        /// An answer that reports an error.
        Error = Some("error"),
    }
}

stanza_type! {
    /// The types of a message (RFC 6121, section 5.2.2).
    MessageType {
        /// A message outside a conversation; the default.
        Normal = None,
        /// A message of a one-to-one conversation.
        Chat = Some("chat"),
        /// A message of a multi-user conversation.
        GroupChat = Some("groupchat"),
        /// A message to which no reply is expected.
        Headline = Some("headline"),
        /// A report that a message could not be delivered.
        Error = Some("error"),
    }
}

stanza_type! {
    /// The types of a presence (RFC 6121, section 4.7.1).
    PresenceType {
        /// The sender is available; there is no `type`.
        Available = None,
        /// The sender is no longer available.
        Unavailable = Some("unavailable"),
        /// The sender wishes to subscribe to the recipient's presence.
        Subscribe = Some("subscribe"),
        /// The sender has allowed the recipient to receive its presence.
        Subscribed = Some("subscribed"),
        /// The sender unsubscribes.
        Unsubscribe = Some("unsubscribe"),
        /// The subscription was denied or cancelled.
        Unsubscribed = Some("unsubscribed"),
        /// A server asks for the present availability.
        Probe = Some("probe"),
        /// A report about a presence that was sent.
        Error = Some("error"),
    }
}

impl PresenceType {
    /// Whether it manages a subscription (RFC 6121, section 3).
    pub fn is_subscription(self) -> bool {
        matches!(self, Self::Subscribe | Self::Subscribed | Self::Unsubscribe | Self::Unsubscribed)
    }
}

/// Kind and type of a stanza, and what is wrong with them.
pub(super) fn kind_of(name: &str, kind: Option<&str>, has_id: bool) -> (Kind, Option<Condition>) {
    match name {
        // RFC 6121, section 5.2.2: an unknown type of message is taken for normal.
        "message" => (Kind::Message(MessageType::parse(kind).unwrap_or(MessageType::Normal)), None),
        "presence" => match PresenceType::parse(kind) {
            Some(kind) => (Kind::Presence(kind), None),
            None => (Kind::Presence(PresenceType::Available), Some(Condition::BadRequest)),
        },
        _ => match IqType::parse(kind) {
            Some(kind) if has_id => (Kind::Iq(kind), None),
            Some(kind) => (Kind::Iq(kind), Some(Condition::BadRequest)),
            None => (Kind::Iq(IqType::Get), Some(Condition::BadRequest)),
        },
    }
}

//! The words among which a field of a configuration form chooses.

use convoke_xmpp::MessageType;

macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[non_exhaustive]
        $vis enum $name { $($(#[$variant_doc])* $variant,)* }

        impl Word for $name {
            const WORDS: &'static [&'static str] = &[$($text,)*];
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }

        impl $name {
            /// The word of the standard.
            $vis fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

/// One of a fixed number of words.
pub(crate) trait Word: Copy + 'static {
    /// The words, in the order of `ALL`.
    const WORDS: &'static [&'static str];
    /// What they mean.
    const ALL: &'static [Self];

    /// What a word means.
    fn parse(text: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|word| *word == text)?;
        Self::ALL.get(at).copied()
    }

    /// The word for this.
    fn word(self) -> &'static str;
}

words! {
    /// Who may subscribe to a node and retrieve its items (XEP-0060, section 4.5; `pubsub#access_model`).
    pub AccessModel {
        /// Everybody.
        #[default]
        Open = "open",
        /// Who is subscribed to an owner's presence.
        Presence = "presence",
        /// Who is in one of the roster groups that the node allows.
        Roster = "roster",
        /// Whose subscription an owner has approved.
        Authorize = "authorize",
        /// Who has an affiliation other than none and outcast.
        Whitelist = "whitelist",
    }
}

words! {
    /// Who may publish, besides owners and publishers (XEP-0060, section 8.2; `pubsub#publish_model`).
    pub PublishModel {
        /// Nobody else.
        #[default]
        Publishers = "publishers",
        /// Subscribers too.
        Subscribers = "subscribers",
        /// Everybody who is no outcast.
        Open = "open",
    }
}

words! {
    /// When a subscriber is sent the last published item unasked (XEP-0060, section 6.1.7;
    /// `pubsub#send_last_published_item`).
    pub SendLast {
        /// Never.
        Never = "never",
        /// When it subscribes, so that it need not wait for the next publication to know anything.
        OnSubscribe = "on_sub",
        /// Also whenever it becomes available; the feature `last-published` makes this the default (section 4.3).
        #[default]
        OnSubscribeAndPresence = "on_sub_and_presence",
    }
}

words! {
    /// The type of the messages that carry notifications (`pubsub#notification_type`).
    pub NotificationType {
        /// `headline`: no server keeps the message for later (XEP-0060, section 13.7). A notification that is late is
        /// stale; who was away asks for the items.
        #[default]
        Headline = "headline",
        /// `normal`: servers may keep the message for entities that are away.
        Normal = "normal",
    }
}

impl NotificationType {
    pub(crate) fn message_type(self) -> MessageType {
        match self {
            Self::Headline => MessageType::Headline,
            Self::Normal => MessageType::Normal,
        }
    }
}

words! {
    /// What happens when an item is published to a full node (XEP-0060, section 7.1.2.5; `pubsub#publish_node_full`).
    pub NodeFull {
        /// The oldest item goes, and subscribers are told if the node tells of retractions.
        #[default]
        RetractOldest = "retract-oldest",
        /// The oldest item goes, and nobody is told.
        DiscardOldest = "discard-oldest",
        /// The new item is refused.
        Reject = "reject",
    }
}

words! {
    /// Whom an item names as the one to reply to (XEP-0060, section 13.17; `pubsub#itemreply`).
    pub ItemReply {
        /// Nobody: items do not tell their publisher.
        #[default]
        None = "none",
        /// The publisher: every item names the bare address of whoever published it.
        Publisher = "publisher",
    }
}

words! {
    /// The availability of a subscriber (XEP-0060, section 6.3; `pubsub#show-values`).
    pub(crate) Show {
        /// Away.
        Away = "away",
        /// Eager to talk.
        Chat = "chat",
        /// Not to be disturbed.
        DoNotDisturb = "dnd",
        /// Available, without more.
        #[default]
        Online = "online",
        /// Away for long.
        ExtendedAway = "xa",
    }
}

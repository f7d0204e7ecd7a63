//! How far the two sides of a stream have agreed on acknowledgements (XEP-0198).

use std::time::Duration;

use super::nonza::Nonza;
use crate::Condition;

/// How a session begins with acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Management {
    /// There are none: they were not offered.
    #[default]
    Off,
    /// As initiating entity, ask for them, and that the session can be resumed.
    Enable,
    /// As initiating entity, ask to go on with this session.
    Resume(Ticket),
    /// As receiving entity, grant what the peer may ask for.
    Grant,
    /// As receiving entity, the peer has asked to go on with this session, and may.
    Resumed {
        /// The session.
        ticket: Ticket,
        /// How many of the stanzas that were sent in it the peer says that it has handled.
        acknowledged: u32,
    },
    /// As receiving entity, the peer has asked for a session that is not there; so many stanzas were handled in it, where
    /// that is still known. It may ask for a new one.
    Refused(Option<u32>),
}

impl Management {
    /// How many stanzas the peer has acknowledged before the first one that is sent.
    pub fn acknowledged(&self) -> u32 {
        match self {
            Self::Resumed { acknowledged, .. } => *acknowledged,
            _ => 0,
        }
    }
}

/// What a session is resumed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The identifier that the receiving entity gave it.
    pub id: String,
    /// How many of the peer's stanzas have been handled in it.
    pub handled: u32,
}

/// What a peer is granted that asks for acknowledgements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// By what it may resume the session; `None` if it cannot.
    pub id: Option<String>,
    /// For how long after a loss.
    pub max: Option<Duration>,
}

/// What the owner of what is sent has to know. After each of them the counts of what is sent begin anew or go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagementNews {
    /// The peer asks for acknowledgements: answer by [`Session::grant`](super::Session::grant).
    Asked {
        /// Whether it would resume the session.
        resume: bool,
    },
    /// What is sent from here on is acknowledged; counted from zero.
    Enabled(Grant),
    /// The peer does not acknowledge, other than it said.
    Declined,
    /// The session goes on; the peer has handled so many of the stanzas sent in it, and wants the rest again.
    Resumed(u32),
    /// The session is lost; the peer has handled so many of the stanzas sent in it, if it knows. Acknowledgements are asked
    /// for anew.
    NotResumed(Option<u32>),
    /// The peer has handled so many of the stanzas sent.
    Acknowledged(u32),
}

/// Where the agreement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agreement {
    Off,
    /// The peer may ask.
    Granting,
    /// The peer has asked; the owner has not answered yet.
    Asked,
    /// We have asked.
    Enabling,
    /// We have asked for this session.
    Resuming(String),
    On,
}

impl Agreement {
    /// Where a session begins, how many stanzas it has handled by then, and what it says first.
    pub(super) fn begin(management: Management) -> (Self, u32, Option<Nonza>) {
        match management {
            Management::Off => (Self::Off, 0, None),
            Management::Grant => (Self::Granting, 0, None),
            Management::Enable => (Self::Enabling, 0, Some(Nonza::Enable { resume: true })),
            Management::Resume(Ticket { id, handled }) => {
                let resume = Nonza::Resume { previd: id.clone(), h: handled };
                (Self::Resuming(id), handled, Some(resume))
            }
            Management::Resumed { ticket: Ticket { id, handled }, .. } => {
                (Self::On, handled, Some(Nonza::Resumed { previd: id, h: handled }))
            }
            Management::Refused(h) => {
                (Self::Granting, 0, Some(Nonza::Failed { condition: Condition::ItemNotFound, h }))
            }
        }
    }

    /// Whether the peer owes an answer without which nothing may be sent.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Self::Enabling | Self::Resuming(_))
    }
}

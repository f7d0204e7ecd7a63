//! What waits to be served.

use std::collections::VecDeque;

use convoke_xmpp::{Jid, Kind, Origin, PresenceType, Stanza};

/// One thing to be done, in its turn.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A stanza that somebody sent.
    Stanza(Box<Stanza>, Origin),
    /// Ends all subscriptions of an address that does not exist any more.
    Remove(Jid),
    /// Ends what is over by now.
    Expire,
}

impl Work {
    /// The request that has to be answered, if it is one; or the message whose sender learns that nobody has read it.
    pub(super) fn request(&self) -> Option<&Stanza> {
        match self {
            Self::Stanza(stanza, _) if stanza.is_request() || matches!(stanza.kind(), Kind::Message(_)) => Some(stanza),
            _ => None,
        }
    }

    /// The bytes that it holds on to.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Stanza(stanza, _) => stanza.size(),
            Self::Remove(jid) => jid.as_str().len(),
            Self::Expire => 0,
        }
    }

    /// Whether it tells that a contact sees more or less than before. It can be done again as it is.
    pub(super) fn is_about_contact(&self) -> bool {
        let is_answer = |kind| matches!(kind, Kind::Presence(PresenceType::Subscribed | PresenceType::Unsubscribed));
        matches!(self, Self::Stanza(stanza, _) if is_answer(stanza.kind()))
    }

    /// Whose availability it tells, and to whom.
    fn availability(&self) -> Option<(&str, &str)> {
        match self {
            Self::Stanza(stanza, _) if is_availability(stanza.kind()) => {
                Some((stanza.from()?.as_str(), stanza.to()?.as_str()))
            }
            _ => None,
        }
    }
}

fn is_availability(kind: Kind) -> bool {
    matches!(kind, Kind::Presence(PresenceType::Available | PresenceType::Unavailable))
}

/// How much work may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// Work in the order in which it came, within bounds.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Work>,
    bytes: usize,
    limits: Limits,
}

impl Waiting {
    pub(super) fn new(limits: Limits) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, limits }
    }

    /// Adds work unless too much waits, here and `elsewhere`; gives it back then.
    ///
    /// An availability cannot be refused, only missed, and whoever is taken for available stays so for ever. So it may
    /// take as much room again, and then the place of an older one of the same address.
    pub(super) fn push(&mut self, work: Work, elsewhere: usize) -> Result<(), Work> {
        let factor = if work.availability().is_some() { 2 } else { 1 };
        let has_room = self.queue.len() + elsewhere < factor * self.limits.count
            && self.bytes + work.bytes() <= factor * self.limits.bytes;
        if !has_room {
            return self.replace_availability(work);
        }
        self.push_anyway(work);
        Ok(())
    }

    /// Adds what has no sender who could be refused.
    pub(super) fn push_anyway(&mut self, work: Work) {
        self.bytes += work.bytes();
        self.queue.push_back(work);
    }

    /// Puts work back that was taken off: it is the next.
    pub(super) fn push_front(&mut self, work: Work) {
        self.bytes += work.bytes();
        self.queue.push_front(work);
    }

    pub(super) fn pop(&mut self) -> Option<Work> {
        let work = self.queue.pop_front()?;
        self.bytes -= work.bytes();
        Some(work)
    }

    fn replace_availability(&mut self, work: Work) -> Result<(), Work> {
        let Some(address) = work.availability() else { return Err(work) };
        let Some(older) = self.queue.iter_mut().rfind(|older| older.availability() == Some(address)) else {
            return Err(work);
        };
        self.bytes = self.bytes - older.bytes() + work.bytes();
        *older = work;
        Ok(())
    }
}

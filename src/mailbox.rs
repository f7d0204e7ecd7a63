//! Where stanzas wait for an entity of this process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use convoke_xmpp::{Condition, IqType, Jid, Kind, Origin, PresenceType, Stanza, Undelivered};
use tokio::sync::{Notify, oneshot};

#[cfg(feature = "pubsub")]
use crate::nodes::Inboxes;

/// How many stanzas wait at most. A scheduler that is behind by this many results is not going to catch up; its peers
/// are told `resource-constraint` and try again later.
const CAPACITY: usize = 4096;

/// How many more may wait if they say that somebody is gone: nobody says it twice, and whoever misses it goes on
/// reckoning with the one who is gone.
const ROOM_FOR_ENDS: usize = 1024;

/// A bounded queue of stanzas, and the requests whose answers are awaited.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    arrived: Notify,
    /// Where notifications of nodes wait that this entity follows.
    #[cfg(feature = "pubsub")]
    inboxes: Inboxes,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Stanza, Origin)>,
    awaited: HashMap<Box<str>, Awaited>,
    /// Whether answers that nobody awaits here are queued like any stanza: a service matches them itself.
    queues_answers: bool,
    closed: bool,
}

#[derive(Debug)]
struct Awaited {
    from: Jid,
    answer: oneshot::Sender<Stanza>,
}

impl Mailbox {
    /// A mailbox whose owner takes every stanza itself, answers included.
    pub(crate) fn for_service() -> Self {
        let state = State { queues_answers: true, ..State::default() };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// Puts a stanza in, or hands an answer or a notification to whoever awaits it.
    ///
    /// Gives the stanza back with `resource-constraint` when full, except that an availability replaces an older one of
    /// the same sender, and with `recipient-unavailable` when closed.
    pub(crate) fn deliver(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        #[cfg(feature = "pubsub")]
        let Some(stanza) = self.inboxes.take(stanza) else { return Ok(()) };
        let mut state = self.lock();
        if state.closed {
            return Err(Undelivered::new(stanza, Condition::RecipientUnavailable));
        }
        let Some(stanza) = state.answer(stanza) else { return Ok(()) };
        let is_end = stanza.kind() == Kind::Presence(PresenceType::Unavailable);
        let capacity = if is_end { CAPACITY + ROOM_FOR_ENDS } else { CAPACITY };
        if state.queue.len() >= capacity {
            state.replace_older_availability(stanza, origin)?;
        } else {
            state.queue.push_back((stanza, origin.clone()));
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next stanza; `None` once closed and empty. Cancel-safe.
    pub(crate) async fn receive(&self) -> Option<(Stanza, Origin)> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.lock();
                if let Some(next) = state.queue.pop_front() {
                    return Some(next);
                }
                if state.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// Announces that an answer with this id from this address will be awaited.
    pub(crate) fn await_answer(&self, id: &str, from: Jid) -> oneshot::Receiver<Stanza> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        if !state.closed {
            state.awaited.insert(id.into(), Awaited { from, answer });
        }
        receiver
    }

    /// Forgets an awaited answer, as when its time is over.
    pub(crate) fn forget_answer(&self, id: &str) {
        self.lock().awaited.remove(id);
    }

    /// Takes no more; what waits can still be received, what is awaited will not come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.awaited.clear();
        drop(state);
        #[cfg(feature = "pubsub")]
        self.inboxes.close();
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }

    /// Closes it and gives back what nobody will receive any more.
    pub(crate) fn close_and_drain(&self) -> Vec<(Stanza, Origin)> {
        self.close();
        self.lock().queue.drain(..).collect()
    }

    /// The inboxes of those who follow nodes in this entity's name.
    #[cfg(feature = "pubsub")]
    pub(crate) fn inboxes(&self) -> &Inboxes {
        &self.inboxes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; should one ever, the queue is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands an answer to whoever awaits it from that address; gives back every other stanza.
    fn answer(&mut self, stanza: Stanza) -> Option<Stanza> {
        if self.queues_answers || !matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error)) {
            return Some(stanza);
        }
        // An answer to nobody is dropped here: it must not be answered, and no inbox wants it.
        let id = stanza.id()?;
        let expected = self.awaited.get(id).is_some_and(|awaited| stanza.from() == Some(awaited.from.as_ref()));
        if expected && let Some(awaited) = self.awaited.remove(id) {
            let _gone = awaited.answer.send(stanza);
        }
        None
    }

    fn replace_older_availability(&mut self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        let is_availability =
            |s: &Stanza| matches!(s.kind(), Kind::Presence(PresenceType::Available | PresenceType::Unavailable));
        // The newest of them: an older one may be followed by its opposite.
        let older = self.queue.iter_mut().rev().find(|(s, _)| is_availability(s) && s.from() == stanza.from());
        match older {
            Some(older) if is_availability(&stanza) => {
                *older = (stanza, origin.clone());
                Ok(())
            }
            _ => Err(Undelivered::new(stanza, Condition::ResourceConstraint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(text: &str) -> Stanza {
        Stanza::parse(text).unwrap()
    }

    #[tokio::test]
    async fn keeps_the_order() {
        let mailbox = Mailbox::default();
        for id in ["1", "2", "3"] {
            mailbox.deliver(stanza(&format!("<message id='{id}'/>")), &Origin::Local).unwrap();
        }
        for id in ["1", "2", "3"] {
            assert_eq!(mailbox.receive().await.unwrap().0.id(), Some(id));
        }
    }

    #[tokio::test]
    async fn an_answer_counts_only_from_the_address_that_was_asked() {
        let mailbox = Mailbox::default();
        let mut answer = mailbox.await_answer("1", Jid::new("b.example").unwrap());
        mailbox.deliver(stanza("<iq type='result' id='1' from='evil.example'/>"), &Origin::Local).unwrap();
        assert!(answer.try_recv().is_err());
        mailbox.deliver(stanza("<iq type='result' id='1' from='b.example'/>"), &Origin::Local).unwrap();
        assert_eq!(answer.await.unwrap().from().unwrap().as_str(), "b.example");
    }

    #[test]
    fn gives_back_what_does_not_fit_but_takes_newer_availability() {
        let mailbox = Mailbox::default();
        mailbox.deliver(stanza("<presence from='a@a.example/1'/>"), &Origin::Local).unwrap();
        for _ in 1..CAPACITY {
            mailbox.deliver(stanza("<message/>"), &Origin::Local).unwrap();
        }
        let error = mailbox.deliver(stanza("<message id='x'/>"), &Origin::Local).unwrap_err();
        assert_eq!((error.stanza.id(), error.error.condition), (Some("x"), Condition::ResourceConstraint));
        mailbox.deliver(stanza("<presence from='a@a.example/1' id='y'/>"), &Origin::Local).unwrap();
        assert_eq!(mailbox.close_and_drain().swap_remove(0).0.id(), Some("y"));
    }

    #[test]
    fn a_full_mailbox_still_learns_who_is_gone() {
        let mailbox = Mailbox::default();
        for _ in 0..CAPACITY {
            mailbox.deliver(stanza("<message/>"), &Origin::Local).unwrap();
        }
        let gone = |n: usize| stanza(&format!("<presence from='a@a.example/{n}' type='unavailable'/>"));
        for n in 0..ROOM_FOR_ENDS {
            mailbox.deliver(gone(n), &Origin::Local).unwrap();
        }
        assert!(mailbox.deliver(gone(ROOM_FOR_ENDS), &Origin::Local).is_err());
        assert!(mailbox.deliver(stanza("<presence from='b@a.example'/>"), &Origin::Local).is_err());
    }

    #[test]
    fn the_newest_availability_is_the_last_to_be_received() {
        let mailbox = Mailbox::default();
        mailbox.deliver(stanza("<presence from='a@a.example/1' id='1'/>"), &Origin::Local).unwrap();
        mailbox.deliver(stanza("<presence from='a@a.example/1' id='2' type='unavailable'/>"), &Origin::Local).unwrap();
        for _ in 2..CAPACITY {
            mailbox.deliver(stanza("<message/>"), &Origin::Local).unwrap();
        }
        mailbox.deliver(stanza("<presence from='a@a.example/1' id='3'/>"), &Origin::Local).unwrap();
        let ids: Vec<_> = mailbox.close_and_drain().iter().filter_map(|(s, _)| s.id().map(str::to_owned)).collect();
        assert_eq!(ids, ["1", "3"]);
    }

    #[tokio::test]
    async fn ends_when_closed() {
        let mailbox = Mailbox::default();
        let answer = mailbox.await_answer("1", Jid::new("b.example").unwrap());
        mailbox.close();
        assert!(mailbox.receive().await.is_none());
        assert!(answer.await.is_err());
        assert!(mailbox.deliver(stanza("<message/>"), &Origin::Local).is_err());
    }
}

//! The events of one client: what was addressed to it, numbered, kept for readers that are slow or come back.
//!
//! The history is the only buffer. A reader holds a position in it and no queue of its own, so a reader that does not
//! read costs nothing; when the history has moved past its position it is cut, and learns of the gap when it resumes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::config::Limits;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, from 1.
    pub(crate) sequence: u64,
    /// JSON on one line.
    pub(crate) data: Arc<str>,
}

/// The events of one client.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Tells apart the numbers of one run of the gateway from those of another.
    epoch: Arc<str>,
    max_events: usize,
    max_bytes: usize,
    max_readers: usize,
    history: Mutex<History>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct History {
    events: VecDeque<Event>,
    bytes: usize,
    newest: u64,
}

impl History {
    /// The number of the first event that is still there, or of the next one.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.events.len() as u64
    }

    fn get(&self, sequence: u64) -> Option<Event> {
        let at = sequence.checked_sub(self.oldest())?;
        self.events.get(usize::try_from(at).ok()?).cloned()
    }
}

/// There are as many readers as a client may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyReaders;

impl Mailbox {
    pub(crate) fn new(epoch: Arc<str>, limits: &Limits) -> Self {
        Self {
            epoch,
            max_events: limits.history_events,
            max_bytes: limits.history_bytes,
            max_readers: limits.readers_per_client,
            history: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// Whether anybody reads now.
    pub(crate) fn has_reader(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    pub(crate) fn readers(&self) -> usize {
        self.newest.receiver_count()
    }

    /// Adds an event; the oldest give way, but never this one.
    pub(crate) fn publish(&self, data: String) {
        let mut history = self.lock();
        history.newest += 1;
        history.bytes += data.len();
        let event = Event { sequence: history.newest, data: data.into() };
        history.events.push_back(event);
        while history.events.len() > 1 && (history.events.len() > self.max_events || history.bytes > self.max_bytes) {
            let oldest = history.events.pop_front();
            history.bytes -= oldest.map_or(0, |event| event.data.len());
        }
        let newest = history.newest;
        drop(history);
        // Two that publish at once may come here in either order.
        self.newest.send_if_modified(|seen| std::mem::replace(seen, newest.max(*seen)) < newest);
    }

    /// A reader behind the event that `last` names; without one, of what comes from now on.
    pub(crate) fn read(self: &Arc<Self>, last: Option<&str>) -> Result<Reader, TooManyReaders> {
        let history = self.lock();
        if self.readers() >= self.max_readers {
            return Err(TooManyReaders);
        }
        let (next, gap) = match last {
            None => (history.newest + 1, None),
            Some(EARLIEST) => (history.oldest(), None),
            Some(last) => self.resume(&history, last),
        };
        Ok(Reader { mailbox: Arc::clone(self), newest: self.newest.subscribe(), next, gap })
    }

    /// Where a reader goes on, and the gap it has to know of.
    fn resume(&self, history: &History, last: &str) -> (u64, Option<Gap>) {
        let sequence = last
            .rsplit_once('-')
            .filter(|(epoch, _)| *epoch == &*self.epoch)
            .and_then(|(_, sequence)| sequence.parse::<u64>().ok())
            .filter(|sequence| *sequence <= history.newest && *sequence + 1 >= history.oldest());
        match sequence {
            Some(sequence) => (sequence + 1, None),
            None => (history.oldest(), Some(Gap { next: self.id_of(history.oldest()) })),
        }
    }

    /// The identifier of an event: `EPOCH-NUMBER`.
    pub(crate) fn id_of(&self, sequence: u64) -> String {
        format!("{}-{sequence}", self.epoch)
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In place of an identifier: everything that is still there.
pub(crate) const EARLIEST: &str = "earliest";

/// Events between the one that a reader knows and the next one it gets may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The identifier of the first event that is not lost.
    pub(crate) next: String,
}

/// A reader of a mailbox.
#[derive(Debug)]
pub(crate) struct Reader {
    mailbox: Arc<Mailbox>,
    newest: watch::Receiver<u64>,
    next: u64,
    gap: Option<Gap>,
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Something was lost; comes first.
    Gap(Gap),
    /// The event and its identifier.
    Event(String, Event),
    /// The reader was too slow: events that it has not seen are gone.
    TooSlow,
}

impl Reader {
    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Next {
        if let Some(gap) = self.gap.take() {
            return Next::Gap(gap);
        }
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            // The mailbox holds the sender as long as this reader lives.
            if self.newest.changed().await.is_err() {
                return Next::TooSlow;
            }
        }
    }

    fn take(&mut self) -> Option<Next> {
        // Seen before looking: what is published in between wakes the wait that follows.
        self.newest.borrow_and_update();
        let history = self.mailbox.lock();
        if self.next < history.oldest() {
            return Some(Next::TooSlow);
        }
        let event = history.get(self.next)?;
        self.next += 1;
        Some(Next::Event(self.mailbox.id_of(event.sequence), event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(history_events: usize, history_bytes: usize) -> Arc<Mailbox> {
        let limits = Limits { history_events, history_bytes, readers_per_client: 2, ..Limits::default() };
        Arc::new(Mailbox::new("e".into(), &limits))
    }

    async fn next(reader: &mut Reader) -> String {
        match reader.next().await {
            Next::Event(id, event) => format!("{id} {}", event.data),
            Next::Gap(gap) => format!("gap before {}", gap.next),
            Next::TooSlow => "too slow".into(),
        }
    }

    #[tokio::test]
    async fn a_reader_gets_what_comes_after_it_and_one_that_resumes_what_it_missed() {
        let mailbox = mailbox(10, 1000);
        mailbox.publish("a".into());
        let mut reader = mailbox.read(None).unwrap();
        mailbox.publish("b".into());
        assert_eq!(next(&mut reader).await, "e-2 b");
        let mut resumed = mailbox.read(Some("e-1")).unwrap();
        assert_eq!(next(&mut resumed).await, "e-2 b");
        drop(reader);
        let mut all = mailbox.read(Some(EARLIEST)).unwrap();
        assert_eq!(next(&mut all).await, "e-1 a");
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let mailbox = mailbox(10, 1000);
        let mut reader = mailbox.read(None).unwrap();
        let waiting = tokio::spawn(async move { next(&mut reader).await });
        tokio::task::yield_now().await;
        mailbox.publish("a".into());
        assert_eq!(waiting.await.unwrap(), "e-1 a");
    }

    #[tokio::test]
    async fn a_gap_is_told_first() {
        let mailbox = mailbox(2, 1000);
        for data in ["a", "b", "c", "d"] {
            mailbox.publish(data.into());
        }
        assert_eq!(next(&mut mailbox.read(Some("e-2")).unwrap()).await, "e-3 c");
        for unknown in ["e-1", "e-5", "f-3", "e-", "-", "", "3", "e-18446744073709551615", "e-x"] {
            let mut reader = mailbox.read(Some(unknown)).unwrap();
            assert_eq!(next(&mut reader).await, "gap before e-3", "{unknown}");
            assert_eq!(next(&mut reader).await, "e-3 c", "{unknown}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_the_history_is_cut() {
        let mailbox = mailbox(10, 5);
        let mut reader = mailbox.read(None).unwrap();
        mailbox.publish("aaaa".into());
        mailbox.publish("bb".into());
        assert_eq!(next(&mut reader).await, "too slow");
        mailbox.publish("longer than the whole history".into());
        assert_eq!(next(&mut mailbox.read(Some(EARLIEST)).unwrap()).await, "e-3 longer than the whole history");
    }

    #[test]
    fn readers_are_counted_and_bounded() {
        let mailbox = mailbox(2, 1000);
        assert!(!mailbox.has_reader());
        let (one, _two) = (mailbox.read(None).unwrap(), mailbox.read(None).unwrap());
        assert_eq!(mailbox.read(None).unwrap_err(), TooManyReaders);
        drop(one);
        assert!(mailbox.read(None).is_ok());
    }
}

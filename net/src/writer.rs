//! The write buffer of a session: many stanzas, one write.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::outbox::Outbox;

/// Bytes on their way to the transport, and the stanzas that they are.
pub(crate) struct Writer<'a> {
    outbox: &'a Outbox,
    buffer: Vec<u8>,
    /// How much of the buffer the transport has accepted.
    accepted: usize,
    /// The stanzas that it has not accepted whole.
    stanzas: VecDeque<Written>,
    /// Whether the transport may still hold accepted bytes back.
    dirty: bool,
}

/// A stanza in the buffer.
struct Written {
    end: usize,
    bytes: usize,
    /// Whether the peer will acknowledge it.
    managed: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(outbox: &'a Outbox) -> Self {
        Self { outbox, buffer: Vec::new(), accepted: 0, stanzas: VecDeque::new(), dirty: false }
    }

    /// Adds something that is no stanza.
    pub(crate) fn push_text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Takes the next batch of the outbox, `most` stanzas of it, which the peer will acknowledge or not; says how many
    /// there were.
    pub(crate) fn refill(&mut self, most: usize, managed: bool) -> usize {
        let (buffer, stanzas) = (&mut self.buffer, &mut self.stanzas);
        self.outbox.take_batch(most, managed, |stanza| {
            stanza.parts().iter().for_each(|part| buffer.extend_from_slice(part));
            stanzas.push_back(Written { end: buffer.len(), bytes: stanza.size(), managed });
        })
    }

    /// Whether everything in the buffer has been accepted: time for more.
    pub(crate) fn is_drained(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether there is something to write or to flush.
    pub(crate) fn has_work(&self) -> bool {
        self.dirty || !self.is_drained()
    }

    /// Writes once, or flushes when all is written; says how many bytes were accepted.
    pub(crate) fn poll_advance(
        &mut self,
        transport: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let transport = Pin::new(transport);
        if self.is_drained() {
            ready!(transport.poll_flush(cx))?;
            self.dirty = false;
            return Poll::Ready(Ok(0));
        }
        let length = ready!(transport.poll_write(cx, &self.buffer[self.accepted..]))?;
        if length == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.dirty = true;
        self.accept(length);
        Poll::Ready(Ok(length))
    }

    /// Puts what the transport has not accepted whole back into the outbox: the peer cannot have received it. What the
    /// peer acknowledges stays in flight: the peer knows best.
    pub(crate) fn give_back(&mut self) {
        if std::mem::take(&mut self.stanzas).iter().any(|stanza| !stanza.managed) {
            self.outbox.give_back();
        }
        self.buffer = Vec::new();
        self.accepted = 0;
        self.dirty = false;
    }

    fn accept(&mut self, length: usize) {
        self.accepted += length;
        let (mut stanzas, mut bytes, mut unmanaged) = (0, 0, 0);
        for written in self.stanzas.iter().take_while(|written| written.end <= self.accepted) {
            (stanzas, bytes) = (stanzas + 1, bytes + written.bytes);
            unmanaged += usize::from(!written.managed);
        }
        self.stanzas.drain(..stanzas);
        self.outbox.count_write(stanzas, bytes);
        if unmanaged > 0 {
            self.outbox.accepted(unmanaged);
        }
        if self.accepted == self.buffer.len() {
            self.accepted = 0;
            // Kept between writes of a burst, never while idle: see `release`.
            self.buffer.clear();
        }
    }

    /// Frees everything, the room of the outbox included, when there is nothing to do: an idle session holds no buffer.
    pub(crate) fn release(&mut self) {
        if !self.has_work() {
            self.buffer = Vec::new();
            self.stanzas = VecDeque::new();
            self.outbox.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use convoke_xmpp::Stanza;

    use super::*;

    fn message(id: usize) -> Stanza {
        Stanza::parse(&format!("<message id='{id}'/>")).unwrap()
    }

    #[tokio::test]
    async fn writes_many_stanzas_at_once() {
        let outbox = Outbox::default();
        (0..100).for_each(|id| outbox.push(message(id)).unwrap());
        let mut writer = Writer::new(&outbox);
        let mut wire = Vec::new();
        assert_eq!(writer.refill(usize::MAX, false), 100);
        while writer.has_work() {
            poll_fn(|cx| writer.poll_advance(&mut wire, cx)).await.unwrap();
        }
        let expected: String = (0..100).map(|id| format!("<message id='{id}'/>")).collect();
        assert_eq!(String::from_utf8(wire).unwrap(), expected);
        let traffic = outbox.traffic();
        assert_eq!((traffic.stanzas, traffic.bytes, traffic.writes), (100, expected.len() as u64, 1));
    }

    #[tokio::test]
    async fn gives_back_only_what_was_not_accepted_whole() {
        let outbox = Outbox::default();
        (0..3).for_each(|id| outbox.push(message(id)).unwrap());
        let mut writer = Writer::new(&outbox);
        writer.refill(usize::MAX, false);
        // The transport takes the first stanza and half of the second, then nothing.
        let (mut near, _far) = tokio::io::duplex("<message id='0'/>".len() + 5);
        poll_fn(|cx| writer.poll_advance(&mut near, cx)).await.unwrap();
        writer.give_back();
        let ids: Vec<_> = outbox.take_all().iter().filter_map(|s| s.id().map(str::to_owned)).collect();
        assert_eq!(ids, ["1", "2"]);
        assert_eq!(outbox.traffic().stanzas, 1);
    }
}

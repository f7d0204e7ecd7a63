//! The turns of a session, counted on a socket that is always ready.

use std::io;

use convoke_xmpp::Limits;
use convoke_xmpp::stream::StreamHeader;
use tokio::io::AsyncWrite;

use super::*;
use crate::outbox::{BATCH_BYTES, OutboxLimits};

/// Gives the same bytes so many times, then the end; takes all that is written. Notes every call that came through.
struct Always {
    gives: &'static str,
    times: usize,
    /// Bytes per write.
    takes: usize,
    written: Vec<u8>,
    /// `r`, `w` and `f`, in order.
    calls: String,
}

impl Always {
    fn new(gives: &'static str, times: usize) -> Self {
        Self { gives, times, takes: usize::MAX, written: Vec::new(), calls: String::new() }
    }
}

impl Socket for Always {
    fn poll_take<const BYTES: usize>(
        &mut self,
        _: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let bytes = if self.times > 0 { self.gives.as_bytes() } else { &[] };
        self.times = self.times.saturating_sub(1);
        self.calls.push('r');
        take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl AsyncWrite for Always {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = bytes.len().min(self.takes);
        self.written.extend_from_slice(&bytes[..length]);
        self.calls.push('w');
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.calls.push('f');
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Does something to the outbox at every stanza that arrives.
struct Producer<'a, F> {
    outbox: &'a Outbox,
    seen: usize,
    produce: F,
}

impl<F: FnMut(&Outbox, usize) + Send> SessionHandler for Producer<'_, F> {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        self.seen += 1;
        (self.produce)(self.outbox, self.seen);
        Ok(())
    }
}

fn message(id: &str, body: usize) -> Stanza {
    Stanza::parse(&format!("<message id='{id}'><body>{}</body></message>", "x".repeat(body))).unwrap()
}

fn opened() -> Box<StreamReader> {
    let mut reader = Box::new(StreamReader::new(Limits::default()));
    reader.push(StreamHeader::server(None, None).write().as_bytes());
    reader.poll().unwrap();
    reader
}

async fn carry(socket: &mut Always, outbox: &Outbox, produce: impl FnMut(&Outbox, usize) + Send) -> (End, usize) {
    let mut producer = Producer { outbox, seen: 0, produce };
    let end =
        Runner::new(opened(), outbox, &mut producer, SessionSettings::default()).carry(socket, &Stop::default()).await;
    (end, producer.seen)
}

#[tokio::test]
async fn neither_direction_waits_for_more_than_one_turn_of_the_other() {
    const STANZAS: usize = 200;
    let mut socket = Always::new("<message/>", STANZAS);
    let outbox = Outbox::default();
    // There is always more to send than is sent.
    let fill = |outbox: &Outbox, _| while outbox.push(message("m", 10_000)).is_ok() {};
    let (end, seen) = carry(&mut socket, &outbox, fill).await;
    assert_eq!((end, seen), (End::Stream(SessionEnd::Disconnected), STANZAS));
    // At first there is nothing to write; then reads and writes alternate, one of each, to the end.
    let expected = format!("r{}", "rw".repeat(STANZAS));
    assert_eq!(socket.calls.strip_prefix('f').unwrap_or(&socket.calls), expected);
    let traffic = outbox.traffic();
    assert!(traffic.bytes / traffic.writes <= BATCH_BYTES as u64, "{traffic:?}");
}

#[tokio::test]
async fn a_stanza_that_is_queued_during_a_write_leaves_right_behind_its_batch() {
    let mut socket = Always::new("<message/>", 200);
    socket.takes = 1000;
    let outbox = Outbox::default();
    (0..5).for_each(|_| outbox.push(message("before", 10_000)).unwrap());
    let batch: usize = 5 * message("before", 10_000).bytes().len();
    let produce = |outbox: &Outbox, seen| match seen {
        // Ten of fifty writes have been made.
        10 => outbox.push(message("urgent", 0)).unwrap(),
        11 => (0..100).for_each(|_| outbox.push(message("later", 5000)).unwrap()),
        _ => {}
    };
    carry(&mut socket, &outbox, produce).await;
    let written = String::from_utf8_lossy(&socket.written).into_owned();
    assert_eq!(written.find("<message id='urgent'"), Some(batch));
}

#[tokio::test]
async fn flushes_once_the_queue_is_empty_and_not_before() {
    let mut socket = Always::new("<message/>", 8);
    let outbox = Outbox::new(OutboxLimits { stanzas: 100, bytes: 10 << 20 });
    (0..6).for_each(|_| outbox.push(message("m", 40_000)).unwrap());
    carry(&mut socket, &outbox, |_, _| ()).await;
    // One stanza of 40 KB is one batch; the reads go on beside.
    assert_eq!(socket.calls.replace('r', ""), "wwwwwwf");
}

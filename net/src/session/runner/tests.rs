//! The turns of a session, counted on a socket that is always ready.

use std::collections::VecDeque;
use std::io;
use std::task::ready;

use convoke_xmpp::Limits;
use convoke_xmpp::session::Management;
use convoke_xmpp::stream::StreamHeader;
use tokio::io::AsyncWrite;
use tokio::time::{sleep, timeout};

use super::*;
use crate::outbox::{BATCH_BYTES, OutboxLimits};

/// Gives these pieces one by one, then the end; takes what is written at once. Notes every call that came through.
struct Scripted {
    gives: VecDeque<&'static str>,
    /// Whether what was given is all: else nothing more comes.
    ends: bool,
    /// How a write is met.
    meets: Meets,
    written: Vec<u8>,
    /// `r`, `w` and `f`, in order.
    calls: String,
}

enum Meets {
    /// So many bytes are taken.
    Room(usize),
    /// One byte is taken every ten seconds.
    Sips(Pin<Box<Sleep>>),
    /// The peer is gone.
    Nobody,
}

impl Scripted {
    fn new(gives: impl IntoIterator<Item = &'static str>) -> Self {
        let gives = gives.into_iter().collect();
        Self { gives, ends: true, meets: Meets::Room(usize::MAX), written: Vec::new(), calls: String::new() }
    }

    fn messages(count: usize) -> Self {
        Self::new(std::iter::repeat_n("<message/>", count))
    }
}

impl Socket for Scripted {
    fn poll_take<const BYTES: usize>(
        &mut self,
        _: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if self.gives.is_empty() && !self.ends {
            return Poll::Pending;
        }
        let text = self.gives.pop_front().unwrap_or_default();
        self.calls.push('r');
        take(text.as_bytes());
        Poll::Ready(Ok(text.len()))
    }
}

impl Meets {
    fn poll(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        match self {
            Self::Room(room) => Poll::Ready(Ok(length.min(*room))),
            Self::Nobody => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Self::Sips(pause) => {
                ready!(pause.as_mut().poll(cx));
                let next = pause.deadline() + Duration::from_secs(10);
                pause.as_mut().reset(next);
                Poll::Ready(Ok(1))
            }
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(self.meets.poll(cx, bytes.len()))?;
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

async fn carry(socket: &mut Scripted, outbox: &Outbox, produce: impl FnMut(&Outbox, usize) + Send) -> (End, usize) {
    carry_until(socket, outbox, produce, &Stop::default()).await
}

/// How the session ends, and how many stanzas it delivered.
async fn carry_until(
    socket: &mut Scripted,
    outbox: &Outbox,
    produce: impl FnMut(&Outbox, usize) + Send,
    stop: &Stop,
) -> (End, usize) {
    let mut producer = Producer { outbox, seen: 0, produce };
    let mut runner = Runner::new(opened(), None, outbox, &mut producer, SessionSettings::default());
    let end = runner.carry(socket, stop).await;
    (end, producer.seen)
}

#[tokio::test]
async fn neither_direction_waits_for_more_than_one_turn_of_the_other() {
    const STANZAS: usize = 200;
    let mut socket = Scripted::messages(STANZAS);
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
    let mut socket = Scripted::messages(200);
    socket.meets = Meets::Room(1000);
    let outbox = Outbox::default();
    (0..5).for_each(|_| outbox.push(message("before", 10_000)).unwrap());
    let batch: usize = 5 * message("before", 10_000).size();
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
    let mut socket = Scripted::messages(8);
    let outbox = Outbox::new(OutboxLimits { stanzas: 100, bytes: 10 << 20 });
    (0..6).for_each(|_| outbox.push(message("m", 40_000)).unwrap());
    carry(&mut socket, &outbox, |_, _| ()).await;
    // One stanza of 40 KB is one batch; the reads go on beside.
    assert_eq!(socket.calls.replace('r', ""), "wwwwwwf");
}

/// What is queued when the shutdown begins is sent; a producer that goes on for ever does not hold it up.
#[tokio::test]
async fn shuts_down_though_there_is_always_something_to_send() {
    let stanzas = std::iter::repeat_n("<message/>", 100);
    let mut socket = Scripted::new(stanzas.chain(["</stream:stream>"]));
    let outbox = Outbox::default();
    // Each of them is a batch.
    (0..10).for_each(|_| outbox.push(message("before", 40_000)).unwrap());
    let fill = |outbox: &Outbox, _| while outbox.push(message("after", 40_000)).is_ok() {};
    let stop = Stop::default();
    stop.shutdown.cancel();
    let (end, _) = carry_until(&mut socket, &outbox, fill, &stop).await;
    assert_eq!(end, End::Stream(SessionEnd::LocalError(StreamCondition::SystemShutdown.into())));
    let written = String::from_utf8_lossy(&socket.written).into_owned();
    assert_eq!((written.matches("'before'").count(), written.matches("'after'").count()), (10, 0));
    assert!(written.ends_with("</stream:error></stream:stream>"));
    assert!(!outbox.is_empty());
}

/// The peer said why it closes and was gone before we wrote our next: what it said counts.
#[tokio::test]
async fn hears_the_error_of_a_peer_that_is_gone() {
    let error = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
    let mut socket = Scripted::new(["<message/>", "<message/>", error]);
    socket.meets = Meets::Nobody;
    let outbox = Outbox::default();
    outbox.push(message("m", 0)).unwrap();
    let (end, seen) = carry(&mut socket, &outbox, |_, _| ()).await;
    assert_eq!((end, seen), (End::Stream(SessionEnd::PeerError(StreamCondition::Conflict.into())), 2));
}

#[tokio::test]
async fn ends_when_nothing_can_be_written_and_nothing_comes() {
    let mut socket = Scripted::messages(3);
    (socket.meets, socket.ends) = (Meets::Nobody, false);
    let outbox = Outbox::default();
    outbox.push(message("m", 0)).unwrap();
    let (end, seen) = carry(&mut socket, &outbox, |_, _| ()).await;
    assert_eq!((end, seen), (End::Stream(SessionEnd::Disconnected), 3));
}

/// In virtual time: a minute for 64 KiB, and a byte every ten seconds does not extend it.
#[tokio::test(start_paused = true)]
async fn cuts_a_peer_that_reads_a_byte_now_and_then() {
    let mut socket = Scripted::messages(0);
    (socket.meets, socket.ends) = (Meets::Sips(Box::pin(sleep(Duration::from_secs(10)))), false);
    let outbox = Outbox::default();
    outbox.push(message("m", 30_000)).unwrap();
    let began = now();
    let carrying = carry(&mut socket, &outbox, |_, _| ());
    let (end, _) = timeout(Duration::from_secs(600), carrying).await.unwrap();
    assert_eq!(end, End::WriteTimeout);
    let borne = now() - began;
    assert!(borne >= Duration::from_secs(60) && borne < Duration::from_secs(61), "{borne:?}");
    assert!((5..=6).contains(&socket.written.len()), "{}", socket.written.len());
}

/// Lets one stanza through a second.
struct Slow(usize, Option<Instant>);

impl SessionHandler for Slow {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        self.0 += 1;
        self.1 = Some(now() + Duration::from_secs(1));
        Ok(())
    }

    fn pause(&mut self) -> Option<Duration> {
        self.1.map(|until| until.saturating_duration_since(now())).filter(|pause| !pause.is_zero())
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_too_fast_is_read_more_slowly_and_nothing_is_lost() {
    let mut socket = Scripted::messages(10);
    let outbox = Outbox::default();
    let mut slow = Slow(0, None);
    let began = now();
    let end = Runner::new(opened(), None, &outbox, &mut slow, SessionSettings::default())
        .carry(&mut socket, &Stop::default())
        .await;
    assert_eq!((end, slow.0), (End::Stream(SessionEnd::Disconnected), 10));
    assert_eq!((now() - began).as_secs(), 10);
}

/// Asks its peer, and hears of it by another stream at these times.
struct Asking {
    management: Management,
    pings: usize,
    elsewhere: Vec<Instant>,
}

impl SessionHandler for Asking {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Ok(())
    }

    fn last_heard(&self) -> Option<Instant> {
        self.elsewhere.iter().copied().filter(|at| *at <= now()).max()
    }

    fn ping(&mut self) -> Option<Stanza> {
        self.pings += 1;
        Stanza::parse(&format!("<iq type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>", self.pings)).ok()
    }

    fn management(&mut self) -> Management {
        std::mem::take(&mut self.management)
    }
}

/// How a session ends whose peer says no more than this, heard by another stream at these seconds; and after how many.
async fn be_silent(socket: &mut Scripted, elsewhere: &[u64], management: Management) -> (End, u64) {
    let (began, outbox) = (now(), Outbox::default());
    let elsewhere = elsewhere.iter().map(|at| began + Duration::from_secs(*at)).collect();
    let mut asking = Asking { management, pings: 0, elsewhere };
    let mut runner = Runner::new(opened(), None, &outbox, &mut asking, SessionSettings::default());
    let stop = Stop::default();
    let end = timeout(Duration::from_secs(6000), runner.carry(socket, &stop)).await.unwrap();
    (end, (now() - began).as_secs())
}

fn silent() -> Scripted {
    let mut socket = Scripted::messages(0);
    socket.ends = false;
    socket
}

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

/// XEP-0199, section 4.4, in virtual time: five minutes of silence, half a minute for the answer.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_that_does_not_acknowledge_is_pinged_and_given_up_when_it_does_not_answer() {
    let mut socket = silent();
    assert_eq!(be_silent(&mut socket, &[], Management::Off).await, (End::Unanswered, 330));
    assert_eq!(String::from_utf8_lossy(&socket.written), format!("<iq type='get' id='1'>{PING}</iq>"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_heard_by_another_stream_lives() {
    let mut socket = silent();
    // Once before it would have been asked, then once as an answer, and never again.
    assert_eq!(be_silent(&mut socket, &[200, 510], Management::Off).await, (End::Unanswered, 840));
    assert_eq!(String::from_utf8_lossy(&socket.written).matches(PING).count(), 2);
}

/// A peer that was offered acknowledgements and never asked for them is one without.
#[tokio::test(start_paused = true)]
async fn a_peer_that_could_acknowledge_and_does_not_is_pinged_too() {
    assert_eq!(be_silent(&mut silent(), &[], Management::Grant).await, (End::Unanswered, 330));
}

/// It is asked what it has handled instead.
#[tokio::test(start_paused = true)]
async fn a_peer_that_acknowledges_is_not_pinged() {
    let mut socket = silent();
    socket.gives.push_back("<enabled xmlns='urn:xmpp:sm:3'/>");
    let (end, seconds) = be_silent(&mut socket, &[], Management::Enable).await;
    assert_eq!((end, seconds), (End::Stream(SessionEnd::Unacknowledged), 330));
    assert!(!String::from_utf8_lossy(&socket.written).contains(PING));
}

/// A byte every ten seconds, but each of them was read by somebody.
#[tokio::test(start_paused = true)]
async fn a_peer_that_makes_room_for_more_is_alive() {
    let mut socket = silent();
    socket.meets = Meets::Sips(Box::pin(sleep(Duration::from_secs(325))));
    let (end, seconds) = be_silent(&mut socket, &[], Management::Off).await;
    // The ping is written byte by byte: this peer is too slow, which is another thing than dead.
    assert_eq!((end, seconds), (End::WriteTimeout, 360));
}

/// Asks for acknowledgements, and shuts the session down when a stanza comes.
struct Managed(Stop);

impl SessionHandler for Managed {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        self.0.shutdown.cancel();
        Ok(())
    }

    fn management(&mut self) -> Management {
        Management::Enable
    }
}

const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";

/// How many of twelve stanzas, of which two fill a batch, are sent to a peer that says this and no more.
async fn sent_to(gives: impl IntoIterator<Item = &'static str>) -> usize {
    let mut socket = Scripted::new(gives);
    socket.ends = false;
    let outbox = Outbox::default();
    (0..12).for_each(|_| outbox.push(message("m", 30_000)).unwrap());
    let stop = Stop::default();
    let mut managed = Managed(stop.clone());
    Runner::new(opened(), None, &outbox, &mut managed, SessionSettings::default()).carry(&mut socket, &stop).await;
    let written = String::from_utf8(socket.written).unwrap();
    assert!(written.contains("<r xmlns='urn:xmpp:sm:3'/>"));
    written.matches("<message").count()
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_batch_is_in_doubt_before_the_first_acknowledgement_and_then_twice_as_much() {
    assert_eq!(sent_to([ENABLED]).await, 2);
    assert_eq!(sent_to([ENABLED, "<a xmlns='urn:xmpp:sm:3' h='2'/>"]).await, 2 + 4);
}

/// There is no time to wait for acknowledgements.
#[tokio::test(start_paused = true)]
async fn what_is_queued_goes_ahead_of_the_end_however_much_is_in_doubt() {
    assert_eq!(sent_to([ENABLED, "<message/>"]).await, 12);
}

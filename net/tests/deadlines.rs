//! Deadlines that traffic does not extend, in virtual time: the peer's pauses and ours pass at once and are counted.

use std::time::Duration;

use convoke_net::{NegotiationError, negotiate};
use convoke_xmpp::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::greeting::{Greeting, header_of_a, sockets, tls};

/// What the negotiator of these tests allows.
const ALLOWED: Duration = Duration::from_secs(30);

/// Timers have a resolution of a millisecond, and a peer of these tests acts once a second.
const EXACT: Duration = Duration::from_secs(1);

/// Sends one byte a second for as long as anybody takes it.
async fn trickle(mut socket: TcpStream, text: impl Iterator<Item = u8>) {
    for byte in text {
        sleep(Duration::from_secs(1)).await;
        if socket.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

/// How long a receiving entity bears a peer that trickles `text` behind `head`, and what it says in the end.
async fn borne(head: String, text: impl Iterator<Item = u8>) -> (Duration, String) {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    tokio::time::pause();
    let began = Instant::now();
    far.write_all(head.as_bytes()).await.unwrap();
    let receiving = negotiate(Greeting::new(false, true).with_timeout(ALLOWED), near, &tls, Limits::default());
    let outcome = tokio::select! {
        outcome = receiving => outcome.map(drop),
        () = trickle(far, text) => panic!("the peer had all the time it wanted"),
    };
    (began.elapsed(), outcome.unwrap_err().to_string())
}

fn assert_cut(borne: (Duration, String), at: Duration) {
    assert_eq!(borne.1, NegotiationError::<crate::greeting::Refusal>::Timeout.to_string());
    assert!(borne.0 >= at && borne.0 < at + EXACT, "{:?}", borne.0);
}

#[tokio::test]
async fn cuts_a_peer_that_trickles_its_stream_header() {
    assert_cut(borne(String::new(), header_of_a().repeat(10).into_bytes().into_iter()).await, ALLOWED);
}

#[tokio::test]
async fn cuts_a_peer_that_trickles_space_behind_its_header() {
    assert_cut(borne(header_of_a(), std::iter::repeat_n(b' ', 1000)).await, ALLOWED);
}

/// RFC 8446 has no word on it: the handshake has a shorter time of its own.
#[tokio::test]
async fn cuts_a_peer_that_trickles_its_tls_handshake() {
    let starttls = format!("{}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", header_of_a());
    // A ClientHello of 512 bytes, begun and never finished.
    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().chain(std::iter::repeat_n(7, 400));
    assert_cut(borne(starttls, hello).await, Duration::from_secs(15));
}

/// A negotiator that names a time far away, or none, is not believed.
#[tokio::test]
async fn bounds_every_negotiation_by_itself() {
    let (_, tls) = tls();
    for greeting in [Greeting::new(false, true), Greeting::new(false, true).with_timeout(Duration::from_secs(10_000))] {
        let (near, far) = sockets().await;
        tokio::time::pause();
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = negotiate(greeting, near, &tls, Limits::default()) => outcome,
            () = trickle(far, std::iter::repeat_n(b' ', 1000)) => panic!("the peer had all the time it wanted"),
        };
        assert!(matches!(outcome, Err(NegotiationError::Timeout)), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(91), "{:?}", began.elapsed());
        tokio::time::resume();
    }
}

/// Data that is always there must not hide the clock: one read more than the time allows would meet the other limit.
#[tokio::test]
async fn looks_at_the_clock_before_it_reads_on() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    far.write_all(format!("{}{}", header_of_a(), " ".repeat(100_000)).as_bytes()).await.unwrap();
    let late = Greeting::new(false, true).with_timeout(Duration::ZERO);
    let outcome = negotiate(late, near, &tls, Limits::before_authentication()).await;
    assert!(matches!(outcome, Err(NegotiationError::Timeout)), "{outcome:?}");
}

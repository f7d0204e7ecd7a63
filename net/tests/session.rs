//! Sessions on negotiated streams.

use std::io::ErrorKind;
use std::time::Duration;

use convoke_net::session::{End, SessionHandler, SessionSettings, Stop, run};
use convoke_net::{Connection, Outbox, OutboxLimits};
use convoke_xmpp::Stanza;
use convoke_xmpp::session::{SessionConfig, SessionEnd};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::greeting::{SOON, connection_to_raw_peer, connections};

/// Passes stanzas on; refuses one with the id `forged`.
struct Inbox(mpsc::UnboundedSender<Stanza>);

impl SessionHandler for Inbox {
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError> {
        if stanza.id() == Some("forged") {
            return Err(StreamCondition::InvalidFrom.into());
        }
        self.0.send(stanza).unwrap();
        Ok(())
    }
}

fn inbox() -> (Inbox, mpsc::UnboundedReceiver<Stanza>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Inbox(sender), receiver)
}

fn message(id: usize) -> Stanza {
    Stanza::parse(&format!("<message id='{id}'><body>hello</body></message>")).unwrap()
}

async fn run_alone(connection: Connection, outbox: &Outbox, settings: SessionSettings, stop: &Stop) -> End {
    let (mut inbox, _kept) = inbox();
    timeout(SOON, run(connection, outbox, &mut inbox, settings, stop)).await.unwrap()
}

/// Reads until the peer closes, then closes too.
async fn read_to_end(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(SOON, socket.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn carries_stanzas_in_order_and_many_in_one_write() {
    const STANZAS: usize = 2000;
    let (near, far) = connections().await;
    let outbox = Outbox::default();
    (0..STANZAS).for_each(|id| outbox.push(message(id)).unwrap());
    let (mut seen, mut arrived) = inbox();
    let stop = Stop::default();
    let (empty, settings) = (Outbox::default(), SessionSettings::default());
    let reading = async {
        for id in 0..STANZAS {
            let stanza = timeout(SOON, arrived.recv()).await.unwrap().unwrap();
            assert_eq!(stanza.id(), Some(id.to_string().as_str()));
        }
        stop.shutdown.cancel();
    };
    let unstopped = Stop::default();
    let (near, far, ()) = tokio::join!(
        run_alone(near, &outbox, settings, &stop),
        run(far, &empty, &mut seen, settings, &unstopped),
        reading
    );
    assert_eq!(near, End::Stream(SessionEnd::LocalError(StreamCondition::SystemShutdown.into())));
    assert_eq!(far, End::Stream(SessionEnd::PeerError(StreamCondition::SystemShutdown.into())));
    let traffic = outbox.traffic();
    assert_eq!(traffic.stanzas, STANZAS as u64);
    assert!(traffic.writes < 50, "{traffic:?}");
}

#[tokio::test]
async fn sends_what_is_queued_before_it_shuts_down() {
    let (connection, mut peer) = connection_to_raw_peer().await;
    let outbox = Outbox::default();
    outbox.push(message(1)).unwrap();
    let stop = Stop::default();
    stop.shutdown.cancel();
    let peer = async {
        let mut seen = String::new();
        while !seen.contains("</stream:stream>") {
            let mut bytes = [0; 512];
            let length = timeout(SOON, peer.read(&mut bytes)).await.unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        peer.write_all(b"<message id='late'/></stream:stream>").await.unwrap();
        assert_eq!(read_to_end(peer).await, "");
        seen
    };
    let (mut inbox, mut arrived) = inbox();
    let session = run(connection, &outbox, &mut inbox, SessionSettings::default(), &stop);
    let (end, seen) = tokio::join!(session, peer);
    assert_eq!(end, End::Stream(SessionEnd::LocalError(StreamCondition::SystemShutdown.into())));
    let (stanza, error) = (seen.find("id='1'").unwrap(), seen.find("<system-shutdown").unwrap());
    assert!(stanza < error, "{seen}");
    // What comes between our close and the peer's is still delivered (RFC 6120, section 4.4).
    assert_eq!(arrived.try_recv().unwrap().id(), Some("late"));
}

#[tokio::test]
async fn delivers_nothing_behind_a_stanza_that_was_refused() {
    let (connection, mut peer) = connection_to_raw_peer().await;
    let stanzas = "<message id='1'/><message id='forged'/><message id='2'/></stream:stream>";
    peer.write_all(stanzas.as_bytes()).await.unwrap();
    let (mut inbox, mut arrived) = inbox();
    let outbox = Outbox::default();
    let stop = Stop::default();
    let session = run(connection, &outbox, &mut inbox, SessionSettings::default(), &stop);
    let (end, seen) = tokio::join!(session, read_to_end(peer));
    assert_eq!(end, End::Stream(SessionEnd::LocalError(StreamCondition::InvalidFrom.into())));
    assert!(seen.starts_with("<stream:error><invalid-from") && seen.ends_with("</stream:stream>"), "{seen}");
    assert_eq!(arrived.try_recv().unwrap().id(), Some("1"));
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn closes_the_stream_of_a_peer_that_sends_no_xml() {
    let (connection, mut peer) = connection_to_raw_peer().await;
    peer.write_all(b"<message><!-- no --></message>").await.unwrap();
    let stop = Stop::default();
    let settings = SessionSettings {
        session: SessionConfig { close_wait: Duration::from_millis(50), ..SessionConfig::default() },
        ..SessionSettings::default()
    };
    let outbox = Outbox::default();
    let (end, seen) = tokio::join!(run_alone(connection, &outbox, settings, &stop), read_to_end(peer));
    assert!(matches!(end, End::Stream(SessionEnd::LocalError(_))), "{end:?}");
    assert!(seen.contains("<restricted-xml"), "{seen}");
}

#[tokio::test]
async fn cuts_a_peer_that_does_not_read_and_keeps_what_it_was_not_given() {
    let (connection, peer) = connection_to_raw_peer().await;
    let outbox = Outbox::new(OutboxLimits { stanzas: usize::MAX, bytes: usize::MAX });
    let large = "x".repeat(60_000);
    const STANZAS: u64 = 500;
    for id in 0..STANZAS {
        let text = format!("<message id='{id}'><body>{large}</body></message>");
        outbox.push(Stanza::parse(&text).unwrap()).unwrap();
    }
    let settings = SessionSettings { write_timeout: Duration::from_millis(100), ..SessionSettings::default() };
    let end = run_alone(connection, &outbox, settings, &Stop::default()).await;
    assert_eq!(end, End::WriteTimeout);
    let sent = outbox.traffic().stanzas;
    let kept: Vec<_> = outbox.take_all().iter().filter_map(|s| s.id()?.parse::<u64>().ok()).collect();
    assert_eq!(kept, (sent..STANZAS).collect::<Vec<_>>());
    assert!(!kept.is_empty());
    drop(peer);
}

#[tokio::test]
async fn breaks_the_connection_without_a_word_when_cut() {
    let (connection, peer) = connection_to_raw_peer().await;
    let stop = Stop::default();
    stop.cut.cancel();
    assert_eq!(run_alone(connection, &Outbox::default(), SessionSettings::default(), &stop).await, End::Cut);
    assert_eq!(read_to_end(peer).await, "");
}

#[tokio::test]
async fn notices_a_connection_that_breaks() {
    let (connection, peer) = connection_to_raw_peer().await;
    drop(peer);
    let end = run_alone(connection, &Outbox::default(), SessionSettings::default(), &Stop::default()).await;
    assert_eq!(end, End::Stream(SessionEnd::Disconnected));
}

#[tokio::test]
async fn closes_a_stream_politely_on_which_nothing_passes() {
    let (connection, mut peer) = connection_to_raw_peer().await;
    let settings = SessionSettings { idle: Some(Duration::from_millis(20)), ..SessionSettings::default() };
    let (outbox, stop) = (Outbox::default(), Stop::default());
    let peer = async {
        let mut tag = [0; "</stream:stream>".len()];
        timeout(SOON, peer.read_exact(&mut tag)).await.unwrap().unwrap();
        assert_eq!(&tag, b"</stream:stream>");
        peer.write_all(&tag).await.unwrap();
        assert_eq!(peer.read(&mut tag).await.map_err(|e| e.kind()), Ok::<_, ErrorKind>(0));
    };
    let (end, ()) = tokio::join!(run_alone(connection, &outbox, settings, &stop), peer);
    assert_eq!(end, End::Stream(SessionEnd::Closed));
}

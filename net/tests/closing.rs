//! The end of a session: closing tags, `close_notify`, and how long each is waited for.

use std::io::ErrorKind;
use std::time::Duration;

use convoke_net::session::{End, SessionSettings, Stop};
use convoke_net::{Negotiated, Outbox, Tasks, accept};
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::StreamCondition;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::greeting::{SOON, carry, connection_to_raw_peer, connections, initiate, receive, tls};

fn shut_down() -> End {
    End::Stream(SessionEnd::LocalError(StreamCondition::SystemShutdown.into()))
}

/// RFC 6120, section 4.4: both tags, then `close_notify` of both; neither end is cut off.
#[tokio::test]
async fn both_ends_close_the_stream_and_then_tls() {
    let (near, far) = connections().await;
    let (outbox, other, stop, unstopped) = (Outbox::default(), Outbox::default(), Stop::default(), Stop::default());
    stop.shutdown.cancel();
    let (near, far) = tokio::join!(
        carry(near, &outbox, SessionSettings::default(), &stop),
        carry(far, &other, SessionSettings::default(), &unstopped)
    );
    assert_eq!(near, shut_down());
    assert_eq!(far, End::Stream(SessionEnd::PeerError(StreamCondition::SystemShutdown.into())));
}

/// In virtual time: five seconds for the closing tag and two for the end of the connection.
#[tokio::test]
async fn waits_for_a_peer_that_does_not_close_but_not_for_ever() {
    let (connection, peer) = connection_to_raw_peer().await;
    tokio::time::pause();
    let began = Instant::now();
    let (outbox, stop) = (Outbox::default(), Stop::default());
    stop.shutdown.cancel();
    assert_eq!(carry(connection, &outbox, SessionSettings::default(), &stop).await, shut_down());
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(7) && waited < Duration::from_millis(7100), "{waited:?}");
    drop(peer);
}

/// Stop accepting, say `system-shutdown` on every stream, wait with a deadline.
#[tokio::test]
async fn a_server_shuts_down_in_order() {
    let (_, tls) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    let (serving, server_tls) = (tasks.clone(), tls.clone());
    tasks.spawn(async move {
        let stop = Stop { shutdown: serving.shutdown_token().clone(), ..Stop::default() };
        let serve = |socket, _| {
            let (tls, stop) = (server_tls.clone(), stop.clone());
            async move {
                let Negotiated { connection, .. } = receive(socket, &tls).await.unwrap();
                carry(connection, &Outbox::default(), SessionSettings::default(), &stop).await;
            }
        };
        accept(listener, 10, serving.clone(), serve).await;
    });
    let negotiated = initiate(TcpStream::connect(address).await.unwrap(), &tls).await.unwrap();
    let client = async {
        let (outbox, stop) = (Outbox::default(), Stop::default());
        let end = carry(negotiated.connection, &outbox, SessionSettings::default(), &stop).await;
        // The listener has been dropped before anybody was told.
        let again = TcpStream::connect(address).await.map(drop).map_err(|error| error.kind());
        (end, again)
    };
    let (drained, (end, again)) = tokio::join!(tasks.drain(SOON), client);
    assert!(drained.is_graceful());
    assert_eq!(end, End::Stream(SessionEnd::PeerError(StreamCondition::SystemShutdown.into())));
    assert_eq!(again, Err(ErrorKind::ConnectionRefused));
}

//! The driver, with a tiny negotiator on each side or a bare socket on the other.

use std::time::Duration;

use convoke_net::{NegotiationError, negotiate};
use convoke_xmpp::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::greeting::{Greeting, Refusal, SOON, header_of_a, initiate, receive, sockets, tls};

/// Reads until the peer closes, then closes too.
async fn read_to_end(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(SOON, socket.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn shows_each_side_the_certificate_of_the_other_and_the_same_channel_binding() {
    let ([chain_a, chain_b], tls) = tls();
    let (near, far) = sockets().await;
    let (near, far) = tokio::join!(initiate(near, &tls), receive(far, &tls));
    let (near, far) = (near.unwrap(), far.unwrap());
    assert_eq!(near.established.chain, [chain_b]);
    assert_eq!(far.established.chain, [chain_a]);
    assert_eq!((near.established.version, far.established.version), ("TLSv1.3", "TLSv1.3"));
    assert!(near.established.exporter.is_some());
    assert_eq!(near.established.exporter, far.established.exporter);
    assert!(near.connection.is_encrypted() && far.connection.is_encrypted());
}

#[tokio::test]
async fn resumes_no_tls_session() {
    let (_, tls) = tls();
    for _ in 0..3 {
        let (near, far) = sockets().await;
        let (near, far) = tokio::join!(initiate(near, &tls), receive(far, &tls));
        assert!(!near.unwrap().established.resumed && !far.unwrap().established.resumed);
    }
}

/// RFC 6120, section 5.4.3.1: such bytes are not to be taken for encrypted ones.
#[tokio::test]
async fn refuses_bytes_behind_starttls() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let attack = format!("{}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><auth/>", header_of_a());
    far.write_all(attack.as_bytes()).await.unwrap();
    let (outcome, seen) = tokio::join!(receive(near, &tls), read_to_end(far));
    assert!(matches!(outcome, Err(NegotiationError::Injection { bytes: 7 })), "{outcome:?}");
    assert!(!seen.contains("<proceed"), "{seen}");
    assert!(seen.contains("<policy-violation") && seen.ends_with("</stream:stream>"), "{seen}");
}

#[tokio::test]
async fn refuses_bytes_behind_proceed() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let attack = format!("{}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/> ", header_of_a());
    far.write_all(attack.as_bytes()).await.unwrap();
    let (outcome, seen) = tokio::join!(initiate(near, &tls), read_to_end(far));
    assert!(matches!(outcome, Err(NegotiationError::Injection { bytes: 1 })), "{outcome:?}");
    assert!(seen.ends_with("</stream:stream>"), "{seen}");
}

#[tokio::test]
async fn tells_the_peer_the_error_and_closes_the_stream() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    far.write_all(format!("{}<message/>", header_of_a()).as_bytes()).await.unwrap();
    let (outcome, seen) = tokio::join!(receive(near, &tls), read_to_end(far));
    assert!(matches!(outcome, Err(NegotiationError::Refused(_))), "{outcome:?}");
    assert!(seen.contains("<stream:error><not-authorized"), "{seen}");
    assert!(seen.ends_with("</stream:error></stream:stream>"), "{seen}");
}

#[tokio::test]
async fn closes_the_stream_of_a_failure_that_its_outputs_have_told() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let abort = format!("{}<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", header_of_a());
    far.write_all(abort.as_bytes()).await.unwrap();
    let (outcome, seen) = tokio::join!(receive(near, &tls), read_to_end(far));
    assert!(matches!(outcome, Err(NegotiationError::Refused(Refusal::Quiet))), "{outcome:?}");
    assert!(seen.ends_with("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:stream>"), "{seen}");
}

/// The peer is still sending: closing must not reset the connection before it has read the error.
#[tokio::test]
async fn tells_a_peer_that_is_still_sending() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    far.write_all(header_of_a().as_bytes()).await.unwrap();
    far.write_all(format!("<message/>{}", "<x/>".repeat(100_000)).as_bytes()).await.unwrap();
    let (outcome, seen) = tokio::join!(receive(near, &tls), read_to_end(far));
    assert!(outcome.is_err());
    assert!(seen.contains("<not-authorized") && seen.ends_with("</stream:stream>"), "{seen}");
}

#[tokio::test]
async fn sends_no_error_where_no_stream_was_opened() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    far.shutdown().await.unwrap();
    let (outcome, seen) = tokio::join!(receive(near, &tls), read_to_end(far));
    assert!(outcome.is_err());
    assert_eq!(seen, "");
}

#[tokio::test]
async fn reports_a_peer_that_goes_away() {
    let (_, tls) = tls();
    let (near, far) = sockets().await;
    drop(far);
    let outcome = timeout(SOON, receive(near, &tls)).await.unwrap();
    assert!(matches!(outcome, Err(NegotiationError::Disconnected)), "{outcome:?}");
}

#[tokio::test]
async fn does_not_wait_longer_than_the_negotiator_says() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    far.write_all(header_of_a().as_bytes()).await.unwrap();
    let silent = Greeting::new(false, true).with_timeout(Duration::from_millis(50));
    let (outcome, seen) = tokio::join!(negotiate(silent, near, &tls, Limits::default()), read_to_end(far));
    assert!(matches!(outcome, Err(NegotiationError::Timeout)), "{outcome:?}");
    assert!(seen.contains("<connection-timeout"), "{seen}");
}

/// The same deadline holds within the TLS handshake.
#[tokio::test]
async fn does_not_wait_for_a_tls_handshake_for_ever() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let starttls = format!("{}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", header_of_a());
    far.write_all(starttls.as_bytes()).await.unwrap();
    let silent = Greeting::new(false, true).with_timeout(Duration::from_millis(200));
    let (outcome, seen) = tokio::join!(negotiate(silent, near, &tls, Limits::default()), read_to_end(far));
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(seen.ends_with("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "{seen}");
}

/// What may be sent before authentication is counted over TLS and restarts: neither begins anew.
#[tokio::test]
async fn counts_what_is_sent_over_all_restarts() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let greeting = Greeting::new(false, false).with_restarts();
    let restarting = negotiate(greeting, near, &tls, Limits::before_authentication());
    // Each stream is within the limits; three together are not.
    let restart = format!("<restart xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</restart>", "x".repeat(3000));
    let stream = format!("{}{restart}", header_of_a());
    let peer = async {
        for streams in 0..10 {
            far.write_all(stream.as_bytes()).await.unwrap();
            if !has_succeeded(&mut far).await {
                return streams;
            }
        }
        panic!("every restart begins anew");
    };
    let (outcome, streams) = tokio::join!(restarting, peer);
    assert!(matches!(outcome, Err(NegotiationError::Refused(_))), "{outcome:?}");
    assert_eq!(streams, 2);
}

/// Reads the answer to one restart; whether it lets the peer go on.
async fn has_succeeded(socket: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    loop {
        answer.push(timeout(SOON, socket.read_u8()).await.unwrap().unwrap());
        if answer.ends_with(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>") {
            return true;
        }
        if answer.ends_with(b"</stream:stream>") {
            return false;
        }
    }
}

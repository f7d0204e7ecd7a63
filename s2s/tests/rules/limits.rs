//! Rules 70 to 72 and 76: limits and time.

use std::time::Duration;

use convoke_net::AdmissionLimits;
use convoke_s2s::Timeouts;
use convoke_xmpp::{Condition, Outbound, Stanza};

use crate::dialled::Dialled;
use crate::listening::{AUTHZID, Listening};
use crate::wire::{END, FEATURES_END, SUCCESS, auth, header, stream_error};
use crate::world::{SOON, message};

/// A message of so many bytes.
fn sized(bytes: usize) -> String {
    let (start, end) = ("<message from='b.example' to='a.example'><body>", "</body></message>");
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

/// Rule 70, RFC 6120 section 13.12: however little is configured.
#[tokio::test]
async fn ten_thousand_bytes_are_taken_and_one_more_violates_the_policy() {
    let here = Listening::with(|config| config.limits.stanza_bytes = 1).await;
    let mut peer = here.established().await;
    peer.say(sized(10_000)).await;
    assert_eq!(here.a.routed().await.0.size(), 10_000);
    let said = here.established_answer_to(sized(10_001)).await;
    assert_eq!(stream_error(&said), "policy-violation");
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 70: checked while reading, so that nobody has to wait for an end that never comes.
#[tokio::test]
async fn an_element_without_end_is_refused_as_soon_as_it_is_too_long() {
    let here = Listening::with(|config| config.limits.stanza_bytes = 10_000).await;
    let without_end = &sized(12_000)[..10_001];
    let said = here.established_answer_to(without_end).await;
    assert_eq!(stream_error(&said), "policy-violation");
    // A stranger is allowed less, in all.
    let mut peer = here.in_the_clear().await;
    peer.say(format!("<auth mechanism='{}", "x".repeat(8192))).await;
    assert_eq!(stream_error(&peer.rest().await), "policy-violation");
}

/// Rule 71, RFC 6120 section 13.12: of one address only so many that have not authenticated.
#[tokio::test]
async fn one_connection_too_many_of_an_address_is_turned_away_without_a_word() {
    let limits = AdmissionLimits { unauthenticated: 2, ..AdmissionLimits::default() };
    let here = Listening::with(|config| config.admission = limits).await;
    let _strangers = (here.in_the_clear().await, here.in_the_clear().await);
    let mut third = here.connected().await;
    assert_eq!(third.bytes().await, b"");
    assert_eq!(here.a.federation.turned_away(), 1);
}

/// Rule 71: who has authenticated is no stranger any more.
#[tokio::test]
async fn a_peer_that_has_authenticated_makes_room_for_the_next() {
    let limits = AdmissionLimits { unauthenticated: 1, ..AdmissionLimits::default() };
    let here = Listening::with(|config| config.admission = limits).await;
    let _peers = (here.established().await, here.established().await);
    assert_eq!(here.a.federation.turned_away(), 0);
}

/// Rule 72, RFC 6120 sections 4.6.1, 4.6.2 and 4.6.4: until the ping is answered, it is not repeated.
#[tokio::test]
async fn a_ping_and_then_spaces_keep_a_silent_stream_alive_and_by_default_seldom() {
    assert!(Timeouts::default().keepalive >= Duration::from_secs(300));
    let here = Dialled::with(|config| config.timeouts.keepalive = Duration::from_millis(20)).await;
    let mut host = here.established().await;
    assert!(host.hear("</iq>").await.starts_with("<iq "));
    assert_eq!(host.hear(" ").await, " ");
    assert_eq!(host.hear(" ").await, " ");
}

/// Rule 72, RFC 6120 section 4.6: silence alone is no error; a stream that nobody uses is closed politely.
#[tokio::test]
async fn a_silent_stream_is_closed_without_an_error() {
    let here = Dialled::with(|config| config.timeouts.idle = Duration::from_millis(50)).await;
    let mut host = here.established().await;
    assert_eq!(host.hear(END).await, END);
    host.say(END).await;
    assert!(here.a.has_given_nothing_back().await);
}

/// Rule 72, RFC 6120 section 4.9.3.4: a peer that does not go on with what it began.
#[tokio::test]
async fn a_peer_that_does_not_answer_is_told_a_connection_timeout() {
    let here = Listening::with(|config| config.timeouts.negotiation = Duration::from_millis(300)).await;
    let mut peer = here.connected().await;
    // On a slow machine the time may be over by now.
    let _ = peer.try_say(header("b.example", "a.example")).await;
    assert_eq!(stream_error(&peer.rest().await), "connection-timeout");
}

/// Rule 76, XEP-0478 section 4: what the peer would not take is not sent, and the stream stays.
#[tokio::test]
async fn a_stanza_larger_than_the_peer_takes_comes_back_and_the_stream_stays() {
    let here = Dialled::new().await;
    let mut host = here.authenticated().await;
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>";
    host.say(format!("<stream:features>{limits}</stream:features>")).await;
    host.hear("</message>").await;
    let large = |id: &str, bytes: usize| {
        let text = sized(bytes).replacen("from='b.example' to='a.example'", "from='a.example' to='b.example'", 1);
        Stanza::parse(&text.replacen("<message", &format!("<message id='{id}'"), 1)).unwrap()
    };
    let refused = here.a.federation.send(large("large", 10_500)).unwrap_err();
    assert_eq!((refused.error.condition, refused.stanza.id()), (Condition::PolicyViolation, Some("large")));
    here.a.send(large("fits", 9_900));
    here.a.send(message("a.example", "b.example", "small"));
    for id in ["fits", "small"] {
        assert!(host.hear("</message>").await.contains(&format!(" id='{id}'")));
    }
    assert_eq!(here.a.link("b.example").unwrap().dials, 1);
}

/// Rule 76, XEP-0478 section 3.1: what is configured, as soon as the peer is known.
#[tokio::test]
async fn the_last_features_tell_what_is_taken() {
    let here = Listening::with(|config| config.limits.stanza_bytes = 123_456).await;
    let mut peer = here.offered().await;
    peer.say(auth(AUTHZID)).await;
    peer.hear(SUCCESS).await;
    peer.say(header("b.example", "a.example")).await;
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>123456</max-bytes></limits>";
    assert!(tokio::time::timeout(SOON, peer.hear(FEATURES_END)).await.unwrap().contains(limits));
}

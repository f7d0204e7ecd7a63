//! Rules 23 to 28: features, and streams that replace each other.

use convoke_xmpp::Condition;

use crate::dialled::Dialled;
use crate::listening::{self, Listening};
use crate::wire::{FEATURES_END, NO_FEATURES, PROCEED, STARTTLS, SUCCESS, Wire, auth, client, header, stream_error};

/// Rule 23, RFC 6120 section 4.3.2, and rule 25, sections 4.3.4 and 5.4.3.3.
#[tokio::test]
async fn features_follow_each_header_and_starttls_is_among_the_first_alone() {
    let here = Listening::new().await;
    let good = header("b.example", "a.example");
    let mut peer = here.connected().await;
    peer.say(&good).await;
    let mut features = vec![peer.hear(FEATURES_END).await];
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    let mut peer = peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;
    peer.say(&good).await;
    features.push(peer.hear(FEATURES_END).await);
    peer.say(auth(listening::AUTHZID)).await;
    peer.hear(SUCCESS).await;
    peer.say(&good).await;
    features.push(peer.hear(FEATURES_END).await);
    assert!(features.iter().all(|text| text.matches("<stream:features>").count() == 1), "{features:?}");
    let holding = |feature: &str| -> Vec<_> { features.iter().map(|text| text.contains(feature)).collect() };
    assert_eq!(holding("<starttls"), [true, false, false]);
    assert_eq!(holding("<mechanisms"), [false, true, false]);
}

/// Rule 24, RFC 6120 section 4.3.3: what is heard around each restart is compared to the letter.
#[tokio::test]
async fn a_stream_that_is_replaced_is_not_closed() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(STARTTLS).await;
    // The next byte belongs to TLS already, or the handshake would fail.
    assert_eq!(peer.hear(PROCEED).await, PROCEED);
    let mut peer = peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;
    peer.say(header("b.example", "a.example")).await;
    peer.hear(FEATURES_END).await;
    peer.say(auth(listening::AUTHZID)).await;
    assert_eq!(peer.hear(SUCCESS).await, SUCCESS);
    peer.say(header("b.example", "a.example")).await;
    assert!(peer.hear(FEATURES_END).await.starts_with("<?xml version='1.0'?><stream:stream "));
    // The other role: its helper compares header, `auth` and header.
    let there = Dialled::new().await;
    there.established().await;
}

/// Rule 26, RFC 6120 sections 4.3.2 and 4.3.5.
#[tokio::test]
async fn features_that_are_empty_or_voluntary_complete_the_negotiation() {
    let unknown = "<stream:features><c xmlns='urn:example:caps'/><x xmlns='urn:example:x'><y/></x></stream:features>";
    let here = Dialled::new().await;
    for features in [NO_FEATURES, "<stream:features></stream:features>", unknown] {
        let mut host = here.authenticated().await;
        host.say(features).await;
        assert!(host.hear("</message>").await.contains(" id='first'"), "{features}");
        host.shut().await;
        drop(host);
        here.a.link_until("b.example", |link| link.state != convoke_s2s::LinkState::Open).await;
    }
}

/// Rule 27, RFC 6120 section 4.9.3.23.
#[tokio::test]
async fn an_unknown_feature_that_has_to_be_negotiated_is_unsupported() {
    let demanding = "<stream:features><x xmlns='urn:example:x'><required/></x></stream:features>";
    for secured in [true, false] {
        let here = Dialled::new().await;
        let mut host = if secured { here.secured().await } else { here.authenticated().await };
        host.say(demanding).await;
        assert_eq!(stream_error(&host.rest().await), "unsupported-feature");
        let bounced = here.given_back().await;
        assert_eq!(bounced.error.condition, Condition::RemoteServerTimeout);
    }
}

/// The stanza that no stranger may send.
const EARLY: &str = "<message from='b.example' to='a.example' id='early'><body>early</body></message>";

/// Rule 28, RFC 6120 sections 4.3.5 and 4.9.3.12: wherever there is a stream that holds it.
#[tokio::test]
async fn a_stanza_before_the_end_of_the_negotiation_is_not_authorized_and_not_processed() {
    let here = Listening::new().await;
    let good = header("b.example", "a.example");
    let mut points: Vec<(&str, Wire, String)> = vec![
        ("behind the first header, in one piece", here.connected().await, good.clone() + EARLY),
        ("after the features in the clear", here.in_the_clear().await, EARLY.to_owned()),
        ("behind the header within TLS, in one piece", here.secured().await, good.clone() + EARLY),
        ("after the offer of SASL", here.offered().await, EARLY.to_owned()),
        ("within an exchange of SASL", here.challenged().await, EARLY.to_owned()),
        ("behind a failed attempt", here.offered().await, auth("YQ==") + EARLY),
    ];
    for (point, peer, text) in &mut points {
        peer.say(text).await;
        let said = peer.rest().await;
        assert_eq!(stream_error(&said), "not-authorized", "{point}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 28: where a header is due there is no stream that could hold a stanza, so that the format is bad.
#[tokio::test]
async fn a_stanza_in_place_of_a_header_is_of_bad_format_and_not_processed() {
    let here = Listening::new().await;
    for (point, mut peer) in [
        ("at the beginning", here.connected().await),
        ("within TLS", here.secured().await),
        ("behind success", here.authenticated().await),
    ] {
        peer.say(EARLY).await;
        assert_eq!(stream_error(&peer.rest().await), "bad-format", "{point}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 28: the other role, at each point of its negotiation.
#[tokio::test]
async fn a_stanza_from_the_host_before_the_last_features_is_not_authorized_and_not_processed() {
    let early = "<message from='b.example' to='a.example'/>";
    for point in 0..5 {
        let here = Dialled::new().await;
        let mut host = match point {
            0 => here.opened().await,
            1 => here.asked_for_tls().await,
            2 => here.secured().await,
            3 => here.asked_for_success().await,
            _ => here.authenticated().await,
        };
        host.say(early).await;
        assert_eq!(stream_error(&host.rest().await), "not-authorized", "{point}");
        assert!(here.a.has_routed_nothing().await);
        here.given_back().await;
    }
}

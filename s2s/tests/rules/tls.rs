//! Rules 29 to 37: STARTTLS and TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoke_dev::Subject;
use convoke_s2s::LocalDomain;
use convoke_xmpp::Condition;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::dialled::Dialled;
use crate::listening::{AUTHZID, Listening};
use crate::wire::{
    END, FEATURES_END, NO_FEATURES, PROCEED, SASL_FEATURES, STARTTLS, SUCCESS, TLS_FAILURE, TLS_FEATURES, auth, client,
    header, sasl_failure, server, stream_error, values, without_texts,
};
use crate::world::{SOON, credentials, domain};

const MESSAGE: &str = "<message from='b.example' to='a.example'/>";

/// Rule 29, RFC 6120 section 5.3.1.
#[tokio::test]
async fn in_the_clear_starttls_alone_is_offered_and_required() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(peer.hear(FEATURES_END).await.ends_with(TLS_FEATURES));
}

/// Rule 30, RFC 7590 section 3.1: an offer may have been stripped on the way.
#[tokio::test]
async fn tls_is_begun_although_it_is_not_offered() {
    for features in [NO_FEATURES, SASL_FEATURES] {
        let here = Dialled::new().await;
        let mut host = here.opened().await;
        host.say(features).await;
        assert_eq!(host.hear(STARTTLS).await, STARTTLS);
        host.say(PROCEED).await;
        let mut host = host.secured_as_server(server(&here.world.authority, &here.shown)).await;
        assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "b.example"));
    }
}

/// Rule 30, RFC 7590 section 3.1.
#[tokio::test]
async fn nothing_goes_on_in_the_clear() {
    for refusal in [format!("{TLS_FAILURE}{END}"), END.to_owned(), SUCCESS.to_owned(), SASL_FEATURES.to_owned()] {
        let here = Dialled::new().await;
        let mut host = here.opened().await;
        host.say(SASL_FEATURES).await;
        host.hear(STARTTLS).await;
        host.say(&refusal).await;
        host.shut().await;
        let said = host.rest().await;
        assert!(said.ends_with(END) && !said.contains("<auth") && !said.contains("<message"), "{refusal}: {said}");
        assert_eq!(here.given_back().await.error.condition, Condition::RemoteServerTimeout);
    }
}

/// Rule 31, RFC 6120 section 5.3.3: ours. Theirs before `<starttls/>` is of no meaning; behind it, it is refused as any
/// other byte ahead of TLS.
#[tokio::test]
async fn no_whitespace_stands_around_starttls_and_proceed() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(STARTTLS).await;
    assert_eq!(peer.hear(">").await, PROCEED);
    // The first byte of the handshake follows at once, or there would be none.
    peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;

    let there = Dialled::new().await;
    let mut host = there.opened().await;
    host.say(TLS_FEATURES).await;
    assert_eq!(host.hear(">").await, STARTTLS);
    host.say(PROCEED).await;
    let mut first = [0];
    timeout(SOON, host.into_tcp().read_exact(&mut first)).await.unwrap().unwrap();
    // A record of the handshake (RFC 8446, section 5.1).
    assert_eq!(first, [22]);
}

/// Rule 32, RFC 6120 section 5.4.2.2.
#[tokio::test]
async fn starttls_that_is_malformed_or_not_offered_fails_and_ends_the_stream() {
    let here = Listening::new().await;
    let malformed = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><now/></starttls>";
    for (mut peer, given) in [
        (here.in_the_clear().await, malformed),
        (here.in_the_clear().await, &STARTTLS.replace("/>", ">now</starttls>")),
        (here.offered().await, STARTTLS),
        (here.challenged().await, STARTTLS),
    ] {
        peer.say(given).await;
        assert_eq!(peer.rest().await, format!("{TLS_FAILURE}{END}"), "{given}");
    }
}

/// Rule 33, RFC 6120 section 5.4.3.1: what comes in one piece with `<starttls/>` is not taken for encrypted.
#[tokio::test]
async fn bytes_behind_starttls_are_refused() {
    let here = Listening::new().await;
    for injected in [header("b.example", "a.example"), MESSAGE.to_owned(), " ".to_owned(), "\u{16}\u{3}".to_owned()] {
        let mut peer = here.in_the_clear().await;
        peer.say(format!("{STARTTLS}{injected}")).await;
        let said = peer.rest().await;
        assert!(!said.contains("<proceed"), "{injected:?}: {said}");
        assert_eq!(stream_error(&said), "policy-violation", "{injected:?}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 33, RFC 6120 section 5.4.3.1: the other role. The features within TLS have to be said within TLS.
#[tokio::test]
async fn bytes_behind_proceed_are_refused() {
    for injected in [SASL_FEATURES, NO_FEATURES, MESSAGE, " "] {
        let here = Dialled::new().await;
        let mut host = here.asked_for_tls().await;
        host.say(format!("{PROCEED}{injected}")).await;
        let said = host.rest().await;
        assert_eq!(stream_error(&said), "policy-violation", "{injected:?}");
        let bounced = here.given_back().await;
        assert!(bounced.error.text.unwrap().contains("ahead of the TLS handshake"));
        assert!(here.a.has_routed_nothing().await);
    }
}

/// Rule 34, RFC 6120 section 5.4.3.3.
#[tokio::test]
async fn what_was_said_in_the_clear_is_forgotten_and_a_new_name_counts() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(header("c.example", "a.example")).await;
    peer.hear(FEATURES_END).await;
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    let mut peer = peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;
    peer.say(header("b.example", "a.example")).await;
    assert_eq!(values(&peer.hear(FEATURES_END).await, "to"), ["b.example"]);
    peer.say(auth(AUTHZID)).await;
    assert_eq!(peer.hear(">").await, SUCCESS);
    // And a name that only the clear has proved proves nothing.
    let mut peer = here.secured().await;
    peer.say(header("c.example", "a.example")).await;
    assert_eq!(stream_error(&peer.rest().await), "policy-violation");
}

/// Rule 35, RFC 6120 section 5.4.3.2.
#[tokio::test]
async fn a_failed_handshake_ends_the_connection_without_the_end_of_a_stream() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    peer.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let said = peer.bytes().await;
    // An alert at most (RFC 8446, section 6).
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
    assert!(!said.contains(&b'<'), "{said:?}");

    let there = Dialled::new().await;
    let mut host = there.asked_for_tls().await;
    host.say(PROCEED).await;
    host.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let said = String::from_utf8_lossy(&host.bytes().await).into_owned();
    assert!(!said.contains("</stream"), "{said}");
    assert!(there.given_back().await.error.text.unwrap().contains("TLS handshake failed"));
}

/// Notes that a certificate was asked for, and shows none.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Rule 36, RFC 6120 section 5.4.3.1.
#[tokio::test]
async fn the_receiving_entity_asks_for_a_certificate_and_refuses_who_has_none() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    let asked = Arc::new(Asked::default());
    let mut config = client(&here.world.authority, None);
    config.client_auth_cert_resolver = Arc::clone(&asked) as Arc<dyn ResolvesClientCert>;
    let mut peer = peer.secured_as_client(config, "a.example").await;
    peer.say(header("b.example", "a.example")).await;
    let said = peer.rest().await;
    assert!(asked.0.load(Ordering::Relaxed));
    assert_eq!(stream_error(&said), "policy-violation");
    assert!(said.contains("no certificate was shown for b.example") && !said.contains("<mechanisms"), "{said}");
}

/// Rule 36, RFC 6120 section 13.7.2: the other role shows its own and judges the host's.
#[tokio::test]
async fn the_initiating_entity_shows_its_certificate_and_refuses_a_host_with_another_name() {
    let here = Dialled::new().await;
    let host = here.secured().await;
    // The server of the test would have refused a client without.
    assert_eq!(host.tls().get_ref().1.peer_certificates().map(<[_]>::len), Some(1));

    let there = Dialled::new().await;
    let other = there.world.authority.issue(&Subject::domain("c.example")).unwrap();
    let mut host = there.asked_for_tls().await;
    host.say(PROCEED).await;
    let mut host = host.secured_as_server(server(&there.world.authority, &other)).await;
    let said = host.rest().await;
    assert_eq!(stream_error(&said), "policy-violation");
    assert!(!said.contains("<auth"), "{said}");
}

/// Rule 37, RFC 6120 section 5.4.3.1.
#[tokio::test]
async fn the_certificate_is_that_of_the_domain_which_was_asked_for() {
    let world = crate::world::World::new().await;
    let other = world.authority.issue(&Subject::domain("c.example")).unwrap();
    let here = Listening::with(|config| {
        // Of another authority: the handshake with c.example would fail if the certificate of a.example were shown.
        config.domains.push(LocalDomain { name: domain("c.example"), credentials: credentials(&other) });
    })
    .await;
    for (to, authority) in [("a.example", &here.world.authority), ("c.example", &world.authority)] {
        let mut peer = here.connected().await;
        peer.say(header("b.example", to)).await;
        peer.hear(FEATURES_END).await;
        peer.say(STARTTLS).await;
        peer.hear(PROCEED).await;
        // The client checks the name and the authority.
        peer.secured_as_client(client(authority, None), to).await;
    }
}

/// Rule 46 keeps the stream; rule 29 keeps its only offer.
#[tokio::test]
async fn tls_can_still_be_begun_after_an_early_auth() {
    let here = Listening::new().await;
    let mut peer = here.in_the_clear().await;
    peer.say(auth(AUTHZID)).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("encryption-required"));
    peer.say(STARTTLS).await;
    assert_eq!(peer.hear(">").await, PROCEED);
}

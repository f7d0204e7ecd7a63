//! Rules 73 to 75: other hosts, both directions, acknowledgements.

use std::net::Ipv4Addr;

use convoke_dev::Subject;
use convoke_xmpp::Condition;
use tokio::net::TcpListener;

use crate::dialled::Dialled;
use crate::wire::{END, Wire, header, stream_error};

/// What sends the initiating entity to another host.
fn see(host: &str) -> String {
    format!(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{host}</see-other-host>\
         </stream:error>{END}"
    )
}

/// A listener that DNS knows by this name and by no service.
async fn other(here: &Dialled, name: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    here.world.dns.a(name, Ipv4Addr::LOCALHOST).unwrap();
    let place = format!("{name}:{}", listener.local_addr().unwrap().port());
    (listener, place)
}

/// Rule 73, RFC 6120 section 4.9.3.19: the helper compares the headers, and TLS checks the name.
#[tokio::test]
async fn another_host_is_asked_for_the_same_domain_and_has_to_prove_the_same_name() {
    let here = Dialled::new().await;
    let (elsewhere, place) = other(&here, "elsewhere.example").await;
    let mut host = here.secured().await;
    host.say(see(&place)).await;
    let host = Wire::accepted(elsewhere.accept().await.unwrap().0);
    let host = here.secure(host).await;
    let tokio_rustls::TlsStream::Server(tls) = host.tls() else { panic!() };
    assert_eq!(tls.get_ref().1.server_name(), Some("b.example"));
    here.establish(host).await;
    assert!(here.a.has_given_nothing_back().await);
}

/// Rule 73: the name of the other host proves nothing.
#[tokio::test]
async fn another_host_that_proves_its_own_name_alone_is_refused() {
    let mut here = Dialled::new().await;
    let (elsewhere, place) = other(&here, "elsewhere.example").await;
    let mut host = here.secured().await;
    host.say(see(&place)).await;
    here.shown = here.world.authority.issue(&Subject::domain("elsewhere.example")).unwrap();
    let mut host = Wire::accepted(elsewhere.accept().await.unwrap().0);
    host.hear("xml:lang='en'>").await;
    host.say(crate::wire::answer("b.example", "a.example", "1") + crate::wire::TLS_FEATURES).await;
    host.hear(crate::wire::STARTTLS).await;
    host.say(crate::wire::PROCEED).await;
    let mut host = host.secured_as_server(crate::wire::server(&here.world.authority, &here.shown)).await;
    let said = host.rest().await;
    assert!(said.starts_with(&header("a.example", "b.example")), "{said}");
    assert_eq!(stream_error(&said), "policy-violation");
    assert_eq!(here.given_back().await.error.condition, Condition::RemoteServerTimeout);
}

/// Rule 73: in the clear anybody could have said so.
#[tokio::test]
async fn another_host_that_is_named_in_the_clear_is_not_dialled() {
    let here = Dialled::new().await;
    let (elsewhere, place) = other(&here, "elsewhere.example").await;
    let mut host = here.opened().await;
    host.say(see(&place)).await;
    assert_eq!(host.rest().await, END);
    assert_eq!(here.given_back().await.error.condition, Condition::RemoteServerTimeout);
    assert!(elsewhere.into_std().unwrap().accept().is_err());
}

/// Rule 73: at least two are followed and at most five.
#[tokio::test]
async fn a_host_that_sends_round_in_circles_is_left() {
    let here = Dialled::new().await;
    let (elsewhere, place) = other(&here, "elsewhere.example").await;
    let mut host = here.secured().await;
    host.say(see(&place)).await;
    let mut followed = 0;
    loop {
        tokio::select! {
            accepted = elsewhere.accept() => {
                let mut host = here.secure(Wire::accepted(accepted.unwrap().0)).await;
                host.say(see(&place)).await;
                followed += 1;
            }
            _ = here.given_back() => break,
        }
    }
    assert!((2..=5).contains(&followed), "{followed}");
}

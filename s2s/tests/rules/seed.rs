//! An often copied listing of a federation: as it was printed, with its faults, and as it should have been.
//!
//! The listing is that of RFC 6120, section 9.2, with damage. Each fault has to be told, and none to pass:
//!
//! * a. `<required/>` within `<mechanisms/>`: not ours to judge, passed over.
//! * b. `<auth/>` is closed twice: the text behind its first end is none of a stream's.
//! * c. The initial response is unpadded, misspelt and names another domain.
//! * d. No new stream follows success.
//! * e. `<starttls/>`, `<proceed/>`, the XML declaration and `xml:lang` are missing; the latter two may be.
//! * f. The sender is of another domain than the one that was authenticated.

use std::time::Duration;

use convoke_dev::{Issued, Subject};
use convoke_s2s::FederationConfig;
use convoke_xmpp::{Origin, Stanza};
use tokio::net::TcpListener;

use crate::listening::plain;
use crate::wire::{
    END, FEATURES_END, PROCEED, STARTTLS, SUCCESS, Wire, auth, client, header, sasl_failure, server, stream_error,
    without_texts,
};
use crate::world::{Node, World, domain, message};

const AS_PRINTED: &str = include_str!("seed/as_printed.txt");
const CORRECTED: &str = include_str!("seed/corrected.txt");

/// `ab.domaina.net`, base64.
const AUTHZID: &str = "YWIuZG9tYWluYS5uZXQ=";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn<'a> {
    Initiating(&'a str),
    Receiving(&'a str),
    Tls,
}

/// The turns of a listing, as they stand there.
fn turns(listing: &str) -> Vec<Turn<'_>> {
    let turn = |text| match text {
        "TLS" => Turn::Tls,
        text => match text.split_once(": ").unwrap() {
            ("S1", said) => Turn::Initiating(said),
            (_, said) => Turn::Receiving(said),
        },
    };
    listing.trim_end().split("\n\n").map(turn).collect()
}

/// What `S1` says in the listing, turn by turn.
fn initiating(listing: &str) -> Vec<&str> {
    let said = |turn| match turn {
        Turn::Initiating(said) => Some(said),
        _ => None,
    };
    turns(listing).into_iter().filter_map(said).collect()
}

/// What `S2` says.
fn receiving(listing: &str) -> Vec<&str> {
    let said = |turn| match turn {
        Turn::Receiving(said) => Some(said),
        _ => None,
    };
    turns(listing).into_iter().filter_map(said).collect()
}

/// The text without the line breaks and indents of its layout.
fn flat(text: &str) -> String {
    let mut flat = String::new();
    for line in text.lines().map(str::trim) {
        if !flat.is_empty() && !flat.ends_with('>') {
            flat.push(' ');
        }
        flat.push_str(line);
    }
    flat
}

/// The text with `ID` for each identifier of a stream.
fn masked(text: &str) -> String {
    text.split(" id='").enumerate().fold(String::new(), |masked, (number, part)| match number {
        0 => part.to_owned(),
        _ => masked + " id='ID'" + part.split_once('\'').unwrap().1,
    })
}

async fn issued(world: &World, name: &str) -> Issued {
    world.authority.issue(&Subject::domain(name)).unwrap()
}

/// `domainb.net` listens, and `ab.domaina.net` has begun as the listing says, until the offer of EXTERNAL.
async fn offered(world: &World, b: &Node) -> Wire {
    let said = initiating(AS_PRINTED);
    let mut peer = Wire::connect(b.address).await;
    peer.say(said[0]).await;
    peer.hear(FEATURES_END).await;
    // Fault e: told in prose only.
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    let shown = issued(world, "ab.domaina.net").await;
    let mut peer = peer.secured_as_client(client(&world.authority, Some(&shown)), "domainb.net").await;
    peer.say(said[1]).await;
    assert!(peer.hear(FEATURES_END).await.contains("<mechanism>EXTERNAL</mechanism>"));
    peer
}

/// Fault b. The stream ends at the text behind the first end of `<auth/>`, before its second end is seen.
#[tokio::test]
async fn an_auth_that_is_closed_twice_ends_the_stream() {
    let world = World::new().await;
    let b = world.node_as("domainb.net", plain).await;
    let mut peer = offered(&world, &b).await;
    peer.say(initiating(AS_PRINTED)[2]).await;
    assert_eq!(stream_error(&peer.rest().await), "bad-format");
    // Its second end alone is not well-formed.
    let mut peer = offered(&world, &b).await;
    peer.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL' /></auth>").await;
    assert_eq!(stream_error(&peer.rest().await), "not-well-formed");
}

/// Fault c, once b is repaired: each of its faults, one behind the other.
#[tokio::test]
async fn the_printed_response_is_refused_for_its_encoding_and_then_for_its_domain() {
    let world = World::new().await;
    let b = world.node_as("domainb.net", plain).await;
    let mut peer = offered(&world, &b).await;
    peer.say(initiating(AS_PRINTED)[2].replace(" />", ">")).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("incorrect-encoding"));
    // Padded; and spelt as it was meant.
    peer.say(auth("eG1wcC51eGFtcGx1LmNvbQ==")).await;
    assert_eq!(without_texts(&peer.hear("</failure>").await), sasl_failure("invalid-authzid"));
    peer.say(auth("eG1wcC5leGFtcGxlLmNvbQ==")).await;
    assert!(peer.hear("</failure>").await.contains("invalid-authzid"));
    assert_eq!(stream_error(&peer.rest().await), "policy-violation");
}

/// Fault d.
#[tokio::test]
async fn a_stanza_right_behind_success_is_not_taken() {
    let world = World::new().await;
    let b = world.node_as("domainb.net", plain).await;
    let mut peer = offered(&world, &b).await;
    peer.say(auth(AUTHZID)).await;
    peer.hear(SUCCESS).await;
    peer.say("<message from='abc@ab.domainA.net' to='xyz@domainB.net'/>").await;
    assert_eq!(stream_error(&peer.rest().await), "bad-format");
    assert!(b.has_routed_nothing().await);
}

/// Fault f: abc is of domainA.net, and ab.domainA.net was authenticated.
#[tokio::test]
async fn a_sub_domain_does_not_speak_for_its_parent() {
    let world = World::new().await;
    let b = world.node_as("domainb.net", plain).await;
    let mut peer = offered(&world, &b).await;
    peer.say(auth("=")).await;
    peer.hear(SUCCESS).await;
    peer.say(header("ab.domainA.net", "domainB.net")).await;
    peer.hear(FEATURES_END).await;
    peer.say("<message from='abc@domainA.net' to='xyz@domainB.net'/>").await;
    assert_eq!(stream_error(&peer.hear(END).await), "invalid-from");
    assert!(b.has_routed_nothing().await);
}

/// Faults a and e, as a dialer meets them: what `S2` says in the listing is good enough for an answer.
#[tokio::test]
async fn a_dialer_passes_over_what_does_no_harm() {
    let said = receiving(AS_PRINTED);
    let (world, a, listener) = dialer().await;
    a.send(message("ab.domainA.net", "domainB.net", "first"));
    let mut host = Wire::accepted(listener.accept().await.unwrap().0);
    host.hear("xml:lang='en'>").await;
    host.say(format!("{}\n{}", said[0], said[1])).await;
    assert_eq!(host.hear(STARTTLS).await, STARTTLS);
    host.say(PROCEED).await;
    let shown = issued(&world, "domainb.net").await;
    let mut host = host.secured_as_server(server(&world.authority, &shown)).await;
    host.hear("xml:lang='en'>").await;
    host.say(format!("{}\n{}", said[2], said[3])).await;
    assert_eq!(host.hear("</auth>").await, auth(AUTHZID));
}

/// `ab.domaina.net`, and where it finds `domainb.net`.
async fn dialer() -> (World, Node, TcpListener) {
    let world = World::new().await;
    let shown = issued(&world, "ab.domaina.net").await;
    // Once the stanza is out, the stream is closed.
    let brief = Duration::from_millis(200);
    let change = |config: &mut FederationConfig| {
        plain(config);
        config.timeouts.idle = brief;
    };
    let a = world.node_with("ab.domaina.net", &shown, change).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("domainb.net", 0, listener.local_addr().unwrap().port());
    (world, a, listener)
}

/// The listing as it should have been, against a real receiving entity: every byte of `S2`, its identifiers apart.
#[tokio::test]
async fn a_receiving_entity_says_what_the_corrected_listing_says() {
    let world = World::new().await;
    // Nothing that is younger than the listing is offered.
    let b = world.node_as("domainb.net", plain).await;
    let shown = issued(&world, "ab.domaina.net").await;
    let mut peer = Wire::connect(b.address).await;
    for turn in turns(CORRECTED) {
        match turn {
            Turn::Initiating(said) => peer.say(flat(said)).await,
            Turn::Receiving(said) => {
                let expected = flat(said);
                let last = &expected[expected.rfind('<').unwrap()..];
                assert_eq!(masked(&peer.hear(last).await), masked(&expected));
            }
            Turn::Tls => {
                peer = peer.secured_as_client(client(&world.authority, Some(&shown)), "domainb.net").await;
            }
        }
    }
    assert_eq!(peer.rest().await, "");
    let (stanza, origin) = b.routed().await;
    assert_eq!((stanza.id(), origin), (Some("request"), Origin::Remote(domain("ab.domaina.net"))));
}

/// The same against a real initiating entity: every byte of `S1`.
#[tokio::test]
async fn an_initiating_entity_says_what_the_corrected_listing_says() {
    let (world, a, listener) = dialer().await;
    let shown = issued(&world, "domainb.net").await;
    let request = initiating(CORRECTED).into_iter().find(|said| said.starts_with("<message")).unwrap();
    a.send(Stanza::parse(&flat(request)).unwrap());
    let mut host = Wire::accepted(listener.accept().await.unwrap().0);
    for turn in turns(CORRECTED) {
        match turn {
            Turn::Initiating(said) => {
                let expected = flat(said);
                let last = &expected[expected.rfind('<').unwrap()..];
                assert_eq!(host.hear(last).await, expected);
            }
            Turn::Receiving(said) => host.say(flat(said)).await,
            Turn::Tls => host = host.secured_as_server(server(&world.authority, &shown)).await,
        }
    }
    assert_eq!(host.rest().await, "");
}

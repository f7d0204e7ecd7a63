//! Rules 60 to 66: stanzas and their addresses.

use std::collections::HashMap;

use convoke_xmpp::{Condition, Outbound, Stanza};
use tokio::net::TcpListener;

use crate::dialled::Dialled;
use crate::listening::Listening;
use crate::wire::{END, stream_error};
use crate::world::{World, message};

/// Rule 60, RFC 6120 sections 8.1.1.2 and 8.1.2.2.
#[tokio::test]
async fn a_stanza_without_one_of_its_addresses_is_improperly_addressed() {
    let here = Listening::new().await;
    for stanza in [
        "<message to='a.example'/>",
        "<message from='b.example'/>",
        "<presence/>",
        "<iq type='get' id='1' to='' from='b.example'><q xmlns='urn:example:q'/></iq>",
        "<message from='' to='a.example'/>",
        "<message from='b.example' to='@a.example'/>",
        "<message from='b.example/' to='a.example'/>",
    ] {
        assert_eq!(stream_error(&here.established_answer_to(stanza).await), "improper-addressing", "{stanza}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 61, RFC 6120 section 8.1.1.2: nothing is relayed, and nobody is dialled for it.
#[tokio::test]
async fn a_stanza_for_a_domain_that_is_not_served_here_is_for_an_unknown_host() {
    let here = Listening::new().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    here.world.found_by_srv("c.example", 0, elsewhere.local_addr().unwrap().port());
    let asked = here.world.dns.queries();
    for to in ["c.example", "x@c.example", "sub.a.example", "example", "b.example"] {
        let said = here.established_answer_to(format!("<message from='b.example' to='{to}'/>")).await;
        assert_eq!(stream_error(&said), "host-unknown", "{to}");
    }
    assert!(here.a.has_routed_nothing().await);
    assert_eq!(here.world.dns.queries(), asked);
}

/// Rule 62, RFC 6120 section 8.1.2.2: neither another domain nor one above or below.
#[tokio::test]
async fn a_stanza_from_a_domain_that_was_not_authenticated_is_from_an_invalid_one() {
    let here = Listening::new().await;
    for from in ["c.example", "sub.b.example", "example", "x@c.example/r", "a.example"] {
        let given = format!("<message from='{from}' to='a.example' id='1'/><message from='b.example' to='a.example'/>");
        assert_eq!(stream_error(&here.established_answer_to(given).await), "invalid-from", "{from}");
    }
    // What comes behind the forged one is not looked at any more.
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 63, RFC 6120 sections 4.8.4 and 4.9.3.24.
#[tokio::test]
async fn a_first_level_element_that_is_no_stanza_is_unsupported_and_not_routed() {
    let here = Listening::new().await;
    for given in [
        "<x xmlns='urn:example:x' from='b.example' to='a.example'/>",
        "<message xmlns='urn:example:x' from='b.example' to='a.example'/>",
        "<thing from='b.example' to='a.example'/>",
        "<features xmlns='http://etherx.jabber.org/streams'/>",
    ] {
        assert_eq!(stream_error(&here.established_answer_to(given).await), "unsupported-stanza-type", "{given}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 64, RFC 6120 section 10.1: in order for each pair of addresses, by one stream for the pair of domains.
#[tokio::test]
async fn the_order_of_each_pair_is_kept_on_one_stream() {
    const EACH: usize = 200;
    let here = Dialled::new().await;
    let mut host = here.established().await;
    let senders = ["x@a.example", "y@a.example", "a.example"];
    for number in 0..EACH {
        for from in senders {
            here.a.send(message(from, "romeo@b.example", &number.to_string()));
        }
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    for _ in 0..EACH * senders.len() {
        let stanza = host.hear("</message>").await;
        let from = crate::wire::values(&stanza, "from")[0].to_owned();
        let number = next.entry(from).or_default();
        assert!(stanza.contains(&format!(" id='{number}'")), "{number}: {stanza}");
        *number += 1;
    }
    assert_eq!(next.len(), senders.len());
    let link = here.a.link("b.example").unwrap();
    assert_eq!((link.dials, link.failures), (1, 0));
}

/// Rule 64: what comes from one peer is routed in the order in which it came.
#[tokio::test]
async fn what_a_peer_sends_is_routed_in_its_order() {
    let here = Listening::new().await;
    let mut peer = here.established().await;
    let stanza = |number: usize| format!("<message from='b.example' to='a.example' id='{number}'/>");
    peer.say((0..500).map(stanza).collect::<String>()).await;
    for number in 0..500 {
        assert_eq!(here.a.routed().await.0.id(), Some(number.to_string().as_str()));
    }
}

/// One stanza of each kind, answers and errors among them.
fn kinds() -> Vec<Stanza> {
    let rest = "from='x@a.example' to='y@b.example'";
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    [
        format!("<message {rest} id='1'/>"),
        format!("<presence {rest} id='2'/>"),
        format!("<iq {rest} type='get' id='3'><q xmlns='urn:example:q'/></iq>"),
        format!("<iq {rest} type='set' id='4'><q xmlns='urn:example:q'/></iq>"),
        format!("<iq {rest} type='result' id='5'/>"),
        format!("<message {rest} type='error' id='6'>{error}</message>"),
    ]
    .iter()
    .map(|text| Stanza::parse(text).unwrap())
    .collect()
}

/// Rule 65, RFC 6120 section 10.4.3: each is given back once, with the reason; who is told what is the router's, and it
/// tells nothing to who sent an error or a result.
#[tokio::test]
async fn each_stanza_for_a_domain_that_cannot_be_reached_comes_back_once_with_the_reason() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    // A host that closes every connection: found, but not to be negotiated with.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv("b.example", 0, deaf.local_addr().unwrap().port());
    tokio::spawn(async move { while deaf.accept().await.is_ok() {} });
    let unfound = |text: &Stanza| text.with_to(&convoke_xmpp::Jid::new("y@nowhere.example").unwrap());
    for (stanzas, condition) in [
        (kinds(), Condition::RemoteServerTimeout),
        (kinds().iter().map(unfound).collect(), Condition::RemoteServerNotFound),
    ] {
        let sent: Vec<_> = stanzas.iter().map(|stanza| stanza.id().unwrap().to_owned()).collect();
        for stanza in stanzas {
            a.send(stanza);
        }
        let mut returned = Vec::new();
        for _ in &sent {
            let undelivered = a.undelivered().await;
            assert_eq!(undelivered.error.condition, condition);
            returned.push(undelivered.stanza.id().unwrap().to_owned());
        }
        assert_eq!(returned, sent);
    }
    assert!(a.has_given_nothing_back().await);
}

/// Rule 66, RFC 6120 sections 4.5 and 4.9.1.4.
#[tokio::test]
async fn a_stanza_error_goes_back_by_the_other_stream_and_a_stream_error_by_the_same() {
    let here = Dialled::new().await;
    let mut outgoing = here.established().await;
    // The same pair the other way round.
    let socket = tokio::net::TcpStream::connect(here.a.address).await.unwrap();
    let config = convoke_s2s::InitiatingConfig::new(crate::world::domain("b.example"), here.a.name.clone());
    let incoming = here.world.intruder_on("b.example", socket, config).await;
    let request = "<iq from='romeo@b.example' to='nobody@a.example' type='get' id='7'><q xmlns='urn:example:q'/></iq>";
    let bad = Stanza::parse("<message from='c.example' to='a.example'/>").unwrap();
    let serving = tokio::spawn(incoming.send_and_wait([Stanza::parse(request).unwrap(), bad]));
    // What the router does with a request for nobody.
    let undelivered = here.a.undelivered().await;
    let answer = "<iq from='nobody@a.example' to='romeo@b.example' type='error' id='7'><error type='cancel'>\
        <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    assert_eq!(undelivered.stanza.id(), Some("7"));
    here.a.federation.send(Stanza::parse(answer).unwrap()).unwrap();
    let heard = outgoing.hear("</iq>").await;
    assert!(heard.contains(" id='7'") && heard.contains("item-not-found"), "{heard}");
    // The stream error came by the stream that was at fault, and by no other.
    let ended = format!("{:?}", serving.await.unwrap());
    assert!(ended.contains("InvalidFrom") && !ended.contains("item-not-found"), "{ended}");
    outgoing.say(END).await;
    assert_eq!(outgoing.hear(END).await, END);
}

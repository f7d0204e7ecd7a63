//! Rules 73 to 75: other hosts, both directions, acknowledgements.

use std::net::Ipv4Addr;

use convoke_dev::Subject;
use convoke_s2s::LocalDomain;
use convoke_xmpp::{Condition, Origin, Outbound};
use tokio::net::TcpListener;

use crate::dialled::Dialled;
use crate::listening::{AUTHZID, Listening};
use crate::wire::{
    END, FEATURES_END, NO_FEATURES, SASL_FEATURES, SUCCESS, Wire, answer, auth, header, stream_error, values,
};
use crate::world::{credentials, domain, message};

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

const BIDI_FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";
const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";

/// A listener that offers both directions.
async fn in_both_directions() -> Listening {
    Listening::with(|config| config.bidi = true).await
}

/// Rule 74, XEP-0288 section 2.2: asked for within TLS and before SASL; nothing is sent before the peer has authenticated.
#[tokio::test]
async fn a_peer_that_wants_both_directions_is_sent_stanzas_once_it_has_authenticated() {
    let here = in_both_directions().await;
    let mut peer = here.secured().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(
        peer.hear(FEATURES_END)
            .await
            .ends_with(&SASL_FEATURES.replace(FEATURES_END, &(BIDI_FEATURE.to_owned() + FEATURES_END)))
    );
    peer.say(BIDI).await;
    // DNS does not know b.example: by its own stream or not at all.
    here.a.send(message("a.example", "b.example", "early"));
    assert_eq!(here.a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    peer.say(auth(AUTHZID)).await;
    assert_eq!(peer.hear(">").await, SUCCESS);
    peer.say(header("b.example", "a.example")).await;
    assert!(!peer.hear(FEATURES_END).await.contains("<message"));
    peer.say("<message from='b.example' to='a.example' id='first'/>").await;
    assert_eq!(here.a.routed().await.0.id(), Some("first"));
    here.a.send(message("juliet@a.example", "romeo@b.example", "back"));
    let heard = peer.hear("</message>").await;
    assert!(heard.starts_with("<message ") && heard.contains(" id='back'"), "{heard}");
}

/// Rule 74, XEP-0288 section 2.2: from the domain of ours to which the peer was authenticated, and from no other.
#[tokio::test]
async fn a_stream_in_both_directions_carries_stanzas_of_its_own_pair_alone() {
    let world = crate::world::World::new().await;
    let other = world.authority.issue(&Subject::domain("c.example")).unwrap();
    let here = Listening::with(|config| {
        config.bidi = true;
        let credentials = credentials(&other);
        config.domains.push(LocalDomain { name: domain("c.example"), credentials });
    })
    .await;
    let mut peer = here.established_with(BIDI).await;
    here.a.send(message("c.example", "b.example", "other"));
    assert_eq!(here.a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    here.a.send(message("a.example", "b.example", "own"));
    let heard = peer.hear("</message>").await;
    assert!(heard.starts_with("<message ") && heard.contains(" id='own'"), "{heard}");
}

/// Rule 74: who has not asked gets nothing by its stream.
#[tokio::test]
async fn a_peer_that_has_not_asked_for_both_directions_is_sent_nothing() {
    let here = in_both_directions().await;
    let mut peer = here.established().await;
    here.a.send(message("a.example", "b.example", "1"));
    assert_eq!(here.a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    peer.say(END).await;
    assert_eq!(peer.rest().await, END);
}

/// Rule 76, XEP-0478 section 3.2: who has no features says what it takes in its request.
#[tokio::test]
async fn what_a_peer_takes_by_its_own_stream_is_kept_too() {
    let here = in_both_directions().await;
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>";
    let mut peer = here.established_with(&BIDI.replace("/>", &format!(">{limits}</bidi>"))).await;
    // So that the stream has been heard of.
    peer.say("<message from='b.example' to='a.example'/>").await;
    here.a.routed().await;
    let body = "x".repeat(10_000);
    let large = format!("<message from='a.example' to='b.example' id='large'><body>{body}</body></message>");
    let refused = here.a.federation.send(convoke_xmpp::Stanza::parse(&large).unwrap()).unwrap_err();
    assert_eq!((refused.error.condition, refused.stanza.id()), (Condition::PolicyViolation, Some("large")));
    here.a.send(message("a.example", "b.example", "small"));
    assert!(peer.hear("</message>").await.contains(" id='small'"));
}

/// Rule 74: the other role asks where it is offered, takes what is of the host's domain, and nothing else.
#[tokio::test]
async fn a_host_may_send_stanzas_of_its_own_domain_where_both_directions_were_asked_for() {
    let here = Dialled::with(|config| config.bidi = true).await;
    let mut host = here.secured().await;
    host.say(SASL_FEATURES.replace(FEATURES_END, &(BIDI_FEATURE.to_owned() + FEATURES_END))).await;
    let asked = host.hear("</auth>").await;
    let (request, auth) = asked.split_at(asked.find("<auth").unwrap());
    let limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>";
    assert_eq!(request, BIDI.replace("/>", &format!(">{limits}</bidi>")));
    assert_eq!(auth, crate::wire::auth(crate::dialled::AUTHZID));
    host.say(SUCCESS).await;
    host.hear("xml:lang='en'>").await;
    host.say(answer("b.example", "a.example", "3") + NO_FEATURES).await;
    host.hear("</message>").await;
    host.say("<message from='romeo@b.example' to='juliet@a.example' id='back'/>").await;
    assert_eq!(here.a.routed().await.1, Origin::Remote(domain("b.example")));
    host.say("<message from='c.example' to='a.example'/>").await;
    assert_eq!(stream_error(&host.hear(END).await), "invalid-from");
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 74, RFC 6120 section 4.5: where they were not asked for there is one direction.
#[tokio::test]
async fn a_host_that_was_not_asked_for_both_directions_may_send_nothing() {
    let here = Dialled::new().await;
    let mut host = here.established().await;
    host.say("<message from='b.example' to='a.example'/>").await;
    assert_eq!(stream_error(&host.hear(END).await), "not-authorized");
    assert!(here.a.has_routed_nothing().await);
}

/// A peer whose stanzas are acknowledged.
async fn acknowledged(here: &Listening) -> Wire {
    let mut peer = here.authenticated().await;
    peer.say(header("b.example", "a.example")).await;
    assert!(peer.hear(FEATURES_END).await.contains("<sm xmlns='urn:xmpp:sm:3'/>"));
    peer.say("<enable xmlns='urn:xmpp:sm:3'/>").await;
    assert!(peer.hear("/>").await.starts_with("<enabled xmlns='urn:xmpp:sm:3'"));
    peer
}

/// Rule 75, XEP-0198 section 4.
#[tokio::test]
async fn a_request_is_answered_with_the_number_of_stanzas_that_were_handled() {
    let here = Listening::with(|config| config.stream_management = true).await;
    let mut peer = acknowledged(&here).await;
    let stanza = "<message from='b.example' to='a.example'/>";
    for (sent, count) in [(0, 0), (3, 3), (2, 5)] {
        peer.say(stanza.repeat(sent) + "<r xmlns='urn:xmpp:sm:3'/>").await;
        assert_eq!(peer.hear("/>").await, format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>"));
    }
}

/// Rule 75, XEP-0198 section 4.
#[tokio::test]
async fn an_acknowledgement_of_more_than_was_sent_is_an_undefined_condition_with_its_count() {
    let here = Listening::with(|config| config.stream_management = true).await;
    let mut peer = acknowledged(&here).await;
    peer.say("<a xmlns='urn:xmpp:sm:3' h='7'/>").await;
    let said = peer.hear(END).await;
    assert_eq!(stream_error(&said), "undefined-condition");
    assert!(said.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='7' send-count='0'/>"), "{said}");
}

/// Rule 75: what was not offered is no extension.
#[tokio::test]
async fn acknowledgements_that_were_not_offered_are_unsupported() {
    let here = Listening::new().await;
    let said = here.established_answer_to("<enable xmlns='urn:xmpp:sm:3'/>").await;
    assert_eq!(stream_error(&said), "unsupported-stanza-type");
}

/// Rule 75, XEP-0198 section 3: the other role.
#[tokio::test]
async fn acknowledgements_are_enabled_where_they_are_offered_and_asked_for() {
    let here = Dialled::with(|config| config.stream_management = true).await;
    let mut host = here.authenticated().await;
    host.say("<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>").await;
    assert!(host.hear("/>").await.starts_with("<enable xmlns='urn:xmpp:sm:3'"));
    host.say("<enabled xmlns='urn:xmpp:sm:3'/>").await;
    assert!(host.hear("<r xmlns='urn:xmpp:sm:3'/>").await.contains(" id='first'"));
    host.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    here.a.send(message("a.example", "b.example", "second"));
    assert!(host.hear("</message>").await.contains(" id='second'"));
}

/// Rule 75, XEP-0198 section 5: what is sent before the peer asks for acknowledgements is acknowledged by nobody.
#[tokio::test]
async fn a_peer_that_could_not_resume_is_sent_nothing_before_it_asks_for_acknowledgements() {
    let here = Listening::with(|config| (config.bidi, config.stream_management) = (true, true)).await;
    let mut peer = here.established_with(BIDI).await;
    peer.say("<resume xmlns='urn:xmpp:sm:3' previd='forgotten' h='0'/>").await;
    peer.hear("</failed>").await;
    // DNS does not know b.example: by its own stream or not at all.
    here.a.send(message("a.example", "b.example", "early"));
    assert_eq!(here.a.undelivered().await.error.condition, Condition::RemoteServerNotFound);
    peer.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
    assert!(peer.hear("/>").await.starts_with("<enabled "));
    here.a.send(message("a.example", "b.example", "late"));
    let heard = peer.hear("</message>").await;
    assert!(heard.starts_with("<message ") && heard.contains(" id='late'"), "{heard}");
}

/// XEP-0198, section 5: who goes on with a session, is lost in the same moment and goes on with it again has lost nothing.
#[tokio::test]
async fn a_peer_that_is_lost_again_as_soon_as_it_has_returned_is_awaited_anew() {
    let here = Listening::with(|config| (config.bidi, config.stream_management) = (true, true)).await;
    let mut peer = here.established_with(BIDI).await;
    peer.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
    let enabled = peer.hear("/>").await;
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{}' h='0'/>", values(&enabled, "id")[0]);
    here.a.send(message("a.example", "b.example", "1"));
    peer.hear("</message>").await;
    drop(peer);
    here.a.link_until("b.example", |link| link.incoming_streams == 0).await;
    let mut peer = here.established_with(BIDI).await;
    // Both have arrived by the time that anybody looks.
    peer.say(&resume).await;
    drop(peer);
    here.a.link_until("b.example", |link| link.resumed == 1 && link.incoming_streams == 0).await;
    let mut peer = here.established_with(BIDI).await;
    peer.say(&resume).await;
    assert!(peer.hear("/>").await.starts_with("<resumed "));
    assert!(peer.hear("</message>").await.contains(" id='1'"));
    // DNS does not know b.example: had it been dialled, this would have come back.
    assert!(here.a.has_given_nothing_back().await);
    assert_eq!(here.a.link("b.example").unwrap().dials, 0);
}

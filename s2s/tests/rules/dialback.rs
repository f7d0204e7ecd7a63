//! Server dialback (XEP-0220), and several domains of a peer on one stream (XEP-0344), against peers that write their own
//! bytes.

use std::time::Duration;

use convoke_dev::{CertificateAuthority, Issued, Subject};
use convoke_s2s::FederationConfig;
use convoke_xmpp::{Condition, Origin};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::listening::{AUTHZID, Listening};
use crate::wire::{
    END, FEATURES_END, PROCEED, SASL_FEATURES, STARTTLS, SUCCESS, TLS_FEATURES, Wire, answer, auth, header,
    sasl_failure, server, stream_error, values,
};
use crate::world::{SOON, domain, message};

const DB: &str = "xmlns:db='jabber:server:dialback'";
const OFFER: &str = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";

fn names_b(config: &mut FederationConfig) {
    config.dialback = vec!["b.example".parse().unwrap()];
}

/// `a.example`, which leaves `b.example` to dialback, and the listener of that which DNS names.
async fn listening() -> (Listening, TcpListener) {
    listening_with(names_b).await
}

async fn listening_with(change: impl FnOnce(&mut FederationConfig)) -> (Listening, TcpListener) {
    let here = Listening::with(change).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    here.world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
    (here, listener)
}

/// A peer without a certificate that calls itself `b.example`, after the features; and the identifier of its stream.
async fn claiming(here: &Listening) -> (Wire, String) {
    let mut peer = here.secured_with(None).await;
    peer.say(header("b.example", "a.example")).await;
    let said = peer.hear(FEATURES_END).await;
    assert!(said.contains(DB) && said.contains(OFFER) && !said.contains("EXTERNAL"), "{said}");
    let id = values(&said, "id")[0].to_owned();
    (peer, id)
}

fn result(from: &str, to: &str, key: &str) -> String {
    format!("<db:result {DB} from='{from}' to='{to}'>{key}</db:result>")
}

fn unknown(name: &str) -> Issued {
    CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(name)).unwrap()
}

/// A server that DNS names for `b.example` and whose certificate proves nothing, after it has offered dialback and
/// nothing else; its stream has the identifier `2`.
async fn dialled(here: &Listening, listener: &TcpListener) -> Wire {
    dialled_with(here, listener, &format!("<stream:features>{OFFER}</stream:features>")).await
}

/// The same with these features.
async fn dialled_with(here: &Listening, listener: &TcpListener, features: &str) -> Wire {
    let (socket, _) = timeout(SOON, listener.accept()).await.expect("nobody dials").unwrap();
    let mut host = Wire::accepted(socket);
    host.hear("xml:lang='en'>").await;
    host.say(answer("b.example", "a.example", "1") + TLS_FEATURES).await;
    assert_eq!(host.hear(STARTTLS).await, STARTTLS);
    host.say(PROCEED).await;
    let mut host = host.secured_as_server(server(&here.world.authority, &unknown("b.example"))).await;
    host.hear("xml:lang='en'>").await;
    host.say(answer("b.example", "a.example", "2") + features).await;
    host
}

fn verdict(id: &str, rest: &str) -> String {
    format!("<db:verify {DB} from='b.example' to='a.example' id='{id}' {rest}")
}

/// XEP-0220, section 2.2.1: the server that DNS names is asked, and its yes is the peer's.
#[tokio::test]
async fn a_claim_is_verified_by_the_server_that_dns_names() {
    let (here, listener) = listening().await;
    let (mut peer, id) = claiming(&here).await;
    peer.say(result("b.example", "a.example", "k3y")).await;
    let mut host = dialled(&here, &listener).await;
    let asked = host.hear("</db:verify>").await;
    let question = format!("<db:verify {DB} from='a.example' to='b.example' id='{id}'>k3y</db:verify>");
    assert_eq!(asked, question);
    host.say(verdict(&id, "type='valid'/>")).await;
    assert!(peer.hear("</db:result>").await.contains(" from='a.example' to='b.example' type='valid'"));
    // The stream was for the question alone.
    assert_eq!(host.hear(END).await, END);
    peer.say("<message from='b.example' to='a.example' id='first'/>").await;
    let (stanza, origin) = here.a.routed().await;
    assert_eq!((stanza.id(), origin), (Some("first"), Origin::Remote(domain("b.example"))));
    peer.say("<message from='c.example' to='a.example'/>").await;
    assert_eq!(stream_error(&peer.hear(END).await), "invalid-from");
}

/// XEP-0220, sections 2.2.1, 2.5 and 3.1: anything but a yes to the question itself is a no, and ends the stream.
#[tokio::test]
async fn a_claim_that_is_not_confirmed_is_refused_whatever_was_said_instead() {
    let error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (said, refused) in [
        (verdict("ID", "type='invalid'/>"), "type='invalid'"),
        (verdict("ID", &format!("type='error'>{error}</db:verify>")), "<remote-server-not-found "),
        (verdict("another", "type='valid'/>"), "<remote-server-timeout "),
        (verdict("ID", "type='valid'/>").replace("b.example", "c.example"), "<remote-server-timeout "),
        (format!("<db:result {DB} from='b.example' to='a.example' type='valid'/>"), "<remote-server-timeout "),
        (verdict("ID", "type='perhaps'/>"), "<remote-server-timeout "),
        (END.to_owned(), "<remote-server-timeout "),
    ] {
        let (here, listener) = listening().await;
        let (mut peer, id) = claiming(&here).await;
        peer.say(result("b.example", "a.example", "f0rged")).await;
        // Too early, and never to be routed.
        peer.say("<message from='b.example' to='a.example'/>").await;
        let mut host = dialled(&here, &listener).await;
        host.hear("</db:verify>").await;
        host.say(said.replace("ID", &id)).await;
        let answer = peer.hear(END).await;
        assert!(answer.starts_with("<db:result ") && answer.contains(refused), "{said}: {answer}");
        assert!(!answer.contains("type='valid'"), "{said}: {answer}");
        assert!(here.a.has_routed_nothing().await, "{said}");
    }
}

/// XEP-0220, section 2.1.1: not for ever.
#[tokio::test]
async fn a_claim_about_which_nobody_says_anything_is_refused_in_time() {
    let (here, listener) = listening_with(|config| {
        names_b(config);
        config.timeouts.answer = Duration::from_millis(500);
    })
    .await;
    let (mut peer, _) = claiming(&here).await;
    peer.say(result("b.example", "a.example", "k3y")).await;
    let (_silent, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert!(peer.hear(END).await.contains("<remote-server-timeout "));
}

/// XEP-0220, section 2.2.1: a claim is for the domains of the stream; another one changes nothing.
#[tokio::test]
async fn a_claim_to_another_pair_than_that_of_the_stream_is_an_error_and_the_stream_goes_on() {
    let (here, _listener) = listening().await;
    let (mut peer, _) = claiming(&here).await;
    let asked = here.world.dns.queries();
    for (from, to, condition) in
        [("c.example", "a.example", "<not-authorized "), ("b.example", "c.example", "<item-not-found ")]
    {
        peer.say(result(from, to, "k3y")).await;
        let answer = peer.hear("</db:result>").await;
        assert!(answer.contains(condition) && answer.contains(&format!(" from='{to}' to='{from}' ")), "{answer}");
    }
    // What was not asked for is nothing (section 3.1), and a stanza is too early.
    peer.say(format!("<db:result {DB} from='b.example' to='a.example' type='valid'/>")).await;
    peer.say("<message from='b.example' to='a.example'/>").await;
    assert_eq!(stream_error(&peer.hear(END).await), "not-authorized");
    assert_eq!(here.world.dns.queries(), asked);
    assert!(here.a.has_routed_nothing().await);
}

/// A stranger has us look up and dial nobody: neither by a bad certificate nor by a key.
#[tokio::test]
async fn the_claim_of_a_stranger_causes_no_look_up_and_no_dial() {
    let (here, listener) = listening_with(|config| config.dialback = vec!["c.example".parse().unwrap()]).await;
    let asked = here.world.dns.queries();
    for shown in [None, Some(&unknown("b.example"))] {
        let mut peer = here.secured_with(shown).await;
        peer.say(header("b.example", "a.example") + &result("b.example", "a.example", "k3y")).await;
        let said = peer.hear(END).await;
        assert_eq!(stream_error(&said), "policy-violation");
        assert!(!said.contains("dialback"), "{said}");
    }
    assert_eq!(here.world.dns.queries(), asked);
    let nobody = tokio::select! {
        biased;
        _ = listener.accept() => false,
        () = std::future::ready(()) => true,
    };
    assert!(nobody);
}

/// XEP-0220, section 2.1.1, and 2.2.2 for the key that was sent; XEP-0185.
#[tokio::test]
async fn our_key_is_vouched_for_and_no_other() {
    let (here, listener) = listening().await;
    here.a.send(message("juliet@a.example", "romeo@b.example", "first"));
    let mut host = dialled(&here, &listener).await;
    let request = host.hear("</db:result>").await;
    let key = request.split(['<', '>']).nth(2).unwrap();
    assert_eq!((key.len(), request.as_str()), (64, result("a.example", "b.example", key).as_str()));
    let (mut peer, _) = claiming(&here).await;
    let error = "type='error'";
    for (id, to, key, expected) in [
        ("2", "a.example", key, "type='valid'"),
        ("1", "a.example", key, "type='invalid'"),
        ("2", "a.example", &key[1..], "type='invalid'"),
        ("2", "a.example", "", "type='invalid'"),
        ("2", "c.example", key, error),
    ] {
        peer.say(format!("<db:verify {DB} from='b.example' to='{to}' id='{id}'>{key}</db:verify>")).await;
        let answer = peer.hear("</db:verify>").await;
        assert!(answer.contains(&format!(" from='{to}' to='b.example' id='{id}' {expected}")), "{answer}");
    }
    host.say(format!("<db:result {DB} from='b.example' to='a.example' type='valid'/>")).await;
    assert!(host.hear("</message>").await.contains(" id='first'"));
}

/// XEP-0178, section 3, and XEP-0344: who offers EXTERNAL may refuse it all the same.
#[tokio::test]
async fn dialback_follows_a_failure_of_external_on_the_same_stream() {
    let (here, listener) = listening().await;
    here.a.send(message("juliet@a.example", "romeo@b.example", "first"));
    let mut host =
        dialled_with(&here, &listener, &SASL_FEATURES.replace(FEATURES_END, &(OFFER.to_owned() + FEATURES_END))).await;
    host.hear("</auth>").await;
    host.say(sasl_failure("not-authorized")).await;
    host.hear("</db:result>").await;
    host.say(format!("<db:result {DB} from='b.example' to='a.example' type='valid'/>")).await;
    assert!(host.hear("</message>").await.contains(" id='first'"));
}

/// XEP-0220, sections 2.1.1 and 3.1.
#[tokio::test]
async fn what_waits_for_a_peer_that_does_not_say_valid_comes_back() {
    let error = "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let said = |rest: &str| format!("<db:result {DB} from='b.example' to='a.example' {rest}");
    for (said, condition, code) in [
        (said("type='invalid'/>"), Condition::InternalServerError, "dialback-refused"),
        (said(&format!("type='error'>{error}</db:result>")), Condition::RemoteServerTimeout, "dialback-failed"),
        (said("type='valid'/>").replace("a.example", "c.example"), Condition::RemoteServerTimeout, "peer-out-of-turn"),
        (verdict("2", "type='valid'/>"), Condition::RemoteServerTimeout, "peer-out-of-turn"),
        (END.to_owned(), Condition::RemoteServerTimeout, "stream-closed"),
    ] {
        let (here, listener) = listening().await;
        here.a.send(message("juliet@a.example", "romeo@b.example", "first"));
        let mut host = dialled(&here, &listener).await;
        host.hear("</db:result>").await;
        host.say(&said).await;
        let undelivered = here.a.undelivered().await;
        assert_eq!(undelivered.error.condition, condition, "{said}");
        let application = undelivered.error.application.unwrap();
        assert_eq!(application.name(), code, "{said}");
        assert!(!host.rest().await.contains("<message"), "{said}");
    }
}

/// A peer that is established by its certificate, which names two domains, where streams may be shared.
async fn sharing(change: impl FnOnce(&mut FederationConfig)) -> (Listening, Wire, String) {
    let here = Listening::with(|config| {
        config.multiplexing = true;
        change(config);
    })
    .await;
    let names = ["b.example", "pubsub.b.example"];
    let shown = here.world.authority.issue(&Subject::domain("b.example").dns_names(names)).unwrap();
    let mut peer = here.secured_with(Some(&shown)).await;
    peer.say(header("b.example", "a.example")).await;
    peer.hear(FEATURES_END).await;
    peer.say(auth(AUTHZID)).await;
    assert_eq!(peer.hear(SUCCESS).await, SUCCESS);
    peer.say(header("b.example", "a.example")).await;
    let features = peer.hear(FEATURES_END).await;
    (here, peer, features)
}

/// XEP-0344, section 2.4: by the certificate, without a look-up, and for exactly the pairs that were asked for.
#[tokio::test]
async fn a_further_domain_that_the_certificate_names_may_send_once_it_was_asked_for() {
    let (here, mut peer, features) = sharing(|_| {}).await;
    assert!(features.contains(OFFER), "{features}");
    let asked = here.world.dns.queries();
    for (from, to, expected) in [
        ("pubsub.b.example", "a.example", "type='valid'"),
        ("c.example", "a.example", "<not-authorized "),
        ("x.pubsub.b.example", "a.example", "<not-authorized "),
        ("pubsub.b.example", "c.example", "<item-not-found "),
        ("pubsub.b.example", "a.example", "type='valid'"),
    ] {
        peer.say(result(from, to, "-")).await;
        let answer = peer.hear("</db:result>").await;
        assert!(answer.contains(&format!(" from='{to}' to='{from}' ")) && answer.contains(expected), "{answer}");
    }
    assert_eq!(here.world.dns.queries(), asked);
    for from in ["pubsub.b.example", "b.example"] {
        peer.say(format!("<message from='{from}' to='a.example' id='{from}'/>")).await;
        let (stanza, origin) = here.a.routed().await;
        assert_eq!((stanza.id(), origin), (Some(from), Origin::Remote(domain(from))));
    }
    peer.say("<message from='x.pubsub.b.example' to='a.example'/>").await;
    assert_eq!(stream_error(&peer.hear(END).await), "invalid-from");
}

#[tokio::test]
async fn a_further_domain_that_was_not_asked_for_may_not_send_though_the_certificate_names_it() {
    let (here, mut peer, _) = sharing(|_| {}).await;
    peer.say("<message from='pubsub.b.example' to='a.example'/>").await;
    assert_eq!(stream_error(&peer.hear(END).await), "invalid-from");
    assert!(here.a.has_routed_nothing().await);
}

#[tokio::test]
async fn a_further_domain_that_policy_blocks_is_not_taken() {
    let (_here, mut peer, _) = sharing(|config| config.policy.block = vec!["pubsub.b.example".parse().unwrap()]).await;
    peer.say(result("pubsub.b.example", "a.example", "-")).await;
    assert!(peer.hear("</db:result>").await.contains("<policy-violation "));
}

/// Rule 63: where it is not offered, dialback is no more than any other element.
#[tokio::test]
async fn dialback_that_was_not_offered_is_unsupported() {
    let here = Listening::new().await;
    let said = here.established_answer_to(result("pubsub.b.example", "a.example", "-")).await;
    assert_eq!(stream_error(&said), "unsupported-stanza-type");
}

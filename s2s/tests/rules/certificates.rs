//! Rules 54 to 59: whose certificate it is. The whole table stands with the identity engine; here is what the wire shows.

use std::time::{Duration, SystemTime};

use convoke_dev::{CertificateAuthority, Eku, Issued, Subject};
use convoke_xmpp::Condition;

use crate::dialled::Dialled;
use crate::listening::{AUTHZID, Listening};
use crate::wire::{END, FEATURES_END, PROCEED, SUCCESS, auth, header, server, stream_error};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a peer that shows this certificate is offered EXTERNAL as `from`; otherwise what it is told.
async fn offered(here: &Listening, shown: &Issued, from: &str) -> Result<(), String> {
    let mut peer = here.secured_with(Some(shown)).await;
    peer.say(header(from, "a.example")).await;
    let said = peer.hear(">").await + &peer.hear(">").await + &peer.hear(">").await;
    if said.ends_with("<stream:features>") {
        assert!(peer.hear(FEATURES_END).await.contains("EXTERNAL"));
        return Ok(());
    }
    let said = said + &peer.rest().await;
    assert_eq!(stream_error(&said), "policy-violation", "{said}");
    Err(said)
}

async fn accepts(here: &Listening, subject: Subject, from: &str) {
    let shown = here.world.authority.issue(&subject).unwrap();
    assert_eq!(offered(here, &shown, from).await, Ok(()), "{subject:?}");
}

async fn refuses(here: &Listening, subject: Subject, from: &str, cause: &str) {
    let shown = here.world.authority.issue(&subject).unwrap();
    let said = offered(here, &shown, from).await.expect_err(&format!("{subject:?}"));
    assert!(said.contains(cause), "{cause}: {said}");
}

fn bare() -> Subject {
    Subject::domain("b.example").dns_names([""; 0]).srv_name(false)
}

/// Rule 54, RFC 6120 section 13.7.1.2.1.
#[tokio::test]
async fn a_domain_is_named_by_dns_name_srv_name_or_xmpp_addr_alone() {
    let here = Listening::new().await;
    accepts(&here, bare().dns_names(["b.example"]), "b.example").await;
    accepts(&here, bare().srv_name(true), "b.example").await;
    accepts(&here, bare().xmpp_addr(true), "b.example").await;
    refuses(&here, bare().srv_name(true).xmpp_addr(true), "c.example", "c.example").await;
}

/// Rule 55, RFC 6125 section 6.4.3, and RFC 9525: the subject of these certificates has `b.example` as its common name.
#[tokio::test]
async fn a_wildcard_stands_for_one_whole_first_label_and_a_common_name_for_nothing() {
    let here = Listening::new().await;
    accepts(&here, bare().dns_names(["*.b.example"]), "x.b.example").await;
    refuses(&here, bare().dns_names(["*.b.example"]), "b.example", "b.example").await;
    refuses(&here, bare().dns_names(["*.b.example"]), "x.y.b.example", "x.y.b.example").await;
    refuses(&here, bare().dns_names(["f*.b.example"]), "foo.b.example", "foo.b.example").await;
    refuses(&here, bare().dns_names(["c.example"]), "b.example", "does not name b.example").await;
}

/// Rule 56, RFC 6120 section 13.7.2.
#[tokio::test]
async fn a_certificate_that_is_not_valid_makes_no_session() {
    let here = Listening::new().await;
    let (subject, now) = (|| Subject::domain("b.example"), SystemTime::now());
    refuses(&here, subject().validity(now - 2 * DAY, now - DAY), "b.example", "expired").await;
    refuses(&here, subject().validity(now + DAY, now + 2 * DAY), "b.example", "not valid yet").await;
    refuses(&here, subject().is_ca(true), "b.example", "authority").await;
    let stranger = CertificateAuthority::new("Unknown CA").unwrap().issue(&subject()).unwrap();
    assert!(offered(&here, &stranger, "b.example").await.unwrap_err().contains("not trusted"));
}

/// Rule 57, RFC 6120 section 13.7.2.1: the initiating entity judges by the domain, never by the name of the SRV target.
#[tokio::test]
async fn a_host_is_judged_by_the_domain_and_not_by_the_target_that_dns_named() {
    let here = Dialled::new().await;
    // The target of the record is of this name.
    let target = here.world.authority.issue(&Subject::domain("xmpp0.b.example")).unwrap();
    let mut host = here.asked_for_tls().await;
    host.say(PROCEED).await;
    let mut host = host.secured_as_server(server(&here.world.authority, &target)).await;
    let said = host.rest().await;
    assert_eq!(stream_error(&said), "policy-violation");
    assert!(said.contains("does not name b.example"), "{said}");
    assert_eq!(here.given_back().await.error.condition, Condition::RemoteServerTimeout);
}

/// Rule 57: the receiving entity judges by `from`.
#[tokio::test]
async fn a_peer_is_judged_by_the_name_that_it_gives_itself_within_tls() {
    let here = Listening::new().await;
    let shown =
        here.world.authority.issue(&Subject::domain("b.example").dns_names(["b.example", "c.example"])).unwrap();
    for (from, proved) in [("b.example", true), ("c.example", true), ("d.example", false)] {
        assert_eq!(offered(&here, &shown, from).await.is_ok(), proved, "{from}");
    }
}

/// Rule 58, RFC 6120 section 13.7.2.3: the peer can come back with another certificate.
#[tokio::test]
async fn a_stream_is_reset_when_the_certificate_of_the_peer_expires() {
    // More time where the machine is too slow to establish a stream in less.
    for seconds in [4, 12, 36] {
        let mut here = Listening::new().await;
        let now = SystemTime::now();
        let subject = Subject::domain("b.example").validity(now - DAY, now + Duration::from_secs(seconds));
        here.shown = here.world.authority.issue(&subject).unwrap();
        let mut peer = here.secured().await;
        peer.say(header("b.example", "a.example") + &auth(AUTHZID)).await;
        let said = peer.hear(">").await + &peer.hear(">").await + &peer.hear(">").await;
        if !said.ends_with("<stream:features>") {
            continue;
        }
        peer.hear(SUCCESS).await;
        peer.say(header("b.example", "a.example")).await;
        peer.hear(FEATURES_END).await;
        peer.say("<message from='b.example' to='a.example' id='1'/>").await;
        assert_eq!(here.a.routed().await.0.id(), Some("1"));
        assert_eq!(stream_error(&peer.hear(END).await), "reset");
        assert!(SystemTime::now() >= now + Duration::from_secs(seconds - 1));
        return;
    }
    panic!("no stream was established within 36 seconds");
}

/// Rule 59: both roles are played by servers, and public authorities issue for nothing else any more.
#[tokio::test]
async fn a_certificate_for_servers_is_good_in_both_directions_and_one_for_clients_alone_in_none() {
    let here = Listening::new().await;
    let subject = |usage| Subject::domain("b.example").extended_key_usage(usage);
    for usage in [Eku::ServerOnly, Eku::Both, Eku::None] {
        accepts(&here, subject(usage), "b.example").await;
    }
    refuses(&here, subject(Eku::ClientOnly), "b.example", "serverAuth").await;
    for (usage, good) in [(Eku::ServerOnly, true), (Eku::Both, true), (Eku::None, true), (Eku::ClientOnly, false)] {
        let there = Dialled::new().await;
        let shown = there.world.authority.issue(&subject(usage)).unwrap();
        let mut host = there.asked_for_tls().await;
        host.say(PROCEED).await;
        let mut host = host.secured_as_server(server(&there.world.authority, &shown)).await;
        let said = host.hear("xml:lang='en'>").await;
        assert_eq!(said, header("a.example", "b.example"));
        host.say("<").await;
        host.shut().await;
        assert_eq!(host.rest().await.contains("<policy-violation"), !good, "{usage:?}");
    }
}

//! What a domain vouches for is replaced while streams live: who is not proved any more is cut off, and nobody else.

use std::time::SystemTime;

use convoke_net::End;
use convoke_s2s::dialer::Verdict;
use convoke_s2s::identity::{Evidence, NameKind, PoshDocument, TlsaRecord};
use convoke_s2s::{FederationConfig, InitiatingConfig, LinkState};
use convoke_xmpp::Condition;
use convoke_xmpp::session::SessionEnd;
use convoke_xmpp::stream::StreamCondition;
use tokio::net::TcpStream;

use crate::forge::{Authority, DAY, Shown, self_signed, usual};
use crate::peer::Peer;
use crate::world::{Node, World, domain, message};

fn by_dane(shown: &Shown) -> Evidence {
    let tlsa = vec![TlsaRecord::new(3, 0, 0, &shown.chain[0]).unwrap()];
    Evidence { tlsa, ..Evidence::none(SystemTime::now() + DAY) }
}

fn by_posh(shown: &Shown) -> Evidence {
    let json = format!(r#"{{"fingerprints": [{{"sha-256": "{}"}}], "expires": 60}}"#, shown.fingerprint());
    let PoshDocument::Fingerprints { fingerprints, .. } = PoshDocument::parse(json.as_bytes()).unwrap() else {
        panic!()
    };
    Evidence { posh: fingerprints, ..Evidence::none(SystemTime::now() + DAY) }
}

fn show(shown: &Shown) -> impl FnOnce(&mut FederationConfig) {
    let credentials = shown.credentials();
    move |config| config.domains[0].credentials = credentials
}

/// Sends one stanza each way, so that there are streams.
async fn acquaint(one: &Node, other: &Node, id: &str) {
    for (from, to) in [(one, other), (other, one)] {
        from.send(message(from.name.as_str(), to.name.as_str(), id));
        assert_eq!(to.routed().await.0.id(), Some(id));
    }
}

fn vouch(at: &Node, evidence: Option<Evidence>) {
    at.federation.replace_evidence(&domain("b.example"), evidence);
}

#[tokio::test]
async fn evidence_that_speaks_of_other_certificates_or_of_none_ends_the_streams_of_its_domain_alone() {
    let (shown, other) = (self_signed(&usual(|_| {})), self_signed(&usual(|_| {})));
    for (title, before, after) in [
        ("another TLSA record", by_dane(&shown), Some(by_dane(&other))),
        ("no TLSA record", by_dane(&shown), None),
        ("another POSH document", by_posh(&shown), Some(by_posh(&other))),
        ("no POSH document", by_posh(&shown), Some(Evidence::none(SystemTime::now() + DAY))),
        ("a TLSA record beside the POSH document", by_posh(&shown), Some(by_posh(&shown).and(by_dane(&other)))),
    ] {
        let world = World::new().await;
        let a = world.node("a.example").await;
        vouch(&a, Some(before.clone()));
        let (b, c) = (world.node_as("b.example", show(&shown)).await, world.node("c.example").await);
        acquaint(&a, &b, "before").await;
        acquaint(&a, &c, "before").await;
        let untouched = a.link("c.example").unwrap();
        vouch(&a, Some(Evidence { until: SystemTime::now() + 2 * DAY, ..before }));
        acquaint(&a, &b, "confirmed").await;
        assert_eq!(a.link("b.example").unwrap().dials, 1, "{title}");

        vouch(&a, after);
        a.link_until("b.example", |link| link.state != LinkState::Open && link.incoming_streams == 0).await;
        for (from, to) in [(&a, "b.example"), (&b, "a.example")] {
            from.send(message(from.name.as_str(), to, "late"));
            assert_eq!(from.undelivered().await.error.condition, Condition::RemoteServerTimeout, "{title}");
        }
        assert!(a.has_routed_nothing().await && b.has_routed_nothing().await, "{title}");
        acquaint(&a, &c, "after").await;
        let link = a.link("c.example").unwrap();
        assert_eq!((link.dials, link.incoming_streams), (untouched.dials, untouched.incoming_streams), "{title}");
    }
}

/// RFC 7673, section 4.2: where there are TLSA records nothing else counts, from when they are there.
#[tokio::test]
async fn a_first_tlsa_record_of_another_key_ends_streams_that_the_chain_has_proved() {
    let world = World::new().await;
    let (a, b) = (world.node("a.example").await, world.node("b.example").await);
    acquaint(&a, &b, "before").await;
    vouch(&a, Some(by_dane(&self_signed(&usual(|_| {})))));
    a.link_until("b.example", |link| link.state != LinkState::Open && link.incoming_streams == 0).await;
}

/// Nothing is lost, doubled or reordered by that.
#[tokio::test]
async fn a_stream_whose_peer_is_proved_by_something_else_now_is_replaced_without_a_break() {
    let (world, authority) = (World::new().await, Authority::root("Root of b"));
    let shown = authority.issue_usual();
    let trust = authority.group(&["b.example"]);
    let change = |config: &mut FederationConfig| config.trust = config.trust.clone().with_group(trust);
    let (a, b) = (world.node_as("a.example", change).await, world.node_as("b.example", show(&shown)).await);
    vouch(&a, Some(by_dane(&shown)));
    acquaint(&a, &b, "before").await;
    for number in 0..400 {
        if number == 200 {
            vouch(&a, None);
        }
        a.send(message("a.example", "b.example", &number.to_string()));
        tokio::task::yield_now().await;
    }
    for number in 0..400 {
        assert_eq!(b.routed().await.0.id(), Some(number.to_string().as_str()));
    }
    let link = a.link_until("b.example", |link| link.dials == 2 && link.state == LinkState::Open).await;
    assert_eq!((link.failures, link.not_resumed), (0, 0));
    acquaint(&a, &b, "after").await;
    let report = link.last_report.unwrap();
    let tls = report.attempts.last().unwrap().tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Verdict::Proved(NameKind::Dns), "{report:?}");
    assert!(a.has_given_nothing_back().await && b.has_given_nothing_back().await);
}

/// RFC 6120, section 4.9.3.12.
#[tokio::test]
async fn who_is_not_vouched_for_any_more_is_told_so_by_a_stream_error_with_the_reason() {
    let world = World::new().await;
    let a = world.node("a.example").await;
    let socket = TcpStream::connect(a.address).await.unwrap();
    let config = InitiatingConfig::new(domain("b.example"), domain("a.example"));
    let peer = Peer::new(world.intruder_on("b.example", socket, config).await.connection);
    peer.send(message("b.example", "a.example", "first"));
    assert_eq!(a.routed().await.0.id(), Some("first"));
    vouch(&a, Some(by_dane(&self_signed(&usual(|_| {})))));
    let (end, more) = peer.end().await;
    let End::Stream(SessionEnd::PeerError(error)) = end else { panic!("{end:?}") };
    assert_eq!((error.condition, more), (StreamCondition::NotAuthorized, Vec::new()));
    assert!(error.text.as_ref().unwrap().contains("TLSA"), "{error:?}");
}

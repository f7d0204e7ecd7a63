//! Each peer and each way to begin TLS: requests, presence and messages pass in both directions.
//!
//! What is found by one service alone listens for that way alone, so what arrives has come by it.

use convoke::s2s::DialReport;
use convoke::s2s::dialer::Verdict;
use convoke::xmpp::payload::ping;
use convoke::xmpp::{Kind, PresenceType};
use convoke_dev::peers::{Service, Software};

use super::neighbours::{JULIET, Neighbours, THEIRS, jid, message, next, next_of};
use crate::support::DEADLINE;
use crate::support::client::attribute;

const COMPONENT: &str = "component@volunteers.lan";

super::tests_of! { starttls_with_prosody: (Software::Prosody, Service::StartTls), everything_passes_in_both_directions }
super::tests_of! { starttls_with_ejabberd: (Software::Ejabberd, Service::StartTls), everything_passes_in_both_directions }
super::tests_of! { direct_tls_with_prosody: (Software::Prosody, Service::DirectTls), everything_passes_in_both_directions }
super::tests_of! { direct_tls_with_ejabberd: (Software::Ejabberd, Service::DirectTls), everything_passes_in_both_directions }

async fn everything_passes_in_both_directions(software: Software, service: Service) {
    let neighbours = Neighbours::by(software, service).await;
    let mut component = neighbours.ours.component("component").unwrap();
    // Requests: each makes a stream for itself, and its answer one for the other direction.
    assert_eq!(component.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap(), None);
    let mut juliet = neighbours.acquainted_juliet().await;
    // Presence: a subscription each way is asked for and granted, and the resource is seen.
    juliet.appear().await;
    component.presence(PresenceType::Subscribe, &jid(JULIET));
    juliet.wait_for_presence(COMPONENT, Some("subscribe")).await;
    juliet.send(&format!("<presence type='subscribed' to='{COMPONENT}'/>")).await;
    while next(&mut component).await.kind() != Kind::Presence(PresenceType::Available) {}
    juliet.send(&format!("<presence type='subscribe' to='{COMPONENT}'/>")).await;
    while next(&mut component).await.kind() != Kind::Presence(PresenceType::Subscribe) {}
    component.presence(PresenceType::Subscribed, &jid(JULIET));
    juliet.wait_for_presence(COMPONENT, Some("subscribed")).await;
    // Messages.
    juliet.send(&format!("<message to='{COMPONENT}' id='there'><body>hello</body></message>")).await;
    while next(&mut component).await.id() != Some("there") {}
    component.send(message(juliet.jid(), "back", "hello")).unwrap();
    assert_eq!(attribute(&next_of(&mut juliet).await, "id"), Some("back"));
    let link = neighbours.link();
    assert_eq!((link.dials, link.failures, link.incoming_streams), (1, 0, 1));
    assert_report(&link.last_report.unwrap(), service);
}

/// What our side says of its dial: the way, TLS, and that the certificate proved the domain.
fn assert_report(report: &DialReport, service: Service) {
    let [attempt] = &report.attempts[..] else { panic!("one target was tried: {report:?}") };
    let tls = attempt.tls.as_ref().unwrap();
    assert_eq!((attempt.target.direct_tls, tls.version), (service == Service::DirectTls, "TLSv1.3"));
    assert!(matches!(tls.certificate, Verdict::Proved(_)), "{tls:?}");
    assert!(report.is_established() && attempt.fault.is_none(), "{report:?}");
}

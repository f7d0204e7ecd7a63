//! Peers whose certificates prove nothing, in both directions.

use std::time::{Duration, SystemTime};

use convoke_dev::{CertificateAuthority, Eku, Issued, Subject};
use convoke_xmpp::Condition;

use crate::world::{World, message};

/// `bad.example` shows this certificate: nothing goes to it and nothing comes from it. The cause is told.
async fn refused_both_ways(world: &World, issued: &Issued, cause: &str) {
    let good = world.node("good.example").await;
    let bad = world.node_with("bad.example", issued, |_| {}).await;
    good.send(message("good.example", "bad.example", "1"));
    let undelivered = good.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    let text = undelivered.error.text.unwrap();
    assert!(text.contains(cause), "{text}");
    bad.send(message("bad.example", "good.example", "2"));
    let undelivered = bad.undelivered().await;
    assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout);
    assert_eq!(undelivered.stanza.id(), Some("2"));
    let text = undelivered.error.text.unwrap();
    // The other side has told us: a stream error that can be read, not an alert.
    assert!(text.contains("policy-violation") && text.contains(cause), "{text}");
    assert!(good.has_routed_nothing().await && bad.has_routed_nothing().await);
    assert!(good.has_given_nothing_back().await && bad.has_given_nothing_back().await);
}

#[tokio::test]
async fn refuses_a_certificate_for_another_domain() {
    let world = World::new().await;
    let issued = world.authority.issue(&Subject::domain("other.example")).unwrap();
    refused_both_ways(&world, &issued, "other.example").await;
}

#[tokio::test]
async fn refuses_a_certificate_that_has_expired() {
    let world = World::new().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let subject = Subject::domain("bad.example").validity(now - 2 * day, now - day);
    let issued = world.authority.issue(&subject).unwrap();
    refused_both_ways(&world, &issued, "expired").await;
}

#[tokio::test]
async fn refuses_a_certificate_of_an_authority_that_is_not_trusted() {
    let world = World::new().await;
    let stranger = CertificateAuthority::new("Unknown CA").unwrap();
    let issued = stranger.issue(&Subject::domain("bad.example")).unwrap();
    refused_both_ways(&world, &issued, "not trusted").await;
}

#[tokio::test]
async fn refuses_a_certificate_for_clients_alone() {
    let world = World::new().await;
    let subject = Subject::domain("bad.example").extended_key_usage(Eku::ClientOnly);
    let issued = world.authority.issue(&subject).unwrap();
    refused_both_ways(&world, &issued, "serverAuth").await;
}

#[tokio::test]
async fn accepts_a_certificate_for_servers_alone_in_both_directions() {
    let world = World::new().await;
    let good = world.node("good.example").await;
    let subject = Subject::domain("bare.example").extended_key_usage(Eku::ServerOnly);
    let bare = world.node_with("bare.example", &world.authority.issue(&subject).unwrap(), |_| {}).await;
    good.send(message("good.example", "bare.example", "1"));
    assert_eq!(bare.routed().await.0.id(), Some("1"));
    bare.send(message("bare.example", "good.example", "2"));
    assert_eq!(good.routed().await.0.id(), Some("2"));
}

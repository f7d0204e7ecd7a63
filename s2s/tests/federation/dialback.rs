//! Server dialback (XEP-0220) between two federations whose certificates prove nothing to each other.

use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Subject};
use convoke_s2s::FederationConfig;
use convoke_s2s::dialback::Secret;
use convoke_xmpp::{Condition, Origin};
use tokio::net::TcpListener;

use crate::world::{Node, World, domain, message};

/// A node whose certificate is of an authority that nobody knows.
async fn unknown(world: &World, name: &str, change: impl FnOnce(&mut FederationConfig)) -> Node {
    let issued = CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(name)).unwrap();
    world.node_with(name, &issued, change).await
}

fn names(names: &'static [&'static str], bidi: bool) -> impl FnOnce(&mut FederationConfig) {
    move |config| {
        config.dialback = names.iter().map(|name| name.parse().unwrap()).collect();
        config.bidi = bidi;
    }
}

async fn pass(from: &Node, to: &Node, id: &str) {
    from.send(message(from.name.as_str(), to.name.as_str(), id));
    let (stanza, origin) = to.routed().await;
    assert_eq!((stanza.id(), origin), (Some(id), Origin::Remote(from.name.clone())));
}

/// Both directions, on one stream or on two, each verified by the other's server.
#[tokio::test]
async fn who_proves_nothing_else_is_verified_by_dialback_where_policy_names_it() {
    for bidi in [false, true] {
        let world = World::new().await;
        let a = unknown(&world, "a.example", names(&["b.example"], bidi)).await;
        let b = unknown(&world, "b.example", names(&["*.example", "a.example"], bidi)).await;
        for round in 0..3 {
            pass(&a, &b, &format!("forth {round}")).await;
            pass(&b, &a, &format!("back {round}")).await;
        }
        let (there, back) = (a.link("b.example").unwrap(), b.link("a.example").unwrap());
        assert_eq!((there.dials, back.dials), (1, u64::from(!bidi)));
        assert_eq!((there.failures, back.failures), (0, 0));
    }
}

/// A lost stream is resumed by who has been verified anew.
#[tokio::test]
async fn a_stream_that_was_verified_by_dialback_is_resumed_when_it_is_lost() {
    let world = World::new().await;
    let a = unknown(&world, "a.example", names(&["b.example"], true)).await;
    let b = unknown(&world, "b.example", names(&["a.example"], true)).await;
    for round in 0..3 {
        pass(&a, &b, &round.to_string()).await;
        assert!(a.federation.cut(&domain("a.example"), &domain("b.example")));
    }
    pass(&a, &b, "last").await;
    assert!(a.has_given_nothing_back().await);
    assert!(a.link("b.example").unwrap().resumed > 0);
}

/// Off by default, and for nobody else.
#[tokio::test]
async fn who_is_not_named_by_policy_is_not_verified_by_dialback() {
    for (here, there) in [(&[] as &[&str], &["a.example"] as &[&str]), (&["b.example"], &[])] {
        let world = World::new().await;
        let a = unknown(&world, "a.example", names(here, true)).await;
        let b = unknown(&world, "b.example", names(there, true)).await;
        a.send(message("a.example", "b.example", "1"));
        let undelivered = a.undelivered().await;
        assert_eq!(undelivered.error.condition, Condition::RemoteServerTimeout, "{here:?} {there:?}");
        assert!(b.has_routed_nothing().await);
        assert_eq!(b.link("a.example").map(|link| link.dials), None);
    }
}

/// A certificate that proves the domain is better, and is taken.
#[tokio::test]
async fn who_can_prove_its_domain_does_not_need_dialback() {
    let world = World::new().await;
    let a = world.node_as("a.example", names(&["b.example"], true)).await;
    let b = world.node_as("b.example", names(&["a.example"], true)).await;
    pass(&a, &b, "1").await;
    assert_eq!(b.federation.statistics().iter().map(|link| link.dials).sum::<u64>(), 0);
    let report = a.link("b.example").unwrap().last_report.unwrap();
    assert!(!report.to_string().contains("dialback"), "{report}");
}

/// XEP-0185, section 2.2: the servers of a domain share a secret, and any of them can be asked.
#[tokio::test]
async fn a_key_that_one_process_of_a_domain_has_made_is_confirmed_by_another_that_shares_its_secret() {
    for (secret, is_confirmed) in [("a secret that the servers of b.example share", true), ("another", false)] {
        let world = World::new().await;
        let shares = |secret: &'static str| {
            move |config: &mut FederationConfig| {
                names(&["a.example"], false)(config);
                config.dialback_secret = Some(Arc::new(Secret::new(secret.as_bytes())));
            }
        };
        let asked = unknown(&world, "b.example", shares("a secret that the servers of b.example share")).await;
        let issued = CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain("b.example")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Nobody is led to this one.
        let asking = world.node_on(listener, "b.example", &issued, shares(secret));
        let a = unknown(&world, "a.example", names(&["b.example"], false)).await;
        asking.send(message("b.example", "a.example", "1"));
        if is_confirmed {
            assert_eq!(a.routed().await.0.id(), Some("1"));
        } else {
            let error = asking.undelivered().await.error;
            assert_eq!(error.condition, Condition::InternalServerError, "{error:?}");
        }
        let counted = a.federation.dialback_statistics();
        let expected = (u64::from(is_confirmed), u64::from(!is_confirmed), 0);
        assert_eq!((counted.confirmed, counted.denied, counted.unanswered), expected);
        assert!(asked.has_routed_nothing().await);
    }
}

//! Our own federation keeps every rule.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use convoke_conformance::{Level, Outcome, Verdict};
use convoke_s2s::{Backoff, Federation, FederationConfig, LocalDomain};
use convoke_xmpp::{Condition, Element, IqType, Kind, Origin, Outbound, Router, Stanza, Undelivered, namespace};

use super::world::{SERVER, World, check, domain, told};

/// Answers pings; has no users.
#[derive(Default)]
struct Pong(OnceLock<Federation>);

impl Router for Pong {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        let is_request = matches!(stanza.kind(), Kind::Iq(IqType::Get | IqType::Set));
        if !is_request || stanza.payload_name() != Some(("ping", namespace::PING)) {
            return Err(Undelivered::new(stanza, Condition::ServiceUnavailable));
        }
        let answer = Element::new("iq", namespace::CLIENT)
            .attr("type", "result")
            .attr_opt("id", stanza.id())
            .attr_opt("from", stanza.to().map(|to| to.as_str()))
            .attr_opt("to", stanza.from().map(|from| from.as_str()));
        let answer = Stanza::parse(&answer.to_string().replace(" xmlns='jabber:client'", "")).unwrap();
        self.0.get().unwrap().send(answer)
    }

    fn undelivered(&self, _: Undelivered) {}
}

/// A federation for the server's domain, with what the tests can wait for.
async fn serve(world: &World) -> Federation {
    let local = LocalDomain { name: domain(SERVER), credentials: world.credentials(SERVER) };
    let mut config = FederationConfig::new(vec![local], world.trust(), Arc::new(world.resolver()));
    // The checker's streams end in every way there is: it would be looked for all the time.
    config.backoff = Backoff { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };
    config.timeouts.patience = Duration::ZERO;
    // All of it comes from one address.
    config.admission.burst = 10_000;
    config.timeouts.negotiation = Duration::from_secs(10);
    config.timeouts.close = Duration::from_secs(2);
    let router = Arc::new(Pong::default());
    let federation = Federation::new(config, Arc::clone(&router) as Arc<dyn Router>).unwrap();
    let _ = router.0.set(federation.clone());
    federation.serve(world.listener(SERVER).await);
    federation.serve_direct(world.direct_listener(SERVER).await);
    federation
}

/// By default we name our own domain, as XEP-0178 allows, because there are peers that take nothing else. A second request
/// for acknowledgements fails and the stream stays: such errors are to be recoverable (XEP-0198, section 7).
const TOLERATED: &[&str] = &["dialling/authzid", "acknowledgements/enable-twice"];

fn has_not_passed(outcome: &&Outcome) -> bool {
    match outcome.verdict {
        Verdict::Passed { .. } => false,
        Verdict::Tolerated { .. } => !TOLERATED.contains(&outcome.id.as_str()),
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_federation_keeps_every_rule() {
    let world = World::new().await;
    let federation = serve(&world).await;
    let report = check(world.setup(Duration::from_secs(20)).await).await;
    println!("{report}");
    let missed: Vec<_> =
        report.outcomes.iter().filter(has_not_passed).filter(|outcome| outcome.level != Level::Measured).collect();
    assert!(missed.is_empty(), "{}", told(missed));
    assert!(report.is_conformant());
    drop(federation);
}

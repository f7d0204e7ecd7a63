//! A checker that cannot fail is worth nothing: on servers that break the rules it says so, in every section.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke_conformance::{Level, Report, Selection, run};

use super::credulous::{BadServer, Manner};
use super::world::{SERVER, World, check, told};

/// Long enough for a server that answers, and short, because these do not.
const PATIENCE: Duration = Duration::from_secs(3);

async fn report_on(manner: Manner) -> Report {
    let world = World::new().await;
    let listener = world.listener(SERVER).await;
    let _server = BadServer::serve(listener, &world.credentials(SERVER), manner);
    let mut setup = world.setup(PATIENCE).await;
    setup.parallel = 64;
    setup.deadline = Duration::from_secs(20);
    setup.listening = None;
    check(setup).await
}

fn failed(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().filter(|outcome| outcome.verdict.is_failure()).map(|outcome| outcome.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_everything_fails_in_every_section() {
    let report = report_on(Manner::Credulous).await;
    println!("{report}");
}

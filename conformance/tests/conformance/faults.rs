//! A checker that cannot fail is worth nothing: on servers that break the rules it says so, in every section.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke_conformance::{Level, Report, Section, Selection, cases, run};

use super::credulous::{BadServer, Manner};
use super::world::{SERVER, World, told};

/// Long enough for a server that answers, and short, because these do not.
const PATIENCE: Duration = Duration::from_secs(4);

async fn report_on(manner: Manner, only: Option<&str>) -> Report {
    let world = World::new().await;
    let listener = world.listener(SERVER).await;
    let direct = world.direct_listener(SERVER).await;
    let mut setup = world.setup(PATIENCE).await;
    let (credentials, checker) = (world.credentials(SERVER), world.checker());
    let server = BadServer::serve(listener, &credentials, manner, checker);
    let _server = server.and_direct(direct, &credentials, manner, checker);
    setup.parallel = 24;
    setup.deadline = Duration::from_secs(40);
    run(setup, &Selection { only: only.map(str::to_owned), short: false }, |_| ()).await.unwrap()
}

/// The cases of this section in which nothing is wrong with what is said, so that a server may take it.
fn harmless(section: Section) -> BTreeSet<&'static str> {
    let harmless: &[&str] = match section {
        Section::Certificates => {
            &["dns", "srv", "xmpp-addr", "xmpp-addr-too", "wildcard", "case", "server-auth", "no-usage"]
        }
        Section::Stanzas => &["good", "good-user", "error", "foreign", "unknown", "second-features"],
        Section::Xml => {
            &["whitespace", "references", "cdata", "text-between", "beyond-bmp", "payload", "encoding-utf-8"]
        }
        Section::DirectTls => &["established", "in-clear", "alpn-none", "certificate", "alpn-foreign", "name-none"],
        Section::Bidi => &["asked", "answered"],
        Section::Acknowledgements => &["enable"],
        _ => &[],
    };
    harmless.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_everything_fails_in_every_section() {
    let report = report_on(Manner::Credulous, None).await;
    for section in cases().map(|case| case.section).collect::<BTreeSet<_>>() {
        let broken = |outcome: &&_| -> bool { convoke_conformance::Outcome::breaks_a_must(outcome) };
        let broken = report.outcomes.iter().filter(|outcome| outcome.section == section).filter(broken).count();
        assert!(broken > 0, "{section}: {report}");
    }
    assert!(!report.is_conformant());
    assert!(report.counts.failed_must > 100, "{report}");
}

/// Each case in which something is wrong must be able to fail.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_taken_that_should_be_refused_is_a_failure_of_its_case() {
    let sections = [
        Section::Certificates,
        Section::Stanzas,
        Section::Xml,
        Section::DirectTls,
        Section::Bidi,
        Section::Acknowledgements,
    ];
    for section in sections {
        let report = report_on(Manner::Credulous, Some(&format!("{section}/"))).await;
        let not_failed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.verdict.is_failure()).collect();
        let keys = not_failed.iter().map(|outcome| outcome.id.split_once('/').unwrap().1).collect::<BTreeSet<_>>();
        assert_eq!(keys, harmless(section), "{section}: {}", told(not_failed));
    }
}

/// Where the standard wants an error, hanging up is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_without_a_word_has_not_sent_the_error_that_is_wanted() {
    let report = report_on(Manner::Curt, Some("stanzas/")).await;
    for outcome in report.outcomes.iter().filter(|outcome| outcome.level == Level::Must) {
        // These say nothing that such a server would notice.
        if !["stanzas/foreign"].contains(&outcome.id.as_str()) {
            assert!(outcome.verdict.is_failure(), "{}", told([outcome]));
            assert!(outcome.verdict.reason().contains("without a word"), "{}", told([outcome]));
        }
    }
}

/// The report tells programs what it tells people.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_a_table_for_people_and_json_for_programs() {
    let report = report_on(Manner::Curt, Some("headers/to")).await;
    let text = report.to_string();
    assert!(text.contains("section            passed"), "{text}");
    assert!(text.contains("failed       MUST     a response header is to the domain"), "{text}");
    let json: serde_json::Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["domain"], SERVER);
    let outcomes = json["outcomes"].as_array().unwrap();
    let first = outcomes.iter().find(|outcome| outcome["id"] == "headers/to").unwrap();
    assert_eq!(
        (&first["verdict"], &first["level"], &first["section"]),
        (&"failed".into(), &"MUST".into(), &"headers".into())
    );
    assert!(first["why"].as_str().unwrap().contains("without to"), "{first}");
    assert!(first["transcript"].as_str().unwrap().contains("<- <stream:stream"), "{first}");
}

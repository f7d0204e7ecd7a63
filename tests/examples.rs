//! The examples run on loopback alone, end by themselves, and show what they promise.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Far more than any of them needs, also on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs the example as Cargo has built it, and gives what it printed.
async fn output_of(example: &str) -> String {
    let binary = binary(example);
    assert!(
        binary.is_file(),
        "{} is missing; build it with `cargo build --package convoke --examples`",
        binary.display()
    );
    let mut command = Command::new(&binary);
    command.stdin(Stdio::null()).env_remove("RUST_LOG").kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{example} did not end within {DEADLINE:?}")).unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example} ended with {}:\n{printed}\n{errors}", output.status);
    printed.into_owned()
}

/// Cargo puts examples beside the folder of the test binary, in every profile.
fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(example).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Each of these is a whole line of the output.
async fn shows(example: &str, lines: &[&str]) {
    let printed = output_of(example).await;
    for line in lines {
        assert!(printed.lines().any(|printed| printed == *line), "{example} does not print {line:?} but:\n{printed}");
    }
}

#[tokio::test]
async fn a_domain_is_embedded_with_presence_and_a_request() {
    shows(
        "embed",
        &[
            "calculator@home.example is available",
            "calculator@home.example says that twice 21 is 42",
            "calculator@home.example is unavailable",
        ],
    )
    .await;
}

#[cfg(feature = "s2s")]
#[tokio::test]
async fn volunteers_work_for_a_holder_in_another_domain() {
    let printed = output_of("volunteer").await;
    for result in [
        "resources@home.example lent 3 nodes under epoch 1",
        "8051 = 83 * 97, says ",
        "1000000007 = 1000000007, says ",
        "lab.example and home.example: ",
    ] {
        assert!(printed.lines().any(|line| line.starts_with(result)), "no {result:?} in:\n{printed}");
    }
}

#[cfg(feature = "s2s")]
#[tokio::test]
async fn a_scheduler_borrows_nodes_of_two_federated_domains() {
    shows(
        "scheduler",
        &[
            "resources@lab.example lent 2 nodes",
            "resources@home.example lent 3 nodes",
            "100 of 100 slices are done",
            "there are 78498 primes below a million",
        ],
    )
    .await;
}

#[cfg(all(feature = "s2s", feature = "pubsub"))]
#[tokio::test]
async fn a_monitor_tells_why_volunteers_are_gone_also_to_another_domain() {
    shows(
        "monitor",
        &[
            "monitor: bob@home.example/desk left (goodbye)",
            "monitor: carol@home.example/desk left (session-died)",
            "monitor: alice@home.example/desk is suspect (silent)",
            "monitor: alice@home.example/desk answers again",
            "console@lab.example: carol@home.example/desk is lost (session-died)",
            "console@lab.example: alice@home.example/desk is suspect (silent)",
            "console@lab.example: alice@home.example/desk is ok (recovered)",
        ],
    )
    .await;
}

#[cfg(all(feature = "s2s", feature = "pubsub"))]
#[tokio::test]
async fn two_domains_share_load_figures() {
    shows(
        "shared_load",
        &[
            "console@home.example sees cluster at 97 %",
            "console@home.example: cluster is now at 41 %",
            "console@home.example: cluster is switched off",
            "console@lab.example sees desk at 12 % and attic at 3 %",
            "console@lab.example: desk is now at 88 %",
            "console@lab.example: attic is switched off",
        ],
    )
    .await;
}

#[cfg(feature = "gateways")]
#[tokio::test]
async fn a_rest_service_and_a_rest_client_take_part_in_xmpp() {
    shows(
        "rest_bridge",
        &[
            "the REST service is now gateway@bridge.example/calculator",
            "visitor@bridge.example asked it for twice 21: 42",
            "the REST client asked for services: \"gateway@bridge.example/calculator\"",
            "the REST client received from \"visitor@bridge.example\": \"hello, REST\"",
        ],
    )
    .await;
}

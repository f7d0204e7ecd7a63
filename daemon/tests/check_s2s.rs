//! `convoke check s2s`: on a daemon of ours, on a server that is none, and with wrong arguments.

use std::net::TcpListener;
use std::thread;

use crate::support::Site;
#[cfg(unix)]
use crate::support::{Served, configuration};

const CHECKER: [&str; 6] =
    ["--from", "b.example", "--certificate", "certs/b.example.pem", "--key", "certs/b.example.key"];

#[cfg(unix)]
#[test]
fn our_own_daemon_breaks_no_rule_of_the_short_set() {
    let site = Site::new(&["a.example", "b.example"]);
    let direct = "[s2s]\ndirect_tls_listen = [\"127.0.0.1:0\"]\n";
    site.write("a.toml", &configuration("a.example").replace("[s2s]\n", direct));
    site.write("b.toml", &configuration("b.example"));
    let served = Served::start(site.directory(), "a.toml");
    let address = served.address("s2s.listen").to_string();
    let direct = served.address("s2s.direct_tls_listen").to_string();
    let check = ["check", "s2s", "a.example", "--address", &address, "--direct-address", &direct, "--short"];

    let told = site.run(&[&check[..], &["--config", "b.toml", "--transcripts"]].concat());
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    assert!(told.stdout.contains(", checked by b.example\n\nsection            passed"), "{told:?}");

    let authority = ["--trust", "certs/ca.pem", "--authority", "certs/ca.pem", "certs/ca.key"];
    let told = site.run(&[&check[..], &CHECKER, &authority, &["--json"]].concat());
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    let report: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&report["checked_by"], &report["counts"]["failed_must"]), (&"b.example".into(), &0.into()));
    // Only what needs a listener was not tried.
    let outcomes = report["outcomes"].as_array().unwrap();
    let skipped = outcomes.iter().filter(|outcome| outcome["verdict"] == "skipped");
    assert!(skipped.clone().all(|outcome| outcome["section"] == "dialling"), "{:#?}", skipped.collect::<Vec<_>>());
    assert!(outcomes.iter().filter(|outcome| outcome["verdict"] == "passed").count() > 30, "{}", told.stdout);
}

#[test]
fn a_broken_rule_is_exit_code_1_and_told_with_its_section() {
    let site = Site::new(&["b.example"]);
    // It hangs up on everybody.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().for_each(drop));
    let check = ["check", "s2s", "a.example", "--address", &address, "--only", "headers/to-unserved"];
    let told = site.run(&[&check[..], &CHECKER].concat());
    assert_eq!(told.code, 1, "{told:?}");
    assert_eq!(told.stderr, "convoke: a.example breaks 1 rule that MUST be kept\n");
    assert!(told.stdout.contains("headers/to-unserved: RFC 6120, 4.9.3.6"), "{told:?}");
    assert!(told.stdout.contains("wanted: stream error host-unknown or stream error host-gone"), "{told:?}");
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    let site = Site::new(&["b.example"]);
    let check = ["check", "s2s", "a.example", "--address", "127.0.0.1:1"];
    for (arguments, words) in [
        (&["--only", "headers/"][..], "say who checks: --config FILE, or --from DOMAIN"),
        (&["--from", "b.example", "--certificate", "none.pem", "--key", "none.key"], "cannot read none.pem"),
        (&[&CHECKER[..], &["--authority", "certs/b.example.key", "certs/ca.key"]].concat(), "the authority cannot be"),
    ] {
        let refused = site.run(&[&check[..], arguments].concat());
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    let unreachable = site.run(&[&check[..], &CHECKER].concat());
    assert_eq!((unreachable.code, unreachable.stderr.lines().count()), (1, 1), "{unreachable:?}");
    assert!(unreachable.stderr.contains("cannot connect to the server of a.example at 127.0.0.1:1"), "{unreachable:?}");
}

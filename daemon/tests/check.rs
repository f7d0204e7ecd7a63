use crate::support::{Site, configuration, convoke};

#[test]
fn a_good_configuration_is_summed_up_without_a_trace() {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let checked = site.run(&["serve", "--config", "convoke.toml", "--check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str(), checked.stderr.as_str()),
        (
            0,
            "convoke.toml is valid: domains: a.example; roles: pubsub, resources, monitor, scheduler, gateway; \
             servers connect to: 127.0.0.1:0; nodes allowed: client.example 200; \
             gateway: http://127.0.0.1:0 with 1 token; store: data-a.example/\n",
            ""
        )
    );
    assert!(!site.path("data-a.example").exists());
}

#[test]
fn paths_are_relative_to_the_file_wherever_the_daemon_is_started() {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let elsewhere = tempfile::tempdir().unwrap();
    let path = site.path("convoke.toml");
    let checked = convoke(elsewhere.path(), &["serve", "--check", "--config", path.to_str().unwrap()]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_code_2_with_and_without_check() {
    let site = Site::new(&["a.example", "b.example"]);
    let good = configuration("a.example");
    for (part, replacement, words) in [
        ("listen = [", "lisen = [", "bad.toml:8:1: s2s.lisen: unknown key \"lisen\"; did you mean \"listen\"?"),
        ("[roles]", "[role", "bad.toml:9:6: "),
        ("a.example\"", "a b\"", "bad.toml:2:8: domain.name: \"a b\" is no domain name"),
        ("certs/a.example.pem", "certs/none.pem", "bad.toml:3:15: domain.certificate: cannot read certs/none.pem"),
        ("certs/a.example.pem", "certs/b.example.pem", "does not name a.example but dNSName b.example"),
        ("certs/a.example.key", "certs/b.example.key", "the private key does not belong to the certificate"),
        ("certs/ca.pem", "certs/a.example.key", "bad.toml:6:10: trust.roots: certs/a.example.key holds no certificate"),
        ("127.0.0.1:0\"]", "5269\"]", "bad.toml:8:11: s2s.listen: \"5269\" is no socket address"),
        ("monitor", "moniter", "there is no role \"moniter\"; did you mean \"monitor\"?"),
        ("path = \"data-a.example/\"", "", "the role \"resources\" needs a durable store"),
        ("nodes = 200", "nodes = 0", "0 nodes allow nothing"),
        ("[gateway]\nlisten = \"127.0.0.1:0\"", "", "the role \"gateway\" needs a [gateway] table"),
        ("format = \"json\"", "format = \"jsn\"", "unknown variant `jsn`, expected `text` or `json`"),
    ] {
        assert!(good.contains(part), "{part}");
        site.write("bad.toml", &good.replacen(part, replacement, 1));
        for arguments in [&["serve", "--config", "bad.toml", "--check"][..], &["serve", "--config", "bad.toml"][..]] {
            let refused = site.run(arguments);
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
            assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
            assert!(refused.stderr.starts_with("convoke: bad.toml:") && refused.stderr.contains(words), "{refused:?}");
        }
    }
}

#[test]
fn a_missing_file_is_one_line_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let refused = convoke(directory.path(), &["serve", "--config", "none.toml"]);
    assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{refused:?}");
    assert!(refused.stderr.starts_with("convoke: none.toml: cannot read the configuration: "), "{refused:?}");
}

#[test]
fn help_has_examples_and_version_is_that_of_the_crate() {
    let directory = tempfile::tempdir().unwrap();
    for command in [&["--help"][..], &["serve", "--help"], &["certs", "--help"], &["token", "add", "--help"]] {
        let help = convoke(directory.path(), command);
        assert!(help.code == 0 && help.stdout.contains("Examples:\n"), "{help:?}");
    }
    let version = convoke(directory.path(), &["--version"]);
    assert_eq!(version.stdout, format!("convoke {}\n", env!("CARGO_PKG_VERSION")));
}

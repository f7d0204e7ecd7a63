use std::fs;

use convoke_dev::LoopbackDns;

use crate::support::{Served, Site, configuration, request};

/// Files that are replaced count without a restart, on both sides: `a` gets a certificate of another authority, `b`
/// learns to believe that authority and nobody else, and `b` reaches `a`.
#[test]
fn takes_new_certificates_and_roots_without_a_restart() {
    let site = Site::new(&["a.example", "b.example"]);
    assert_eq!(site.run(&["certs", "--out", "other", "a.example"]).code, 0);
    fs::copy(site.path("certs/ca.pem"), site.path("certs/roots-of-b.pem")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = runtime.block_on(LoopbackDns::start("127.0.0.1:0".parse().unwrap())).unwrap();
    let nameserver = format!("[dns]\nnameservers = [\"{}\"]\n", dns.address());
    let [mut a, mut b] =
        [("a.example", "certs/ca.pem"), ("b.example", "certs/roots-of-b.pem")].map(|(domain, roots)| {
            let file = format!("{domain}.toml");
            site.write(&file, &(configuration(domain).replace("certs/ca.pem", roots) + &nameserver));
            let daemon = Served::start(site.directory(), &file);
            let host = format!("xmpp.{domain}");
            dns.srv(domain, "_xmpp-server._tcp", 0, 0, daemon.address("s2s.listen").port(), &host).unwrap();
            dns.a(&host, "127.0.0.1".parse().unwrap()).unwrap();
            daemon
        });
    for file in ["a.example.pem", "a.example.key"] {
        fs::copy(site.path("other").join(file), site.path("certs").join(file)).unwrap();
    }
    let replaced = a.wait_for("certificate replaced");
    assert_eq!(replaced["domain"], "a.example");
    assert!(replaced["not_after"].as_str().unwrap().ends_with('Z'), "{replaced}");
    fs::copy(site.path("other/ca.pem"), site.path("certs/roots-of-b.pem")).unwrap();
    b.wait_for("trust replaced");
    let ping =
        r#"{"kind":"iq","type":"get","to":"pubsub@a.example","children":[{"name":"ping","xmlns":"urn:xmpp:ping"}]}"#;
    let answer = request(b.address("gateway.listen"), "POST /v1/stanzas", &site.token, ping);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""from":"pubsub@a.example""#), "{answer:?}");
}

#[test]
fn says_why_a_new_file_is_no_good_and_keeps_the_old_one() {
    let site = Site::new(&["a.example", "b.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let mut daemon = Served::start(site.directory(), "convoke.toml");
    fs::copy(site.path("certs/b.example.pem"), site.path("certs/a.example.pem")).unwrap();
    let kept = daemon.wait_for("certificate not replaced");
    let fault = kept["fault"].as_str().unwrap();
    assert!(
        fault.contains("convoke.toml:3:15: domain.certificate: ") && fault.contains("does not name a.example"),
        "{kept}"
    );
    fs::remove_file(site.path("certs/ca.pem")).unwrap();
    let kept = daemon.wait_for("trust not replaced");
    assert!(kept["fault"].as_str().unwrap().contains("trust.roots: cannot read"), "{kept}");
    assert_eq!(request(daemon.address("gateway.listen"), "GET /healthz", "", "").status, 200);
}

#[test]
fn reads_everything_again_on_sighup_whether_it_has_changed_or_not() {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    let mut daemon = Served::start(site.directory(), "convoke.toml");
    daemon.signal("HUP");
    assert_eq!(daemon.wait_for("certificate replaced")["domain"], "a.example");
    daemon.wait_for("trust replaced");
    daemon.signal("TERM");
    let (code, rest) = daemon.end();
    assert_eq!(code, 0, "{rest:#?}");
}

use convoke_dev::LoopbackDns;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Served, Site, configuration};

/// Two domains, a DNS server of the test's, and a configuration of the first that asks it.
struct Rehearsal {
    site: Site,
    dns: LoopbackDns,
    _runtime: Runtime,
}

impl Rehearsal {
    fn new() -> Self {
        let site = Site::new(&["a.example", "b.example", "c.example"]);
        let runtime = Runtime::new().unwrap();
        let dns = runtime.block_on(LoopbackDns::start("127.0.0.1:0".parse().unwrap())).unwrap();
        let nameserver = format!("[dns]\nnameservers = [\"{}\"]\n", dns.address());
        for domain in ["a.example", "b.example"] {
            site.write(&format!("{domain}.toml"), &(configuration(domain) + &nameserver));
        }
        Self { site, dns, _runtime: runtime }
    }

    fn found(&self, domain: &str, priority: u16, port: u16) {
        let host = format!("xmpp{priority}.{domain}");
        self.dns.srv(domain, "_xmpp-server._tcp", priority, 0, port, &host).unwrap();
        self.dns.a(&host, "127.0.0.1".parse().unwrap()).unwrap();
    }
}

/// A port of this machine on which nobody listens.
fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn lines_with<'a>(text: &'a str, wanted: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(wanted)).collect()
}

#[test]
fn tells_how_a_domain_was_reached_and_exits_0() {
    let rehearsal = Rehearsal::new();
    let site = &rehearsal.site;
    let served = Served::start(site.directory(), "b.example.toml");
    rehearsal.found("b.example", 1, dead_port());
    rehearsal.found("b.example", 2, served.address("s2s.listen").port());
    let told = site.run(&["dial", "b.example", "--config", "a.example.toml"]);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    assert!(told.stdout.starts_with("b.example, dialled as a.example\n\nDNS\n"), "{told:?}");
    for wanted in ["no record", "xmpp1.b.example.", "tcp-refused", "TLSv1.3", "proves the domain by its dNSName"] {
        assert_eq!(lines_with(&told.stdout, wanted).len(), if wanted == "no record" { 3 } else { 1 }, "{told:?}");
    }
    assert!(told.stdout.lines().last().unwrap().starts_with("Established in "), "{told:?}");
}

/// Without a configuration everything is on the command line.
#[test]
fn the_report_as_json_has_the_same_facts() {
    let rehearsal = Rehearsal::new();
    let site = &rehearsal.site;
    let served = Served::start(site.directory(), "b.example.toml");
    rehearsal.found("b.example", 0, served.address("s2s.listen").port());
    let nameserver = rehearsal.dns.address().to_string();
    let told = site.run(&[
        "dial",
        "b.example",
        "--json",
        "--from",
        "c.example",
        "--certificate",
        "certs/c.example.pem",
        "--key",
        "certs/c.example.key",
        "--trust",
        "certs/ca.pem",
        "--nameserver",
        &nameserver,
    ]);
    assert_eq!(told.code, 0, "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (&report["local"], &report["remote"], &report["fault"]),
        (&"c.example".into(), &"b.example".into(), &Value::Null)
    );
    let [attempt] = &report["attempts"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(attempt["stage"], "established");
    assert_eq!(attempt["target"]["host"], "xmpp0.b.example");
    assert_eq!(attempt["target"]["direct_tls"], false);
    assert_eq!(attempt["tls"]["certificate"]["proved"], "dNSName");
    assert!(report["established"]["max_bytes"].as_u64().unwrap() >= 10_000);
    let kinds: Vec<_> = report["lookups"].as_array().unwrap().iter().map(|lookup| &lookup["kind"]).collect();
    assert_eq!(kinds.len(), 4);
    assert!(["SRV", "AAAA", "A"].iter().all(|kind| kinds.contains(&&Value::from(*kind))));
    let records = report["lookups"].as_array().unwrap().iter().flat_map(|lookup| lookup["records"].as_array().unwrap());
    assert!(records.into_iter().any(|record| record == "127.0.0.1"), "{report:#}");
}

#[test]
fn tells_why_a_domain_was_not_reached_and_what_to_do_and_exits_1() {
    let rehearsal = Rehearsal::new();
    let site = &rehearsal.site;
    let served = Served::start(site.directory(), "b.example.toml");
    // The server of another domain.
    rehearsal.found("elsewhere.example", 0, served.address("s2s.listen").port());
    rehearsal.found("dead.example", 0, dead_port());
    for (domain, code, remedy) in [
        ("elsewhere.example", "stream-host-unknown", "mend the SRV records"),
        ("dead.example", "tcp-refused", "Nobody listens there"),
        ("nowhere.example", "dns-no-address", "Check the spelling"),
    ] {
        let told = site.run(&["dial", domain, "--config", "a.example.toml"]);
        assert_eq!(told.code, 1, "{told:?}");
        assert_eq!(told.stderr, format!("convoke: {domain} cannot be reached ({code})\n"));
        assert!(told.stdout.lines().last().unwrap().contains(remedy), "{told:?}");
        let json = site.run(&["dial", domain, "--config", "a.example.toml", "--json"]);
        let report: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &report["fault"]["code"], &report["established"]), (1, &code.into(), &Value::Null));
    }
}

#[test]
fn a_command_line_that_cannot_be_meant_exits_2_and_dials_nobody() {
    let rehearsal = Rehearsal::new();
    let site = &rehearsal.site;
    for arguments in [
        &["dial", "b.example"][..],
        &["dial", "b@c", "--config", "a.example.toml"],
        &["dial", "a.example", "--config", "a.example.toml"],
        &["dial", "b.example", "--config", "a.example.toml", "--from", "c.example"],
        &["dial", "b.example", "--config", "a.example.toml", "--certificate", "certs/c.example.pem"],
        &["dial", "b.example", "--from", "c.example", "--certificate", "certs/c.example.pem"],
        &["dial", "b.example", "--from", "c.example", "--certificate", "certs/c.example.pem", "--key", "certs/ca.key"],
    ] {
        let refused = site.run(arguments);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{arguments:?}: {refused:?}");
        assert!(!refused.stderr.is_empty());
    }
    assert_eq!(rehearsal.dns.queries(), 0);
}

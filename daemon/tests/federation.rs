use std::net::SocketAddr;

use convoke_dev::LoopbackDns;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Served, Site, configuration, request};

/// The way of one stanza through two daemons: HTTP, gateway, router, SRV, STARTTLS, SASL EXTERNAL, router, component,
/// and back on a stream of the other direction.
#[test]
fn two_daemons_find_prove_and_answer_each_other() {
    let site = Site::new(&["a.example", "b.example"]);
    let runtime = Runtime::new().unwrap();
    let dns = runtime.block_on(LoopbackDns::start("127.0.0.1:0".parse().unwrap())).unwrap();
    let daemons = ["a.example", "b.example"].map(|domain| {
        let daemon = started(&site, &dns, domain);
        found(&dns, domain, "_xmpp-server._tcp", daemon.address("s2s.listen"));
        daemon
    });
    b_answers_a_ping_through(&daemons[0], &site);
    let metrics = request(daemons[0].address("gateway.listen"), "GET /metrics", &site.token, "").body;
    assert!(metrics.contains("\nconvoke_s2s_stanzas_total{direction=\"out\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nconvoke_s2s_stanzas_total{direction=\"in\"} 1\n"), "{metrics}");
    // RFC 6120, section 4.9.3.20: who goes says so on every stream.
    let [first, mut second] = daemons;
    first.signal("TERM");
    let end = second.wait_for("incoming stream ended");
    assert!(end["end"].as_str().unwrap().contains("system-shutdown"), "{end}");
    second.signal("TERM");
    for (code, rest) in [first.end(), second.end()] {
        assert_eq!(code, 0, "{rest:#?}");
    }
}

/// XEP-0368, section 3: the record of the service `_xmpps-server` leads to where TLS is begun at once.
#[test]
fn a_domain_that_only_xmpps_server_leads_to_is_reached_by_direct_tls() {
    let site = Site::new(&["a.example", "b.example"]);
    let runtime = Runtime::new().unwrap();
    let dns = runtime.block_on(LoopbackDns::start("127.0.0.1:0".parse().unwrap())).unwrap();
    let [a, b] = ["a.example", "b.example"].map(|domain| started(&site, &dns, domain));
    found(&dns, "a.example", "_xmpp-server._tcp", a.address("s2s.listen"));
    found(&dns, "b.example", "_xmpps-server._tcp", b.address("s2s.direct_tls_listen"));

    let told = site.run(&["dial", "b.example", "--config", "a.example.toml", "--json"]);
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    let [attempt] = &report["attempts"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&attempt["target"]["direct_tls"], &attempt["stage"]), (&true.into(), &"established".into()));
    assert_eq!(attempt["address"], b.address("s2s.direct_tls_listen").to_string());
    assert_eq!(attempt["tls"]["alpn"], "xmpp-server");
    let table = site.run(&["dial", "b.example", "--config", "a.example.toml"]);
    assert_eq!(table.stdout.lines().filter(|line| line.ends_with(", direct TLS")).count(), 1, "{table:?}");

    b_answers_a_ping_through(&a, &site);
}

/// A daemon of this domain that listens for STARTTLS and for direct TLS; nothing leads to it yet.
fn started(site: &Site, dns: &LoopbackDns, domain: &str) -> Served {
    let direct = "[s2s]\ndirect_tls_listen = [\"127.0.0.1:0\"]\n";
    let nameserver = format!("[dns]\nnameservers = [\"{}\"]\n", dns.address());
    let file = format!("{domain}.toml");
    site.write(&file, &(configuration(domain).replace("[s2s]\n", direct) + &nameserver));
    Served::start(site.directory(), &file)
}

fn found(dns: &LoopbackDns, domain: &str, service: &str, address: SocketAddr) {
    let host = format!("xmpp.{domain}");
    dns.srv(domain, service, 0, 0, address.port(), &host).unwrap();
    dns.a(&host, "127.0.0.1".parse().unwrap()).unwrap();
}

fn b_answers_a_ping_through(daemon: &Served, site: &Site) {
    let ping =
        r#"{"kind":"iq","type":"get","to":"pubsub@b.example","children":[{"name":"ping","xmlns":"urn:xmpp:ping"}]}"#;
    let answer = request(daemon.address("gateway.listen"), "POST /v1/stanzas", &site.token, ping);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""from":"pubsub@b.example""#), "{answer:?}");
}

use convoke_dev::LoopbackDns;

use crate::support::{Served, Site, configuration, request};

/// The way of one stanza through two daemons: HTTP, gateway, router, SRV, STARTTLS, SASL EXTERNAL, router, component,
/// and back on a stream of the other direction.
#[test]
fn two_daemons_find_prove_and_answer_each_other() {
    let site = Site::new(&["a.example", "b.example"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = runtime.block_on(LoopbackDns::start("127.0.0.1:0".parse().unwrap())).unwrap();
    let daemons = ["a.example", "b.example"].map(|domain| {
        let nameserver = format!("[dns]\nnameservers = [\"{}\"]\n", dns.address());
        let file = format!("{domain}.toml");
        site.write(&file, &(configuration(domain) + &nameserver));
        let daemon = Served::start(site.directory(), &file);
        let host = format!("xmpp.{domain}");
        let port = daemon.address("s2s.listen").port();
        dns.srv(domain, "_xmpp-server._tcp", 0, 0, port, &host).unwrap();
        dns.a(&host, "127.0.0.1".parse().unwrap()).unwrap();
        daemon
    });
    let ping =
        r#"{"kind":"iq","type":"get","to":"pubsub@b.example","children":[{"name":"ping","xmlns":"urn:xmpp:ping"}]}"#;
    let gateway = daemons[0].address("gateway.listen");
    let answer = request(gateway, "POST /v1/stanzas", &site.token, ping);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""from":"pubsub@b.example""#), "{answer:?}");
    let metrics = request(gateway, "GET /metrics", &site.token, "").body;
    assert!(metrics.contains("\nconvoke_s2s_stanzas_total{direction=\"out\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nconvoke_s2s_stanzas_total{direction=\"in\"} 1\n"), "{metrics}");
    // RFC 6120, section 4.9.3.20: who goes says so on every stream.
    let [first, mut second] = daemons;
    first.signal("TERM");
    let end = second.wait_for("incoming stream ended");
    assert!(end["end"].as_str().unwrap().contains("SystemShutdown"), "{end}");
    second.signal("TERM");
    for (code, rest) in [first.end(), second.end()] {
        assert_eq!(code, 0, "{rest:#?}");
    }
}

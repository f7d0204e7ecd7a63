use std::net::TcpListener;
use std::process::Command;

use crate::support::{Connection, Served, Site, configuration, request};

const HTTP: &str = "gateway.listen";

fn site() -> Site {
    let site = Site::new(&["a.example"]);
    site.write("convoke.toml", &configuration("a.example"));
    site
}

#[test]
fn answers_by_http_and_ends_with_0_on_sigterm_and_on_ctrl_c() {
    let site = site();
    // The second daemon opens the store that the first one has closed.
    for signal in ["TERM", "INT"] {
        let mut daemon = Served::start(site.directory(), "convoke.toml");
        assert_eq!(request(daemon.address(HTTP), "GET /healthz", "", "").status, 200);
        daemon.signal(signal);
        assert_eq!(daemon.wait_for("shutting down")["signal"], format!("SIG{signal}"));
        let (code, rest) = daemon.end();
        assert_eq!(code, 0, "{rest:#?}");
        assert!(rest.last().is_some_and(|line| line.contains("\"stopped\"")), "{rest:#?}");
    }
}

#[test]
fn counts_what_the_router_and_the_links_do() {
    let site = site();
    let daemon = Served::start(site.directory(), "convoke.toml");
    let ping =
        r#"{"kind":"iq","type":"get","to":"monitor@a.example","children":[{"name":"ping","xmlns":"urn:xmpp:ping"}]}"#;
    let answer = request(daemon.address(HTTP), "POST /v1/stanzas", &site.token, ping);
    assert_eq!(answer.status, 200, "{answer:?}");
    let metrics = request(daemon.address(HTTP), "GET /metrics", &site.token, "");
    assert_eq!(metrics.status, 200, "{metrics:?}");
    let local = metrics.body.lines().find_map(|line| line.strip_prefix("convoke_router_stanzas_total{way=\"local\"} "));
    assert!(local.unwrap().parse::<u64>().unwrap() >= 2, "{metrics:?}");
    assert!(metrics.body.contains("\nconvoke_s2s_links{state=\"open\"} 0\n"), "{metrics:?}");
}

/// What disco#items of the domain answers, asked for by HTTP.
fn items(daemon: &Served, site: &Site, domain: &str) -> String {
    let query = r#"{"name":"query","xmlns":"http://jabber.org/protocol/disco#items"}"#;
    let items = format!(r#"{{"kind":"iq","type":"get","to":"{domain}","children":[{query}]}}"#);
    request(daemon.address(HTTP), "POST /v1/stanzas", &site.token, &items).body
}

#[test]
fn every_role_runs_in_every_domain_but_the_gateway_in_the_first_alone() {
    let site = Site::new(&["a.example", "b.example"]);
    let second = "[[domain]]\nname = \"b.example\"\ncertificate = \"certs/b.example.pem\"\nprivate_key = \"certs/b.example.key\"\n";
    site.write("convoke.toml", &(configuration("a.example") + second));
    let daemon = Served::start(site.directory(), "convoke.toml");
    for domain in ["a.example", "b.example"] {
        let items = items(&daemon, &site, domain);
        for role in ["resources", "scheduler", "monitor", "pubsub"] {
            assert!(items.contains(&format!("\"{role}@{domain}\"")), "{role}: {items}");
        }
        assert_eq!(items.contains(&format!("\"gateway@{domain}\"")), domain == "a.example", "{items}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_1() {
    let site = site();
    let mut daemon = Served::start(site.directory(), "convoke.toml");
    let mut client = Connection::open(daemon.address(HTTP));
    // A request whose body never comes: the shutdown waits for it.
    client.send(&format!(
        "POST /v1/stanzas HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n",
        site.token
    ));
    client.read_until("100 Continue");
    daemon.signal("TERM");
    daemon.wait_for("shutting down");
    daemon.signal("TERM");
    let (code, rest) = daemon.end();
    assert_eq!(code, 1, "{rest:#?}");
    let last = rest.last().unwrap();
    assert!(last.starts_with("convoke: a second signal (SIGTERM) ended the shutdown"), "{rest:#?}");
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let site = site();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = configuration("a.example").replacen("127.0.0.1:0", &address, 1).replace("json", "text");
    site.write("taken.toml", &config.replace("[log]", "[log]\nfilter = \"warn\""));
    let failed = site.run(&["serve", "--config", "taken.toml"]);
    assert_eq!((failed.code, failed.stderr.lines().count()), (1, 1), "{failed:?}");
    let expected = format!("convoke: cannot listen on {address} (s2s.listen): Address already in use");
    assert!(failed.stderr.starts_with(&expected), "{failed:?}");
}

#[test]
fn two_daemons_never_share_a_store() {
    let site = site();
    let _first = Served::start(site.directory(), "convoke.toml");
    let second = site.run(&["serve", "--config", "convoke.toml"]);
    assert_eq!((second.code, second.stderr.lines().count()), (1, 1), "{second:?}");
    assert!(second.stderr.contains("is in use by another process; stop that one"), "{second:?}");
}

#[test]
fn rust_log_overrides_the_filter_and_is_checked() {
    let site = site();
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.current_dir(site.directory()).args(["serve", "--config", "convoke.toml"]);
    let refused = command.env("RUST_LOG", "convoke=loud").output().unwrap();
    let line = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.starts_with("convoke: RUST_LOG=\"convoke=loud\" is no log filter: "), "{line}");
}

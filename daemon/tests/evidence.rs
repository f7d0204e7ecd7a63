//! Domains that vouch for their certificates by DNS and by HTTPS, between daemons.

use std::fs;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_dev::{CertificateAuthority, LoopbackDns, LoopbackWeb, Subject};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use crate::support::{Served, Site, configuration, request};

const PATH: &str = "/.well-known/posh/xmpp-server.json";

/// `a` trusts the site's authority, `b` shows the certificate of another one.
struct Rehearsal {
    site: Site,
    dns: LoopbackDns,
    runtime: Runtime,
    /// The certificate of `b`, as DER.
    certificate: Vec<u8>,
}

impl Rehearsal {
    fn new() -> Self {
        let site = Site::new(&["a.example"]);
        assert_eq!(site.run(&["certs", "--out", "other", "b.example"]).code, 0);
        let runtime = Runtime::new().unwrap();
        let dns = runtime.block_on(LoopbackDns::start_signed("127.0.0.1:0".parse().unwrap())).unwrap();
        site.write("root.key", &dns.trust_anchor().unwrap());
        let nameserver = format!("[dns]\nnameservers = [\"{}\"]\n", dns.address());
        let b = configuration("b.example").replace("certs/b.example", "other/b.example");
        site.write("b.toml", &(b + &nameserver));
        let certificate = der(&fs::read_to_string(site.path("other/b.example.pem")).unwrap());
        Self { site, dns, runtime, certificate }
    }

    /// The configuration of `a` with these lines under `[trust]` and under `[dns]`.
    fn write_a(&self, trust: &str, dns: &str) {
        let a = configuration("a.example").replace("[s2s]\n", &format!("{trust}\n[s2s]\n"));
        self.site.write("a.toml", &format!("{a}[dns]\nnameservers = [\"{}\"]\n{dns}\n", self.dns.address()));
    }

    /// A daemon that others are led to.
    fn started(&self, name: &str) -> Served {
        let daemon = Served::start(self.site.directory(), &format!("{name}.toml"));
        let (domain, host) = (format!("{name}.example"), format!("xmpp.{name}.example"));
        let port = daemon.address("s2s.listen").port();
        self.dns.srv(&domain, "_xmpp-server._tcp", 0, 0, port, &host).unwrap();
        self.dns.a(&host, "127.0.0.1".parse().unwrap()).unwrap();
        daemon
    }

    /// How `a` finds the certificate of `b`.
    fn dialled(&self) -> Value {
        let told = self.site.run(&["dial", "b.example", "--config", "a.toml", "--json"]);
        serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"))
    }

    fn web_server(&self) -> LoopbackWeb {
        let authority = CertificateAuthority::load(self.site.path("certs")).unwrap();
        let issued = authority.issue(&Subject::domain("b.example")).unwrap();
        let web = self.runtime.block_on(LoopbackWeb::start(&issued)).unwrap();
        self.dns.a("b.example", "127.0.0.1".parse().unwrap()).unwrap();
        web
    }
}

/// The first certificate of a PEM text.
fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

fn posh_document(certificate: &[u8]) -> String {
    let hash = STANDARD.encode(Sha256::digest(certificate));
    format!(r#"{{"fingerprints": [{{"sha-256": "{hash}"}}], "expires": 3600}}"#)
}

/// `b` calls first: `a` has to know already what it vouches for.
fn b_reaches_a(b: &Served, site: &Site) {
    let ping =
        r#"{"kind":"iq","type":"get","to":"pubsub@a.example","children":[{"name":"ping","xmlns":"urn:xmpp:ping"}]}"#;
    let answer = request(b.address("gateway.listen"), "POST /v1/stanzas", &site.token, ping);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""from":"pubsub@a.example""#), "{answer:?}");
}

/// The configuration of `b` believes whoever `a` is.
#[test]
fn a_domain_is_believed_by_its_tlsa_records_when_it_calls_and_when_it_is_dialled() {
    let here = Rehearsal::new();
    here.write_a("dane = [\"b.example\"]", "dnssec_anchors = \"root.key\"");
    let b = here.started("b");
    let port = b.address("s2s.listen").port();
    here.dns.tlsa("xmpp.b.example", port, [3, 1, 1], &[7; 32]).unwrap();
    let mut a = here.started("a");
    let found = a.logged("evidence replaced");
    assert_eq!((&found["domain"], &found["tlsa"], &found["posh"]), (&"b.example".into(), &1.into(), &0.into()));
    let report = here.dialled();
    assert_eq!(report["fault"]["code"], "certificate-not-vouched", "{report:#}");
    // Records are added, and SIGHUP has them looked up at once.
    here.dns.tlsa("xmpp.b.example", port, [3, 0, 0], &here.certificate).unwrap();
    a.signal("HUP");
    assert_eq!(a.wait_for("evidence replaced")["tlsa"], 2);
    let report = here.dialled();
    assert_eq!(report["attempts"][0]["tls"]["certificate"]["proved"], "TLSA record", "{report:#}");
    assert_eq!((&report["evidence"]["tlsa"], &report["evidence"]["fault"]), (&2.into(), &Value::Null), "{report:#}");
    let table = here.site.run(&["dial", "b.example", "--config", "a.toml"]);
    assert!(
        table.stdout.contains("\nEvidence\n  DANE        2 TLSA records\n  POSH        0 fingerprints\n"),
        "{table:?}"
    );
    assert!(table.stdout.contains("proves the domain by its TLSA record"), "{table:?}");
    b_reaches_a(&b, &here.site);
}

#[test]
fn a_domain_is_believed_by_its_posh_document_when_it_calls_and_when_it_is_dialled() {
    let here = Rehearsal::new();
    let web = here.web_server();
    here.write_a(&format!("posh = [\"b.example\"]\nposh_port = {}", web.address().port()), "");
    web.refuse("b.example", PATH, 500, None);
    let b = here.started("b");
    let mut a = here.started("a");
    let failed = a.logged("evidence not found");
    assert!(failed["fault"].as_str().unwrap().contains("HTTP status 500"), "{failed}");
    let report = here.dialled();
    // Both authorities have one name, so that the issuer seems known.
    assert!(report["fault"]["code"].as_str().unwrap().starts_with("certificate-"), "{report:#}");
    assert!(report["evidence"]["fault"].as_str().unwrap().contains("HTTP status 500"), "{report:#}");
    web.publish("b.example", PATH, posh_document(&here.certificate));
    a.signal("HUP");
    assert_eq!(a.wait_for("evidence replaced")["posh"], 1);
    let report = here.dialled();
    assert_eq!(report["attempts"][0]["tls"]["certificate"]["proved"], "POSH document", "{report:#}");
    assert_eq!(report["evidence"]["posh"], 1, "{report:#}");
    b_reaches_a(&b, &here.site);
    // What is known counts on when it cannot be looked up any more.
    web.refuse("b.example", PATH, 503, None);
    a.signal("HUP");
    let kept = a.wait_for("evidence not replaced");
    assert!(kept["fault"].as_str().unwrap().contains("HTTP status 503"), "{kept}");
    assert!(kept["seconds"].as_u64().unwrap() > 3000, "{kept}");
}

/// One number of the metrics.
fn metric(daemon: &Served, site: &Site, name: &str) -> Option<u64> {
    let metrics = request(daemon.address("gateway.listen"), "GET /metrics", &site.token, "").body;
    metrics.lines().find_map(|line| line.strip_prefix(&format!("convoke_{name} "))?.parse().ok())
}

#[test]
fn who_may_vouch_is_read_again_on_sighup_and_who_may_no_more_is_cut_off() {
    let here = Rehearsal::new();
    let anchors = "dnssec_anchors = \"root.key\"";
    here.write_a("", anchors);
    let b = here.started("b");
    here.dns.tlsa("xmpp.b.example", b.address("s2s.listen").port(), [3, 0, 0], &here.certificate).unwrap();
    let mut a = here.started("a");
    let dane = "s2s_evidence_domains{kind=\"dane\"}";
    assert_eq!(metric(&a, &here.site, dane), Some(0));

    here.write_a("dane = [\"b.example\"]", anchors);
    a.signal("HUP");
    let found = a.wait_for("evidence replaced");
    assert_eq!((&found["domain"], &found["tlsa"]), (&"b.example".into(), &1.into()));
    b_reaches_a(&b, &here.site);
    assert_eq!(metric(&a, &here.site, dane), Some(1));
    assert!(metric(&a, &here.site, "s2s_evidence_refreshes_total").unwrap() >= 1);
    assert_eq!(metric(&a, &here.site, "s2s_evidence_failures_total"), Some(0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(metric(&a, &here.site, "s2s_evidence_next_expiry_timestamp_seconds").unwrap() > now);
    assert_eq!(metric(&a, &here.site, "s2s_dialback_claims_total{verdict=\"confirmed\"}"), Some(0));

    // A fault leaves everything as it was.
    here.write_a("dane = [\"b..example\"]", anchors);
    a.signal("HUP");
    let fault = a.wait_for("trust not replaced");
    assert!(
        fault["fault"].as_str().unwrap().contains("a.toml:7:9: trust.dane: \"b..example\" is no domain"),
        "{fault}"
    );
    here.site.write("a.toml", "[trust");
    a.signal("HUP");
    let fault = a.wait_for("trust not replaced");
    assert!(fault["fault"].as_str().unwrap().contains("a.toml:1:"), "{fault}");
    b_reaches_a(&b, &here.site);

    here.write_a("", anchors);
    a.signal("HUP");
    assert_eq!(a.wait_for("evidence dropped")["domain"], "b.example");
    assert_eq!(a.wait_for("the peer of a live stream is not trusted any more")["remote"], "b.example");
    assert_eq!(metric(&a, &here.site, dane), Some(0));
}

/// Roots, too, are those that the file names now.
#[test]
fn the_roots_that_the_configuration_names_are_read_again_on_sighup() {
    let here = Rehearsal::new();
    here.write_a("", "");
    let b = here.started("b");
    let mut a = here.started("a");
    let text = fs::read_to_string(here.site.path("a.toml")).unwrap();
    here.site.write("a.toml", &text.replace("certs/ca.pem", "other/ca.pem"));
    a.signal("HUP");
    a.wait_for("trust replaced");
    b_reaches_a(&b, &here.site);
}

#[test]
fn the_check_of_a_configuration_tells_who_may_vouch_for_himself() {
    let here = Rehearsal::new();
    here.write_a("dane = [\"b.example\", \"*.c.example\"]\nposh = [\"c.example\"]", "dnssec_anchors = \"root.key\"");
    let told = here.site.run(&["serve", "--check", "--config", "a.toml"]);
    let expected = "; certificates by DANE: b.example, *.c.example; certificates by POSH: c.example; ";
    assert!(told.code == 0 && told.stdout.contains(expected), "{told:?}");
    here.write_a("posh_port = 8443", "dnssec_anchors = \"root.key\"");
    let told = here.site.run(&["serve", "--check", "--config", "a.toml"]);
    for note in ["trust.posh_port is not used: ", "dns.dnssec_anchors is not used: "] {
        assert!(told.code == 0 && told.stdout.contains(&format!("note: {note}")), "{told:?}");
    }
    for (trust, dns, words) in [
        (
            "dane = [\"192.0.2.1\"]",
            "",
            "a.toml:7:9: trust.dane: \"192.0.2.1\" is an address, which vouches for nothing",
        ),
        ("posh = [\"b..example\"]", "", "a.toml:7:9: trust.posh: \"b..example\" is no domain"),
        ("posh_port = 0", "", "a.toml:7:13: trust.posh_port: "),
        ("", "dnssec_anchors = \"none.key\"", "dns.dnssec_anchors: cannot read none.key"),
        ("", "dnssec_anchors = \"certs/ca.pem\"", "dns.dnssec_anchors: certs/ca.pem: it is no list of DNSKEY records"),
    ] {
        here.write_a(trust, dns);
        let refused = here.site.run(&["serve", "--check", "--config", "a.toml"]);
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
}

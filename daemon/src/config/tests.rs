//! Bad files and the exact line that each of them gets.

// Helpers of tests unwrap as tests do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use convoke::gateways::{Scope, Tokens};
use convoke_dev::{CertificateAuthority, Subject};
use tempfile::TempDir;

use super::*;

/// A directory with certificates, tokens and a configuration file.
struct Site {
    directory: TempDir,
}

/// The example of the documentation.
const GOOD: &str = r#"[[domain]]
name = "a.example"
certificate = "certs/a.example.pem"
private_key = "certs/a.example.key"
[trust]
roots = ["certs/ca.pem"]
crls = []
[s2s]
listen = ["127.0.0.1:5269"]
direct_tls_listen = []
[roles]
run = ["resources", "monitor", "pubsub", "gateway"]
[[allow]]
domain = "client.example"
nodes = 200
[gateway]
listen = "127.0.0.1:5280"
tokens = "gateway-tokens.toml"
targets = ["http://127.0.0.1:8080"]
[dns]
nameservers = ["127.0.0.1:5353"]
[store]
path = "data/"
[log]
filter = "info"
"#;

/// The least that a daemon needs, before and after the table that a test is about.
const DOMAIN: &str = r#"[[domain]]
name = "a.example"
certificate = "certs/a.example.pem"
private_key = "certs/a.example.key"
"#;
const TRUST: &str = r#"[trust]
roots = ["certs/ca.pem"]
"#;

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("certs");
        let authority = CertificateAuthority::load_or_create(&certs, "Test CA").unwrap();
        for name in ["a.example", "b.example"] {
            authority.issue(&Subject::domain(name)).unwrap().write_to(&certs, name).unwrap();
        }
        Tokens::add(directory.path().join("gateway-tokens.toml"), "alice", &[Scope::EventsRead]).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn load(&self, text: &str) -> Result<Config, ConfigError> {
        self.write("convoke.toml", text);
        Config::load(&self.path("convoke.toml"))
    }

    /// The line for a bad file, without the directory.
    fn fault(&self, text: &str) -> String {
        let line = self.load(text).unwrap_err().to_string();
        line.replace(&format!("{}/", self.directory.path().display()), "")
    }

    /// The line for the good file with one part replaced.
    fn fault_with(&self, part: &str, replacement: &str) -> String {
        assert_eq!(GOOD.matches(part).count(), 1, "{part}");
        self.fault(&GOOD.replace(part, replacement))
    }
}

#[test]
fn takes_the_documented_example() {
    let site = Site::new();
    let config = site.load(GOOD).unwrap();
    assert_eq!(config.domains.len(), 1);
    assert_eq!(config.domains[0].name.as_str(), "a.example");
    assert_eq!(config.s2s.listen, ["127.0.0.1:5269".parse().unwrap()]);
    assert_eq!(config.roles.run, [Role::Pubsub, Role::Resources, Role::Monitor, Role::Gateway]);
    assert_eq!((config.roles.allow[0].domain.as_str(), config.roles.allow[0].nodes), ("client.example", 200));
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.listen, "127.0.0.1:5280".parse().unwrap());
    assert_eq!((gateway.tokens.callers().count(), gateway.targets.len()), (1, 1));
    assert_eq!(config.nameservers, Some(vec!["127.0.0.1:5353".parse().unwrap()]));
    assert_eq!(config.store, Some(site.path("data/")));
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.unused, [""; 0]);
    assert!(!site.path("data").exists(), "checking writes nothing");
}

#[test]
fn a_file_with_one_domain_has_the_documented_defaults() {
    let config = Site::new().load(&format!("{DOMAIN}{TRUST}")).unwrap();
    assert_eq!(config.s2s.listen, ["127.0.0.1:5269".parse().unwrap()]);
    assert!(config.roles.run.is_empty() && config.roles.allow.is_empty() && config.gateway.is_none());
    assert!(config.nameservers.is_none() && config.store.is_none());
    assert_eq!(config.log.filter.to_string(), "info");
}

#[test]
fn an_empty_gateway_table_has_the_documented_defaults() {
    let config = Site::new().load(&format!("{DOMAIN}{TRUST}[roles]\nrun = [\"gateway\"]\n[gateway]\n")).unwrap();
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.listen, "127.0.0.1:5280".parse().unwrap());
    assert_eq!((gateway.tokens.callers().count(), gateway.targets.len()), (1, 0));
}

#[test]
fn says_what_is_configured_but_not_used() {
    let text = GOOD.replace(r#"["resources", "monitor", "pubsub", "gateway"]"#, "[]").replace("gateway-tokens", "none");
    let config = Site::new().load(&text).unwrap();
    assert!(config.gateway.is_none());
    assert_eq!(config.unused.len(), 2, "{:?}", config.unused);
}

#[test]
fn a_scheduler_asks_the_managers_that_are_named_or_those_of_the_same_file() {
    let site = Site::new();
    let addresses = |text: &str| -> Vec<String> {
        site.load(text).unwrap().roles.managers.iter().map(|manager| manager.as_str().to_owned()).collect()
    };
    let scheduler = format!("{DOMAIN}{TRUST}[scheduler]\nmanagers = [\"resources@b.example\"]\n");
    assert_eq!(addresses(&format!("{DOMAIN}{TRUST}")), ["resources@a.example"]);
    assert_eq!(addresses(&scheduler), ["resources@b.example"]);
    assert_eq!(
        site.fault(&scheduler.replace("resources@", "@")),
        "convoke.toml:8:13: scheduler.managers: \"@b.example\" is no address: the localpart is empty; use one such as resources@volunteers.example"
    );
}

#[test]
fn one_file_serves_several_domains() {
    let config = Site::new().load(&format!("{DOMAIN}{}{TRUST}", DOMAIN.replace("a.example", "b.example"))).unwrap();
    let names: Vec<_> = config.domains.iter().map(|domain| domain.name.as_str()).collect();
    assert_eq!(names, ["a.example", "b.example"]);
}

#[test]
fn names_file_place_key_and_remedy_of_a_wrong_key() {
    let site = Site::new();
    for (part, replacement, expected) in [
        (
            "certificate =",
            "certifcate =",
            r#"convoke.toml:3:1: domain.certifcate: unknown key "certifcate"; did you mean "certificate"?"#,
        ),
        (
            "crls =",
            "lists =",
            r#"convoke.toml:7:1: trust.lists: unknown key "lists"; use one of roots, crls, dane, posh, posh_port, group"#,
        ),
        ("[store]", "[stor]", r#"convoke.toml:22:2: stor: unknown key "stor"; did you mean "store"?"#),
        ("nodes = 200\n", "", r#"convoke.toml:13:1: the key "nodes" is missing; add it to this table"#),
        (
            "nodes = 200",
            "nodes = -1",
            "convoke.toml:15:9: allow.nodes: invalid value: integer `-1`, expected u32; correct the value",
        ),
        (
            r#"listen = "127.0.0.1:5280""#,
            "listen = 5280",
            "convoke.toml:17:10: gateway.listen: invalid type: integer `5280`, expected a string; correct the value",
        ),
        (
            r#"filter = "info""#,
            r#"format = "xml""#,
            r#"convoke.toml:25:10: log.format: unknown variant `xml`, expected `text` or `json`; correct the value"#,
        ),
        (
            "nodes = 200",
            "nodes = ",
            "convoke.toml:15:9: string values must be quoted, expected literal string; correct the value",
        ),
    ] {
        assert_eq!(site.fault_with(part, replacement), expected);
    }
}

/// Neither the secret nor a part of it is in what is said about it.
#[test]
fn the_secret_of_dialback_is_a_file_of_32_bytes_at_least() {
    let site = Site::new();
    let config = GOOD.replace("direct_tls_listen = []", "dialback = [\"old.example\"]\ndialback_secret = \"secret\"");
    let write = |secret: &str| fs::write(site.directory.path().join("secret"), secret).unwrap();
    let fault = |reason: &str| {
        format!("convoke.toml:11:19: s2s.dialback_secret: {reason}; make it with `openssl rand -base64 48 -out secret`")
    };
    assert!(site.fault(&config).starts_with("convoke.toml:11:19: s2s.dialback_secret: cannot read secret: "));
    write(&"x".repeat(31));
    assert_eq!(site.fault(&config), fault("secret holds 31 bytes, and a secret has 32 at least"));
    write(&format!("{}\n\n", "x".repeat(31)));
    assert_eq!(site.fault(&config), fault("secret holds 31 bytes, and a secret has 32 at least"));
    let made = |secret: &str| {
        write(secret);
        let secret = site.load(&config).unwrap().s2s.dialback_secret.unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        let domain = |name| Domainpart::new(name).unwrap();
        secret.key(&domain("a.example"), &domain("b.example"), "1").as_str().to_owned()
    };
    assert_eq!(made(&"x".repeat(32)), made(&format!("{}\n", "x".repeat(32))));
    assert_ne!(made(&"x".repeat(32)), made(&"x".repeat(33)));
    assert!(site.load(GOOD).unwrap().s2s.dialback_secret.is_none());
    let unused = site.load(&config.replace("dialback = [\"old.example\"]", "dialback = []")).unwrap().unused;
    assert_eq!(unused, ["s2s.dialback_secret is not used: s2s.dialback names no domain"]);
}

#[test]
fn names_file_place_key_and_remedy_of_a_wrong_value() {
    let site = Site::new();
    for (part, replacement, expected) in [
        (
            r#"name = "a.example""#,
            r#"name = "a b""#,
            r#"convoke.toml:2:8: domain.name: "a b" is no domain name: the domainpart is neither a host name nor an IP address; use one such as volunteers.example"#,
        ),
        (
            r#"["127.0.0.1:5269"]"#,
            r#"["localhost:5269"]"#,
            r#"convoke.toml:9:11: s2s.listen: "localhost:5269" is no socket address; use an IP address and a port, such as "127.0.0.1:5269""#,
        ),
        (
            r#"["127.0.0.1:5269"]"#,
            r#"["[::1]:5269", "[::1]:5269"]"#,
            "convoke.toml:9:25: s2s.listen: [::1]:5269 is listened on by another entry already; choose another port",
        ),
        (
            "127.0.0.1:5280",
            "127.0.0.1:5269",
            "convoke.toml:17:10: gateway.listen: 127.0.0.1:5269 is listened on by another entry already; choose another port",
        ),
        (
            "direct_tls_listen = []",
            r#"direct_tls_listen = ["127.0.0.1:5269"]"#,
            "convoke.toml:10:22: s2s.direct_tls_listen: 127.0.0.1:5269 is listened on by another entry already; choose another port",
        ),
        (
            "direct_tls_listen = []",
            r#"block = ["b.example", "*.x y"]"#,
            r#"convoke.toml:10:23: s2s.block: "*.x y" is no domain: the domainpart is neither a host name nor an IP address; use one such as b.example, or *.b.example for all below it"#,
        ),
        (
            "direct_tls_listen = []",
            r#"persistent = [""]"#,
            r#"convoke.toml:10:15: s2s.persistent: "" is no domain name: the domainpart is empty; use one such as volunteers.example"#,
        ),
        (
            "direct_tls_listen = []",
            "rate = [{ bytes_per_second = 0 }]",
            "convoke.toml:10:30: s2s.rate.bytes_per_second: 0 bytes a second let nothing through; give at least 1, or name the domains under s2s.block",
        ),
        (
            r#""monitor""#,
            r#""monitors""#,
            r#"convoke.toml:12:21: roles.run: there is no role "monitors"; did you mean "monitor"?"#,
        ),
        (
            r#""monitor""#,
            r#""dns""#,
            r#"convoke.toml:12:21: roles.run: there is no role "dns"; use one of pubsub, resources, monitor, scheduler, gateway"#,
        ),
        (
            r#""monitor""#,
            r#""resources""#,
            r#"convoke.toml:12:21: roles.run: the role "resources" was named before; remove one of the two"#,
        ),
        (
            "[store]\npath = \"data/\"\n",
            "",
            r#"convoke.toml:12:8: roles.run: the role "resources" needs a durable store: a lease must outlive a restart; add [store] with path = "data/""#,
        ),
        (
            "nodes = 200",
            "nodes = 0",
            "convoke.toml:15:9: allow.nodes: 0 nodes allow nothing; give at least 1, or remove the table",
        ),
        (
            "[gateway]",
            "[[allow]]\ndomain = \"CLIENT.example\"\nnodes = 1\n[gateway]",
            "convoke.toml:17:10: allow.domain: client.example was named before; remove one of the two tables",
        ),
        (
            "127.0.0.1:5353",
            "ns.example",
            r#"convoke.toml:21:16: dns.nameservers: "ns.example" is no nameserver; use an IP address, with a port if it is not 53, such as "127.0.0.1:5353""#,
        ),
        (
            r#"["127.0.0.1:5353"]"#,
            "[]",
            "convoke.toml:21:15: dns.nameservers: the list is empty; name at least one, or remove the key to use the system's",
        ),
        (
            r#"["certs/ca.pem"]"#,
            "[]",
            "convoke.toml:6:9: trust.roots: the list is empty; name at least one file, or remove the key to trust the system's authorities",
        ),
        (
            "http://127.0.0.1:8080",
            "127.0.0.1:8080",
            "convoke.toml:19:12: gateway.targets: \"127.0.0.1:8080\" is no target; give scheme, host and port only, such as http://127.0.0.1:8080",
        ),
        (
            "data/",
            "certs/ca.pem",
            "convoke.toml:23:8: store.path: certs/ca.pem is not a directory; name a directory, which is made if it is not there",
        ),
    ] {
        assert_eq!(site.fault_with(part, replacement), expected);
    }
}

#[test]
fn names_file_place_key_and_remedy_of_a_fault_that_another_crate_found() {
    let site = Site::new();
    site.write("bad.toml", "[[token]]\nname = 1\n");
    for (part, replacement, beginning, end) in [
        (
            "info",
            "convoke=loud",
            "convoke.toml:25:10: log.filter: \"convoke=loud\" is no log filter: ",
            r#"; use one such as "info" or "convoke=debug,warn""#,
        ),
        (
            "gateway-tokens.toml",
            "none.toml",
            "convoke.toml:18:10: gateway.tokens: there is no token file none.toml; ",
            "make one with `convoke token add NAME --scope SCOPE --tokens none.toml`",
        ),
        (
            "gateway-tokens.toml",
            "bad.toml",
            "convoke.toml:18:10: gateway.tokens: bad.toml is no token file: ",
            "; restore it, or make a new one with `convoke token add`",
        ),
    ] {
        let fault = site.fault_with(part, replacement);
        assert!(fault.starts_with(beginning) && fault.ends_with(end), "{fault}");
        assert!(fault.len() > beginning.len() + end.len() || end.starts_with("make"), "the cause is told: {fault}");
    }
}

#[test]
fn names_the_file_that_a_domain_cannot_prove_itself_by() {
    let site = Site::new();
    for (part, replacement, beginning) in [
        (
            "certs/a.example.pem",
            "certs/c.pem",
            "convoke.toml:3:15: domain.certificate: cannot read certs/c.pem: No such file or directory (os error 2); ",
        ),
        (
            "certs/a.example.pem",
            "certs/a.example.key",
            "convoke.toml:3:15: domain.certificate: certs/a.example.key holds no certificate; ",
        ),
        (
            "certs/a.example.pem",
            "certs/b.example.pem",
            r#"convoke.toml:3:15: domain.certificate: certs/b.example.pem does not name a.example but dNSName b.example, SRVName _xmpp-server.b.example; name the certificate of a.example, or make one with `convoke certs`"#,
        ),
        (
            "certs/a.example.key",
            "certs/a.example.pem",
            "convoke.toml:4:15: domain.private_key: certs/a.example.pem holds no private key",
        ),
        (
            "certs/a.example.key",
            "certs/b.example.key",
            "convoke.toml:4:15: domain.private_key: certs/b.example.key: the private key does not belong to the certificate; ",
        ),
        ("certs/ca.pem", "certs", "convoke.toml:6:10: trust.roots: cannot read certs: Is a directory (os error 21); "),
        (
            "crls = []",
            r#"crls = ["certs/ca.pem"]"#,
            "convoke.toml:7:9: trust.crls: certs/ca.pem holds no certificate revocation list; ",
        ),
    ] {
        let fault = site.fault_with(part, replacement);
        assert!(fault.starts_with(beginning), "{fault}");
    }
}

#[test]
fn names_the_root_or_revocation_list_that_is_broken() {
    let site = Site::new();
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    site.write("bad.pem", &pem("CERTIFICATE"));
    site.write("bad.crl", &pem("X509 CRL"));
    assert_eq!(
        site.fault_with("certs/ca.pem", "bad.pem"),
        "convoke.toml:6:10: trust.roots: bad.pem: root certificate number 1 is no X.509 certificate in DER; replace the file"
    );
    assert_eq!(
        site.fault_with("crls = []", r#"crls = ["bad.crl"]"#),
        "convoke.toml:7:9: trust.crls: bad.crl: revocation list number 1 is no complete X.509 v2 CRL in DER; replace the file"
    );
    assert_eq!(
        site.fault_with("certs/a.example.pem", "bad.pem"),
        "convoke.toml:3:15: domain.certificate: bad.pem: the first certificate is not X.509; export it again"
    );
}

const GROUP: &str = r#"[[trust.group]]
domains = ["grid.example", "cloud.example"]
roots = ["certs/ca.pem"]
pins = ["d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="]
[[trust.group]]
domains = ["inner.grid.example"]
"#;

#[test]
fn takes_groups_with_roots_and_pins_of_their_own() {
    let config = Site::new().load(&format!("{DOMAIN}{TRUST}{GROUP}")).unwrap();
    let groups: Vec<_> = config.trust.groups.iter().map(|group| (group.suffixes.len(), group.pins.len())).collect();
    assert_eq!(groups, [(2, 1), (1, 0)]);
    let files = config.named.parts().into_iter().map(|(_, files)| files.len());
    assert_eq!(files.collect::<Vec<_>>(), [2, 2], "a certificate and its key; two lists of roots");
}

#[test]
fn names_file_place_key_and_remedy_of_a_fault_in_a_group() {
    let site = Site::new();
    for (part, replacement, expected) in [
        (
            r#"["inner.grid.example"]"#,
            r#"["grid.example"]"#,
            "convoke.toml:12:12: trust.group.domains: grid.example was named before; remove one of the two tables",
        ),
        (
            r#"["inner.grid.example"]"#,
            "[]",
            "convoke.toml:12:11: trust.group.domains: the list is empty; name at least one domain, or remove the table",
        ),
        (
            "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=",
            "AAAA",
            r#"convoke.toml:10:9: trust.group.pins: "AAAA" is no pin: a pin is the base64 of a SHA-256: 44 characters, the last of which is `=`"#,
        ),
        ("pins =", "pin =", r#"convoke.toml:10:1: trust.group.pin: unknown key "pin"; did you mean "pins"?"#),
    ] {
        assert_eq!(GROUP.matches(part).count(), 1, "{part}");
        assert_eq!(site.fault(&format!("{DOMAIN}{TRUST}{}", GROUP.replace(part, replacement))), expected);
    }
}

#[test]
fn names_what_a_file_lacks_as_a_whole() {
    let site = Site::new();
    assert_eq!(site.fault(""), "convoke.toml: there is no [[domain]]; add one with name, certificate and private_key");
    assert_eq!(
        site.fault(&format!("{DOMAIN}{DOMAIN}")),
        "convoke.toml:6:8: domain.name: a.example was named before; remove one of the two tables"
    );
    assert_eq!(
        site.fault(&format!("{DOMAIN}[roles]\nrun = [\"gateway\"]\n")),
        "convoke.toml:6:8: roles.run: the role \"gateway\" needs a [gateway] table; add it with listen and tokens, or remove the role"
    );
    let missing = Config::load(Path::new("/nonexistent/convoke.toml")).unwrap_err().to_string();
    assert_eq!(
        missing,
        "/nonexistent/convoke.toml: cannot read the configuration: No such file or directory (os error 2); name an existing TOML file that this user may read"
    );
}

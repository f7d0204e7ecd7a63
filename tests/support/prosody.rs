//! Debian's Prosody as a real peer: its own directory, certificates, loopback address and ports; gone when dropped.
//!
//! It takes nothing from the machine's own configuration and never runs as a service. Its domain lies under `.lan`,
//! because libunbound denies `.test` by itself. It asks our DNS server alone, speaks to other servers only with TLS and
//! a certificate that proves their domain, and knows no dialback: so whoever exchanges stanzas with it has done
//! STARTTLS and SASL EXTERNAL.
//!
//! ```ignore
//! let dns = LoopbackDns::start("127.0.0.1:0".parse()?).await?;
//! let authority = CertificateAuthority::new("Test CA")?;
//! let prosody = Prosody::start("prosody.lan", &authority, &dns, &["juliet"]).await;
//! let mut juliet = Client::login(&prosody, "juliet").await;
//! ```

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use convoke_dev::{AUTHORITY_CERTIFICATE_FILE, CertificateAuthority, Issued, LoopbackDns, Subject};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{GLANCE, until, within_deadline};

/// The service under which servers find each other (RFC 6120 §3.2.1).
const SERVICE: &str = "_xmpp-server._tcp";

/// A running Prosody; dropping it kills the process, by its id, and removes its directory.
pub(crate) struct Prosody {
    domain: String,
    c2s: SocketAddr,
    s2s: SocketAddr,
    configuration: PathBuf,
    process: Child,
    directory: TempDir,
}

impl Prosody {
    /// Starts a Prosody for this domain (under `.lan`), announces it in the DNS server, and waits until it listens.
    ///
    /// The accounts (localparts) all have the password [`password`] gives. Prosody trusts the authority and has a
    /// certificate from it. Panics with a line that says what is missing when it cannot be started, and with its log when it ends.
    pub(crate) async fn start(
        domain: &str,
        authority: &CertificateAuthority,
        dns: &LoopbackDns,
        accounts: &[&str],
    ) -> Self {
        let issued = authority.issue(&Subject::domain(domain)).unwrap();
        Self::start_with(domain, &issued, authority, dns, accounts).await
    }

    /// The same with a certificate of any kind, which need not be from the authority that Prosody trusts.
    pub(crate) async fn start_with(
        domain: &str,
        issued: &Issued,
        trusted: &CertificateAuthority,
        dns: &LoopbackDns,
        accounts: &[&str],
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (c2s, s2s) = free_addresses();
        issued.write_to(directory.path(), domain).unwrap();
        fs::write(directory.path().join(AUTHORITY_CERTIFICATE_FILE), trusted.certificate_pem()).unwrap();
        let configuration = write_configuration(directory.path(), domain, c2s, s2s, dns.address());
        accounts.iter().for_each(|account| register(&configuration, domain, account));
        announce(dns, domain, s2s);
        let process = spawn(directory.path(), &configuration);
        let mut prosody = Self { domain: domain.to_owned(), c2s, s2s, configuration, process, directory };
        prosody.wait_until_it_listens().await;
        prosody
    }

    /// Asks it to end (SIGTERM), and waits until it has: it closes its streams first.
    pub(crate) async fn stop(&mut self) {
        let status = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(status.success(), "{status}");
        self.wait_until_it_has_ended().await;
    }

    /// Kills it, so that its streams break off, and waits until it has ended.
    pub(crate) async fn crash(&mut self) {
        self.process.kill().unwrap();
        self.wait_until_it_has_ended().await;
    }

    /// Starts it again after its end, with the same ports and accounts, and waits until it listens.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.directory.path(), &self.configuration);
        self.wait_until_it_listens().await;
    }

    /// The domain it serves.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Where clients connect, with and without TLS.
    pub(crate) fn c2s(&self) -> SocketAddr {
        self.c2s
    }

    /// Where servers connect, by STARTTLS; what its SRV record says.
    pub(crate) fn s2s(&self) -> SocketAddr {
        self.s2s
    }

    /// Everything it has logged so far, at the level debug, and what it printed.
    pub(crate) fn log(&self) -> String {
        ["prosody.log", "output"].map(|name| read(&self.directory.path().join(name))).concat()
    }

    /// Waits until the log contains this text.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        until(&format!("{text:?} in the log of {}", self.domain), || self.log().contains(text)).await;
    }

    async fn wait_until_it_has_ended(&mut self) {
        until("Prosody ends", || self.process.try_wait().unwrap().is_some()).await;
    }

    async fn wait_until_it_listens(&mut self) {
        within_deadline("Prosody listens", async {
            for address in [self.c2s, self.s2s] {
                while TcpStream::connect(address).await.is_err() {
                    self.check_that_it_runs();
                    sleep(GLANCE).await;
                }
            }
        })
        .await;
        assert!(!self.log().contains("missing lua-unbound"), "lua-unbound is missing; {INSTALL}");
    }

    fn check_that_it_runs(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("Prosody ended with {status}; its log:\n{}", self.log());
        }
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What to do when it is missing: a test that needs a peer fails without one, and is never skipped.
const INSTALL: &str =
    "run `cargo xtask test` as root, or `apt-get install --no-install-recommends prosody lua-unbound`";

/// The password of an account that [`Prosody::start`] made.
pub(crate) fn password(account: &str) -> String {
    format!("password of {account}")
}

/// Two free ports on a loopback address that no other test of this machine uses at the same time.
fn free_addresses() -> (SocketAddr, SocketAddr) {
    // The process and a count within it choose the address, so that a port seen free stays free.
    static COUNT: AtomicU16 = AtomicU16::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let count = COUNT.fetch_add(1, Ordering::Relaxed) as u8;
    let address = Ipv4Addr::new(127, 64 | high & 0x3f, low, count.max(1));
    let listeners = [(); 2].map(|()| TcpListener::bind((address, 0)).unwrap());
    let [c2s, s2s] = listeners.map(|listener| listener.local_addr().unwrap());
    (c2s, s2s)
}

fn announce(dns: &LoopbackDns, domain: &str, s2s: SocketAddr) {
    let std::net::IpAddr::V4(address) = s2s.ip() else { unreachable!("free_addresses gives IPv4") };
    dns.srv(domain, SERVICE, 0, 0, s2s.port(), &format!("xmpp.{domain}")).unwrap();
    dns.a(&format!("xmpp.{domain}"), address).unwrap();
}

/// Writes the configuration and returns its path.
fn write_configuration(directory: &Path, domain: &str, c2s: SocketAddr, s2s: SocketAddr, dns: SocketAddr) -> PathBuf {
    let text = CONFIGURATION
        .replace("@DIRECTORY@", directory.to_str().unwrap())
        .replace("@DOMAIN@", domain)
        .replace("@ADDRESS@", &c2s.ip().to_string())
        .replace("@C2S_PORT@", &c2s.port().to_string())
        .replace("@S2S_PORT@", &s2s.port().to_string())
        .replace("@DNS@", &format!("{}@{}", dns.ip(), dns.port()));
    let path = directory.join("prosody.cfg.lua");
    fs::write(&path, text).unwrap();
    path
}

const CONFIGURATION: &str = r#"
run_as_root = true                       -- continuous integration often is root
pidfile = "@DIRECTORY@/prosody.pid"
data_path = "@DIRECTORY@/data"
log = { { levels = { min = "debug" }; to = "file"; filename = "@DIRECTORY@/prosody.log" } }
statistics = false

interfaces = { "@ADDRESS@" }
local_interfaces = { "@ADDRESS@" }
use_ipv6 = false
network_settings = { nagle = false }     -- with Nagle's algorithm every handshake stalls for 40 ms
c2s_ports = { @C2S_PORT@ }
s2s_ports = { @S2S_PORT@ }
c2s_direct_tls_ports = { }
s2s_direct_tls_ports = { }
unbound = { resolvconf = false; hoststxt = false; forward = { "@DNS@" } }

modules_enabled = { "roster"; "saslauth"; "tls"; "disco"; "ping"; "posix"; "presence"; "message"; "iq"; "s2s"; "c2s"; "s2s_auth_certs" }
modules_disabled = { "dialback"; "offline" }
limits = { }                             -- its defaults throttle to some ten kilobytes a second

c2s_require_encryption = false           -- the tests' client speaks plain TCP on loopback
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"

s2s_require_encryption = true
s2s_secure_auth = true                   -- a certificate that proves the domain, or nothing
ssl = { cafile = "@DIRECTORY@/ca.pem" }
certificates = "@DIRECTORY@"

VirtualHost "@DOMAIN@"
	ssl = { certificate = "@DIRECTORY@/@DOMAIN@.pem"; key = "@DIRECTORY@/@DOMAIN@.key"; cafile = "@DIRECTORY@/ca.pem" }
"#;

fn register(configuration: &Path, domain: &str, account: &str) {
    let mut command = Command::new("prosodyctl");
    command.arg("--config").arg(configuration).args(["register", account, domain, &password(account)]);
    let output = command.output().unwrap_or_else(|cause| panic!("cannot start prosodyctl ({cause}); {INSTALL}"));
    assert!(output.status.success(), "prosodyctl cannot register {account}: {output:?}");
}

fn spawn(directory: &Path, configuration: &Path) -> Child {
    let output = fs::File::options().create(true).append(true).open(directory.join("output")).unwrap();
    let mut command = Command::new("prosody");
    command.arg("--no-daemonize").arg("--config").arg(configuration);
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    command.spawn().unwrap_or_else(|cause| panic!("cannot start Prosody ({cause}); {INSTALL}"))
}

/// A file that is perhaps not there yet.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

//! The servers that are measured: ours and those of others, each a process of its own.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convoke_dev::peers::{Peer, Service, Software, password};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::server;
use super::stream::log_in;
use crate::Error;

/// The account of a peer that takes messages, and its resource.
const ACCOUNT: &str = "sink";
const RESOURCE: &str = "bench";

/// A running server.
pub(crate) struct Contestant {
    /// Its name in the table.
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) domain: String,
    pub(crate) process: Process,
}

pub(crate) enum Process {
    Ours(Ours),
    Peer(Peer),
}

/// Our own server; it ends when its standard input does.
pub(crate) struct Ours {
    child: Child,
    ports: [u16; 2],
    _directory: TempDir,
}

impl Contestant {
    /// Starts our own, which is this binary; its publish-subscribe keeps everything in memory, or in a store in this
    /// directory.
    pub(crate) fn ours(
        binary: &Path,
        authority: &CertificateAuthority,
        dns: &LoopbackDns,
        store: Option<&Path>,
    ) -> Result<Self, Error> {
        let domain = "convoke.lan".to_owned();
        let process = Process::Ours(Ours::start(binary, &domain, authority, dns, store)?);
        Ok(Self { name: "ours", version: "as built".to_owned(), domain, process })
    }

    /// Starts a fresh one of another maker, which logs nothing but warnings; with a publish-subscribe service, if
    /// somebody is to own its nodes.
    pub(crate) async fn peer(
        software: Software,
        authority: &CertificateAuthority,
        dns: &LoopbackDns,
        owner: Option<&str>,
    ) -> Result<Self, Error> {
        let (name, domain) = match software {
            Software::Prosody => ("Prosody", "prosody.lan"),
            _ => ("ejabberd", "ejabberd.lan"),
        };
        let mut builder = Peer::builder(software, domain, authority)?.accounts([ACCOUNT]).quiet();
        if let Some(owner) = owner {
            builder = builder.pubsub([owner]);
        }
        let peer = builder.start(dns).await?;
        let version = installed(software.packages()[0]);
        Ok(Self { name, version, domain: domain.to_owned(), process: Process::Peer(peer) })
    }

    pub(crate) fn address(&self, service: Service) -> SocketAddr {
        match (&self.process, service) {
            (Process::Ours(ours), Service::StartTls) => (Ipv4Addr::LOCALHOST, ours.ports[0]).into(),
            (Process::Ours(ours), Service::DirectTls) => (Ipv4Addr::LOCALHOST, ours.ports[1]).into(),
            (Process::Peer(peer), Service::StartTls) => peer.s2s(),
            (Process::Peer(peer), Service::DirectTls) => peer.s2s_direct(),
        }
    }

    /// Where publish-subscribe is: the domain to dial, and the address to ask.
    pub(crate) fn pubsub(&self) -> (String, String) {
        match &self.process {
            Process::Ours(_) => (self.domain.clone(), format!("pubsub@{}", self.domain)),
            Process::Peer(peer) => (peer.pubsub(), peer.pubsub()),
        }
    }

    pub(crate) fn process_id(&self) -> u32 {
        match &self.process {
            Process::Ours(ours) => ours.child.id(),
            Process::Peer(peer) => peer.process_id(),
        }
    }

    /// Who takes messages: a component of ours, a client of theirs, which has to be logged in.
    pub(crate) async fn sink(&self) -> Result<Sink, Error> {
        let Process::Peer(peer) = &self.process else {
            return Ok(Sink::Component { address: format!("{}@{}", server::SINK, self.domain) });
        };
        let credentials = STANDARD.encode(format!("\0{ACCOUNT}\0{}", password(ACCOUNT)));
        let socket = log_in(peer.c2s(), &self.domain, &credentials, RESOURCE).await?;
        Ok(Sink::Client { address: format!("{ACCOUNT}@{}/{RESOURCE}", self.domain), socket })
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, process {}", self.name, self.version, self.process_id())
    }
}

/// Who takes messages.
pub(crate) enum Sink {
    /// In the process of the server; acknowledges by the stream back.
    Component { address: String },
    /// On this socket, which shows each message.
    Client { address: String, socket: TcpStream },
}

impl Ours {
    fn start(
        binary: &Path,
        domain: &str,
        authority: &CertificateAuthority,
        dns: &LoopbackDns,
        store: Option<&Path>,
    ) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let issued = authority.issue(&Subject::domain(domain))?;
        let trust = authority.certificate_pem().to_owned();
        let files =
            [(server::CHAIN_FILE, issued.chain_pem), (server::KEY_FILE, issued.key_pem), (server::TRUST_FILE, trust)];
        for (name, text) in files {
            fs::write(directory.path().join(name), text)?;
        }
        let mut command = Command::new(binary);
        command.arg(domain).arg(directory.path()).arg(dns.address().to_string()).args(store);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let mut ports = line.split_whitespace().map(str::parse);
        match (ports.next(), ports.next()) {
            (Some(starttls), Some(direct)) => Ok(Self { ports: [starttls?, direct?], child, _directory: directory }),
            _ => Err("our server did not start".into()),
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and nothing to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version of a Debian package.
fn installed(package: &str) -> String {
    let version = Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]).output();
    version.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

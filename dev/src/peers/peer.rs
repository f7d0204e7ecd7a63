//! A running peer.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::addresses::Addresses;
use super::builder::{Plan, pubsub_domain};
use super::{PeerBuilder, PeerError, Software};
use crate::{CertificateAuthority, LoopbackDns};

/// How long anything may take: far longer than it does, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at where nothing can wake us.
const GLANCE: Duration = Duration::from_millis(10);

/// Where it logs, and where goes what it prints.
pub(super) const LOG_FILE: &str = "peer.log";
const OUTPUT_FILE: &str = "output";

/// A running server of another maker; dropping it kills the process, by its id, and removes its directory.
#[derive(Debug)]
pub struct Peer {
    software: Software,
    domain: String,
    addresses: Addresses,
    process: Child,
    directory: TempDir,
}

/// The password of an account of a peer.
#[must_use]
pub fn password(account: &str) -> String {
    format!("password of {account}")
}

impl Peer {
    /// Begins to describe a peer of this domain, with a certificate of this authority and trust in it.
    ///
    /// Fails with [`PeerError::Certificate`].
    pub fn builder(
        software: Software,
        domain: &str,
        authority: &CertificateAuthority,
    ) -> Result<PeerBuilder, PeerError> {
        PeerBuilder::new(software, domain, authority)
    }

    pub(super) async fn start(software: Software, plan: &Plan, dns: &LoopbackDns) -> Result<Self, PeerError> {
        let directory = tempfile::tempdir()?;
        software.prepare(plan, directory.path()).await?;
        if let Some(name) = software.hosts_file() {
            dns.keep_hosts(&directory.path().join(name))?;
        }
        let process = spawn(software, directory.path())?;
        let domain = plan.domain.clone();
        let mut peer = Self { software, domain, addresses: plan.addresses, process, directory };
        peer.wait_until_ready().await?;
        Ok(peer)
    }

    /// Asks it to end (SIGTERM), and waits until it has: it closes its streams first.
    pub async fn stop(&mut self) -> Result<(), PeerError> {
        // It may have ended by itself in the meantime; then there is nothing to kill.
        let ended = !self.signal("TERM")? && self.process.try_wait()?.is_some();
        if ended { Ok(()) } else { self.wait_until_ended().await }
    }

    /// Stops it where it stands (SIGSTOP), connections and all: it hears what it is sent, and says nothing. It is killed
    /// like any other when it is dropped.
    pub fn freeze(&self) -> Result<(), PeerError> {
        self.signal("STOP").map(drop)
    }

    /// Has it go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), PeerError> {
        self.signal("CONT").map(drop)
    }

    /// Whether there was somebody to take the signal.
    fn signal(&self, name: &str) -> Result<bool, PeerError> {
        let killed = Command::new("kill").args(["-s", name]).arg(self.process.id().to_string()).status()?;
        Ok(killed.success())
    }

    /// Kills it (SIGKILL), so that its streams break off, and waits until it has ended.
    pub async fn crash(&mut self) -> Result<(), PeerError> {
        self.process.kill()?;
        self.wait_until_ended().await
    }

    /// Starts it again after its end, with the same address, ports and accounts, and waits until it is ready.
    pub async fn start_again(&mut self) -> Result<(), PeerError> {
        self.process = spawn(self.software, self.directory.path())?;
        self.wait_until_ready().await
    }

    /// Which server it is.
    #[must_use]
    pub fn software(&self) -> Software {
        self.software
    }

    /// The domain that it serves.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The address of its publish-subscribe service, if [`PeerBuilder::pubsub`] asked for one.
    #[must_use]
    pub fn pubsub(&self) -> String {
        pubsub_domain(&self.domain)
    }

    /// Where clients connect, without TLS if they like.
    #[must_use]
    pub fn c2s(&self) -> SocketAddr {
        self.addresses.at(self.addresses.c2s)
    }

    /// Where servers connect that begin with STARTTLS.
    #[must_use]
    pub fn s2s(&self) -> SocketAddr {
        self.addresses.at(self.addresses.s2s)
    }

    /// Where servers connect that begin with TLS (XEP-0368).
    #[must_use]
    pub fn s2s_direct(&self) -> SocketAddr {
        self.addresses.at(self.addresses.s2s_direct)
    }

    /// The id of the process that is the server, whose CPU time is the server's.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Everything that it has logged and printed so far; empty if there is nothing yet.
    #[must_use]
    pub fn log(&self) -> String {
        [LOG_FILE, OUTPUT_FILE].map(|name| read(&self.directory.path().join(name))).concat()
    }

    /// Waits until it has logged this text; fails with [`PeerError::TimedOut`] after a minute.
    pub async fn wait_for_log(&self, text: &str) -> Result<(), PeerError> {
        let logged = async {
            while !self.log().contains(text) {
                sleep(GLANCE).await;
            }
        };
        timeout(DEADLINE, logged).await.map_err(|_| self.timed_out(&format!("{text:?} in its log")))
    }

    async fn wait_until_ended(&mut self) -> Result<(), PeerError> {
        let ended = async {
            while self.process.try_wait()?.is_none() {
                sleep(GLANCE).await;
            }
            Ok(())
        };
        let outcome = timeout(DEADLINE, ended).await;
        outcome.unwrap_or_else(|_| Err(self.timed_out("its end")))
    }

    async fn wait_until_ready(&mut self) -> Result<(), PeerError> {
        let outcome = timeout(DEADLINE, self.come_up()).await;
        outcome.unwrap_or_else(|_| Err(self.timed_out("its readiness")))
    }

    async fn come_up(&mut self) -> Result<(), PeerError> {
        let file = self.software.ready_file().map(|name| self.directory.path().join(name));
        while file.as_ref().is_some_and(|file| !file.exists()) {
            self.check_that_it_runs()?;
            sleep(GLANCE).await;
        }
        for address in self.addresses.all() {
            while TcpStream::connect(address).await.is_err() {
                self.check_that_it_runs()?;
                sleep(GLANCE).await;
            }
        }
        match self.software.sign_of_a_missing_part() {
            Some(sign) if self.log().contains(sign) => {
                Err(PeerError::Missing { software: self.software, what: sign.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn check_that_it_runs(&mut self) -> Result<(), PeerError> {
        match self.process.try_wait()? {
            Some(status) => Err(PeerError::Ended { software: self.software, status, log: self.log() }),
            None => Ok(()),
        }
    }

    fn timed_out(&self, awaited: &str) -> PeerError {
        PeerError::TimedOut { software: self.software, awaited: awaited.to_owned(), log: self.log() }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and nothing to wait for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(software: Software, directory: &Path) -> Result<Child, PeerError> {
    if let Some(name) = software.ready_file() {
        // What an earlier run has left says nothing of this one.
        let _ = fs::remove_file(directory.join(name));
    }
    let output = fs::File::options().create(true).append(true).open(directory.join(OUTPUT_FILE))?;
    let mut command = software.command(directory)?;
    command.current_dir(directory).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.spawn().map_err(|cause| PeerError::Missing { software, what: cause.to_string() })
}

/// A file that is perhaps not there yet.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

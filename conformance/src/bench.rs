//! What a case works with: the setup, and connections whose bytes are written down.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::authority::{Authority, AuthorityError, Shape};
use crate::probe::{Probe, Stage};
use crate::setup::{Identity, Setup};
use crate::transcript::Transcript;
use crate::verdict::{Finding, inconclusive};
use crate::wire::Wire;

/// The protocol of servers in ALPN (XEP-0368, section 3).
pub(crate) const ALPN: &[u8] = b"xmpp-server";

/// The bench of one case.
pub(crate) struct Bench {
    pub(crate) setup: Arc<Setup>,
    /// The key of the case.
    pub(crate) key: &'static str,
    transcript: Transcript,
}

impl Bench {
    pub(crate) fn new(setup: Arc<Setup>, key: &'static str) -> Self {
        Self { setup, key, transcript: Transcript::default() }
    }

    /// What was said and heard so far.
    pub(crate) fn transcript(&self) -> String {
        self.transcript.text()
    }

    /// A new connection to the server under test, as its own domain.
    pub(crate) async fn connect(&self) -> Result<Probe, Finding> {
        self.connect_as(&self.setup.us).await
    }

    /// A new connection to the server under test.
    pub(crate) async fn connect_as(&self, us: &Identity) -> Result<Probe, Finding> {
        Ok(self.probe(self.tcp(&self.setup.target.addresses).await?, us))
    }

    /// A new connection to where the server under test begins with TLS, before that.
    pub(crate) async fn connect_direct(&self) -> Result<Probe, Finding> {
        let addresses = &self.setup.target.direct_addresses;
        if addresses.is_empty() {
            return Err(Finding::Skipped("the server is not known to take direct TLS".to_owned()));
        }
        Ok(self.probe(self.tcp(addresses).await?, &self.setup.us))
    }

    /// A connection by direct TLS that has got so far, at least to [`Stage::Encrypted`].
    pub(crate) async fn reach_direct(&self, stage: Stage) -> Result<Probe, Finding> {
        let mut probe = self.connect_direct().await?;
        let tls = probe.own_tls()?.with_protocols(&[ALPN]);
        let done = probe.shake_hands(&tls).await;
        done.map_err(|error| Finding::Inconclusive(format!("the TLS handshake failed: {error}")))?;
        probe.advance(stage).await?;
        Ok(probe)
    }

    async fn tcp(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Finding> {
        let mut last = "there is no address".to_owned();
        for address in addresses {
            self.transcript.note(&format!("connecting to {address}"));
            match timeout(self.setup.patience, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = "no answer in time".to_owned(),
            }
        }
        inconclusive(format!("cannot connect: {last}"))
    }

    /// A connection that has got so far.
    pub(crate) async fn reach(&self, stage: Stage) -> Result<Probe, Finding> {
        self.reach_as(&self.setup.us, stage).await
    }

    /// A connection of this identity that has got so far.
    pub(crate) async fn reach_as(&self, us: &Identity, stage: Stage) -> Result<Probe, Finding> {
        let mut probe = self.connect_as(us).await?;
        probe.advance(stage).await?;
        Ok(probe)
    }

    /// A wire over a connection that the server under test has made.
    pub(crate) fn accepted(&self, tcp: TcpStream) -> Wire {
        self.transcript.note("the server under test has connected");
        Wire::new(tcp, self.setup.patience, self.transcript.clone())
    }

    /// An identity with a certificate of this shape, by the authority that the server under test trusts.
    pub(crate) fn identity(&self, domain: &str, shape: &Shape) -> Result<Identity, Finding> {
        let authority = self.setup.authority.as_ref();
        let authority = authority.ok_or_else(|| Finding::Skipped("needs --authority".to_owned()))?;
        identity(authority, domain, shape)
    }

    fn probe(&self, tcp: TcpStream, us: &Identity) -> Probe {
        let wire = Wire::new(tcp, self.setup.patience, self.transcript.clone());
        Probe::new(wire, us.clone(), self.setup.target.domain.clone())
    }
}

/// An identity with a certificate of this shape by this authority.
pub(crate) fn identity(authority: &Authority, domain: &str, shape: &Shape) -> Result<Identity, Finding> {
    let unusable = |error: AuthorityError| Finding::Inconclusive(error.to_string());
    let domain = convoke_xmpp::Domainpart::new(domain)
        .map_err(|error| Finding::Inconclusive(format!("{domain} cannot be a domain: {error}")))?;
    Ok(Identity { domain, credentials: authority.issue(shape).map_err(unusable)? })
}

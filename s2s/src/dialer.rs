//! Reaches a domain: every target and address in order, until one has been negotiated to the end.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use convoke_net::{Connection, Negotiated, NegotiationError, TlsContext, negotiate};
use convoke_xmpp::{Condition, Domainpart, Limits, StanzaError};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::config::Timeouts;
use crate::error::NegotiationFailure;
use crate::identity::IdentityVerifier;
use crate::negotiation::{Authzid, Established, Initiating, InitiatingConfig};
use crate::resolver::{Family, ResolveError, Resolver, literal};
use crate::target::{DEFAULT_PORT, Located, Service, SrvRecord, Target};

/// How many addresses are tried for one domain: DNS answers are under the control of others.
const MAX_ATTEMPTS: usize = 8;

/// Why a domain could not be reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// DNS names no server of the domain.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No target could be negotiated with.
    #[error("{domain} cannot be reached: {}", join(attempts))]
    Unreachable {
        /// The domain.
        domain: Domainpart,
        /// What was tried, in order.
        attempts: Vec<Attempt>,
    },
}

/// One target, or one of its addresses, that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    /// The target.
    pub target: Target,
    /// Its address, if it has one.
    pub address: Option<SocketAddr>,
    /// What went wrong.
    pub cause: AttemptError,
}

/// Why an attempt failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The host has no address.
    #[error(transparent)]
    Resolve(ResolveError),
    /// No TCP connection could be made.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// No TCP connection could be made in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The stream could not be negotiated.
    #[error(transparent)]
    Negotiation(NegotiationError<NegotiationFailure>),
}

impl DialError {
    /// What the senders of stanzas to the domain are told (RFC 6120, section 10.4.3): `remote-server-not-found` when DNS
    /// leads nowhere, `remote-server-timeout` when no stream could be negotiated; the reason is the text.
    pub fn to_stanza_error(&self) -> StanzaError {
        let condition =
            if self.is_not_found() { Condition::RemoteServerNotFound } else { Condition::RemoteServerTimeout };
        StanzaError::new(condition).with_text(self.to_string())
    }

    fn is_not_found(&self) -> bool {
        match self {
            Self::Resolve(_) => true,
            Self::Unreachable { attempts, .. } => {
                attempts.iter().all(|attempt| matches!(attempt.cause, AttemptError::Resolve(_)))
            }
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} ({address}): {}", self.target, self.cause),
            None => write!(f, "{}: {}", self.target, self.cause),
        }
    }
}

fn join(attempts: &[Attempt]) -> String {
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; ")
}

/// A stream to another domain, ready for stanzas.
pub(crate) type Dialed = Negotiated<Established>;

/// Everything that dialling needs.
pub(crate) struct Dialer {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) tls: TlsContext,
    pub(crate) verifier: Arc<IdentityVerifier>,
    pub(crate) authzid: Authzid,
    pub(crate) timeouts: Timeouts,
    /// What the peer may send once it is known.
    pub(crate) limits: Limits,
}

impl Dialer {
    /// Negotiates an outgoing stream from `local` to `remote` with the first target that can.
    pub(crate) async fn dial(&self, local: &Domainpart, remote: &Domainpart) -> Result<Dialed, DialError> {
        let targets = self.targets(remote).await?;
        let mut attempts = Vec::new();
        for target in targets {
            match self.addresses(&target).await {
                Ok(addresses) => {
                    for address in addresses {
                        match self.attempt(local, remote, &target, address).await {
                            Ok(dialed) => return Ok(dialed),
                            Err(cause) => note(&mut attempts, &target, Some(address), cause),
                        }
                        if attempts.len() >= MAX_ATTEMPTS {
                            return Err(DialError::Unreachable { domain: remote.clone(), attempts });
                        }
                    }
                }
                Err(cause) => note(&mut attempts, &target, None, AttemptError::Resolve(cause)),
            }
        }
        Err(DialError::Unreachable { domain: remote.clone(), attempts })
    }

    /// Both services are asked for at once; an address needs no asking.
    async fn targets(&self, remote: &Domainpart) -> Result<Vec<Target>, ResolveError> {
        if let Some(address) = literal(remote.as_str()) {
            return Ok(vec![Target::new(address.to_string(), DEFAULT_PORT)]);
        }
        let (direct, starttls) =
            tokio::join!(self.services(Service::DirectTls, remote), self.services(Service::StartTls, remote));
        // Without random numbers the order is merely less fair.
        match Located::from_records(direct.chain(starttls), &mut || getrandom::u32().unwrap_or_default()) {
            Located::Targets(targets) => Ok(targets),
            Located::Declined => Err(ResolveError::NoService { domain: remote.clone() }),
            Located::Unknown => Ok(vec![Target::new(remote.to_ascii(), DEFAULT_PORT)]),
        }
    }

    /// The records of one service; silence is no answer, like none (RFC 6120, section 3.2.1, rule 9).
    async fn services(
        &self,
        service: Service,
        remote: &Domainpart,
    ) -> impl Iterator<Item = (Service, SrvRecord)> + use<> {
        let found = self.resolving(self.resolver.services(service, remote), remote.as_str()).await;
        found.unwrap_or_default().into_iter().map(move |record| (service, record))
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, ResolveError> {
        if let Some(address) = literal(&target.host) {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let (v6, v4) = tokio::join!(self.family(Family::V6, &target.host), self.family(Family::V4, &target.host));
        match (v6, v4) {
            (Err(error), Err(_)) => Err(error),
            (v6, v4) => {
                let found: Vec<_> = [v6, v4].into_iter().flatten().flatten().collect();
                if found.is_empty() {
                    return Err(ResolveError::NoAddress { host: target.host.clone() });
                }
                Ok(found.into_iter().map(|address| SocketAddr::new(address, target.port)).collect())
            }
        }
    }

    async fn family(&self, family: Family, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.resolving(self.resolver.addresses(family, host), host).await
    }

    async fn resolving<T>(
        &self,
        lookup: impl Future<Output = Result<T, ResolveError>>,
        name: &str,
    ) -> Result<T, ResolveError> {
        let in_time = timeout(self.timeouts.resolve, lookup).await;
        in_time.unwrap_or_else(|_| Err(ResolveError::TimedOut { name: name.to_owned() }))
    }

    async fn attempt(
        &self,
        local: &Domainpart,
        remote: &Domainpart,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Dialed, AttemptError> {
        let tcp = match timeout(self.timeouts.connect, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(AttemptError::Connect)?,
            Err(_) => return Err(AttemptError::ConnectTimeout),
        };
        let initiating = Initiating::new(self.initiating(local, remote, target), Arc::clone(&self.verifier), now());
        let dialed = negotiate(initiating, tcp, &self.tls, Limits::before_authentication()).await;
        dialed.map(|dialed| self.admitted(dialed)).map_err(AttemptError::Negotiation)
    }

    fn initiating(&self, local: &Domainpart, remote: &Domainpart, target: &Target) -> InitiatingConfig {
        InitiatingConfig {
            direct_tls: target.direct_tls,
            authzid: self.authzid,
            deadline: self.timeouts.negotiation,
            ..InitiatingConfig::new(local.clone(), remote.clone())
        }
    }

    fn admitted(&self, mut dialed: Dialed) -> Dialed {
        let connection: &mut Connection = &mut dialed.connection;
        connection.set_limits(self.limits);
        dialed
    }
}

fn note(attempts: &mut Vec<Attempt>, target: &Target, address: Option<SocketAddr>, cause: AttemptError) {
    let attempt = Attempt { target: target.clone(), address, cause };
    debug!(%attempt, "attempt failed");
    attempts.push(attempt);
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

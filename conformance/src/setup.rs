//! Which server is checked, by whom, and how patiently.

use std::net::SocketAddr;
use std::time::Duration;

use convoke_net::Credentials;
use convoke_s2s::{IdentityVerifier, ResolveError, Resolver};
use convoke_xmpp::Domainpart;
use thiserror::Error;

use crate::authority::Authority;
use crate::listening::Listening;

/// The server under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The domain that it serves.
    pub domain: Domainpart,
    /// Where it takes streams with STARTTLS; the first one that answers is used.
    pub addresses: Vec<SocketAddr>,
}

/// Why a server cannot be found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// DNS does not lead to it.
    #[error("cannot find the server of {domain}: {cause}; name its address")]
    Resolve {
        /// The domain.
        domain: Domainpart,
        /// What the resolver said.
        #[source]
        cause: ResolveError,
    },
}

impl Target {
    /// Finds the server as a peer would: by SRV records, else by the domain itself (RFC 6120, section 3.2.1).
    ///
    /// Fails with [`TargetError::Resolve`] when no target of the domain has an address.
    pub async fn find(domain: Domainpart, resolver: &dyn Resolver) -> Result<Self, TargetError> {
        let failed = |cause| TargetError::Resolve { domain: domain.clone(), cause };
        let (mut addresses, mut last) = (Vec::new(), None);
        for target in resolver.resolve(&domain).await.map_err(failed)? {
            match resolver.addresses(&target.host).await {
                Ok(found) => addresses.extend(found.iter().map(|address| SocketAddr::new(*address, target.port))),
                Err(cause) => last = Some(cause),
            }
        }
        match last {
            Some(cause) if addresses.is_empty() => Err(failed(cause)),
            _ => Ok(Self { domain, addresses }),
        }
    }
}

/// Who the checker says that it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The domain.
    pub domain: Domainpart,
    /// A certificate for it, which the server under test trusts, and its key.
    pub credentials: Credentials,
}

/// Everything that a run needs.
pub struct Setup {
    /// The server under test.
    pub target: Target,
    /// The domain of the checker.
    pub us: Identity,
    /// An authority that the server under test trusts: certificates of many shapes are issued by it. Default none; the
    /// cases that need one are then skipped.
    pub authority: Option<Authority>,
    /// What judges the certificate of the server under test. Default nothing; the case is then skipped.
    pub verifier: Option<IdentityVerifier>,
    /// Where the server under test finds the checker's domain. Default nowhere; the cases in which it dials are then
    /// skipped.
    pub listening: Option<Listening>,
    /// How long an answer may take. Default 10 s.
    pub patience: Duration,
    /// How long a case may take. Default 60 s.
    pub deadline: Duration,
    /// How many cases run at once. Default 2: many servers limit how often one address may connect.
    pub parallel: usize,
}

impl Setup {
    /// The defaults for this server and this checker.
    pub fn new(target: Target, us: Identity) -> Self {
        Self {
            target,
            us,
            authority: None,
            verifier: None,
            listening: None,
            patience: Duration::from_secs(10),
            deadline: Duration::from_secs(60),
            parallel: 2,
        }
    }
}

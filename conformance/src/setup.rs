//! Which server is checked, by whom, and how patiently.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use convoke_net::Credentials;
use convoke_s2s::IdentityVerifier;
use convoke_s2s::resolver::{Family, ResolveError, Resolver};
use convoke_s2s::target::{self as dns, DEFAULT_PORT, Located, Service};
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
    /// Where it takes streams that begin with TLS (XEP-0368); the first one that answers is used. Without any, the cases of
    /// direct TLS are skipped.
    pub direct_addresses: Vec<SocketAddr>,
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
    /// None of its hosts has an address.
    #[error("the server of {domain} has no address in DNS; name its address")]
    NoAddress {
        /// The domain.
        domain: Domainpart,
    },
    /// Its records name no server that begins with STARTTLS.
    #[error("{domain} names no server with STARTTLS in DNS, and no other can be checked; name its address")]
    NoStartTls {
        /// The domain.
        domain: Domainpart,
    },
}

impl Target {
    /// Finds the server as a peer would: by SRV records, else by the domain itself (RFC 6120, section 3.2.1).
    ///
    /// Fails when DNS names no target with STARTTLS, or none of these has an address.
    pub async fn find(domain: Domainpart, resolver: &dyn Resolver) -> Result<Self, TargetError> {
        let (starttls, direct) = targets(&domain, resolver).await?;
        let (addresses, last) = all_addresses(&starttls, resolver).await;
        match (addresses.is_empty(), last) {
            (false, _) => {
                let (direct_addresses, _) = all_addresses(&direct, resolver).await;
                Ok(Self { domain, addresses, direct_addresses })
            }
            (true, Some(cause)) => Err(TargetError::Resolve { domain, cause }),
            (true, None) => Err(TargetError::NoAddress { domain }),
        }
    }
}

/// The targets with STARTTLS and those with direct TLS, in order.
async fn targets(
    domain: &Domainpart,
    resolver: &dyn Resolver,
) -> Result<(Vec<dns::Target>, Vec<dns::Target>), TargetError> {
    let own = || vec![dns::Target::new(domain.to_ascii(), DEFAULT_PORT)];
    if ip_address(domain.as_str()).is_some() {
        return Ok((own(), Vec::new()));
    }
    let direct = match located(Service::DirectTls, domain, resolver).await? {
        Located::Targets(targets) => targets,
        Located::Declined | Located::Unknown => Vec::new(),
    };
    match located(Service::StartTls, domain, resolver).await? {
        Located::Targets(targets) => Ok((targets, direct)),
        Located::Unknown if direct.is_empty() => Ok((own(), direct)),
        Located::Unknown | Located::Declined => Err(TargetError::NoStartTls { domain: domain.clone() }),
    }
}

async fn located(service: Service, domain: &Domainpart, resolver: &dyn Resolver) -> Result<Located, TargetError> {
    let failed = |cause| TargetError::Resolve { domain: domain.clone(), cause };
    let records = resolver.services(service, domain).await.map_err(failed)?;
    // Nothing is drawn at random: a second run shall meet the same server.
    Ok(Located::from_records(records.into_iter().map(|record| (service, record)), &mut || 0))
}

/// The addresses of all targets, and the last fault on the way.
async fn all_addresses(targets: &[dns::Target], resolver: &dyn Resolver) -> (Vec<SocketAddr>, Option<ResolveError>) {
    let (mut addresses, mut last) = (Vec::new(), None);
    for target in targets {
        for family in [Family::V6, Family::V4] {
            match addresses_of(target, family, resolver).await {
                Ok(found) => addresses.extend(found.iter().map(|address| SocketAddr::new(*address, target.port))),
                Err(cause) => last = Some(cause),
            }
        }
    }
    (addresses, last)
}

async fn addresses_of(
    target: &dns::Target,
    family: Family,
    resolver: &dyn Resolver,
) -> Result<Vec<IpAddr>, ResolveError> {
    match ip_address(&target.host) {
        Some(address) => Ok((family == Family::V4).then_some(address).into_iter().collect()),
        None => resolver.addresses(family, &target.host).await,
    }
}

fn ip_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
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

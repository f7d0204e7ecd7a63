//! Everything that a configuration asks for, running.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke::pubsub::PubSubConfig;
use convoke::s2s::{DnsResolver, EvidenceRule, FederationConfig, LocalDomain, PersistentLink, Trust};
use convoke::store::{RedbStore, Store};
use convoke::{Domain, DomainBuilder};
use tracing::info;

use super::gateway::RunningGateway;
use super::listeners::Listeners;
use super::reload::{Reloading, Running};
use super::{ServeError, names, roles};
use crate::config::{Config, DomainConfig, Role, S2sConfig};
use crate::evidence;
use crate::signals::Hangup;

/// How long the domains may take to close their streams. Peers are given 5 s for the closing handshake; twice that
/// leaves time for what is queued, and stays below the time after which service managers kill.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// The running domains and the gateway of the first one.
pub(super) struct Daemon {
    /// The first domain, which stands for all: they share their router and their federation.
    domain: Domain,
    gateway: Option<RunningGateway>,
    _reloading: Reloading,
}

impl Daemon {
    /// Starts everything, and accepts connections when all of it is there.
    ///
    /// The store is opened first and the sockets second: a second daemon of the same file shall not get further.
    pub(super) async fn start(config: Config) -> Result<Self, ServeError> {
        let hangup = Hangup::install().map_err(ServeError::Signals)?;
        let store = config.store.as_deref().map(open).transpose()?;
        let listeners = Listeners::bind(&config).await?;
        let resolver = names::resolver(config.nameservers.as_deref())?;
        let rules = evidence::rules(&config.evidence, config.nameservers.as_deref(), &resolver)?;
        let federation = federation(&config.domains, &config.s2s, config.trust, rules, Arc::clone(&resolver));
        let mut builder = builder(&config.domains).federation(federation);
        if config.roles.runs(Role::Pubsub) {
            builder = builder.personal_eventing(PubSubConfig::personal(), store.clone());
        }
        let domain = builder.start().await?;
        for served in &config.domains {
            if let Some(domain) = domain.sibling(served.name.as_str()) {
                roles::start(&domain, &config.roles, store.as_ref()).await?;
            }
        }
        let gateway = match config.gateway.as_ref().zip(listeners.gateway) {
            Some((gateway, listener)) => {
                Some(RunningGateway::start(&domain, gateway, Arc::clone(&resolver), listener)?)
            }
            None => None,
        };
        listeners.s2s.into_iter().for_each(|listener| domain.listen(listener));
        listeners.s2s_direct.into_iter().for_each(|listener| domain.listen_direct(listener));
        let running = Running { domain: domain.clone(), nameservers: config.nameservers, resolver };
        let _reloading = Reloading::start(config.named, running, hangup);
        info!(domains = config.domains.len(), "serving");
        Ok(Self { domain, gateway, _reloading })
    }

    /// Waits until a part ends that never should. Cancel-safe.
    pub(super) async fn failed(&mut self) -> ServeError {
        match &mut self.gateway {
            Some(gateway) => gateway.failed().await,
            None => pending().await,
        }
    }

    /// Ends everything in order: requests by HTTP first, since they wait for stanzas, then entities and streams.
    pub(super) async fn stop(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.stop().await;
        }
        self.domain.shutdown(SHUTDOWN_DEADLINE).await;
        info!("stopped");
    }
}

fn open(directory: &Path) -> Result<Arc<dyn Store>, ServeError> {
    Ok(Arc::new(RedbStore::open(directory)?))
}

/// All domains in one process; the first stands for all.
fn builder(domains: &[DomainConfig]) -> DomainBuilder {
    let mut names = domains.iter().map(|domain| domain.name.as_str());
    // The configuration was refused without a domain.
    let builder = names.next().map(Domain::builder).unwrap_or_default();
    names.fold(builder, DomainBuilder::also_serve)
}

fn federation(
    domains: &[DomainConfig],
    s2s: &S2sConfig,
    trust: Trust,
    evidence: Vec<EvidenceRule>,
    resolver: Arc<DnsResolver>,
) -> FederationConfig {
    let local =
        |domain: &DomainConfig| LocalDomain { name: domain.name.clone(), credentials: domain.credentials.clone() };
    let keeps = |local: &DomainConfig| {
        let local = local.name.clone();
        s2s.persistent.iter().map(move |remote| PersistentLink { local: local.clone(), remote: remote.clone() })
    };
    FederationConfig {
        evidence,
        policy: s2s.policy.clone(),
        dialback: s2s.dialback.clone(),
        dialback_secret: s2s.dialback_secret.clone(),
        rates: s2s.rates.clone(),
        persistent: domains.iter().flat_map(keeps).collect(),
        ..FederationConfig::new(domains.iter().map(local).collect(), trust, resolver)
    }
}

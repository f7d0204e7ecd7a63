//! The components that run in each domain.

use std::sync::Arc;

use convoke::Domain;
use convoke::cloud::{
    Allowance, LeaseTimes, Monitor, MonitorConfig, ResourceManager, ResourceManagerConfig, Scheduler, SchedulerConfig,
};
use convoke::pubsub::PubSubConfig;
use convoke::store::Store;
use convoke::xmpp::Jid;

use super::ServeError;
use crate::config::{Role, RolesConfig};

/// Starts every role but the gateway in this domain.
pub(super) async fn start(
    domain: &Domain,
    config: &RolesConfig,
    store: Option<&Arc<dyn Store>>,
) -> Result<(), ServeError> {
    for role in &config.run {
        match role {
            Role::Pubsub => pubsub(domain, store)?,
            Role::Resources => resources(domain, config, store).await?,
            Role::Monitor => monitor(domain, config)?,
            Role::Scheduler => scheduler(domain, config, store)?,
            Role::Gateway => {}
        }
    }
    Ok(())
}

/// Nodes outlive a restart where there is a store.
fn pubsub(domain: &Domain, store: Option<&Arc<dyn Store>>) -> Result<(), ServeError> {
    let config = PubSubConfig::default();
    match store {
        Some(store) => domain.serve_durable_pubsub(config, Arc::clone(store))?,
        None => domain.serve_pubsub(config)?,
    };
    Ok(())
}

async fn resources(domain: &Domain, config: &RolesConfig, store: Option<&Arc<dyn Store>>) -> Result<(), ServeError> {
    // The configuration was refused without a store path, so the store is there.
    let Some(store) = store.map(Arc::clone) else { return Ok(()) };
    let allow = config.allow.iter();
    let allow = allow.map(|allow| Allowance { domain: allow.domain.clone(), nodes: allow.nodes }).collect();
    let (times, publish_to) = (LeaseTimes::default(), publish_to(domain, config)?);
    ResourceManager::start(domain, ResourceManagerConfig { store, allow, times, publish_to }).await?;
    Ok(())
}

/// Roles publish at the domain's own publish-subscribe service, if it runs.
fn publish_to(domain: &Domain, config: &RolesConfig) -> Result<Option<Jid>, ServeError> {
    Ok(if config.runs(Role::Pubsub) { Some(domain.address(Role::Pubsub.name())?) } else { None })
}

/// Whoever may lease may also watch.
fn monitor(domain: &Domain, config: &RolesConfig) -> Result<(), ServeError> {
    let publish_to = publish_to(domain, config)?;
    let watchers = config.allow.iter().map(|allow| allow.domain.clone()).collect();
    Monitor::start(domain, MonitorConfig { watchers, publish_to, ..MonitorConfig::default() })?;
    Ok(())
}

/// Batches outlive a restart where there is a store.
fn scheduler(domain: &Domain, config: &RolesConfig, store: Option<&Arc<dyn Store>>) -> Result<(), ServeError> {
    let managers = config.managers.clone();
    let publish_to = publish_to(domain, config)?;
    let config = SchedulerConfig { managers, publish_to, ..SchedulerConfig::default() };
    match store {
        Some(store) => Scheduler::start_durable(domain, config, Arc::clone(store))?,
        None => Scheduler::start(domain, config)?,
    };
    Ok(())
}

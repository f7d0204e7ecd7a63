//! The REST services that are registered.
//!
//! They are kept in memory: a gateway that starts again knows none, and services register again when they start.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use convoke_xmpp::Jid;
use tokio::sync::Semaphore;

use crate::outgoing::{BaseUrl, HttpClients};
use crate::secret::Secret;

/// How many services may be registered at once.
pub const MAX_SERVICES: usize = 256;

/// One registered service: the XMPP entity `gateway@DOMAIN/NAME`.
#[derive(Debug)]
pub(crate) struct RestService {
    pub(crate) name: String,
    pub(crate) jid: Jid,
    pub(crate) base: BaseUrl,
    /// The path of its health check, if it has one.
    pub(crate) health_path: Option<String>,
    /// The client that registered it.
    pub(crate) registered_by: String,
    /// Signs the requests to it. Nothing is ever compared with it, so it is kept as it is, in memory only.
    pub(crate) secret: Secret,
    /// The calls that it takes at once.
    pub(crate) calls: Arc<Semaphore>,
}

impl RestService {
    /// The client that may reach it.
    pub(crate) fn client<'a>(&self, clients: &'a HttpClients) -> &'a reqwest::Client {
        if self.base.is_target { &clients.targets } else { &clients.public }
    }
}

/// Why a service is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is a service of that name.
    NameTaken,
    /// There are [`MAX_SERVICES`] services.
    Full,
}

/// The services by name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    services: RwLock<BTreeMap<String, Arc<RestService>>>,
}

impl Registry {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<RestService>> {
        self.read().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<RestService>> {
        self.read().values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    pub(crate) fn insert(&self, service: Arc<RestService>) -> Result<(), Refusal> {
        let mut services = self.write();
        if services.contains_key(&service.name) {
            return Err(Refusal::NameTaken);
        }
        if services.len() == MAX_SERVICES {
            return Err(Refusal::Full);
        }
        services.insert(service.name.clone(), service);
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<RestService>> {
        self.write().remove(name)
    }

    pub(crate) fn remove_all(&self) -> Vec<Arc<RestService>> {
        std::mem::take(&mut *self.write()).into_values().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<RestService>>> {
        self.services.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<RestService>>> {
        self.services.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! A domain: what a program holds that embeds Convoke.

mod links;
#[cfg(feature = "pubsub")]
mod pubsub;
#[cfg(feature = "s2s")]
mod resync;

use std::sync::Arc;
#[cfg(feature = "pubsub")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[cfg(feature = "pubsub")]
use convoke_pubsub::{OpenError, PubSubConfig, PubSubService, PubSubStatistics};
#[cfg(feature = "s2s")]
use convoke_s2s::{Federation, FederationConfig, FederationError};
#[cfg(feature = "pubsub")]
use convoke_store::Store;
#[cfg(feature = "s2s")]
use convoke_xmpp::Outbound;
use convoke_xmpp::{AddressError, Condition, Domainpart, Jid, Router, Service, StanzaError};
use thiserror::Error;
#[cfg(feature = "s2s")]
use tokio::sync::mpsc::unbounded_channel;
#[cfg(feature = "s2s")]
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

pub(crate) use self::links::Links;
#[cfg(feature = "pubsub")]
use self::pubsub::Personal;
#[cfg(feature = "s2s")]
use self::resync::resync;
use crate::component::Component;
use crate::discovery::About;
use crate::mailbox::Mailbox;
use crate::router::{LocalRouter, RouterStatistics};

/// Why a domain could not be started or an entity not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DomainError {
    /// A name is no address.
    #[error("`{name}` is no valid name: {error}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// No name was given.
    #[error("a domain needs a name")]
    Nameless,
    /// The address is in use.
    #[error("{0} is in use already")]
    Taken(Jid),
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The federation could not be prepared.
    #[cfg(feature = "s2s")]
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// What the store holds of a publish-subscribe service cannot be used.
    #[cfg(feature = "pubsub")]
    #[error(transparent)]
    PubSub(#[from] OpenError),
}

/// A running domain: its router, its entities and its way to other domains.
///
/// Cheap to clone. End it by [`Domain::shutdown`]; when the last clone is dropped without that, its entities end, and
/// streams to other domains break off.
#[derive(Clone)]
pub struct Domain {
    name: Domainpart,
    shared: Arc<Shared>,
}

struct Shared {
    router: Arc<LocalRouter>,
    domains: Vec<Domainpart>,
    tasks: TaskTracker,
    #[cfg(feature = "pubsub")]
    personal: Option<Personal>,
    /// The services at addresses of their own.
    #[cfg(feature = "pubsub")]
    pubsub: Mutex<Vec<Arc<PubSubService>>>,
    #[cfg(feature = "s2s")]
    federation: Option<Arc<Federation>>,
    /// Ends with the domain.
    #[cfg(feature = "s2s")]
    _resync: Option<AbortOnDropHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.router.close_all();
    }
}

/// Collects what a domain needs, then starts it.
#[derive(Default)]
pub struct DomainBuilder {
    names: Vec<String>,
    #[cfg(feature = "pubsub")]
    personal: Option<(PubSubConfig, Option<Arc<dyn Store>>)>,
    #[cfg(feature = "s2s")]
    federation: Option<FederationConfig>,
}

impl DomainBuilder {
    /// Serves a further domain in the same process: stanzas between the two never leave it.
    pub fn also_serve(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Gives every component and every volunteer nodes of its own at its bare address (XEP-0163), in memory or in a store;
    /// [`PubSubConfig::personal`] is what clients expect. A component that says of itself that it is a publish-subscribe
    /// service answers for itself.
    ///
    /// Contacts that see its presence hear of those nodes for which their capabilities have the feature `NODE+notify`.
    #[cfg(feature = "pubsub")]
    pub fn personal_eventing(mut self, config: PubSubConfig, store: Option<Arc<dyn Store>>) -> Self {
        self.personal = Some((config, store));
        self
    }

    /// Federates with other domains; without it, stanzas to them are answered with remote-server-not-found.
    #[cfg(feature = "s2s")]
    ///
    /// Leases and what is said about nodes overtake the bulk of other stanzas, besides what [`FederationConfig::urgent`]
    /// names: a renewal that comes too late costs work.
    pub fn federation(mut self, mut config: FederationConfig) -> Self {
        config.urgent.extend(crate::cloud::URGENT.map(str::to_owned));
        self.federation = Some(config);
        self
    }

    /// Starts the domain; must be called within a tokio runtime.
    pub async fn start(self) -> Result<Domain, DomainError> {
        let domains = self.names.iter().map(|name| domainpart(name)).collect::<Result<Vec<_>, _>>()?;
        let name = domains.first().cloned().ok_or(DomainError::Nameless)?;
        let router = Arc::new(LocalRouter::new(domains.clone()));
        #[cfg(feature = "s2s")]
        let federation =
            self.federation.map(|config| Federation::new(config, router.clone()).map(Arc::new)).transpose()?;
        #[cfg(feature = "s2s")]
        let resync = federation.as_ref().map(|federation| {
            let outbound: Arc<dyn Outbound> = federation.clone();
            router.set_federation(Arc::downgrade(&outbound));
            let (restored, routes) = unbounded_channel();
            router.set_restored(restored);
            AbortOnDropHandle::new(tokio::spawn(resync(routes, Arc::downgrade(&router))))
        });
        let tasks = TaskTracker::new();
        #[cfg(feature = "pubsub")]
        let personal = self.personal.map(|(config, store)| {
            let personal = Personal::new(name.clone().into(), config, store, &router);
            tasks.spawn(personal.run(router.clone()));
            personal
        });
        let shared = Arc::new(Shared {
            router,
            domains,
            tasks,
            #[cfg(feature = "pubsub")]
            personal,
            #[cfg(feature = "pubsub")]
            pubsub: Mutex::default(),
            #[cfg(feature = "s2s")]
            federation,
            #[cfg(feature = "s2s")]
            _resync: resync,
        });
        for name in &shared.domains {
            Domain { name: name.clone(), shared: shared.clone() }.start_domain_entity()?;
        }
        Ok(Domain { name, shared })
    }
}

impl Domain {
    /// Begins to describe a domain of this name, such as `volunteers.example`.
    pub fn builder(name: &str) -> DomainBuilder {
        DomainBuilder::default().also_serve(name)
    }

    /// The name of the domain.
    pub fn name(&self) -> &Domainpart {
        &self.name
    }

    /// The address `name@domain`, whether or not somebody has it.
    pub fn address(&self, name: &str) -> Result<Jid, DomainError> {
        self.jid(Some(name), None)
    }

    /// The domain of that name in the same process; `None` if it is not served here.
    pub fn sibling(&self, name: &str) -> Option<Self> {
        let name = self.shared.domains.iter().find(|domain| domain.as_str() == name)?;
        Some(Self { name: name.clone(), shared: self.shared.clone() })
    }

    /// Makes the component `name@domain`; it takes stanzas for its bare JID and for every resource of it.
    pub fn component(&self, name: &str) -> Result<Component, DomainError> {
        self.component_about(name, About::new("component", "generic", name))
    }

    /// Makes a component that says this about itself in service discovery.
    pub fn component_about(&self, name: &str, about: About) -> Result<Component, DomainError> {
        self.register(Some(name), None, self.describe(about), Mailbox::default())
    }

    /// Makes the session `user@domain/resource`, as a volunteer's node has one.
    pub fn session(&self, user: &str, resource: &str) -> Result<Component, DomainError> {
        let about = About::new("client", "bot", format!("{user}/{resource}"));
        self.register(Some(user), Some(resource), about, Mailbox::default())
    }

    /// Lets a service take every stanza for `name@domain` and its resources, in order, until shutdown.
    pub fn serve(&self, name: &str, about: About, service: Arc<dyn Service>) -> Result<(), DomainError> {
        let mut component = self.register(Some(name), None, about, Mailbox::for_service())?;
        let router = self.shared.router.clone();
        self.shared.tasks.spawn(async move {
            while let Some((stanza, origin)) = component.receive_any().await {
                service.handle(stanza, &origin, &*router);
            }
        });
        Ok(())
    }

    /// Runs the publish-subscribe service `pubsub@domain` until shutdown; gives its address. All of it ends with the
    /// process.
    #[cfg(feature = "pubsub")]
    pub fn serve_pubsub(&self, config: PubSubConfig) -> Result<Jid, DomainError> {
        self.run_pubsub(PubSubService::new(self.address("pubsub")?, config))
    }

    /// The same with its nodes, subscriptions and items in a store, which it may share with everybody else who uses it:
    /// as they were when it ran last, and durable before anybody is told of them.
    ///
    /// Reads everything back before it returns. Fails with [`DomainError::PubSub`] if it cannot be read.
    #[cfg(feature = "pubsub")]
    pub fn serve_durable_pubsub(&self, config: PubSubConfig, store: Arc<dyn Store>) -> Result<Jid, DomainError> {
        self.run_pubsub(PubSubService::open(self.address("pubsub")?, config, store)?)
    }

    #[cfg(feature = "pubsub")]
    fn run_pubsub(&self, service: PubSubService) -> Result<Jid, DomainError> {
        let rosters = pubsub::Rosters(Arc::downgrade(&self.shared.router));
        let service = Arc::new(service.with_contacts(Arc::new(rosters)));
        let address = service.address().clone();
        let about = About::new("pubsub", "service", "publish-subscribe");
        let mut component = self.register(address.local(), None, about, Mailbox::for_service())?;
        let receive = async move || component.receive_any().await;
        self.shared.pubsub.lock().unwrap_or_else(PoisonError::into_inner).push(service.clone());
        self.shared.tasks.spawn(pubsub::run(service, receive, self.shared.router.clone()));
        Ok(address)
    }

    /// Runs a task of the domain; shutdown waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(task);
    }

    /// The router, for services that send of their own accord.
    pub fn router(&self) -> Arc<dyn Router> {
        self.shared.router.clone()
    }

    /// What went through the router so far.
    pub fn statistics(&self) -> RouterStatistics {
        self.shared.router.statistics()
    }

    /// What the publish-subscribe services of this process have done so far, and what they hold: each by its address,
    /// personal eventing by the name of the first domain. It looks at every node.
    #[cfg(feature = "pubsub")]
    pub fn pubsub_statistics(&self) -> Vec<(Jid, PubSubStatistics)> {
        let served = self.shared.pubsub.lock().unwrap_or_else(PoisonError::into_inner);
        let personal = self.shared.personal.iter().map(Personal::service);
        let services = personal.chain(served.iter().map(|service| &**service));
        services.map(|service| (service.address().clone(), service.statistics())).collect()
    }

    /// Accepts streams of other domains on this listener until shutdown; does nothing without a federation.
    #[cfg(feature = "s2s")]
    pub fn listen(&self, listener: tokio::net::TcpListener) {
        if let Some(federation) = &self.shared.federation {
            federation.serve(listener);
        }
    }

    /// The same for connections that begin with TLS (XEP-0368).
    #[cfg(feature = "s2s")]
    pub fn listen_direct(&self, listener: tokio::net::TcpListener) {
        if let Some(federation) = &self.shared.federation {
            federation.serve_direct(listener);
        }
    }

    /// The ways from this domain to others, for whoever must not keep the domain alive.
    pub(crate) fn links(&self) -> Links {
        Links::new(
            self.name.clone(),
            #[cfg(feature = "s2s")]
            self.shared.federation.as_ref(),
        )
    }

    /// The way to other domains, for its statistics.
    #[cfg(feature = "s2s")]
    pub fn federation(&self) -> Option<&Federation> {
        self.shared.federation.as_deref()
    }

    /// Ends all domains of this process: entities receive what waits for them and then `None`, others are told that
    /// they are unavailable, streams are closed with system-shutdown. Each of the two steps takes at most `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.shared.router.close_all();
        self.shared.tasks.close();
        if tokio::time::timeout(deadline, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(domain = %self.name, "entities did not end within {deadline:?}");
        }
        #[cfg(feature = "s2s")]
        if let Some(federation) = &self.shared.federation {
            let drained = federation.shutdown(deadline).await;
            if !drained.is_graceful() {
                tracing::warn!(domain = %self.name, "streams did not close within {deadline:?}");
            }
        }
    }

    fn register(
        &self,
        local: Option<&str>,
        resource: Option<&str>,
        about: About,
        mailbox: Mailbox,
    ) -> Result<Component, DomainError> {
        let jid = self.jid(local, resource)?;
        let router = self.shared.router.clone();
        Component::register(jid.clone(), about, mailbox, router, random_prefix()?).ok_or(DomainError::Taken(jid))
    }

    /// What a component says of itself, with what it is as an account.
    #[cfg(feature = "pubsub")]
    fn describe(&self, about: About) -> About {
        match &self.shared.personal {
            Some(personal) if !about.serves_pubsub() => personal.describe(about),
            _ => about,
        }
    }

    #[cfg(not(feature = "pubsub"))]
    fn describe(&self, about: About) -> About {
        about
    }

    fn jid(&self, local: Option<&str>, resource: Option<&str>) -> Result<Jid, DomainError> {
        let jid = Jid::from_parts(local, self.name.as_str(), resource);
        jid.map_err(|error| DomainError::Name { name: local.unwrap_or_default().to_owned(), error })
    }

    /// The domain itself answers discovery, and lists its components (XEP-0030, section 4).
    fn start_domain_entity(&self) -> Result<(), DomainError> {
        let about = About::new("server", "im", "Convoke").feature(crate::ROLE_NAMESPACE);
        let mut entity = self.register(None, None, about, Mailbox::default())?;
        let router = self.shared.router.clone();
        self.shared.tasks.spawn(async move {
            while let Some((stanza, _)) = entity.receive_any().await {
                let items = || {
                    let components = router.components(entity.jid().domain());
                    components.into_iter().map(|(jid, about)| (jid.to_string(), about.name().to_owned())).collect()
                };
                match entity.about().answer(&stanza, items) {
                    Some(answer) => entity.route(answer),
                    None => entity.reply(&stanza, Err(StanzaError::new(Condition::ServiceUnavailable))),
                }
            }
        });
        Ok(())
    }
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Domain").field(&self.name).finish()
    }
}

fn domainpart(name: &str) -> Result<Domainpart, DomainError> {
    Domainpart::new(name).map_err(|error| DomainError::Name { name: name.to_owned(), error })
}

fn random_prefix() -> Result<String, DomainError> {
    let random = getrandom::u64().map_err(DomainError::Random)?;
    Ok(format!("{random:016x}-"))
}

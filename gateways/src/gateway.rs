//! The gateway as a whole.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use convoke_xmpp::{Jid, Origin, PresenceType, Router, Service, Stanza};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::config::{GatewayConfig, GatewayError, Limits};
use crate::inbound;
use crate::metrics::Metrics;
use crate::outgoing::{HttpClients, Resolver, Target};
use crate::registry::{Registry, RestService};
use crate::secret::{Identifiers, Secret};
use crate::server;
use crate::tokens::Tokens;

/// The component `gateway@DOMAIN`: HTTP on one side, stanzas on the other.
///
/// As a [`Service`] it takes every stanza addressed to `gateway@DOMAIN` and to its resources. Dropping it ends its
/// tasks; requests under way are then answered with recipient-unavailable.
pub struct Gateway {
    inner: Arc<Inner>,
}

impl Gateway {
    /// A gateway whose stanzas go to `router`; it opens no socket before [`Gateway::serve`].
    ///
    /// The gateway holds the router. A router that holds the gateway in turn should hand in an implementation that
    /// holds itself weakly, or neither is ever dropped.
    ///
    /// Fails outside a tokio runtime, for an address with a resource, and when TLS cannot be set up.
    pub fn new(config: GatewayConfig, router: Arc<dyn Router>) -> Result<Self, GatewayError> {
        Ok(Self { inner: Arc::new(Inner::new(config, router)?) })
    }

    /// The gateway's bare address.
    pub fn address(&self) -> &Jid {
        &self.inner.address
    }

    /// Serves HTTP until `shutdown`, then drains: the listener closes, services become unavailable, event streams end,
    /// and requests under way get [`Limits::drain_time`] to finish.
    ///
    /// After that the gateway takes no further requests from either side. Fails when the listener does.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        server::serve(&self.inner, listener, shutdown).await
    }

    /// Appends to `/metrics` what `source` writes, in the text format of Prometheus with a newline at the end.
    pub fn metrics_source(&self, source: impl Fn(&mut String) + Send + Sync + 'static) {
        self.inner.metrics.add_source(Box::new(source));
    }
}

impl Service for Gateway {
    fn handle(&self, stanza: Stanza, _origin: &Origin, router: &dyn Router) {
        inbound::deliver(&self.inner, stanza, router);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.inner.draining.cancel();
        self.inner.closed.cancel();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

/// What both sides share.
pub(crate) struct Inner {
    pub(crate) address: Jid,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) tokens: Tokens,
    /// By name; as many as there are tokens.
    pub(crate) clients: HashMap<String, Arc<Client>>,
    pub(crate) services: Registry,
    pub(crate) targets: Vec<Target>,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) http: HttpClients,
    pub(crate) identifiers: Identifiers,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    /// The tasks that answer for services and clients.
    pub(crate) tasks: TaskTracker,
    runtime: Handle,
    /// Cancelled when no more work is taken.
    pub(crate) draining: CancellationToken,
    /// Cancelled when work under way is given up.
    pub(crate) closed: CancellationToken,
}

impl Inner {
    fn new(config: GatewayConfig, router: Arc<dyn Router>) -> Result<Self, GatewayError> {
        if !config.address.is_bare() {
            return Err(GatewayError::NotBare(config.address));
        }
        let runtime = Handle::try_current()?;
        let http = HttpClients::new(&config)?;
        let identifiers = Identifiers::new(Secret::random()?);
        Ok(Self {
            clients: clients(&config, &epoch()),
            router,
            http,
            identifiers,
            runtime,
            address: config.address,
            tokens: config.tokens,
            targets: config.targets,
            resolver: config.resolver,
            limits: config.limits,
            services: Registry::default(),
            metrics: Metrics::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Runs a task that ends soon after `closed`.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Routes a stanza of the gateway's own.
    pub(crate) fn send(&self, stanza: Stanza) {
        if let Err(undelivered) = self.router.route(stanza, &Origin::Local) {
            self.router.undelivered(undelivered);
        }
    }

    /// Tells the subscribers of a service whether it is there.
    pub(crate) fn announce(&self, service: &RestService, presence: PresenceType) {
        self.send(Stanza::presence(presence).with_from(&service.jid));
    }

    pub(crate) fn withdraw_services(&self) {
        for service in self.services.remove_all() {
            self.announce(&service, PresenceType::Unavailable);
        }
    }
}

fn clients(config: &GatewayConfig, epoch: &Arc<str>) -> HashMap<String, Arc<Client>> {
    let client = |caller: &crate::tokens::Caller| {
        // Names are checked resourceparts, so that this leaves none out.
        let jid = config.address.with_resource(&caller.name).ok()?;
        let client = Client::new(caller.clone(), jid, Arc::clone(epoch), &config.limits);
        Some((caller.name.clone(), Arc::new(client)))
    };
    config.tokens.callers().filter_map(client).collect()
}

/// The microseconds since 1970 at which this run began: another run has another number.
fn epoch() -> Arc<str> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("{since:x}").into()
}

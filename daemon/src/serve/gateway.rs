//! The HTTP side of the first domain.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use convoke::gateways::{Gateway, GatewayConfig};
use convoke::s2s::DnsResolver;
use convoke::{About, Domain};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::names::HostNames;
use super::{ServeError, metrics};
use crate::config::{self, Role};

/// How long a stop may take beyond the time that the gateway itself gives to requests under way.
const GRACE: Duration = Duration::from_secs(2);

/// A gateway that accepts connections; dropping it cuts them.
pub(super) struct RunningGateway {
    serving: JoinSet<io::Result<()>>,
    shutdown: CancellationToken,
    drain_time: Duration,
}

impl RunningGateway {
    /// Starts `gateway@DOMAIN` behind this listener.
    pub(super) fn start(
        domain: &Domain,
        config: &config::GatewayConfig,
        resolver: Arc<DnsResolver>,
        listener: TcpListener,
    ) -> Result<Self, ServeError> {
        let gateway = GatewayConfig {
            targets: config.targets.clone(),
            resolver: Arc::new(HostNames(resolver)),
            ..GatewayConfig::new(domain.address(Role::Gateway.name())?, config.tokens.clone())
        };
        let drain_time = gateway.limits.drain_time;
        let gateway = Arc::new(Gateway::new(gateway, domain.router())?);
        let counted = domain.clone();
        gateway.metrics_source(move |out| metrics::write(out, &counted));
        let about = About::new("gateway", "http", "HTTP gateway");
        domain.serve(Role::Gateway.name(), about, Arc::clone(&gateway) as _)?;
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move { gateway.serve(listener, stop).await });
        Ok(Self { serving, shutdown, drain_time })
    }

    /// Waits until the gateway ends by itself, which it does only when its listener fails. Cancel-safe.
    pub(super) async fn failed(&mut self) -> ServeError {
        match self.serving.join_next().await.map(|ended| ended.unwrap_or_else(|cause| Err(cause.into()))) {
            Some(Err(cause)) => ServeError::Http(cause),
            Some(Ok(())) | None => pending().await,
        }
    }

    /// Stops accepting and lets requests under way finish.
    pub(super) async fn stop(&mut self) {
        self.shutdown.cancel();
        if timeout(self.drain_time + GRACE, self.serving.join_next()).await.is_err() {
            warn!("the gateway did not end in time");
            self.serving.abort_all();
        }
    }
}

//! The listening sockets: all are opened before anything starts, so that a port in use is found out first.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::info;

use super::ServeError;
use crate::config::Config;

/// The sockets of a daemon.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) s2s: Vec<TcpListener>,
    pub(super) s2s_direct: Vec<TcpListener>,
    pub(super) gateway: Option<TcpListener>,
}

impl Listeners {
    /// Opens all sockets that the configuration names; connections wait in them until somebody accepts.
    pub(super) async fn bind(config: &Config) -> Result<Self, ServeError> {
        let mut s2s = Vec::new();
        for address in &config.s2s.listen {
            s2s.push(bind("s2s.listen", *address).await?);
        }
        let mut s2s_direct = Vec::new();
        for address in &config.s2s.direct_tls_listen {
            s2s_direct.push(bind("s2s.direct_tls_listen", *address).await?);
        }
        let gateway = match &config.gateway {
            Some(gateway) => Some(bind("gateway.listen", gateway.listen).await?),
            None => None,
        };
        Ok(Self { s2s, s2s_direct, gateway })
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let failed = |cause| ServeError::Listen { address, key, cause };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // With port 0 the operating system chose one.
    let address = listener.local_addr().map_err(failed)?;
    info!(%address, key, "listening");
    Ok(listener)
}

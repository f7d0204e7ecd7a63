//! The HTTP clients towards services.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::warn;

use super::resolver::Guarded;
use crate::config::{GatewayConfig, GatewayError};

const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Two clients with a pool of connections each: one that reaches public https hosts only, one for the targets that the
/// configuration names. Neither follows redirects or asks the environment for a proxy.
#[derive(Debug, Clone)]
pub(crate) struct HttpClients {
    pub(crate) public: reqwest::Client,
    pub(crate) targets: reqwest::Client,
}

impl HttpClients {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let tls = tls_config(config)?;
        Ok(Self { public: build(config, tls.clone(), true)?, targets: build(config, tls, false)? })
    }
}

fn build(config: &GatewayConfig, tls: ClientConfig, only_public: bool) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(only_public)
        .dns_resolver(Guarded { resolver: Arc::clone(&config.resolver), only_public })
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .connect_timeout(CONNECT_TIME)
        .timeout(config.limits.call_time)
        .pool_max_idle_per_host(config.limits.calls_per_service)
        .user_agent(concat!("convoke-gateway/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn tls_config(config: &GatewayConfig) -> Result<ClientConfig, GatewayError> {
    let provider = provider().ok_or(GatewayError::NoCryptoProvider)?;
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        warn!(%error, "a certificate of the system cannot be read");
    }
    let (known, _) = roots.add_parsable_certificates(native.certs);
    for root in &config.roots {
        roots.add(root.clone())?;
    }
    if known == 0 && config.roots.is_empty() {
        warn!("the system has no certificates: no https service can be reached");
    }
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(tls.with_root_certificates(roots).with_no_client_auth())
}

/// The provider that the features choose; never the default of the process, which is not this library's to set.
fn provider() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "ring")]
    let provider = Some(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    let provider = Some(Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    let provider = None;
    provider
}

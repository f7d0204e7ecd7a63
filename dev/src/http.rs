//! An HTTP client for services on this machine.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Why there is no HTTP client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpClientError {
    /// TLS could not be prepared.
    #[error("TLS for the HTTP client: {0}")]
    Tls(#[from] rustls::Error),
    /// The client could not be made.
    #[error("the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client for `http://127.0.0.1`: it asks no proxy, trusts no authority (so https fails), and follows no redirect.
///
/// A connection takes at most 5 s; a response has no limit, since it may be a stream of events.
pub fn http_client() -> Result<reqwest::Client, HttpClientError> {
    // The library insists on a TLS configuration, and there is no default provider to make one from.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    Ok(builder.redirect(reqwest::redirect::Policy::none()).connect_timeout(Duration::from_secs(5)).build()?)
}

//! TLS as the checker plays it: it takes every certificate and remembers what it was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convoke_net::Credentials;
use convoke_net::provider::provider;
use convoke_net::verifier::PossessionVerifier;
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, Error, ServerConfig, SignatureScheme, SupportedProtocolVersion};

/// What the checker supports.
pub(crate) const ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The configuration of one handshake as initiating entity.
pub(crate) struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    asked: Arc<AtomicBool>,
}

impl ClientTls {
    /// Shows this certificate, or none.
    pub(crate) fn new(
        credentials: Option<&Credentials>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, Error> {
        let provider = provider();
        let asked = Arc::new(AtomicBool::new(false));
        let shown = Shown { key: credentials.map(Credentials::certified_key), asked: Arc::clone(&asked) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PossessionVerifier::new(provider)))
            .with_client_cert_resolver(Arc::new(shown));
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), asked })
    }

    /// The same, naming these protocols by ALPN (RFC 7301).
    pub(crate) fn with_protocols(mut self, protocols: &[&[u8]]) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    /// The same, naming no host (RFC 6066, section 3).
    pub(crate) fn without_name(mut self) -> Self {
        Arc::make_mut(&mut self.config).enable_sni = false;
        self
    }

    /// Whether the receiving entity has asked for a certificate.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The configuration of a handshake as receiving entity, which asks for a certificate and shows this one.
pub(crate) fn server(credentials: &Credentials) -> Result<Arc<ServerConfig>, Error> {
    let provider = provider();
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(ALL)?
        .with_client_cert_verifier(Arc::new(PossessionVerifier::new(provider)))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified_key())));
    Ok(Arc::new(config))
}

/// The certificate that is shown, if any, and whether one was asked for.
#[derive(Debug)]
struct Shown {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

//! The HTTP client: HTTPS alone, no redirects, no proxies, and certificates judged by the roots of the domain in question.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_net::provider::provider;
use convoke_net::verifier::PossessionVerifier;
use convoke_xmpp::Domainpart;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::PoshFetchError;
use crate::identity::IdentityVerifier;
use crate::resolver::{Family, Resolver};

/// How long one request may take, from the first question to DNS to the last byte: somebody may wait to dial.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// A client for web servers that speak for this domain.
pub(super) fn client(
    resolver: Arc<dyn Resolver>,
    judge: Arc<IdentityVerifier>,
    speaks_for: &Domainpart,
) -> Result<reqwest::Client, PoshFetchError> {
    let verifier = WebServerVerifier { judge, speaks_for: speaks_for.clone(), possession: possession() };
    let tls = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(PoshFetchError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .dns_resolver(HostNames(resolver))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .timeout(REQUEST_TIME)
        .user_agent(concat!("convoke/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(PoshFetchError::Client)
}

/// What went wrong at the bottom: the layers above say only that something did.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
        if let Some(fault) = source.downcast_ref::<io::Error>().and_then(certificate_fault) {
            return fault.to_string();
        }
    }
    innermost.to_string()
}

/// What is wrong with the certificate, if that was the cause: TLS would tell it as programmers see it.
fn certificate_fault(error: &io::Error) -> Option<&OtherError> {
    let inner = error.get_ref()?;
    match inner.downcast_ref() {
        Some(Error::InvalidCertificate(CertificateError::Other(fault))) => Some(fault),
        Some(_) => None,
        // One I/O error may stand for another, which is then no `source` of it.
        None => inner.downcast_ref().and_then(certificate_fault),
    }
}

fn possession() -> PossessionVerifier {
    PossessionVerifier::new(provider())
}

/// The resolver of the federation, for the HTTP client.
struct HostNames(Arc<dyn Resolver>);

impl Resolve for HostNames {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let (v6, v4) = tokio::join!(resolver.addresses(Family::V6, host), resolver.addresses(Family::V4, host));
            let found = match (v6, v4) {
                (Err(error), Err(_)) => return Err(error.into()),
                (v6, v4) => [v6, v4].into_iter().flatten().flatten().collect::<Vec<_>>(),
            };
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Judges the certificates of web servers as the certificates of everybody else are judged.
struct WebServerVerifier {
    judge: Arc<IdentityVerifier>,
    speaks_for: Domainpart,
    possession: PossessionVerifier,
}

impl ServerCertVerifier for WebServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let not_named = || Error::InvalidCertificate(CertificateError::NotValidForName);
        let ServerName::DnsName(host) = server_name else { return Err(not_named()) };
        let host = Domainpart::new(host.as_ref()).map_err(|_| not_named())?;
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        match self.judge.verify_web_server(&chain, at, &host, &self.speaks_for) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(fault) => Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(&self.possession, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(&self.possession, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(&self.possession)
    }
}

impl fmt::Debug for WebServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebServerVerifier").field("speaks_for", &self.speaks_for).finish_non_exhaustive()
    }
}

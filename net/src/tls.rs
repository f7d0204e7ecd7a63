//! What each local domain shows and asks in TLS handshakes.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use convoke_xmpp::Domainpart;
use convoke_xmpp::negotiation::{TlsInfo, TlsStart};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, CommonState, ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::credentials::Credentials;
use crate::provider::provider;
use crate::verifier::PossessionVerifier;
use crate::wire::Wire;

/// TLS 1.2 is the oldest version that RFC 7590 (section 3.3, by RFC 9325) allows; who offers less gets the alert
/// `protocol_version`. There is no renegotiation to attack: rustls has none, and refuses with `no_renegotiation` who asks
/// for it in TLS 1.2.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Label and length of the exporter for channel binding (RFC 9266, section 2).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The TLS configurations of all local domains, whose credentials can be replaced at any time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsContext {
    provider: Arc<CryptoProvider>,
    /// Replaced whole, so that a handshake sees one state; what has begun goes on by the state that it began with.
    domains: Arc<RwLock<Arc<Domains>>>,
}

#[derive(Debug, Clone)]
struct Domains {
    domains: HashMap<Domainpart, Arc<DomainTls>>,
    certificates: BySni,
    /// For direct TLS, where the peer names the domain within the handshake.
    by_sni: Arc<ServerConfig>,
}

#[derive(Debug)]
struct DomainTls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Why a TLS handshake cannot be prepared or did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The crypto provider does not support a version or signature that is needed.
    #[error("the crypto provider cannot be used: {0}")]
    Provider(#[source] rustls::Error),
    /// The domain is not one of those that this context was made with.
    #[error("there is no certificate for {0}")]
    UnknownDomain(Domainpart),
    /// The domain cannot be named in a TLS handshake.
    #[error("{0} is no name that TLS can carry")]
    NoServerName(Domainpart),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[source] std::io::Error),
}

impl TlsContext {
    /// Prepares clients and servers of these domains: TLS 1.2 and 1.3, both with certificates.
    pub fn new(domains: impl IntoIterator<Item = (Domainpart, Credentials)>) -> Result<Self, TlsError> {
        let provider = provider();
        let (mut prepared, mut certificates) = (HashMap::new(), BySni::default());
        for (domain, credentials) in domains {
            certificates.set(&domain, &credentials);
            prepared.insert(domain, Arc::new(DomainTls::new(&credentials, &provider)?));
        }
        let by_sni = by_sni(&certificates, &provider)?;
        let domains = Arc::new(Domains { domains: prepared, certificates, by_sni });
        Ok(Self { provider, domains: Arc::new(RwLock::new(domains)) })
    }

    /// Shows these credentials from the next handshake on, in both roles and by direct TLS, all at once. Connections
    /// that are there keep what they were made with.
    ///
    /// Fails with [`TlsError::UnknownDomain`] for a domain that the context was not made with, or
    /// [`TlsError::Provider`]; then everything stays as it was.
    pub fn replace(&self, domain: &Domainpart, credentials: &Credentials) -> Result<(), TlsError> {
        let prepared = Arc::new(DomainTls::new(credentials, &self.provider)?);
        // Held to the end, lest two replacements undo each other; it waits for nothing.
        let mut current = self.domains.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Domains::clone(&current);
        *next.domains.get_mut(domain).ok_or_else(|| TlsError::UnknownDomain(domain.clone()))? = prepared;
        next.certificates.set(domain, credentials);
        next.by_sni = by_sni(&next.certificates, &self.provider)?;
        *current = Arc::new(next);
        Ok(())
    }

    /// Shakes hands as the side that `start` names. The peer may send [`HANDSHAKE_BYTES`](crate::wire::HANDSHAKE_BYTES).
    pub(crate) async fn handshake(&self, start: &TlsStart, mut wire: Wire) -> Result<TlsStream<Wire>, TlsError> {
        wire.begin_handshake();
        let domains = self.current();
        let mut stream = match start {
            TlsStart::Initiating { local, remote, alpn } => {
                let mut config = Arc::clone(&domains.domain(local)?.client);
                if let Some(alpn) = alpn {
                    Arc::make_mut(&mut config).alpn_protocols = vec![alpn.to_vec()];
                }
                let connector = TlsConnector::from(config);
                let handshake = connector.connect(server_name(remote)?, wire).into_fallible();
                TlsStream::Client(told(handshake.await).await?)
            }
            TlsStart::Receiving { local, alpn } => {
                let config = local.as_ref().map_or(Ok(&domains.by_sni), |local| Ok(&domains.domain(local)?.server))?;
                let mut config = Arc::clone(config);
                if let Some(alpn) = alpn {
                    Arc::make_mut(&mut config).alpn_protocols = vec![alpn.to_vec()];
                }
                let acceptor = TlsAcceptor::from(config);
                TlsStream::Server(told(acceptor.accept(wire).into_fallible().await).await?)
            }
        };
        stream.get_mut().0.end_handshake();
        Ok(stream)
    }

    fn current(&self) -> Arc<Domains> {
        Arc::clone(&self.domains.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Domains {
    fn domain(&self, domain: &Domainpart) -> Result<&DomainTls, TlsError> {
        self.domains.get(domain).map(AsRef::as_ref).ok_or_else(|| TlsError::UnknownDomain(domain.clone()))
    }
}

fn by_sni(certificates: &BySni, provider: &Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = Arc::new(PossessionVerifier::new(Arc::clone(provider)));
    Ok(Arc::new(server_config(Arc::new(certificates.clone()), provider, verifier)?))
}

/// Shows the certificate of the domain that the peer asks for; the first one to a peer that asks for none or another.
#[derive(Debug, Clone, Default)]
struct BySni {
    certificates: HashMap<String, Arc<CertifiedKey>>,
    /// The name of the first.
    first: String,
}

impl BySni {
    fn set(&mut self, domain: &Domainpart, credentials: &Credentials) {
        let name = domain.to_ascii().to_ascii_lowercase();
        if self.certificates.is_empty() {
            self.first.clone_from(&name);
        }
        self.certificates.insert(name, credentials.certified_key());
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A domain that is not served is refused in the stream, where the peer can read why.
        let asked = hello.server_name().and_then(|name| self.certificates.get(&name.to_ascii_lowercase()));
        asked.or_else(|| self.certificates.get(&self.first)).map(Arc::clone)
    }
}

impl DomainTls {
    fn new(credentials: &Credentials, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let verifier = Arc::new(PossessionVerifier::new(Arc::clone(provider)));
        Ok(Self {
            client: Arc::new(client_config(credentials, provider, Arc::clone(&verifier))?),
            server: Arc::new(server_config(
                Arc::new(SingleCertAndKey::from(credentials.certified_key())),
                provider,
                verifier,
            )?),
        })
    }
}

fn client_config(
    credentials: &Credentials,
    provider: &Arc<CryptoProvider>,
    verifier: Arc<PossessionVerifier>,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified_key())));
    // On resumption no verifier is asked and certificates of earlier are shown. Nothing depends on it (every stream
    // judges its TlsInfo anew), and it saves little against a link that lives for hours.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
    provider: &Arc<CryptoProvider>,
    verifier: Arc<PossessionVerifier>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(TlsError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificates);
    // See client_config.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Why a handshake has failed is told the peer (RFC 8446, section 6.2): that was written, and is still held back.
async fn told<T>(handshake: Result<T, (io::Error, Wire)>) -> Result<T, TlsError> {
    match handshake {
        Ok(stream) => Ok(stream),
        Err((error, mut wire)) => {
            wire.end_handshake();
            // Nobody is left to be told of this failure.
            let _ = wire.flush().await;
            Err(TlsError::Handshake(error))
        }
    }
}

/// The name for SNI: the domain as A-labels (RFC 6120, section 13.9.2), or an address, which goes unnamed.
fn server_name(domain: &Domainpart) -> Result<ServerName<'static>, TlsError> {
    let literal = domain.as_str().trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(domain.to_ascii()).map_err(|_| TlsError::NoServerName(domain.clone()))
}

/// What a finished handshake found, owned.
#[derive(Debug)]
pub(crate) struct Handshake {
    chain: Vec<CertificateDer<'static>>,
    version: &'static str,
    alpn: Option<Vec<u8>>,
    resumed: bool,
    at: SystemTime,
    exporter: Option<[u8; 32]>,
}

impl Handshake {
    pub(crate) fn of(stream: &TlsStream<Wire>) -> Self {
        let exporter = |key: Result<[u8; 32], rustls::Error>| key.ok();
        match stream {
            TlsStream::Client(client) => {
                let tls = client.get_ref().1;
                Self::from_state(tls, exporter(tls.export_keying_material([0; 32], EXPORTER_LABEL, None)))
            }
            TlsStream::Server(server) => {
                let tls = server.get_ref().1;
                Self::from_state(tls, exporter(tls.export_keying_material([0; 32], EXPORTER_LABEL, None)))
            }
        }
    }

    /// Calls `f` with the borrowed form that a negotiator takes.
    pub(crate) fn with_info<T>(&self, f: impl FnOnce(TlsInfo<'_>) -> T) -> T {
        let chain: Vec<&[u8]> = self.chain.iter().map(AsRef::as_ref).collect();
        f(TlsInfo {
            peer_chain: &chain,
            version: self.version,
            alpn: self.alpn.as_deref(),
            resumed: self.resumed,
            at: self.at,
            exporter: self.exporter,
        })
    }

    fn from_state(tls: &CommonState, exporter: Option<[u8; 32]>) -> Self {
        let is_tls13 = tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        Self {
            chain: tls.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect(),
            version: if is_tls13 { "TLSv1.3" } else { "TLSv1.2" },
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            resumed: tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            at: SystemTime::now(),
            // Only TLS 1.3 binds it to the whole handshake in every case (RFC 9266, section 2).
            exporter: exporter.filter(|_| is_tls13),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(domain: &str) -> String {
        server_name(&Domainpart::new(domain).unwrap()).unwrap().to_str().into_owned()
    }

    #[test]
    fn names_an_international_domain_by_its_a_labels() {
        assert_eq!(name("bücher.example"), "xn--bcher-kva.example");
        assert_eq!(name("a.example"), "a.example");
    }

    #[test]
    fn takes_an_address_for_what_it_is() {
        assert_eq!(name("127.0.0.1"), "127.0.0.1");
        assert_eq!(name("[::1]"), "::1");
    }
}

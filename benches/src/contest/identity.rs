//! Who the generator is to a server: a domain of its own, with its certificate and its place in DNS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convoke_dev::peers::Service;
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Error;

/// A domain of the generator.
pub(crate) struct Identity {
    pub(crate) domain: String,
    /// The domain in base64, as servers want it for an authorization identity.
    pub(crate) authzid: String,
    pub(crate) starttls: TlsConnector,
    /// By XEP-0368, with the protocol that it names.
    pub(crate) direct: TlsConnector,
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    /// TLS 1.3 alone, without resumption: every connection makes a whole handshake.
    pub(crate) fn new(domain: &str, authority: &CertificateAuthority) -> Result<Self, Error> {
        let issued = authority.issue(&Subject::domain(domain))?;
        let chain = || CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let key = || PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())?)?;
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
        let mut client = client.with_root_certificates(roots).with_client_auth_cert(chain()?, key()?)?;
        client.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        let mut direct = client.clone();
        direct.alpn_protocols = vec![b"xmpp-server".to_vec()];
        let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let server = server.with_client_cert_verifier(clients).with_single_cert(chain()?, key()?)?;
        Ok(Self {
            domain: domain.to_owned(),
            authzid: STANDARD.encode(domain),
            starttls: TlsConnector::from(Arc::new(client)),
            direct: TlsConnector::from(Arc::new(direct)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }

    /// Listens, and lets everybody know by DNS where.
    pub(crate) async fn listen(&self, dns: &LoopbackDns) -> Result<TcpListener, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let host = format!("xmpp.{}", self.domain);
        dns.srv(&self.domain, Service::StartTls.labels(), 0, 0, listener.local_addr()?.port(), &host)?;
        dns.a(&host, Ipv4Addr::LOCALHOST)?;
        Ok(listener)
    }
}

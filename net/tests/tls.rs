//! TLS with clients other than ours.

use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Subject};
use convoke_net::{Credentials, TlsContext, negotiate, pem};
use convoke_xmpp::Limits;
use convoke_xmpp::stream::StreamHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::greeting::{Greeting, SOON, Told, a, b, receive, sockets};

fn header() -> Vec<u8> {
    StreamHeader::server(Some(&a()), Some(&b())).write().into_bytes()
}

fn roots(authority: &CertificateAuthority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let root = pem::certificates_in(authority.certificate_pem().as_bytes(), "ca.pem".as_ref()).unwrap();
    root.into_iter().for_each(|root| roots.add(root).unwrap());
    roots
}

/// A client without a certificate of its own, which trusts the authority and checks the name.
pub(crate) fn client(
    authority: &CertificateAuthority,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    Arc::new(builder.with_root_certificates(roots(authority)).with_no_client_auth())
}

/// Both ends of TLS as the library itself makes them: version 1.3, both with certificates, nothing to resume.
pub(crate) fn plain() -> (TlsConnector, TlsAcceptor) {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let provider = Arc::new(default_provider());
    let roots = Arc::new(roots(&authority));
    let (chain, key) = issued(&authority, "a.example");
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]).unwrap();
    let mut client = client.with_root_certificates(Arc::clone(&roots)).with_client_auth_cert(chain, key).unwrap();
    client.resumption = Resumption::disabled();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().unwrap();
    let (chain, key) = issued(&authority, "b.example");
    let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
    let mut server = server.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)))
}

fn issued(authority: &CertificateAuthority, domain: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let issued = authority.issue(&Subject::domain(domain)).unwrap();
    let chain = pem::certificates_in(issued.chain_pem.as_bytes(), "chain.pem".as_ref()).unwrap();
    (chain, pem::private_key_in(issued.key_pem.as_bytes(), "key.pem".as_ref()).unwrap())
}

async fn secure(mut tcp: TcpStream, connector: TlsConnector, ahead: &str) -> TlsStream<TcpStream> {
    tcp.write_all(&header()).await.unwrap();
    tcp.write_all(ahead.as_bytes()).await.unwrap();
    tcp.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
        seen.push(timeout(SOON, tcp.read_u8()).await.unwrap().unwrap());
    }
    connector.connect(ServerName::try_from("b.example").unwrap(), tcp).await.unwrap()
}

async fn told_of(version: &'static SupportedProtocolVersion) -> Told {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let issued = authority.issue(&Subject::domain("b.example")).unwrap();
    let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
    let tls = TlsContext::new([(b(), credentials)]).unwrap();
    let (near, far) = sockets().await;
    let peer = async {
        let mut stream = secure(far, client(&authority, version).into(), "").await;
        stream.write_all(&header()).await.unwrap();
        stream
    };
    let (negotiated, _stream) = tokio::join!(receive(near, &tls), peer);
    negotiated.unwrap().established
}

/// It is still sending: neither what it was told nor the end of TLS may be lost by that.
#[tokio::test]
async fn tells_a_client_that_is_still_sending_why_it_is_refused() {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let (chain, key) = issued(&authority, "b.example");
    let tls = TlsContext::new([(b(), Credentials::new(chain, key).unwrap())]).unwrap();
    let (near, far) = sockets().await;
    let peer = async {
        let mut stream = secure(far, client(&authority, &TLS13).into(), "").await;
        stream.write_all(&header()).await.unwrap();
        let refused = format!("<message/>{}", "<x/>".repeat(100_000));
        stream.write_all(refused.as_bytes()).await.unwrap();
        let mut seen = String::new();
        // Fails where the connection ends without `close_notify`.
        timeout(SOON, stream.read_to_string(&mut seen)).await.unwrap().unwrap();
        seen
    };
    let receiving = Greeting::new(false, true).with_restarts();
    let (outcome, seen) = tokio::join!(negotiate(receiving, near, &tls, Limits::default()), peer);
    assert!(outcome.is_err());
    assert!(seen.contains("<not-authorized") && seen.ends_with("</stream:stream>"), "{seen}");
}

/// Who has none is told so in the stream, not by an alert: that is for the negotiator to decide.
#[tokio::test]
async fn lets_a_client_without_a_certificate_come_before_the_negotiator() {
    let told = told_of(&TLS13).await;
    assert!(told.chain.is_empty());
    assert_eq!(told.version, "TLSv1.3");
}

/// RFC 9266, section 2.
#[tokio::test]
async fn speaks_tls_1_2_without_channel_binding() {
    let told = told_of(&TLS12).await;
    assert_eq!((told.version, told.exporter), ("TLSv1.2", None));
}

#[tokio::test]
async fn refuses_a_handshake_for_a_domain_without_certificate() {
    let tls = TlsContext::new([]).unwrap();
    let (near, mut far) = sockets().await;
    far.write_all(&header()).await.unwrap();
    far.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await.unwrap();
    let error = timeout(SOON, receive(near, &tls)).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "there is no certificate for b.example");
}

/// What may be sent before authentication is counted over TLS: 5,000 bytes ahead of it and 5,000 behind are too much.
#[tokio::test]
async fn counts_what_is_sent_ahead_of_tls_and_behind() {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let (chain, key) = issued(&authority, "b.example");
    let tls = TlsContext::new([(b(), Credentials::new(chain, key).unwrap())]).unwrap();
    let padding = " ".repeat(5000);
    let (near, far) = sockets().await;
    let peer = async {
        let mut stream = secure(far, client(&authority, &TLS13).into(), &padding).await;
        stream.write_all(padding.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let receiving = negotiate(Greeting::new(false, true), near, &tls, Limits::before_authentication());
    let (outcome, _stream) = tokio::join!(receiving, peer);
    let refusal = outcome.unwrap_err().to_string();
    assert!(refusal.contains("limit: 8192"), "{refusal}");
}

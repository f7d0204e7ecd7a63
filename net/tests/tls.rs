//! TLS with clients other than ours.

use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Subject};
use convoke_net::{Credentials, TlsContext, pem};
use convoke_xmpp::stream::StreamHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::greeting::{SOON, Told, a, b, receive, sockets};

fn header() -> Vec<u8> {
    StreamHeader::server(Some(&a()), Some(&b())).write().into_bytes()
}

/// A client without a certificate of its own, which trusts the authority and checks the name.
fn client(authority: &CertificateAuthority, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let root = pem::certificates_in(authority.certificate_pem().as_bytes(), "ca.pem".as_ref()).unwrap();
    root.into_iter().for_each(|root| roots.add(root).unwrap());
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

async fn secure(mut tcp: TcpStream, connector: TlsConnector) -> TlsStream<TcpStream> {
    tcp.write_all(&header()).await.unwrap();
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
        let mut stream = secure(far, client(&authority, version)).await;
        stream.write_all(&header()).await.unwrap();
        stream
    };
    let (negotiated, _stream) = tokio::join!(receive(near, &tls), peer);
    negotiated.unwrap().established
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

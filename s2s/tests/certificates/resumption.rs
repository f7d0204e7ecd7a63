//! TLS sessions are not resumed: there is a full handshake, and a verdict, for every stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use convoke_s2s::{DnsResolver, Federation, FederationConfig, LocalDomain};
use convoke_xmpp::{Origin, Router, Stanza, Undelivered};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

use crate::forge::{Authority, DOMAIN, Shown, dns, server};
use crate::judge::domain;

/// Nothing in these tests takes as long.
const SOON: Duration = Duration::from_secs(30);

/// Who offers to resume.
const PEER: &str = "peer.example";

/// Rule "re-checked on TLS resumption": a client that offers a session gets a full handshake, and its certificate is
/// judged by what is believed now.
#[tokio::test]
async fn who_offers_a_session_gets_a_full_handshake_and_is_judged_anew() {
    for version in [&TLS13, &TLS12] {
        let (root, other) = (Authority::root("Root"), Authority::root("Other"));
        let (federation, ours) = federation(&root).await;
        let elsewhere = server_with_sessions(&root, version).await;
        let client = client(&root, version);
        // The client does resume where it may: it offers what it has for this name, wherever it comes from.
        assert_eq!(greeted(&client, elsewhere).await, Some(HandshakeKind::Full));
        assert_eq!(greeted(&client, elsewhere).await, Some(HandshakeKind::Resumed));
        for _ in 0..2 {
            let (kind, answer) = opened(&client, ours).await;
            assert_eq!(kind, Some(HandshakeKind::Full));
            assert!(answer.contains("<mechanism>EXTERNAL</mechanism>"), "{answer}");
        }
        federation.replace_trust(other.trust());
        let (kind, answer) = opened(&client, ours).await;
        assert_eq!(kind, Some(HandshakeKind::Full));
        assert!(answer.contains("<policy-violation") && !answer.contains("EXTERNAL"), "{answer}");
    }
}

/// A federation that is reached by direct TLS.
async fn federation(root: &Authority) -> (Federation, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let local = LocalDomain { name: domain(DOMAIN), credentials: root.issue_usual().credentials() };
    // Nobody is dialled.
    let resolver = Arc::new(DnsResolver::new(&[address]).unwrap());
    let federation =
        Federation::new(FederationConfig::new(vec![local], root.trust(), resolver), Arc::new(Nowhere)).unwrap();
    federation.serve_direct(listener);
    (federation, address)
}

struct Nowhere;

impl Router for Nowhere {
    fn route(&self, _: Stanza, _: &Origin) -> Result<(), Undelivered> {
        Ok(())
    }

    fn undelivered(&self, _: Undelivered) {}
}

/// Another server of the same name, which lets clients resume their sessions, and says a word to each.
async fn server_with_sessions(root: &Authority, version: &'static SupportedProtocolVersion) -> SocketAddr {
    let (chain, key) = parts(&root.issue_usual());
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut tls = acceptor.accept(tcp).await.unwrap();
            tls.write_all(b"!").await.unwrap();
            tls.shutdown().await.unwrap();
        }
    });
    address
}

fn client(root: &Authority, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der.clone())).unwrap();
    let (chain, key) = parts(&root.issue(&server([dns(PEER)])));
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn parts(shown: &Shown) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = shown.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    (chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.clone())))
}

/// Connects, reads to the end, and so takes the session that comes with it.
async fn greeted(client: &TlsConnector, address: SocketAddr) -> Option<HandshakeKind> {
    let mut tls = connected(client, address).await;
    let mut word = String::new();
    timeout(SOON, tls.read_to_string(&mut word)).await.unwrap().unwrap();
    assert_eq!(word, "!");
    tls.get_ref().1.handshake_kind()
}

/// Connects and opens a stream; gives what came until features or an error.
async fn opened(client: &TlsConnector, address: SocketAddr) -> (Option<HandshakeKind>, String) {
    let mut tls = connected(client, address).await;
    let header = format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{PEER}' \
         to='{DOMAIN}' version='1.0'>"
    );
    tls.write_all(header.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut bytes = [0; 4096];
    while !answer.contains("</stream:features>") && !answer.contains("</stream:error>") {
        let count = timeout(SOON, tls.read(&mut bytes)).await.unwrap().unwrap();
        assert_ne!(count, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    (tls.get_ref().1.handshake_kind(), answer)
}

async fn connected(client: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let connecting = client.connect(ServerName::try_from(DOMAIN).unwrap(), tcp);
    timeout(SOON, connecting).await.unwrap().unwrap()
}

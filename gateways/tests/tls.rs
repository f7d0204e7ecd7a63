//! Services behind TLS.

use std::net::IpAddr;
use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Subject};
use convoke_gateways::Resolver;
use convoke_xmpp::Condition;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::support::{GATEWAY, World};

/// Everything is on loopback.
#[derive(Debug)]
struct Loopback;

#[async_trait::async_trait]
impl Resolver for Loopback {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![[127, 0, 0, 1].into()])
    }
}

fn acceptor(authority: &CertificateAuthority) -> TlsAcceptor {
    let issued = authority.issue(&Subject::domain("inside.example")).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one request and gives the server name of the handshake and the head of the request.
fn serve_once(listener: TcpListener, acceptor: TlsAcceptor) -> JoinHandle<std::io::Result<(String, String)>> {
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = acceptor.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        stream.flush().await?;
        let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
        Ok((name, String::from_utf8_lossy(&head).into_owned()))
    })
}

async fn call(
    trusted: &CertificateAuthority,
    used: &CertificateAuthority,
) -> (Option<Condition>, Option<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://inside.example:{}", listener.local_addr().unwrap().port());
    let serving = serve_once(listener, acceptor(used));
    let root = CertificateDer::from_pem_slice(trusted.certificate_pem().as_bytes()).unwrap();
    let target = url.parse().unwrap();
    let world = World::with(|config| {
        config.roots = vec![root];
        config.resolver = Arc::new(Loopback);
        config.targets = vec![target];
    })
    .await;
    world.register("printer", &url).await;
    world.deliver(&format!(
        "<iq type='get' id='1' from='bob@peer.example' to='{GATEWAY}/printer'><call xmlns='urn:convoke:rest:0'/></iq>"
    ));
    let answer = world.sent().await;
    (answer.error().map(|error| error.condition), serving.await.unwrap().ok())
}

#[tokio::test]
async fn a_service_with_a_trusted_certificate_is_reached_by_its_name() {
    let authority = CertificateAuthority::new("ours").unwrap();
    let (error, request) = call(&authority, &authority).await;
    let (name, head) = request.unwrap();
    assert_eq!((error, name.as_str()), (None, "inside.example"));
    assert!(head.contains("host: inside.example:"), "{head}");
}

#[tokio::test]
async fn a_service_with_another_certificate_is_not() {
    let (ours, theirs) = (CertificateAuthority::new("ours").unwrap(), CertificateAuthority::new("theirs").unwrap());
    let (error, request) = call(&ours, &theirs).await;
    assert_eq!(error, Some(Condition::RemoteServerNotFound));
    assert_eq!(request, None);
}

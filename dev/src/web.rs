//! A web server on loopback, for what domains publish by HTTPS.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::certificates::Issued;

/// How long one request and its answer may take.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// How long the head of a request may be.
const MAX_HEAD: usize = 8 * 1024;

/// How many connections are served at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// A real web server (HTTP/1.1 by TLS) whose documents can be changed while it runs.
///
/// It answers GET for every host that leads to it, by its name and path, and closes the connection; what was not published
/// is 404. Dropping the server ends it.
pub struct LoopbackWeb {
    address: SocketAddr,
    site: Arc<Site>,
    /// Owns the task that serves, and that one those of the connections.
    _serving: JoinSet<()>,
}

/// Why the web server could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// The socket could not be bound.
    #[error("cannot listen for HTTPS on loopback: {0}")]
    Bind(#[from] io::Error),
    /// The certificate or its key cannot be read.
    #[error("the certificate of the web server cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The certificate and its key cannot be used.
    #[error("TLS for the web server: {0}")]
    Tls(#[from] rustls::Error),
}

/// The documents by host and path, and how often any was asked for.
#[derive(Default)]
struct Site {
    documents: Mutex<HashMap<(String, String), Document>>,
    requests: AtomicUsize,
}

#[derive(Clone)]
struct Document {
    status: u16,
    /// With CRLF behind each.
    headers: String,
    body: String,
}

impl LoopbackWeb {
    /// Starts the server on a free port of 127.0.0.1, with this certificate for all hosts.
    ///
    /// Must be called within a tokio runtime with I/O and time.
    pub async fn start(issued: &Issued) -> Result<Self, WebError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(issued)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, site) = (listener.local_addr()?, Arc::new(Site::default()));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, acceptor, Arc::clone(&site)));
        Ok(Self { address, site, _serving: serving })
    }

    /// The address on which the server answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests for this path of this host with the document from now on.
    pub fn publish(&self, host: &str, path: &str, body: impl Into<String>) {
        self.answer(host, path, Document { status: 200, headers: String::new(), body: body.into() });
    }

    /// Answers them with this status from now on, and with this `Location` if there is one.
    pub fn refuse(&self, host: &str, path: &str, status: u16, location: Option<&str>) {
        let headers = location.map(|location| format!("location: {location}\r\n")).unwrap_or_default();
        self.answer(host, path, Document { status, headers, body: String::new() });
    }

    /// Counts the requests that have arrived.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.site.requests.load(Ordering::Relaxed)
    }

    fn answer(&self, host: &str, path: &str, document: Document) {
        let key = (host.to_ascii_lowercase(), path.to_owned());
        self.site.documents.lock().unwrap_or_else(PoisonError::into_inner).insert(key, document);
    }
}

impl fmt::Debug for LoopbackWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackWeb").field("address", &self.address).finish_non_exhaustive()
    }
}

fn tls(issued: &Issued) -> Result<ServerConfig, WebError> {
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    Ok(config.with_single_cert(chain, key)?)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let Ok((stream, _)) = accepted else { return };
                let (acceptor, site) = (acceptor.clone(), Arc::clone(&site));
                connections.spawn(async move {
                    // A client that breaks off, or that does not believe the certificate, is no fault of the server.
                    let _ = timeout(REQUEST_TIME, answer(stream, acceptor, &site)).await;
                });
            }
        }
    }
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor, site: &Site) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    site.requests.fetch_add(1, Ordering::Relaxed);
    let document = site.find(&String::from_utf8_lossy(&head));
    let Document { status, headers, body } = document;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} \r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

impl Site {
    fn find(&self, head: &str) -> Document {
        let found = asked_for(head)
            .and_then(|key| self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned());
        found.unwrap_or(Document { status: 404, headers: String::new(), body: String::new() })
    }
}

/// Host, without its port, and path of a GET request.
fn asked_for(head: &str) -> Option<(String, String)> {
    let path = head.strip_prefix("GET ")?.split(' ').next()?;
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, host) = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
    let host = host.trim().split(':').next()?;
    Some((host.to_ascii_lowercase(), path.to_owned()))
}

//! Messages from one federated domain to another, and the same bytes through plain TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke::Component;
use convoke_dev::{CertificateAuthority, Subject};
use convoke_xmpp::Stanza;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::clock::process_time;
use crate::comparison::{Contender, compare, median};
use crate::federation::World;
use crate::report::Report;
use crate::traffic::message_of;
use crate::{Effort, Error};

/// Bytes of one message on the wire.
const MESSAGE: usize = 500;

/// How many messages are under way at most: less than a mailbox holds, so that none is refused.
const WINDOW: usize = 2048;

/// How many are acknowledged, and so sent, at a time.
const CREDIT: usize = 128;

/// What the plain relay writes at a time: as much as a session of ours does.
const PLAIN_BATCH: usize = 64 * 1024;

/// What the plain relay reads at a time: as much as a session of ours does.
const PLAIN_READ: usize = 16 * 1024;

/// No relay takes as long for one round.
const DEADLINE: Duration = Duration::from_secs(60);

/// Measures both relays in turn and reports CPU per message, both ends together, and their ratio.
pub fn measure(effort: Effort, report: &mut Report) -> Result<(), Error> {
    let count = effort.choose(2 * WINDOW, 300_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut ours = runtime.block_on(Relay::new())?;
    let mut plain = runtime.block_on(Plain::new())?;
    let (mut walls, mut plain_walls) = (Vec::new(), Vec::new());
    let mut contenders = [
        Contender { name: "ours", run: timed(&runtime, count, async || ours.run(count).await, &mut walls) },
        Contender { name: "plain TLS", run: timed(&runtime, count, async || plain.run(count).await, &mut plain_walls) },
    ];
    let costs = compare(&mut contenders, effort.choose(0, 5))?;
    drop(contenders);
    report.figure("relay: ours, both ends", costs[0] * 1e6, "us CPU/message");
    report.figure("relay: plain TLS, both ends", costs[1] * 1e6, "us CPU/message");
    report.figure("relay: ours", 1.0 / median(walls), "messages/s");
    report.figure("relay: plain TLS", 1.0 / median(plain_walls), "messages/s");
    report.ratio("relay_vs_plain", costs[0] / costs[1], "lower is better");
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// The CPU seconds of the process per message; the seconds by the clock on the wall are kept.
fn timed<'a>(
    runtime: &'a Runtime,
    count: usize,
    mut run: impl AsyncFnMut() -> Result<(), Error> + 'a,
    walls: &'a mut Vec<f64>,
) -> Box<dyn FnMut() -> Result<f64, Error> + 'a> {
    Box::new(move || {
        let (wall, start) = (Instant::now(), process_time());
        runtime.block_on(async { tokio::time::timeout(DEADLINE, run()).await })??;
        let seconds = (process_time() - start).as_secs_f64();
        walls.push(wall.elapsed().as_secs_f64() / count as f64);
        Ok(seconds / count as f64)
    })
}

/// A component of one domain that sends to one of another.
struct Relay {
    source: Arc<Component>,
    sink: Component,
    message: Stanza,
    _domains: [convoke::Domain; 2],
}

impl Relay {
    async fn new() -> Result<Self, Error> {
        let mut world = World::new(&["a.example", "b.example"]).await?;
        let domains = [world.start("a.example").await?, world.start("b.example").await?];
        let (source, sink) = (Arc::new(domains[0].component("source")?), domains[1].component("sink")?);
        Ok(Self { source, sink, message: message_of(MESSAGE)?, _domains: domains })
    }

    async fn run(&mut self, count: usize) -> Result<(), Error> {
        let window = Arc::new(Semaphore::new(WINDOW));
        let sending = tokio::spawn(send(self.source.clone(), self.message.clone(), count, window.clone()));
        for received in 1..=count {
            self.sink.receive().await.ok_or("the domain was shut down")?;
            if received.is_multiple_of(CREDIT) {
                window.add_permits(CREDIT);
            }
        }
        sending.await?
    }
}

async fn send(source: Arc<Component>, message: Stanza, count: usize, window: Arc<Semaphore>) -> Result<(), Error> {
    for sent in 0..count {
        if sent.is_multiple_of(CREDIT) {
            window.acquire_many(CREDIT as u32).await?.forget();
        }
        source.send(message.clone()).map_err(|undelivered| undelivered.to_string())?;
    }
    Ok(())
}

/// The two ends of a TLS connection.
struct Plain {
    writer: Option<client::TlsStream<TcpStream>>,
    reader: server::TlsStream<TcpStream>,
}

impl Plain {
    async fn new() -> Result<Self, Error> {
        let (connector, acceptor) = plain_tls()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let socket = TcpStream::connect(listener.local_addr()?).await?;
        let (accepted, _) = listener.accept().await?;
        let name = ServerName::try_from("b.example")?;
        let (writer, reader) = tokio::try_join!(connector.connect(name, socket), acceptor.accept(accepted))?;
        Ok(Self { writer: Some(writer), reader })
    }

    async fn run(&mut self, count: usize) -> Result<(), Error> {
        let mut writer = self.writer.take().ok_or("the connection is lost")?;
        let mut left = count * MESSAGE;
        let writing = tokio::spawn(async move {
            let batch = vec![b'x'; PLAIN_BATCH];
            while left > 0 {
                let length = left.min(PLAIN_BATCH);
                writer.write_all(&batch[..length]).await?;
                left -= length;
            }
            writer.flush().await?;
            Ok::<_, Error>(writer)
        });
        let mut buffer = vec![0; PLAIN_READ];
        let mut missing = count * MESSAGE;
        while missing > 0 {
            match self.reader.read(&mut buffer).await? {
                0 => return Err("the connection was closed".into()),
                length => missing -= length,
            }
        }
        self.writer = Some(writing.await??);
        Ok(())
    }
}

fn plain_tls() -> Result<(TlsConnector, TlsAcceptor), Error> {
    let authority = CertificateAuthority::new("Benchmark CA")?;
    let issued = authority.issue(&Subject::domain("b.example"))?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())?)?;
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(rustls::ALL_VERSIONS)?;
    let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS)?;
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let server = server.with_no_client_auth().with_single_cert(chain, key)?;
    Ok((TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server))))
}

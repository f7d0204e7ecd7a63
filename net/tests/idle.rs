//! What an idle session holds, counted at each end apart, beside the same TLS connection held by nobody's session.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use convoke_counting_allocator::tally;
use convoke_net::session::{SessionHandler, SessionSettings, Stop, run};
use convoke_net::{Negotiated, Outbox, Tasks, TlsContext};
use convoke_xmpp::Stanza;
use convoke_xmpp::stream::StreamError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::greeting::{SOON, initiate, receive, tls};
use crate::tls::plain;

/// Enough that what the runtime keeps for all of them does not count.
const CONNECTIONS: usize = 32;

/// What a session may hold beyond its TLS connection, in bytes: its task, its outbox, its timers and its parser, but no
/// buffer: one read buffer alone would be four times as much. It was 3.6 KiB when this was written.
const SESSION_BYTES: i64 = 4608;

/// What passes at each end before it is idle: 125 KB, in stanzas large and small.
const LARGE: usize = 2;
const SMALL: usize = 250;

#[derive(Clone, Copy)]
enum End {
    Initiating,
    Receiving,
}

/// Lets every other task of this thread come to rest.
async fn rest() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// Runs both ends on threads of their own; says how many bytes each holds per connection when all is quiet.
fn held<F>(make: fn(End, TcpStream, Arc<Shared>) -> F, secrets: &Secrets) -> [i64; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    let (address, bound) = mpsc::channel();
    let quiet = Arc::new(Barrier::new(2));
    let near = (Arc::clone(&quiet), secrets.clone());
    let far = (quiet, secrets.clone());
    let receiving = on_thread(move || async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        address.send(listener.local_addr().unwrap()).unwrap();
        let next = async || listener.accept().await.unwrap().0;
        measure(End::Receiving, make, Shared::new(far.1), &far.0, next).await
    });
    let initiating = on_thread(move || async move {
        let address: SocketAddr = bound.recv().unwrap();
        let next = async || TcpStream::connect(address).await.unwrap();
        measure(End::Initiating, make, Shared::new(near.1), &near.0, next).await
    });
    [initiating.join().unwrap(), receiving.join().unwrap()]
}

fn on_thread<F: Future<Output = i64>>(work: impl FnOnce() -> F + Send + 'static) -> thread::JoinHandle<i64> {
    thread::spawn(move || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work()))
}

/// What both ends of both kinds prove themselves with.
#[derive(Clone)]
struct Secrets {
    ours: TlsContext,
    plain: (TlsConnector, TlsAcceptor),
}

/// What all connections of one end share.
struct Shared {
    secrets: Secrets,
    stop: Stop,
    idle: AtomicUsize,
    progress: Notify,
}

async fn measure<F: Future<Output = ()> + Send + 'static>(
    end: End,
    make: fn(End, TcpStream, Arc<Shared>) -> F,
    shared: Arc<Shared>,
    quiet: &Barrier,
    next: impl AsyncFn() -> TcpStream,
) -> i64 {
    let tasks = Tasks::new();
    // The first grows what the runtime keeps.
    tasks.spawn(make(end, next().await, Arc::clone(&shared)));
    until_idle(&shared, 1).await;
    let before = tally().live;
    for number in 1..=CONNECTIONS {
        tasks.spawn(make(end, next().await, Arc::clone(&shared)));
        // One after the other, so that neither end waits in the handshake of the other's next.
        until_idle(&shared, number + 1).await;
    }
    rest().await;
    let held = tally().live - before;
    // Nobody goes away before the other has counted.
    quiet.wait();
    tasks.abort();
    held / CONNECTIONS as i64
}

async fn until_idle(shared: &Shared, connections: usize) {
    while shared.idle.load(Ordering::Relaxed) < connections {
        timeout(SOON, shared.progress.notified()).await.expect("the connection comes to rest");
    }
}

impl Shared {
    fn new(secrets: Secrets) -> Arc<Self> {
        let (idle, progress) = (AtomicUsize::new(0), Notify::new());
        Arc::new(Self { secrets, stop: Stop::default(), idle, progress })
    }

    fn is_idle(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
        self.progress.notify_one();
    }
}

/// Counts what arrives.
struct Counter {
    left: usize,
    shared: Arc<Shared>,
}

impl SessionHandler for Counter {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        self.left -= 1;
        if self.left == 0 {
            self.shared.is_idle();
        }
        Ok(())
    }
}

fn burst() -> impl Iterator<Item = Stanza> {
    let large = format!("<message><body>{}</body></message>", "x".repeat(60_000));
    let all = (0..SMALL).map(|id| format!("<message id='{id}'/>")).chain(std::iter::repeat_n(large, LARGE));
    all.map(|text| Stanza::parse(&text).unwrap())
}

async fn session(end: End, socket: TcpStream, shared: Arc<Shared>) {
    let negotiated = match end {
        End::Initiating => initiate(socket, &shared.secrets.ours).await,
        End::Receiving => receive(socket, &shared.secrets.ours).await,
    };
    let Negotiated { connection, .. } = negotiated.unwrap();
    let outbox = Outbox::default();
    burst().for_each(|stanza| outbox.push(stanza).unwrap());
    let mut counter = Counter { left: LARGE + SMALL, shared: Arc::clone(&shared) };
    run(connection, &outbox, &mut counter, SessionSettings::default(), &shared.stop).await;
}

/// The TLS connection alone: the same versions, both with certificates, no tickets; as much sent, nothing held.
async fn bare(end: End, socket: TcpStream, shared: Arc<Shared>) {
    // As small as a task that holds a TLS connection can be.
    let mut stream = Box::pin(secure(end, socket, Arc::clone(&shared))).await;
    Box::pin(exchange(&mut stream)).await;
    shared.is_idle();
    std::future::poll_fn(|cx| {
        let mut nothing = [0; 16];
        pin!(stream.read(&mut nothing)).poll(cx).map(drop)
    })
    .await;
}

async fn secure(end: End, socket: TcpStream, shared: Arc<Shared>) -> Box<TlsStream<TcpStream>> {
    let (connector, acceptor) = &shared.secrets.plain;
    Box::new(match end {
        End::Initiating => {
            let name = ServerName::try_from("b.example").unwrap();
            TlsStream::Client(connector.connect(name, socket).await.unwrap())
        }
        End::Receiving => TlsStream::Server(acceptor.accept(socket).await.unwrap()),
    })
}

async fn exchange(stream: &mut TlsStream<TcpStream>) {
    let sent = vec![0; 60_000];
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut seen = vec![0; 60_000];
    let (read, written) = tokio::join!(reading.read_exact(&mut seen), async {
        writing.write_all(&sent).await?;
        writing.flush().await
    });
    read.unwrap();
    written.unwrap();
}

#[test]
fn an_idle_session_holds_little_beyond_its_tls_connection_even_after_a_burst() {
    let secrets = Secrets { ours: tls().1, plain: plain() };
    let [bare_near, bare_far] = held(bare, &secrets);
    let [near, far] = held(session, &secrets);
    println!("TLS alone {bare_near} and {bare_far} bytes, with a session {near} and {far}");
    assert!(bare_near > 1000 && bare_far > 1000, "nothing was counted");
    assert!(near - bare_near < SESSION_BYTES, "initiating: {near} bytes, TLS alone {bare_near}");
    assert!(far - bare_far < SESSION_BYTES, "receiving: {far} bytes, TLS alone {bare_far}");
}

//! Accepts connections, as many as allowed, until told to stop.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::shutdown::Tasks;
use crate::tcp::{TcpListener, TcpStream};
use crate::trouble::Trouble;

/// Accepts connections until shutdown and gives each to `serve`, in a task of its own.
///
/// At `connections` of them, new ones wait in the backlog of the operating system until one ends. Where it has no file
/// descriptors left, attempts are made at growing pauses, one second at most, and a warning is logged once a minute. On
/// shutdown the listener is dropped at once; the tasks go on until they end or [`Tasks::drain`] ends them.
pub async fn accept<F, S>(listener: TcpListener, connections: usize, tasks: Tasks, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, SocketAddr) -> F,
{
    accept_from(listener, connections, tasks, serve).await;
}

/// Where connections come from: a listener, or a test.
trait Source: Send + Sync {
    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Source for TcpListener {
    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        self.accept()
    }
}

async fn accept_from<F, S>(source: impl Source, connections: usize, tasks: Tasks, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, SocketAddr) -> F,
{
    let places = Arc::new(Semaphore::new(connections));
    let mut trouble = Trouble::default();
    let accepting = async {
        loop {
            match next(&source, &places).await {
                Ok((stream, address, place)) => {
                    trouble.over();
                    tasks.spawn(hold(place, serve(stream, address)));
                }
                Err(error) => wait_out(&mut trouble, &error).await,
            }
        }
    };
    tokio::select! {
        () = tasks.shutdown_token().cancelled() => {}
        () = accepting => {}
    }
}

async fn next(
    source: &impl Source,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = source.accept().await?;
    Ok((stream, address, place))
}

/// Keeps the place as long as the connection is served.
fn hold(place: OwnedSemaphorePermit, serving: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
    // On the heap once: see `Tasks::spawn`.
    let serving = Box::pin(serving);
    async move {
        serving.await;
        drop(place);
    }
}

async fn wait_out(trouble: &mut Trouble, error: &io::Error) {
    if is_of_one_connection(error) {
        // Gone before it was accepted; the next may be there already. To pause would let one peer delay all others.
        return debug!(%error, "a connection was gone before it was accepted");
    }
    let pause = trouble.failed();
    if let Some(failures) = trouble.report(Instant::now().into_std()) {
        let (pause_ms, advice) = (pause.as_millis() as u64, advice(error));
        warn!(%error, failures, pause_ms, "cannot accept connections{advice}");
    }
    sleep(pause).await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What the administrator can do about it: the numbers of `EMFILE` and `ENFILE` are the same on every Unix.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(24) => {
            ": this process has no file descriptor left; raise its limit (ulimit -n) or accept fewer connections"
        }
        Some(23) => ": the machine has no file descriptor left; raise its limit (fs.file-max)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn makes_one_connection_too_many_wait_until_another_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let (accepted, mut order) = mpsc::unbounded_channel();
        let serving = tasks.clone();
        tasks.spawn(async move {
            accept(listener, 1, serving, move |mut stream, peer| {
                let accepted = accepted.clone();
                async move {
                    accepted.send(peer).unwrap();
                    let _ = stream.read(&mut [0]).await;
                }
            })
            .await;
        });
        let first = TcpStream::connect(address).await.unwrap();
        let second = TcpStream::connect(address).await.unwrap();
        assert_eq!(timeout(SOON, order.recv()).await.unwrap(), Some(first.local_addr().unwrap()));
        tokio::task::yield_now().await;
        assert!(order.try_recv().is_err());
        drop(first);
        assert_eq!(timeout(SOON, order.recv()).await.unwrap(), Some(second.local_addr().unwrap()));
        assert!(tasks.drain(Duration::ZERO).await.aborted > 0);
    }

    #[tokio::test]
    async fn stops_listening_at_shutdown_while_connections_go_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let (accepted, mut order) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(accept(listener, 10, tasks.clone(), move |mut stream, _| {
            let accepted = accepted.clone();
            async move {
                accepted.send(()).unwrap();
                let _ = stream.read(&mut [0]).await;
            }
        }));
        let open = TcpStream::connect(address).await.unwrap();
        timeout(SOON, order.recv()).await.unwrap().unwrap();
        tasks.shutdown_token().cancel();
        timeout(SOON, accepting).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        drop(open);
        assert_eq!(tasks.drain(SOON).await, Drained { aborted: 0 });
    }

    /// Fails at every attempt, as often as told; then nobody comes any more. Counts the attempts.
    #[derive(Clone)]
    struct Failing {
        attempts: Arc<AtomicUsize>,
        failures: usize,
        error: fn() -> io::Error,
    }

    impl Failing {
        fn new(failures: usize, error: fn() -> io::Error) -> Self {
            Self { attempts: Arc::default(), failures, error }
        }

        fn attempts(&self) -> usize {
            self.attempts.load(Ordering::Relaxed)
        }
    }

    impl Source for Failing {
        async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
            match self.attempts.fetch_add(1, Ordering::Relaxed) {
                before if before < self.failures => Err((self.error)()),
                _ => std::future::pending().await,
            }
        }
    }

    /// Work is counted, not time: a hundred virtual seconds without a descriptor.
    #[tokio::test(start_paused = true)]
    async fn does_not_spin_where_no_descriptor_is_left() {
        let source = Failing::new(usize::MAX, || io::Error::from_raw_os_error(24));
        let (tasks, failing) = (Tasks::new(), source.clone());
        tasks.spawn(accept_from(failing, 1, tasks.clone(), async |_, _| ()));
        sleep(Duration::from_secs(100)).await;
        assert!((100..110).contains(&source.attempts()), "{} attempts", source.attempts());
    }

    /// In the middle of a pause, as at any other time.
    #[tokio::test(start_paused = true)]
    async fn drops_the_listener_at_once_at_shutdown() {
        let source = Failing::new(usize::MAX, || io::Error::from_raw_os_error(24));
        let (tasks, held) = (Tasks::new(), Arc::downgrade(&source.attempts));
        let accepting = tokio::spawn(accept_from(source, 1, tasks.clone(), async |_, _| ()));
        sleep(Duration::from_millis(10_500)).await;
        let began = Instant::now();
        tasks.shutdown_token().cancel();
        accepting.await.unwrap();
        assert!(held.upgrade().is_none() && began.elapsed() < Duration::from_millis(2));
    }

    /// A peer that is gone before it is accepted costs the others nothing.
    #[tokio::test(start_paused = true)]
    async fn does_not_pause_for_a_connection_that_is_gone() {
        let source = Failing::new(50, || ErrorKind::ConnectionAborted.into());
        let accepting = accept_from(source.clone(), 1, Tasks::new(), async |_, _| ());
        assert!(timeout(FIRST_PAUSE / 2, accepting).await.is_err());
        assert_eq!(source.attempts(), 51);
    }

    use crate::shutdown::Drained;
    use crate::trouble::FIRST_PAUSE;
}

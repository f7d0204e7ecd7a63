//! The HTTP listener: accepts, bounds, drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::gateway::Inner;
use crate::http;
use crate::stall::WriteDeadline;

/// Bytes of the request line and the headers, and of what is read at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long to wait when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn serve(inner: &Arc<Inner>, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    let routes = http::routes(Arc::clone(inner));
    let slots = Arc::new(Semaphore::new(inner.limits.connections));
    let mut connections = JoinSet::new();
    let ended = loop {
        tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, slot)) => {
                    connections.spawn(connection(stream, slot, routes.clone(), Arc::clone(inner)));
                }
                Err(error) => break Err(error),
            },
        }
    };
    drop(listener);
    drain(inner, connections).await;
    ended
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // Nobody closes the semaphore.
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, slot)),
            Err(error) if is_of_one_connection(&error) => debug!(%error, "a connection ended before it was accepted"),
            Err(error) if is_shortage(&error) => {
                warn!(%error, "cannot accept connections for the moment");
                sleep(ACCEPT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// EMFILE, ENFILE, ENOBUFS and ENOMEM, by their numbers on Linux and the BSDs.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(12 | 23 | 24 | 55 | 105))
}

async fn connection(stream: TcpStream, slot: OwnedSemaphorePermit, routes: axum::Router, inner: Arc<Inner>) {
    // Events are small, and each of them is waited for.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "no TCP_NODELAY");
    }
    let io = TokioIo::new(WriteDeadline::new(stream, inner.limits.write_time));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(inner.limits.header_time).max_buf_size(BUFFER_BYTES);
    let connection = builder.serve_connection(io, TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = inner.draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an HTTP connection failed");
    }
    drop(slot);
}

async fn drain(inner: &Inner, mut connections: JoinSet<()>) {
    let deadline = Instant::now() + inner.limits.drain_time;
    inner.draining.cancel();
    inner.withdraw_services();
    inner.tasks.close();
    let finished = async {
        while connections.join_next().await.is_some() {}
        inner.tasks.wait().await;
    };
    if timeout_at(deadline, finished).await.is_err() {
        warn!("requests under way are cut");
    }
    inner.closed.cancel();
    connections.shutdown().await;
    inner.tasks.wait().await;
}

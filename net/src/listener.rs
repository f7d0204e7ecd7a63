//! Accepts connections, as many as allowed, until told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use crate::shutdown::Tasks;

/// The first pause after an accept error; it doubles up to [`LONGEST_PAUSE`]. Out of file descriptors, the next attempt
/// fails as the first did, and trying at once would only burn a processor.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause after accept errors.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections until shutdown and gives each to `serve`, in a task of its own.
///
/// At `connections` of them, new ones wait in the backlog of the operating system until one ends. On shutdown the
/// listener is dropped at once; the tasks go on until they end or [`Tasks::drain`] ends them.
pub async fn accept<F, S>(listener: TcpListener, connections: usize, tasks: Tasks, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, SocketAddr) -> F,
{
    let places = Arc::new(Semaphore::new(connections));
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = tasks.shutdown_token().cancelled() => return,
            accepted = next(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, address, place)) => {
                pause = FIRST_PAUSE;
                let serving = serve(stream, address);
                tasks.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept connections; pausing");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, place))
}

#[cfg(test)]
mod tests {
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

    use crate::shutdown::Drained;
}

//! The race for a connection to one host: addresses are asked for and connected to as [`Eyeballs`] says.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::eyeballs::{Eyeballs, Step};
use super::now;
use crate::resolver::{Family, ResolveError};

/// What has happened in a race.
#[derive(Debug)]
pub(super) enum Event<S> {
    /// DNS has answered about one family.
    Resolved(Family, Result<Vec<IpAddr>, ResolveError>, Duration),
    /// There is a connection; all other attempts were given up.
    Connected(SocketAddr, S, Duration),
    /// There is none to this address.
    Failed(SocketAddr, io::Error, Duration),
}

/// What DNS says about one family.
pub(super) type Answer = (Family, Result<Vec<IpAddr>, ResolveError>);

/// A race for connections `S` to one host, by `connect`.
pub(super) struct Race<'a, S> {
    port: u16,
    eyeballs: Eyeballs,
    is_blamed: Box<dyn Fn(&IpAddr) -> bool + Send + 'a>,
    connect: Box<dyn Fn(SocketAddr) -> BoxFuture<'a, io::Result<S>> + Send + 'a>,
    lookups: Vec<Timed<'a, Answer>>,
    connecting: Vec<Timed<'a, (SocketAddr, io::Result<S>)>>,
}

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl<'a, S: 'a> Race<'a, S> {
    /// A race for this port of a host; `is_blamed` tells the addresses that failed lately.
    pub(super) fn new(
        port: u16,
        lookups: [BoxFuture<'a, Answer>; 2],
        connect: impl Fn(SocketAddr) -> BoxFuture<'a, io::Result<S>> + Send + 'a,
        is_blamed: impl Fn(&IpAddr) -> bool + Send + 'a,
    ) -> Self {
        Self {
            port,
            eyeballs: Eyeballs::new(),
            is_blamed: Box::new(is_blamed),
            connect: Box::new(connect),
            lookups: lookups.into_iter().map(Timed::new).collect(),
            connecting: Vec::new(),
        }
    }

    /// What happens next; `None` when nothing is left to try.
    ///
    /// Who asks again after a connection wants another one. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Event<S>> {
        loop {
            match self.eyeballs.poll(now()) {
                Step::Attempt(address) => self.start(SocketAddr::new(address, self.port)),
                Step::Finished => return None,
                Step::Wait(until) => {
                    if let Some(event) = self.wait(until).await {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn start(&mut self, address: SocketAddr) {
        let connecting = (self.connect)(address);
        self.connecting.push(Timed::new(Box::pin(async move { (address, connecting.await) })));
    }

    async fn wait(&mut self, until: Option<Instant>) -> Option<Event<S>> {
        let timer = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ((family, answer), took) = first_of(&mut self.lookups) => Some(self.resolved(family, answer, took)),
            ((address, outcome), took) = first_of(&mut self.connecting) => Some(self.decided(address, outcome, took)),
            () = timer => None,
        }
    }

    fn resolved(&mut self, family: Family, answer: Result<Vec<IpAddr>, ResolveError>, took: Duration) -> Event<S> {
        let addresses = answer.as_ref().map(Vec::clone).unwrap_or_default();
        self.eyeballs.answered(now(), family, addresses, &self.is_blamed);
        Event::Resolved(family, answer, took)
    }

    fn decided(&mut self, address: SocketAddr, outcome: io::Result<S>, took: Duration) -> Event<S> {
        match outcome {
            Ok(stream) => {
                self.eyeballs.connected(address.ip());
                self.connecting.clear();
                Event::Connected(address, stream, took)
            }
            Err(error) => {
                self.eyeballs.failed(address.ip());
                Event::Failed(address, error, took)
            }
        }
    }
}

/// A future, and when it began.
struct Timed<'a, T> {
    future: BoxFuture<'a, T>,
    began: Instant,
}

impl<'a, T> Timed<'a, T> {
    fn new(future: BoxFuture<'a, T>) -> Self {
        Self { future, began: now() }
    }
}

/// The output of the first of these futures to finish, which is then removed; waits for ever if there is none.
async fn first_of<T>(futures: &mut Vec<Timed<'_, T>>) -> (T, Duration) {
    poll_fn(|cx| poll_first(futures, cx)).await
}

fn poll_first<T>(futures: &mut Vec<Timed<'_, T>>, cx: &mut Context<'_>) -> Poll<(T, Duration)> {
    for index in 0..futures.len() {
        if let Poll::Ready(output) = futures[index].future.as_mut().poll(cx) {
            return Poll::Ready((output, now() - futures.remove(index).began));
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;

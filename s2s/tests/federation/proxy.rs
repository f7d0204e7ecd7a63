//! A TCP proxy on loopback that breaks connections as a seed says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Random numbers of a seed (xorshift64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Passes connections on to another address, and cuts each of the first ones behind some byte, whichever way that goes.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// What passes each way at least on the first connection: more than a negotiation.
const FIRST: u64 = 10_000;

/// Where to cut: behind so many bytes of one direction.
struct Cut {
    forth: u64,
    back: u64,
}

impl Proxy {
    /// Cuts so many connections in all, each behind fewer than `within` bytes forth, or some behind fewer than a tenth
    /// of that back.
    pub(crate) async fn start(target: SocketAddr, seed: u64, cuts: usize, within: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let done = Arc::new(AtomicUsize::new(0));
        let (mut random, counted) = (Random::new(seed), Arc::clone(&done));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Dropped with the proxy, and all connections with it.
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (near, _) = listener.accept().await.unwrap();
                // The first is established whatever comes: who was never in reach is given up at once.
                let least = if number == 0 { FIRST } else { 0 };
                let forth = least + random.below(within);
                let back = if random.below(3) == 0 { least + random.below(within / 10) } else { u64::MAX };
                let cut = (number < cuts).then_some(Cut { forth, back });
                let counted = Arc::clone(&counted);
                connections.spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    if pass(near, far, cut).await {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { port, cuts: done, _tasks: tasks }
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Passes on both ways until one of them ends, and then breaks both; says whether it was cut.
async fn pass(near: TcpStream, far: TcpStream, cut: Option<Cut>) -> bool {
    for socket in [&near, &far] {
        socket.set_nodelay(true).unwrap();
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let cut = cut.unwrap_or(Cut { forth: u64::MAX, back: u64::MAX });
    tokio::select! {
        is_cut = pass_one_way(near_in, far_out, cut.forth) => is_cut,
        is_cut = pass_one_way(far_in, near_out, cut.back) => is_cut,
    }
}

async fn pass_one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut rest: u64) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length) = from.read(&mut buffer).await else { return false };
        let passed = rest.min(length as u64) as usize;
        if length == 0 || to.write_all(&buffer[..passed]).await.is_err() {
            return false;
        }
        rest -= passed as u64;
        if rest == 0 {
            return true;
        }
    }
}

//! The TCP types of the whole house: those of the operating system, or, for a simulation, those of a simulated network.
//!
//! Compiled with `--cfg convoke_simulation` these are turmoil's types, whose hosts, delays and partitions are drawn from a
//! seed; `cargo xtask simulate` is the only one that does so. Everything above is the same code in both.

#[cfg(not(convoke_simulation))]
use std::time::Duration;

#[cfg(not(convoke_simulation))]
use socket2::{SockRef, TcpKeepalive};
#[cfg(not(convoke_simulation))]
pub use tokio::net::{TcpListener, TcpStream};
#[cfg(convoke_simulation)]
pub use turmoil::net::{TcpListener, TcpStream};

#[cfg(all(target_os = "linux", not(convoke_simulation)))]
use crate::outbox::BATCH_BYTES;

/// How long a peer may be silent before the operating system asks whether it is there.
#[cfg(not(convoke_simulation))]
const ASK_AFTER: Duration = Duration::from_secs(60);
/// How often it asks then.
#[cfg(not(convoke_simulation))]
const ASK_EVERY: Duration = Duration::from_secs(15);
/// How many questions may go unanswered.
#[cfg(not(convoke_simulation))]
const QUESTIONS: u32 = 4;
/// How long what was sent may stay unacknowledged by the peer's operating system. By itself Linux would go on for a quarter
/// of an hour.
#[cfg(target_os = "linux")]
#[cfg(not(convoke_simulation))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(90);
/// How many bytes the operating system takes that it cannot send yet: two batches, so that it never waits for the next. By
/// itself Linux takes four megabytes: what is urgent, and the question whether the peer is there, would wait behind them, and
/// where nothing is acknowledged they would be lost with the connection.
#[cfg(target_os = "linux")]
#[cfg(not(convoke_simulation))]
const UNSENT: u32 = 2 * BATCH_BYTES as u32;

/// Has the operating system notice a peer whose machine or network is gone, be it idle or not, within two minutes: not
/// every peer answers questions of XMPP (XEP-0198). Failing to say so is no reason to fail.
pub(crate) fn notice_silent_death(stream: &TcpStream) {
    #[cfg(not(convoke_simulation))]
    {
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY).with_retries(QUESTIONS);
        let _ = socket.set_tcp_keepalive(&keepalive);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    }
    // A simulated network has no operating system.
    #[cfg(convoke_simulation)]
    let _ = stream;
}

/// Has the operating system hold little of what cannot be sent yet. Failing to say so is no reason to fail.
pub(crate) fn hold_little(stream: &TcpStream) {
    #[cfg(all(target_os = "linux", not(convoke_simulation)))]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(all(target_os = "linux", not(convoke_simulation))))]
    let _ = stream;
}

/// Has the connection broken off when it is dropped: what the peer has not read is thrown away here, not kept for it by
/// the operating system. Where that cannot be had, it is closed all the same.
pub(crate) fn break_on_drop(stream: &TcpStream) {
    #[cfg(not(convoke_simulation))]
    let _ = stream.set_zero_linger();
    // A simulated network keeps nothing for anybody.
    #[cfg(convoke_simulation)]
    let _ = stream;
}

#[cfg(all(test, target_os = "linux", not(convoke_simulation)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_operating_system_looks_after_peers_that_are_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        notice_silent_death(&stream);
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        let asks = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!((asks, socket.tcp_keepalive_retries().unwrap()), ((ASK_AFTER, ASK_EVERY), QUESTIONS));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }

    /// Of a peer that does not read; how much its own operating system takes is not ours to say.
    #[tokio::test]
    async fn the_operating_system_takes_little_that_it_cannot_send() {
        let taken = async |hold: fn(&TcpStream)| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (_peer, _) = listener.accept().await.unwrap();
            SockRef::from(&stream).set_send_buffer_size(8 << 20).unwrap();
            hold(&stream);
            stream.writable().await.unwrap();
            std::iter::from_fn(|| stream.try_write(&[b' '; BATCH_BYTES]).ok()).sum::<usize>()
        };
        let (little, much) = (taken(hold_little).await, taken(|_| ()).await);
        assert!(little < much / 2, "{little} {much}");
    }
}

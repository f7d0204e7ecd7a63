//! A peer that does not read: it is cut in time, holds little, and what it was not given is kept.

use std::thread;
use std::time::Duration;

use convoke_counting_allocator::{reset_peak, tally};
use convoke_net::session::{End, SessionSettings, Stop};
use convoke_net::{Outbox, OutboxLimits};
use convoke_xmpp::Stanza;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use crate::greeting::{SOON, carry, connection_to_raw_peer, connections};

fn large(id: usize) -> Stanza {
    Stanza::parse(&format!("<message id='{id}'><body>{}</body></message>", "x".repeat(30_000))).unwrap()
}

/// Queues until there is no room; says with which number to go on.
fn fill(outbox: &Outbox, mut id: usize) -> usize {
    while outbox.push(large(id)).is_ok() {
        id += 1;
    }
    id
}

fn ids(stanzas: &[Stanza]) -> Vec<usize> {
    stanzas.iter().filter_map(|stanza| stanza.id()?.parse().ok()).collect()
}

/// A producer that never rests, a peer behind TLS that never reads.
#[test]
fn holds_no_more_than_the_queue_and_one_batch_for_a_peer_that_does_not_read() {
    const QUEUE: usize = 256 * 1024;
    // One batch in the write buffer, which has room for two where it had to grow, the same stanzas until they are accepted,
    // what TLS has encrypted of it, and the stanza for which there is no room.
    const BATCHES: i64 = 5 * 64 * 1024;
    let counted = thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, far) = connections().await;
            let outbox = Outbox::new(OutboxLimits { stanzas: 4096, bytes: QUEUE });
            let before = reset_peak();
            let settings = SessionSettings { write_timeout: Duration::from_millis(300), ..SessionSettings::default() };
            let producing = async {
                let mut next = 0;
                loop {
                    next = fill(&outbox, next);
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let unstopped = Stop::default();
            let end = tokio::select! {
                end = carry(near, &outbox, settings, &unstopped) => end,
                () = producing => unreachable!(),
            };
            let peak = tally().peak - before;
            let sent = outbox.traffic().stanzas as usize;
            let kept = ids(&outbox.take_all());
            assert_eq!(end, End::WriteTimeout);
            assert_eq!(kept, (sent..sent + kept.len()).collect::<Vec<_>>(), "{sent} were sent");
            assert!(kept.len() > 7, "{kept:?}");
            drop(far);
            peak
        })
    });
    let peak = counted.join().unwrap();
    println!("{peak} bytes at most");
    assert!(peak < QUEUE as i64 + BATCHES, "{peak} bytes");
}

/// The operating system would keep megabytes for such a peer long after the session: they are thrown away.
#[tokio::test]
async fn resets_the_connection_of_a_peer_that_does_not_read() {
    let (connection, mut peer) = connection_to_raw_peer().await;
    let outbox = Outbox::new(OutboxLimits { stanzas: 4096, bytes: 64 << 20 });
    fill(&outbox, 0);
    let settings = SessionSettings { write_timeout: Duration::from_millis(100), ..SessionSettings::default() };
    assert_eq!(carry(connection, &outbox, settings, &Stop::default()).await, End::WriteTimeout);
    let mut rest = Vec::new();
    let error = timeout(SOON, peer.read_to_end(&mut rest)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

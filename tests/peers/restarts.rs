//! The peer ends in the midst of traffic, and comes back: what is sent then arrives, nothing comes twice, and nothing is
//! both delivered and given back.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke::xmpp::{Kind, MessageType, Stanza};
use convoke::{Component, ComponentHandle};
use convoke_dev::peers::Software;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::neighbours::{Neighbours, message, next, next_of};
use crate::support::client::{Client, attribute};

/// How long the sender rests between two messages, so that the end of the peer falls among them.
const PACE: Duration = Duration::from_millis(2);

/// How many messages are seen to arrive before the end, and how many after the return.
const SEEN: usize = 200;

super::with_each_peer!(
    a_peer_that_crashes_in_the_midst_of_traffic_and_comes_back,
    a_peer_that_is_restarted_in_the_midst_of_traffic,
);

async fn a_peer_that_crashes_in_the_midst_of_traffic_and_comes_back(software: Software) {
    let mut traffic = Traffic::begin(software).await;
    traffic.neighbours.peer.crash().await.unwrap();
    traffic.end().await;
}

async fn a_peer_that_is_restarted_in_the_midst_of_traffic(software: Software) {
    let mut traffic = Traffic::begin(software).await;
    traffic.neighbours.peer.stop().await.unwrap();
    traffic.end().await;
}

/// Our component writes to the account all the time.
struct Traffic {
    neighbours: Neighbours,
    source: Component,
    sending: Sending,
    juliet: Client,
    /// What has arrived at the account.
    arrived: Vec<usize>,
}

impl Traffic {
    /// The first messages have arrived.
    async fn begin(software: Software) -> Self {
        let neighbours = Neighbours::new(software).await;
        let mut juliet = neighbours.acquainted_juliet().await;
        let source = neighbours.ours.component("source").unwrap();
        let sending = Sending::start(source.handle(), juliet.jid());
        let arrived = some(&mut juliet).await;
        Self { neighbours, source, sending, juliet, arrived }
    }

    /// The peer has ended: it comes back, messages arrive again, and then all is counted.
    async fn end(mut self) {
        self.arrived.extend(self.juliet.rest().await.iter().map(|message| number(message)));
        self.neighbours.peer.start_again().await.unwrap();
        let mut juliet = self.neighbours.juliet().await;
        let back = some(&mut juliet).await;
        self.neighbours.acquaint(&mut juliet).await;
        let first = back[0];
        self.arrived.extend(back);
        let (count, refused) = self.sending.stop().await;
        self.arrived.extend(until_the_last(&self.source, &mut juliet).await);
        let mut returned = until_the_end(&mut juliet, &mut self.source).await;
        returned.extend(refused);
        account_for(count, &self.arrived, &returned, first);
    }
}

/// Of all messages sent, each has arrived, or was given back, or was on its way when the connection broke.
fn account_for(count: usize, arrived: &[usize], returned: &[usize], first_after_return: usize) {
    assert!(arrived.is_sorted(), "the order was kept: {arrived:?}");
    let unique = |numbers: &[usize]| numbers.iter().copied().collect::<BTreeSet<_>>();
    let (delivered, bounced) = (unique(arrived), unique(returned));
    assert_eq!(delivered.len(), arrived.len(), "nothing comes twice");
    assert_eq!(bounced.len(), returned.len(), "nothing is given back twice");
    assert_eq!(delivered.intersection(&bounced).collect::<Vec<_>>(), [&0; 0], "nothing is delivered and given back");
    assert!(!bounced.is_empty(), "there was an outage");
    // What the kernel had taken and nobody has read, nobody can account for without acknowledgements (XEP-0198).
    let missing = (0..count).filter(|number| !delivered.contains(number) && !bounced.contains(number));
    let late: Vec<_> = missing.filter(|number| *number > first_after_return).collect();
    assert_eq!(late, [0; 0], "nothing is missing since the return");
}

/// Sends numbered messages until it is told to stop.
struct Sending {
    stop: CancellationToken,
    /// How many it sent, and which were refused at once.
    task: JoinHandle<(usize, Vec<usize>)>,
}

impl Sending {
    fn start(source: ComponentHandle, to: &str) -> Self {
        let (stop, to) = (CancellationToken::new(), to.to_owned());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut count, mut refused) = (0, Vec::new());
            while !stopped.is_cancelled() {
                if source.send(message(&to, &count.to_string(), "traffic")).is_err() {
                    refused.push(count);
                }
                count += 1;
                sleep(PACE).await;
            }
            (count, refused)
        });
        Self { stop, task }
    }

    async fn stop(self) -> (usize, Vec<usize>) {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

fn number(message: &str) -> usize {
    attribute(message, "id").unwrap().parse().unwrap()
}

/// The next messages that arrive.
async fn some(juliet: &mut Client) -> Vec<usize> {
    let mut arrived = Vec::new();
    while arrived.len() < SEEN {
        arrived.push(number(&next_of(juliet).await));
    }
    arrived
}

/// Sends one more, and gives what arrives before it.
async fn until_the_last(source: &Component, juliet: &mut Client) -> Vec<usize> {
    source.send(message(juliet.jid(), "last", "traffic")).unwrap();
    let mut arrived = Vec::new();
    loop {
        let message = next_of(juliet).await;
        if attribute(&message, "id") == Some("last") {
            return arrived;
        }
        arrived.push(number(&message));
    }
}

/// The account writes back, and what has come before that are the errors: those of the peer come by the same stream.
async fn until_the_end(juliet: &mut Client, source: &mut Component) -> Vec<usize> {
    let end = format!("<message to='{}' id='end'><body>end</body></message>", source.jid());
    juliet.send(&end).await;
    let mut returned = Vec::new();
    loop {
        let stanza: Stanza = next(source).await;
        if stanza.id() == Some("end") {
            return returned;
        }
        assert_eq!(stanza.kind(), Kind::Message(MessageType::Error), "{stanza:?}");
        returned.push(stanza.id().unwrap().parse().unwrap());
    }
}

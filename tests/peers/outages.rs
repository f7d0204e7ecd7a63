//! The peer ends and comes back: nothing hangs, and what is asked then is answered.

use convoke::s2s::LinkState;
use convoke::xmpp::Condition;
use convoke::xmpp::payload::ping;
use convoke::{ComponentHandle, RequestError};
use convoke_dev::peers::Software;
use tokio::time::sleep;

use super::neighbours::{Neighbours, THEIRS, jid};
use crate::support::{DEADLINE, GLANCE, until, within_deadline};

super::with_each_peer!(
    after_a_restart_of_the_peer_the_next_request_is_answered_in_both_directions,
    while_the_peer_is_down_requests_are_answered_and_once_it_is_back_they_succeed,
);

async fn ask(asker: &ComponentHandle) -> Result<(), RequestError> {
    asker.get(&jid(THEIRS), ping(), DEADLINE).await.map(drop)
}

/// Asks until there is an answer of the peer itself: the pause after a failure may not be over yet.
async fn ask_until_answered(asker: &ComponentHandle) {
    within_deadline("an answer of the peer", async {
        while let Err(error) = ask(asker).await {
            assert_eq!(error.stanza_error().unwrap().condition, Condition::RemoteServerTimeout, "{error}");
            sleep(GLANCE).await;
        }
    })
    .await;
}

/// Waits until our side has seen that the stream which it had is gone.
async fn wait_until_the_end_is_seen(neighbours: &Neighbours) {
    until("our side sees the end of the stream", || neighbours.link().state != LinkState::Open).await;
}

async fn after_a_restart_of_the_peer_the_next_request_is_answered_in_both_directions(software: Software) {
    let mut neighbours = Neighbours::new(software).await;
    let asker = neighbours.ours.component("asker").unwrap();
    ask(&asker).await.unwrap();
    neighbours.peer.stop().await.unwrap();
    wait_until_the_end_is_seen(&neighbours).await;
    neighbours.peer.start_again().await.unwrap();
    ask(&asker).await.unwrap();
    neighbours.acquainted_juliet().await;
}

async fn while_the_peer_is_down_requests_are_answered_and_once_it_is_back_they_succeed(software: Software) {
    let mut neighbours = Neighbours::new(software).await;
    let asker = neighbours.ours.component("asker").unwrap();
    ask(&asker).await.unwrap();
    neighbours.peer.crash().await.unwrap();
    wait_until_the_end_is_seen(&neighbours).await;
    let error = ask(&asker).await.unwrap_err();
    let error = error.stanza_error().unwrap();
    assert_eq!(error.condition, Condition::RemoteServerTimeout);
    assert!(error.text.as_ref().unwrap().contains("no connection"), "{error:?}");
    neighbours.peer.start_again().await.unwrap();
    ask_until_answered(&asker).await;
}

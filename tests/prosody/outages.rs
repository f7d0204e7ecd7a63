//! Prosody ends and comes back: nothing hangs, and what is asked then is answered.

use convoke::s2s::LinkState;
use convoke::xmpp::Condition;
use convoke::xmpp::payload::ping;
use convoke::{ComponentHandle, RequestError};
use tokio::time::sleep;

use super::neighbours::{Neighbours, THEIRS, jid};
use crate::support::{DEADLINE, GLANCE, until, within_deadline};

async fn ask(asker: &ComponentHandle) -> Result<(), RequestError> {
    asker.get(&jid(THEIRS), ping(), DEADLINE).await.map(drop)
}

/// Asks until there is an answer of the peer itself: the pause after a failure may not be over yet.
async fn ask_until_answered(asker: &ComponentHandle) {
    within_deadline("an answer of Prosody", async {
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

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_prosody_the_next_request_is_answered_in_both_directions() {
    let mut neighbours = Neighbours::new().await;
    let asker = neighbours.ours.component("asker").unwrap();
    ask(&asker).await.unwrap();
    neighbours.prosody.stop().await.unwrap();
    wait_until_the_end_is_seen(&neighbours).await;
    neighbours.prosody.start_again().await.unwrap();
    ask(&asker).await.unwrap();
    neighbours.acquainted_juliet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_prosody_is_down_requests_are_answered_and_once_it_is_back_they_succeed() {
    let mut neighbours = Neighbours::new().await;
    let asker = neighbours.ours.component("asker").unwrap();
    ask(&asker).await.unwrap();
    neighbours.prosody.crash().await.unwrap();
    wait_until_the_end_is_seen(&neighbours).await;
    let error = ask(&asker).await.unwrap_err();
    let error = error.stanza_error().unwrap();
    assert_eq!(error.condition, Condition::RemoteServerTimeout);
    assert!(error.text.as_ref().unwrap().contains("no connection"), "{error:?}");
    neighbours.prosody.start_again().await.unwrap();
    ask_until_answered(&asker).await;
}

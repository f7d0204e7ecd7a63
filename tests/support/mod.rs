//! What tests share: clients of a real peer, and how to wait.

pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod network;
mod peers_work;
pub(crate) mod slixmpp;

use std::time::Duration;

/// How long a test waits for an event before it fails: far longer than any takes, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at where nothing can wake us.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);

/// Waits until a condition holds that tells nobody when it does, and fails naming it after [`DEADLINE`].
pub(crate) async fn until(what: &str, holds: impl FnMut() -> bool) {
    let mut holds = holds;
    within_deadline(what, async {
        while !holds() {
            tokio::time::sleep(GLANCE).await;
        }
    })
    .await;
}

/// Waits for something that happens, and fails naming it if it does not happen within [`DEADLINE`].
pub(crate) async fn within_deadline<T>(what: &str, event: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, event).await;
    outcome.unwrap_or_else(|_| panic!("not within {} s: {what}", DEADLINE.as_secs()))
}

//! What tests share: a real peer ([`prosody`]) and a client of it ([`client`]).

pub(crate) mod client;
pub(crate) mod prosody;
mod prosody_works;

use std::time::Duration;

/// How long a test waits for an event before it fails: far longer than any takes, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that happens, and fails naming it if it does not happen within [`DEADLINE`].
pub(crate) async fn within_deadline<T>(what: &str, event: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, event).await;
    outcome.unwrap_or_else(|_| panic!("not within {} s: {what}", DEADLINE.as_secs()))
}

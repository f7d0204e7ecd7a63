//! The task that runs a publish-subscribe service.

use std::sync::Arc;
use std::time::Duration;

use convoke_pubsub::PubSubService;
use convoke_xmpp::{Router, Service};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use crate::component::Component;

/// How long shutdown waits for what is on its way to the disk. A disk that takes longer is not going to answer.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// Hands stanzas to the service, and calls it when the store or the clock has something for it, until the domain is shut
/// down. What is on its way to the store by then is still answered.
pub(super) async fn run(service: Arc<PubSubService>, mut component: Component, router: Arc<dyn Router>) {
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    service.on_wake(move || waker.notify_one());
    loop {
        tokio::select! {
            received = component.receive_any() => match received {
                Some((stanza, origin)) => service.handle(stanza, &origin, &*router),
                None => break,
            },
            () = wake.notified() => service.advance(&*router),
            () = due(&service) => service.advance(&*router),
        }
    }
    service.close(&*router);
    let last_commit = async {
        while service.is_committing() {
            wake.notified().await;
            service.advance(&*router);
        }
    };
    if timeout(LAST_COMMIT, last_commit).await.is_err() {
        tracing::warn!(service = %service.address(), "the store did not answer within {LAST_COMMIT:?}");
    }
}

/// Waits until the service wants to be called; for ever if it does not.
async fn due(service: &PubSubService) {
    match service.next_deadline() {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

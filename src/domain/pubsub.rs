//! Publish-subscribe services of a domain: what runs them, and what they know of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use convoke_pubsub::{Contacts, PubSubConfig, PubSubService};
use convoke_store::Store;
use convoke_xmpp::{Jid, Origin, Router, Service, Stanza};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use crate::discovery::About;
use crate::mailbox::Mailbox;
use crate::router::LocalRouter;

/// How long shutdown waits for what is on its way to the disk. A disk that takes longer is not going to answer.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// Hands stanzas to the service, and calls it when the store or the clock has something for it, until the domain is shut
/// down. What is on its way to the store by then is still answered.
pub(super) async fn run(
    service: Arc<PubSubService>,
    mut receive: impl AsyncFnMut() -> Option<(Stanza, Origin)>,
    router: Arc<dyn Router>,
) {
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    service.on_wake(move || waker.notify_one());
    let mut was_failing = false;
    loop {
        was_failing = tell_of_the_store(&service, was_failing);
        tokio::select! {
            received = receive() => match received {
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

/// Tells when the store begins to fail, and when it is well again: whoever runs the service has to know. Gives whether it
/// fails now.
fn tell_of_the_store(service: &PubSubService, was_failing: bool) -> bool {
    let is_failing = service.is_store_failing();
    match (was_failing, is_failing) {
        (false, true) => {
            tracing::warn!(service = %service.address(), "the store does not keep what it is given; requests are refused");
        }
        (true, false) => tracing::info!(service = %service.address(), "the store keeps what it is given again"),
        _ => {}
    }
    is_failing
}

/// Personal eventing of all accounts of a process (XEP-0163).
pub(super) struct Personal {
    service: Arc<PubSubService>,
    mailbox: Arc<Mailbox>,
    config: PubSubConfig,
}

impl Personal {
    /// For the accounts of this domain, and of all others that the router serves.
    pub(super) fn new(
        domain: Jid,
        config: PubSubConfig,
        store: Option<Arc<dyn Store>>,
        router: &Arc<LocalRouter>,
    ) -> Self {
        let contacts = Arc::new(Rosters(Arc::downgrade(router)));
        let service = Arc::new(PubSubService::personal(domain, config.clone(), store, contacts));
        let mailbox = Arc::new(Mailbox::for_service());
        router.set_eventing(mailbox.clone(), service.questions().unwrap_or_default());
        Self { service, mailbox, config }
    }

    /// Runs until the router closes the mailbox.
    pub(super) fn run(&self, router: Arc<dyn Router>) -> impl Future<Output = ()> + Send + use<> {
        let mailbox = self.mailbox.clone();
        run(self.service.clone(), async move || mailbox.receive().await, router)
    }

    pub(super) fn service(&self) -> &PubSubService {
        &self.service
    }

    /// What a component says of itself, whose address is that of an account too.
    pub(super) fn describe(&self, mut about: About) -> About {
        about.identities.push(convoke_pubsub::personal_identity());
        about.features.extend(convoke_pubsub::personal_features(&self.config));
        about
    }
}

/// The contacts of local accounts, as presence knows them.
pub(super) struct Rosters(pub(super) Weak<LocalRouter>);

impl Contacts for Rosters {
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool {
        self.0.upgrade().is_some_and(|router| router.shares_presence(owner, contact))
    }

    fn is_in_group(&self, owner: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        self.0.upgrade().is_some_and(|router| router.is_in_group(owner, contact, groups))
    }
}

/// Waits until the service wants to be called; for ever if it does not.
async fn due(service: &PubSubService) {
    match service.next_deadline() {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use convoke_pubsub::{DeliveryConfig, PubSubConfig, client};
    use convoke_store::{Batch, Durability, Entry, MemoryStore, OnDurable, Store, StoreError};
    use convoke_xmpp::Element;

    use super::*;
    use crate::Domain;

    /// Generous: it is for a machine that has much else to do.
    const SOON: Duration = Duration::from_secs(30);

    /// Leaves a commit to the test, which completes it on another thread, as a store with a disk does.
    #[derive(Default)]
    struct HeldStore {
        memory: Arc<MemoryStore>,
        held: Mutex<Vec<(Batch, OnDurable)>>,
        arrived: Notify,
    }

    impl HeldStore {
        async fn complete(&self) {
            timeout(SOON, self.arrived.notified()).await.expect("a commit in time");
            let (batch, on_durable) = self.held.lock().unwrap().remove(0);
            let memory = self.memory.clone();
            std::thread::spawn(move || memory.commit(batch, on_durable));
        }
    }

    impl Store for HeldStore {
        fn commit(&self, batch: Batch, on_durable: OnDurable) {
            self.held.lock().unwrap().push((batch, on_durable));
            self.arrived.notify_one();
        }

        fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.memory.get(table, key)
        }

        fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
            self.memory.scan(table, prefix)
        }

        fn durability(&self) -> Durability {
            Durability::Memory
        }
    }

    #[tokio::test]
    async fn a_request_is_answered_when_the_store_says_from_its_own_thread_that_it_is_durable() {
        let (domain, store) = (Domain::builder("a.example").start().await.unwrap(), Arc::<HeldStore>::default());
        let pubsub = domain.serve_durable_pubsub(PubSubConfig::default(), store.clone()).unwrap();
        let owner = domain.component("owner").unwrap();
        let created = owner.set(&pubsub, client::create("node"), SOON);
        let (created, ()) = tokio::join!(created, store.complete());
        created.unwrap();
        let payload = Element::new("x", "urn:x");
        let published = owner.set(&pubsub, client::publish("node", Some("1"), payload), SOON);
        let (published, ()) = tokio::join!(published, store.complete());
        published.unwrap();
        domain.shutdown(SOON).await;
        assert_eq!(store.held.lock().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_domain_counts_what_its_services_do_and_hold() {
        let personal = Domain::builder("a.example").personal_eventing(PubSubConfig::personal(), None);
        let domain = personal.start().await.unwrap();
        let pubsub = domain.serve_pubsub(PubSubConfig::default()).unwrap();
        let owner = domain.component("owner").unwrap();
        owner.set(&pubsub, client::create("node"), SOON).await.unwrap();
        for id in ["1", "2"] {
            owner.set(&pubsub, client::publish("node", Some(id), Element::new("x", "urn:x")), SOON).await.unwrap();
        }
        owner.set(owner.jid(), client::publish("own", Some("1"), Element::new("x", "urn:x")), SOON).await.unwrap();
        let counted = domain.pubsub_statistics();
        let counted: Vec<_> =
            counted.iter().map(|(jid, of)| (jid.as_str(), of.nodes, of.items, of.publications)).collect();
        assert_eq!(counted, [("a.example", 1, 1, 1), ("pubsub@a.example", 1, 2, 2)]);
    }

    #[tokio::test]
    async fn a_digest_leaves_when_its_time_has_come() {
        let domain = Domain::builder("a.example").start().await.unwrap();
        let delivery = DeliveryConfig { shortest_digest: Duration::from_millis(1), ..DeliveryConfig::default() };
        let pubsub = domain.serve_pubsub(PubSubConfig { delivery, ..PubSubConfig::default() }).unwrap();
        let mut owner = domain.component("owner").unwrap();
        owner.set(&pubsub, client::create("node"), SOON).await.unwrap();
        let options = [("pubsub#digest", "1"), ("pubsub#digest_frequency", "100")];
        let subscribe = client::subscribe_with_options("node", owner.jid(), &options);
        owner.set(&pubsub, subscribe, SOON).await.unwrap();
        owner.set(&pubsub, client::publish("node", Some("1"), Element::new("x", "urn:x")), SOON).await.unwrap();
        let (event, _) = timeout(SOON, owner.receive()).await.expect("a digest in time").unwrap();
        assert!(matches!(client::parse_event(&event), Some(client::Event::Items { .. })));
    }
}

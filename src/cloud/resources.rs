//! The resource manager, `resources@D`.

mod publication;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoke_store::{Batch as StoreBatch, Durability, Store, StoreError};
use convoke_xmpp::{
    Condition, Domainpart, Element, Jid, JidRef, Kind, MessageType, Origin, PresenceType, Stanza, StanzaError,
};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::publication::Publication;
use super::lease::{self, LeaseRef, Request};
use super::ledger::{Allowance, Decision, Ended, LeaseTimes, Ledger, Loss};
use super::offer::{Departure, Offer};
use crate::component::Component;
use crate::discovery::About;
use crate::domain::{Domain, DomainError};

/// What a resource manager needs.
pub struct ResourceManagerConfig {
    /// Where the epoch is kept. It must be durable on disk: a manager that forgets its epoch would grant an old one anew.
    pub store: Arc<dyn Store>,
    /// Who may lease how much; nobody else gets anything.
    pub allow: Vec<Allowance>,
    /// How long leases live.
    pub times: LeaseTimes,
    /// The publish-subscribe service that is told of nodes, totals and leases ([`Offered`](crate::nodes::Offered),
    /// [`DomainTotals`](crate::nodes::DomainTotals), [`Lent`](crate::nodes::Lent)); `None` for none.
    pub publish_to: Option<Jid>,
}

/// Why a resource manager did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResourceManagerError {
    /// The store keeps nothing on disk.
    #[error("the resource manager needs a store on disk: epochs must outlive the process")]
    NotDurable,
    /// The store could not be read.
    #[error("the epoch could not be read: {0}")]
    Store(#[from] StoreError),
    /// What the store holds is no epoch.
    #[error("the store holds no valid epoch for {0}")]
    BadEpoch(Jid),
    /// The component could not be made.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// A reading of a manager's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ResourceStatistics {
    /// Nodes that are there.
    pub nodes: u64,
    /// Nodes that are lent.
    pub lent: u64,
    /// Grants since the start.
    pub granted: u64,
    /// Leases that nobody renewed in time, since the start.
    pub expired: u64,
}

/// A running resource manager; it ends with its domain.
#[derive(Debug, Clone)]
pub struct ResourceManager {
    jid: Jid,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    nodes: AtomicU64,
    lent: AtomicU64,
    granted: AtomicU64,
    expired: AtomicU64,
}

const TABLE: &str = "leases";

impl ResourceManager {
    /// Starts `resources@D`. Refuses a store that is not on disk.
    pub async fn start(domain: &Domain, config: ResourceManagerConfig) -> Result<Self, ResourceManagerError> {
        if config.store.durability() != Durability::Disk {
            return Err(ResourceManagerError::NotDurable);
        }
        let about = About::new("component", "generic", "resources").feature(lease::NAMESPACE);
        let component = domain.component_about("resources", about)?;
        let jid = component.jid().clone();
        let saved = Saved::load(&*config.store, &jid)?;
        let recovering = (saved.epoch > 0).then(|| Instant::now() + saved.longest);
        let watchers = config.allow.iter().map(|allowance| allowance.domain.clone()).collect();
        let ledger = Ledger::new(config.allow, config.times, saved.epoch, recovering);
        let counters = Arc::new(Counters::default());
        let manager = Manager {
            publication: Publication::new(&component, config.publish_to),
            component,
            ledger,
            store: config.store,
            watchers,
            waiting: HashMap::new(),
            commits: JoinSet::new(),
            notices: JoinSet::new(),
            counters: counters.clone(),
        };
        domain.spawn(manager.run());
        Ok(Self { jid, counters })
    }

    /// Its address.
    pub fn jid(&self) -> &Jid {
        &self.jid
    }

    /// The counters now.
    pub fn statistics(&self) -> ResourceStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResourceStatistics {
            nodes: read(&self.counters.nodes),
            lent: read(&self.counters.lent),
            granted: read(&self.counters.granted),
            expired: read(&self.counters.expired),
        }
    }
}

/// What outlives the process: the last epoch, and how long a lease of that time may live on without a manager.
struct Saved {
    epoch: u64,
    longest: Duration,
}

impl Saved {
    fn load(store: &dyn Store, manager: &Jid) -> Result<Self, ResourceManagerError> {
        let Some(bytes) = store.get(TABLE, manager.as_str().as_bytes())? else {
            return Ok(Self { epoch: 0, longest: Duration::ZERO });
        };
        let text = std::str::from_utf8(&bytes).ok();
        let fields = text.and_then(|text| text.split_once(' '));
        let parsed = fields.and_then(|(epoch, longest)| Some((epoch.parse().ok()?, longest.parse().ok()?)));
        let (epoch, millis) = parsed.ok_or_else(|| ResourceManagerError::BadEpoch(manager.clone()))?;
        Ok(Self { epoch, longest: Duration::from_millis(millis) })
    }

    fn batch(&self, manager: &Jid) -> StoreBatch {
        let value = format!("{} {}", self.epoch, self.longest.as_millis());
        StoreBatch::new().put(TABLE, manager.as_str().as_bytes(), value.into_bytes())
    }
}

/// The task that owns the ledger.
struct Manager {
    component: Component,
    ledger: Ledger,
    store: Arc<dyn Store>,
    /// Whose entities may subscribe to the manager's presence.
    watchers: Vec<Domainpart>,
    /// Requests that wait for their epoch to be durable, by lease.
    waiting: HashMap<String, Waiting>,
    commits: JoinSet<(String, Result<(), StoreError>)>,
    notices: JoinSet<()>,
    publication: Publication,
    counters: Arc<Counters>,
}

struct Waiting {
    requests: Vec<Stanza>,
    grant: lease::Grant,
    holder: Jid,
}

impl Manager {
    async fn run(mut self) {
        self.component.available([]);
        loop {
            let (expiry, publication) = (self.ledger.next_expiry(), self.publication.due());
            tokio::select! {
                received = self.component.receive() => match received {
                    Some((stanza, origin)) => self.handle(stanza, &origin),
                    None => return self.refuse_waiting(),
                },
                Some(Ok((lease, result))) = self.commits.join_next() => self.committed(&lease, result),
                Some(_) = self.notices.join_next() => {}
                () = sleep_until(expiry) => self.expire(),
                () = self.publication.progress() => continue,
                () = sleep_until(publication) => {
                    self.publication.publish(&self.ledger);
                    continue;
                }
            }
            self.publish_counters();
            self.publication.changed();
        }
    }

    fn handle(&mut self, stanza: Stanza, origin: &Origin) {
        match stanza.kind() {
            Kind::Presence(kind) => self.handle_presence(kind, &stanza, origin),
            Kind::Iq(_) if stanza.is_request() => self.handle_request(stanza),
            Kind::Message(_) if stanza.has_payload("health", super::offer::NAMESPACE) => {
                self.handle_health(&stanza, origin)
            }
            _ => {}
        }
    }

    fn handle_presence(&mut self, kind: PresenceType, stanza: &Stanza, origin: &Origin) {
        let Some(from) = stanza.from().map(JidRef::to_owned) else { return };
        match kind {
            PresenceType::Subscribe => {
                let allowed = *origin == Origin::Local || self.watchers.iter().any(|d| d.as_str() == from.domain());
                let answer = if allowed { PresenceType::Subscribed } else { PresenceType::Unsubscribed };
                self.component.presence(answer, &from.to_bare());
            }
            PresenceType::Available if self.is_own_node(&from, origin) => {
                if let Some((offer, incarnation)) = Offer::from_presence(stanza) {
                    self.publication.joined(&from, offer);
                    let loss = self.ledger.joined(from, incarnation);
                    self.tell_loss(loss);
                }
            }
            PresenceType::Unavailable if self.is_own_node(&from, origin) => {
                self.publication.left(&from);
                let loss = self.ledger.left(&from, Departure::from_presence(stanza));
                self.tell_loss(loss);
            }
            _ => {}
        }
    }

    /// A manager lends only what is its own: sessions of its domain.
    fn is_own_node(&self, from: &Jid, origin: &Origin) -> bool {
        *origin == Origin::Local && from.domain() == self.component.jid().domain() && !from.is_bare()
    }

    /// The verdict of the monitor of the same domain.
    fn handle_health(&mut self, stanza: &Stanza, origin: &Origin) {
        let own = self.component.jid();
        let from_monitor = stanza.from().is_some_and(|f| f.local() == Some("monitor") && f.domain() == own.domain());
        if *origin != Origin::Local || !from_monitor {
            return;
        }
        let Some(health) = stanza.payload() else { return };
        let Some(node) = health.attribute("node").and_then(|text| Jid::new(text).ok()) else { return };
        if health.attribute("verdict") == Some("ok") {
            self.ledger.recovered(&node);
        } else {
            let loss = self.ledger.suspect(&node);
            self.tell_loss(loss);
        }
    }

    fn handle_request(&mut self, stanza: Stanza) {
        let Some(holder) = stanza.from().map(JidRef::to_owned) else { return };
        let Some(payload) = stanza.payload().filter(|payload| payload.namespace() == lease::NAMESPACE) else {
            return self.component.reply(&stanza, Err(Condition::ServiceUnavailable.into()));
        };
        let answer = match payload.name() {
            "request" => return self.request(stanza, &holder, &payload),
            "renew" => self.renew(&holder, &payload).map(Some),
            "release" => self.release(&holder, &payload).map(|()| None),
            _ => Err(Condition::FeatureNotImplemented.into()),
        };
        self.component.reply(&stanza, answer);
    }

    fn request(&mut self, stanza: Stanza, holder: &Jid, payload: &Element) {
        let request = Request::from_element(payload);
        match request.and_then(|request| self.ledger.request(holder, request, Instant::now())) {
            Ok(Decision::Again(grant)) => self.component.reply(&stanza, Ok(Some(grant.to_element()))),
            Ok(Decision::Grant(grant)) => self.make_durable(stanza, holder, grant),
            Ok(Decision::Pending) => {
                let same = |w: &&mut Waiting| {
                    w.holder.bare() == holder.bare() && Some(&*w.grant.req) == payload.attribute("req")
                };
                if let Some(waiting) = self.waiting.values_mut().find(same) {
                    waiting.requests.push(stanza);
                }
            }
            Err(error) => self.component.reply(&stanza, Err(error)),
        }
    }

    /// The epoch is durable before the grant leaves; only then does anybody learn of it.
    fn make_durable(&mut self, stanza: Stanza, holder: &Jid, grant: lease::Grant) {
        let id = grant.lease.id.clone();
        let saved = Saved { epoch: grant.lease.epoch, longest: self.ledger.longest_ttl() };
        let (done, durable) = oneshot::channel();
        let on_durable = Box::new(move |result| {
            let _manager_gone = done.send(result);
        });
        self.store.commit(saved.batch(self.component.jid()), on_durable);
        self.waiting.insert(id.clone(), Waiting { requests: vec![stanza], grant, holder: holder.clone() });
        self.commits.spawn(async move { (id, durable.await.unwrap_or(Err(StoreError::Stopped))) });
    }

    fn committed(&mut self, lease: &str, result: Result<(), StoreError>) {
        let Some(mut waiting) = self.waiting.remove(lease) else { return };
        let answer = match result.map(|()| self.ledger.durable(lease, Instant::now())) {
            Ok(Some(nodes)) => {
                waiting.grant.nodes = nodes;
                self.counters.granted.fetch_add(1, Ordering::Relaxed);
                // The nodes learn whom to obey before the holder learns of them.
                self.notify_nodes(&waiting);
                Ok(Some(waiting.grant.to_element()))
            }
            Ok(None) => Err(lease::later("no-capacity", Duration::from_secs(1))),
            Err(error) => {
                tracing::error!(%error, "an epoch could not be made durable: nothing is granted");
                self.ledger.failed(lease);
                Err(lease::later("no-store", Duration::from_secs(5)))
            }
        };
        for request in &waiting.requests {
            self.component.reply(request, answer.clone());
        }
    }

    /// Whether their epoch becomes durable or not, these requests are granted nothing: the manager ends.
    fn refuse_waiting(&self) {
        for request in self.waiting.values().flat_map(|waiting| &waiting.requests) {
            self.component.reply(request, Err(Condition::RecipientUnavailable.into()));
        }
    }

    fn notify_nodes(&mut self, waiting: &Waiting) {
        let notice = Element::new("notice", lease::NAMESPACE).attr("holder", &waiting.holder);
        let notice = waiting.grant.lease.on(notice);
        for node in &waiting.grant.nodes {
            self.tell_node(node.clone(), notice.clone());
        }
    }

    /// A node that does not answer is found out by the monitor; here the answer changes nothing.
    fn tell_node(&mut self, node: Jid, payload: Element) {
        const PATIENCE: Duration = Duration::from_secs(10);
        let answer = self.component.set(&node, payload, PATIENCE);
        self.notices.spawn(async move {
            if let Err(error) = answer.await {
                tracing::debug!(%node, %error, "a node did not take a notice");
            }
        });
    }

    fn renew(&mut self, holder: &Jid, payload: &Element) -> Result<Element, StanzaError> {
        let leases = lease::renew_from_element(payload)?;
        let (ttl, renewals) = self.ledger.renew(holder, leases, Instant::now());
        Ok(lease::renewed(ttl, &renewals))
    }

    fn release(&mut self, holder: &Jid, payload: &Element) -> Result<(), StanzaError> {
        let reference = LeaseRef::from_element(payload)?;
        let ended = self.ledger.release(holder, &reference)?;
        self.tell_end(ended, "released");
        Ok(())
    }

    fn expire(&mut self) {
        for ended in self.ledger.expire(Instant::now()) {
            self.counters.expired.fetch_add(1, Ordering::Relaxed);
            tracing::info!(lease = ended.lease.id, "a lease expired");
            self.tell_end(ended, "expired");
        }
    }

    fn tell_end(&mut self, ended: Ended, why: &str) {
        let payload = ended.lease.on(Element::new("ended", lease::NAMESPACE)).attr("why", why);
        for node in ended.nodes {
            self.tell_node(node, payload.clone());
        }
    }

    fn tell_loss(&self, loss: Option<Loss>) {
        let Some(Loss { lease, holder, node, why }) = loss else { return };
        let payload = lease.to_element("lost").attr("node", &node).attr("why", why.as_str());
        let message = Stanza::message(MessageType::Normal).with_to(&holder).with_payload(payload);
        self.component.route(message.with_from(self.component.jid()));
    }

    fn publish_counters(&self) {
        let (nodes, lent) = self.ledger.counts();
        self.counters.nodes.store(nodes as u64, Ordering::Relaxed);
        self.counters.lent.store(lent as u64, Ordering::Relaxed);
    }
}

/// Sleeps until then; for ever if there is no time.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

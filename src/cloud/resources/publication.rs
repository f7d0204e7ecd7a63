//! What a resource manager publishes: its nodes, their totals, and the leases in force.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convoke_xmpp::{Domainpart, Jid};

use crate::cloud::ledger::Ledger;
use crate::cloud::offer::Offer;
use crate::cloud::posts::{Mirror, Posts};
use crate::component::ComponentHandle;
use crate::nodes::{Availability, DomainTotals, Lent, Offered};

/// How often it looks at the ledger at most: what changes back and forth within a second is of no interest to others, and a
/// renewal changes nothing.
const PERIOD: Duration = Duration::from_secs(1);

/// The published state of a ledger.
pub(super) struct Publication {
    domain: Domainpart,
    posts: Posts,
    offers: Mirror<Offered>,
    domains: Mirror<DomainTotals>,
    leases: Mirror<Lent>,
    /// What each node that is there offers.
    offered: BTreeMap<Jid, Offer>,
    /// When it published last, and when it does so again, if anything has changed.
    published: Option<Instant>,
    due: Option<Instant>,
}

impl Publication {
    /// Makes the nodes: whoever subscribes afterwards finds them.
    pub(super) fn new(manager: &ComponentHandle, service: Option<Jid>) -> Self {
        let mut posts = Posts::new(manager.clone(), service);
        posts.create::<Offered>();
        posts.create::<DomainTotals>();
        posts.create::<Lent>();
        Self {
            domain: manager.jid().to_domainpart(),
            posts,
            offers: Mirror::default(),
            domains: Mirror::default(),
            leases: Mirror::default(),
            offered: BTreeMap::new(),
            published: None,
            due: None,
        }
    }

    /// A node is there, with this offer.
    pub(super) fn joined(&mut self, node: &Jid, offer: Offer) {
        self.offered.insert(node.clone(), offer);
    }

    /// A node is gone.
    pub(super) fn left(&mut self, node: &Jid) {
        self.offered.remove(node);
    }

    /// Something in the ledger may have changed.
    pub(super) fn changed(&mut self) {
        if self.due.is_none() && self.posts.is_active() {
            let now = Instant::now();
            self.due = Some(self.published.map_or(now, |published| now.max(published + PERIOD)));
        }
    }

    /// When [`Publication::publish`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Publishes what has changed since the last time.
    pub(super) fn publish(&mut self, ledger: &Ledger) {
        (self.published, self.due) = (Some(Instant::now()), None);
        let offered: Vec<_> = ledger.nodes().filter_map(|(node, inc, state)| self.offer(node, inc, state)).collect();
        let totals = self.totals(&offered);
        self.posts.mirror(&mut self.domains, std::iter::once(totals));
        self.posts.mirror(&mut self.offers, offered.into_iter());
        self.posts.mirror(&mut self.leases, ledger.leases());
    }

    /// Lets publications come to their end; for ever if there are none. Cancel-safe.
    pub(super) async fn progress(&mut self) {
        self.posts.progress().await;
    }

    fn offer(&self, node: &Jid, incarnation: u64, availability: Availability) -> Option<Offered> {
        let offer = self.offered.get(node)?.clone();
        Some(Offered { node: node.clone(), incarnation, offer, availability })
    }

    fn totals(&self, offered: &[Offered]) -> DomainTotals {
        DomainTotals {
            domain: self.domain.clone(),
            nodes: offered.len() as u64,
            lent: offered.iter().filter(|node| node.availability == Availability::Lent).count() as u64,
            cores: offered.iter().map(|node| u64::from(node.offer.cores)).sum(),
            memory: offered.iter().fold(0, |sum, node| sum.saturating_add(node.offer.memory)),
        }
    }
}

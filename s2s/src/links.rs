//! All links, by their pair of domains.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_net::OutboxLimits;
use convoke_xmpp::Domainpart;

use crate::link::{Link, Pair};
use crate::policy::RateRule;
use crate::statistics::LinkStatistics;

/// The links of local domains to remote ones; bounded.
pub(crate) struct Links {
    limit: usize,
    queue: OutboxLimits,
    urgent: Arc<[String]>,
    rates: Vec<RateRule>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Nested, so that a look-up by two borrowed names allocates nothing.
    links: HashMap<Domainpart, HashMap<Domainpart, Arc<Link>>>,
    count: usize,
}

impl Links {
    pub(crate) fn new(limit: usize, queue: OutboxLimits, urgent: Arc<[String]>, rates: Vec<RateRule>) -> Self {
        Self { limit, queue, urgent, rates, table: Mutex::default() }
    }

    /// The link of this pair, made if need be; `None` when there are too many.
    pub(crate) fn link(&self, local: &str, remote: &str) -> Option<Arc<Link>> {
        let mut table = self.lock();
        if let Some(link) = table.get(local, remote) {
            return Some(Arc::clone(link));
        }
        if table.count >= self.limit {
            table.forget_unused();
        }
        // Both are domainparts of addresses already; only the types have forgotten it.
        let pair = Pair { local: Domainpart::new(local).ok()?, remote: Domainpart::new(remote).ok()? };
        let rate = RateRule::of(&self.rates, remote);
        (table.count < self.limit).then(|| table.insert(Link::new(pair, self.queue, Arc::clone(&self.urgent), rate)))
    }

    /// The link of this pair, if there is one.
    pub(crate) fn existing(&self, local: &str, remote: &str) -> Option<Arc<Link>> {
        self.lock().get(local, remote).map(Arc::clone)
    }

    /// The links to this domain.
    pub(crate) fn to(&self, remote: &str) -> Vec<Arc<Link>> {
        self.lock().links.values().filter_map(|of_local| of_local.get(remote)).map(Arc::clone).collect()
    }

    /// Drops a link that is retired, unless another has taken its place.
    pub(crate) fn remove(&self, retired: &Arc<Link>) {
        self.lock().retain(|link| !Arc::ptr_eq(link, retired));
    }

    /// Replaces each stream that was dialled here by a new one.
    pub(crate) fn renew(&self) {
        self.all().iter().for_each(|link| link.renew());
    }

    pub(crate) fn statistics(&self) -> Vec<LinkStatistics> {
        self.all().iter().map(|link| link.statistics()).collect()
    }

    fn all(&self) -> Vec<Arc<Link>> {
        self.lock().links.values().flat_map(HashMap::values).map(Arc::clone).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn get(&self, local: &str, remote: &str) -> Option<&Arc<Link>> {
        self.links.get(local)?.get(remote)
    }

    fn insert(&mut self, link: Link) -> Arc<Link> {
        let Pair { local, remote } = link.pair().clone();
        let of_local = self.links.entry(local).or_default();
        let link = Arc::new(link);
        of_local.insert(remote, Arc::clone(&link));
        self.count += 1;
        link
    }

    fn forget_unused(&mut self) {
        self.retain(|link| !link.retire());
    }

    fn retain(&mut self, keep: impl Fn(&Arc<Link>) -> bool) {
        for of_local in self.links.values_mut() {
            of_local.retain(|_, link| keep(link));
        }
        self.count = self.links.values().map(HashMap::len).sum();
    }
}

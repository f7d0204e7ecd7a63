//! The ways to other domains, as a monitor publishes them.

use std::time::{Duration, Instant};

use crate::cloud::posts::{Mirror, Posts};
use crate::domain::{Domain, Links as DomainLinks};
use crate::nodes::LinkReport;

/// How often the ways are looked at.
const PERIOD: Duration = Duration::from_secs(10);
/// After how long a report is published again though nothing has changed: its item expires.
const REFRESH: Duration = Duration::from_secs(300);

/// What is published of the ways, and when next.
pub(super) struct Links {
    links: DomainLinks,
    mirror: Mirror<LinkReport>,
    look_at: Option<Instant>,
    refresh_at: Instant,
}

impl Links {
    /// Makes the node, if there is anything to tell.
    pub(super) fn new(domain: &Domain, posts: &mut Posts) -> Self {
        let (links, now) = (domain.links(), Instant::now());
        let look_at = (posts.is_active() && links.is_federated()).then_some(now);
        if look_at.is_some() {
            posts.create::<LinkReport>();
        }
        Self { links, mirror: Mirror::default(), look_at, refresh_at: now + REFRESH }
    }

    /// When [`Links::publish`] has something to do; never, if nothing is published.
    pub(super) fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// A way is known to have changed.
    pub(super) fn look_now(&mut self) {
        self.look_at = self.look_at.map(|at| at.min(Instant::now()));
    }

    /// Publishes the ways that have changed.
    pub(super) fn publish(&mut self, posts: &mut Posts) {
        let now = Instant::now();
        self.look_at = Some(now + PERIOD);
        if self.refresh_at <= now {
            self.refresh_at = now + REFRESH;
            self.mirror.refresh();
        }
        posts.mirror(&mut self.mirror, self.links.report().into_iter());
    }
}

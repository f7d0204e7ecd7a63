//! The scheduler's leases: asked for, renewed, expired and given back, as the work demands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convoke_xmpp::Jid;

use super::dispatch::{Completed, Dispatch, Slot};
use super::{SchedulerConfig, SchedulerEvent};
use crate::cloud::client::{HeldLease, LeaseClient, LeaseError};
use crate::cloud::lease::{LeaseRef, Renewal};
use crate::cloud::offer::Departure;
use crate::component::ComponentHandle;

/// Whatever a manager says of when to ask again, it is not asked more often, nor forgotten for longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A manager and what it lent.
pub(super) struct Manager {
    client: LeaseClient,
    leases: BTreeMap<LeaseRef, HeldLease>,
    /// Whether a request is on its way.
    asking: bool,
    /// Name and size of a request that got no answer: asked again, it is granted once.
    unanswered: Option<(String, u32)>,
    ask_at: Instant,
    renewing: bool,
    renew_at: Option<Instant>,
    hopeless: bool,
}

impl Manager {
    pub(super) fn new(holder: ComponentHandle, manager: Jid, config: &SchedulerConfig) -> Self {
        Self {
            client: LeaseClient::new(holder, manager, config.request_timeout),
            leases: BTreeMap::new(),
            asking: false,
            unanswered: None,
            ask_at: Instant::now(),
            renewing: false,
            renew_at: None,
            hopeless: false,
        }
    }

    /// There is new work: what was refused before may be granted now.
    pub(super) fn ask_now(&mut self) {
        (self.hopeless, self.ask_at) = (false, Instant::now());
    }

    /// A node of this lease is gone; another one may take its place. Whether it was the last one: a lease of nothing
    /// is not kept, or renewals would grow with every node that was ever lost.
    pub(super) fn lost(&mut self, lease: &LeaseRef, node: &Jid) -> bool {
        self.ask_at = self.ask_at.min(Instant::now());
        let Some(held) = self.leases.get_mut(lease) else { return false };
        held.grant.nodes.retain(|n| n != node);
        let is_empty = held.grant.nodes.is_empty();
        if is_empty {
            self.leases.remove(lease);
        }
        is_empty
    }

    /// What it lends is of no use at this moment.
    pub(super) fn ask_later(&mut self) {
        self.ask_at = self.ask_at.max(Instant::now() + Duration::from_secs(1));
    }

    /// When there is something to do without being told; `waiting` is whether there is work. What was due at `now` has
    /// been done.
    pub(super) fn next_time(&self, now: Instant, waiting: bool) -> Option<Instant> {
        let ask = (waiting && !self.asking && !self.hopeless).then_some(self.ask_at);
        let renew = self.renew_at.filter(|_| waiting && !self.renewing && !self.leases.is_empty());
        let expire = self.leases.values().map(|held| held.use_until).min();
        [ask.filter(|at| *at > now), renew, expire].into_iter().flatten().min()
    }

    /// A third of the time to live: two renewals may get lost.
    fn schedule_renewal(&mut self, ttl: Duration) {
        const SHORTEST: Duration = Duration::from_millis(50);
        let at = Instant::now() + (ttl / 3).max(SHORTEST);
        self.renew_at =
            Some(self.renew_at.filter(|before| *before > Instant::now()).map_or(at, |before| before.min(at)));
    }
}

impl Dispatch {
    /// Expires, renews, requests or gives back, as the work demands.
    pub(super) fn keep_leases(&mut self, now: Instant) {
        let names: Vec<Jid> = self.managers.keys().cloned().collect();
        for name in &names {
            self.expire_leases(name, now);
            if self.board.open() == 0 {
                self.release_leases(name);
            } else {
                self.renew_leases(name, now);
                self.ask_for_nodes(name, now);
            }
        }
    }

    fn expire_leases(&mut self, manager: &Jid, now: Instant) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        let due = |held: &HeldLease| held.use_until <= now;
        let gone: Vec<_> = entry.leases.iter().filter(|(_, held)| due(held)).map(|(lease, _)| lease.clone()).collect();
        for lease in gone {
            self.end_lease(manager, &lease);
        }
    }

    fn end_lease(&mut self, manager: &Jid, lease: &LeaseRef) {
        let held = self.managers.get_mut(manager).and_then(|entry| entry.leases.remove(lease));
        for node in held.into_iter().flat_map(|held| held.grant.nodes) {
            self.lose(&node, Departure::LeaseEnded);
        }
    }

    fn release_leases(&mut self, manager: &Jid) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        for (lease, held) in std::mem::take(&mut entry.leases) {
            for node in &held.grant.nodes {
                self.forget(node);
            }
            self.release(manager, &lease);
        }
    }

    /// Gives a lease back that is not kept any more.
    pub(super) fn release(&mut self, manager: &Jid, lease: &LeaseRef) {
        let Some(entry) = self.managers.get(manager) else { return };
        let answer = entry.client.release(lease);
        self.running.spawn(async move {
            if let Err(error) = answer.await {
                tracing::debug!(%error, "a lease was not taken back; it expires by itself");
            }
            Completed::Released
        });
    }

    /// Tells all managers that their nodes are free; nobody is left to wait for their answers.
    pub(super) fn release_all(&mut self) {
        for entry in self.managers.values_mut() {
            for lease in std::mem::take(&mut entry.leases).into_keys() {
                drop(entry.client.release(&lease));
            }
        }
    }

    fn renew_leases(&mut self, manager: &Jid, now: Instant) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        if entry.renewing || entry.leases.is_empty() || entry.renew_at.is_none_or(|at| at > now) {
            return;
        }
        entry.renewing = true;
        let (client, leases) = (entry.client.clone(), entry.leases.keys().cloned().collect::<Vec<_>>());
        let manager = manager.clone();
        self.running.spawn(async move {
            let sent = Instant::now();
            let result = client.renew(&leases).await;
            Completed::Renewed { manager, sent, result }
        });
    }

    fn ask_for_nodes(&mut self, manager: &Jid, now: Instant) {
        let open = u32::try_from(self.board.open()).unwrap_or(u32::MAX);
        let Some(entry) = self.managers.get_mut(manager) else { return };
        let held: usize = entry.leases.values().map(|held| held.grant.nodes.len()).sum();
        let wanted = self.config.nodes.min(open).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if wanted == 0 || entry.asking || entry.hopeless || entry.ask_at > now {
            return;
        }
        let (req, wanted) = entry.unanswered.take().unwrap_or_else(|| (self.component.new_id(), wanted));
        entry.asking = true;
        let (client, ttl, manager) = (entry.client.clone(), self.config.ttl, manager.clone());
        self.running.spawn(async move {
            let result = client.request(&req, wanted, ttl).await;
            Completed::Asked { manager, req, wanted, result }
        });
    }

    pub(super) fn asked(&mut self, manager: &Jid, req: String, wanted: u32, result: Result<HeldLease, LeaseError>) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        entry.asking = false;
        match result {
            Ok(held) => {
                entry.schedule_renewal(held.grant.ttl);
                let (lease, nodes) = (held.grant.lease.clone(), held.grant.nodes.clone());
                if nodes.is_empty() {
                    entry.ask_later();
                    return self.release(manager, &lease);
                }
                entry.leases.insert(lease.clone(), held);
                for node in &nodes {
                    // A node that is lent anew was lost before, even if the word of that is still on its way.
                    self.lose(node, Departure::LeaseEnded);
                    let slot = Slot { lease: lease.clone(), manager: manager.clone(), busy: None };
                    self.slots.insert(node.clone(), slot);
                    self.idle.insert(node.clone());
                }
                self.tell(SchedulerEvent::Leased { manager: manager.clone(), lease, nodes });
            }
            Err(error) => {
                if error.may_be_granted() {
                    entry.unanswered = Some((req, wanted));
                }
                match error.retry() {
                    Some(pause) => entry.ask_at = Instant::now() + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
                    None => entry.hopeless = true,
                }
                self.tell(SchedulerEvent::Refused { manager: manager.clone(), error });
            }
        }
    }

    pub(super) fn renewed(
        &mut self,
        manager: &Jid,
        sent: Instant,
        result: Result<(Duration, Vec<Renewal>), LeaseError>,
    ) {
        let Some(entry) = self.managers.get_mut(manager) else { return };
        entry.renewing = false;
        let Ok((ttl, renewals)) = result else {
            // The lease lives on until its time is over; until then it is tried again.
            entry.renew_at = Some(Instant::now() + Duration::from_millis(200));
            return;
        };
        entry.schedule_renewal(ttl);
        for renewal in renewals {
            match renewal {
                Renewal::Renewed(lease) => {
                    if let Some(held) = self.managers.get_mut(manager).and_then(|e| e.leases.get_mut(&lease)) {
                        held.renewed(sent, ttl);
                    }
                }
                Renewal::Lost(lease) => self.end_lease(manager, &lease),
            }
        }
    }
}

//! The rules of lending: pure, told the time, deterministic.

mod requests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use convoke_xmpp::{Condition, Domainpart, Element, Jid, JidRef, StanzaError, namespace};

use self::requests::Requests;
use super::lease::{Grant, LeaseRef, Renewal, Request, expired, fenced, later};
use super::offer::Departure;
use crate::nodes::{Availability, Lent};

/// How many nodes a domain may hold at a time. A domain that is not named gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The domain of the holders.
    pub domain: Domainpart,
    /// How many nodes its entities may hold together.
    pub nodes: u32,
}

/// How long leases live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Where the holder wishes nothing. Default 60 s: a holder that renews at a third survives two lost renewals.
    pub default: Duration,
    /// The shortest. Default 10 s: below that renewals cost more than they save.
    pub shortest: Duration,
    /// The longest. Default 1 h: a holder that is gone blocks nodes no longer.
    pub longest: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { default: Duration::from_secs(60), shortest: Duration::from_secs(10), longest: Duration::from_secs(3600) }
    }
}

/// How many bytes the names of one grant's nodes may have together, so that its answer is a stanza that every peer takes.
const GRANT_BYTES: usize = 40 * 1024;

/// Nodes, leases and requests of one manager.
#[derive(Debug)]
pub(super) struct Ledger {
    allowances: HashMap<Domainpart, u32>,
    times: LeaseTimes,
    nodes: BTreeMap<Jid, Node>,
    leases: BTreeMap<String, Lease>,
    requests: Requests,
    epoch: u64,
    recovering_until: Option<Instant>,
}

#[derive(Debug)]
struct Node {
    incarnation: u64,
    suspect: bool,
    lease: Option<String>,
}

#[derive(Debug)]
struct Lease {
    reference: LeaseRef,
    holder: Jid,
    ttl: Duration,
    /// `None` until the epoch is durable.
    expires: Option<Instant>,
    nodes: BTreeSet<Jid>,
}

/// What a request leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The same request was granted before: the same grant.
    Again(Grant),
    /// To be granted once the epoch is durable.
    Grant(Grant),
    /// The same request is being made durable: the answer follows that.
    Pending,
}

/// A node that a holder has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) lease: LeaseRef,
    pub(super) holder: Jid,
    pub(super) node: Jid,
    pub(super) why: Departure,
}

/// A lease that has ended, with the nodes that are free again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) lease: LeaseRef,
    pub(super) nodes: Vec<Jid>,
}

impl Ledger {
    /// A ledger that continues behind `epoch`, the last one that was made durable.
    ///
    /// With `recovering_until`, nothing is granted before that time: leases of before may still be in use.
    pub(super) fn new(
        allowances: Vec<Allowance>,
        times: LeaseTimes,
        epoch: u64,
        recovering_until: Option<Instant>,
    ) -> Self {
        Self {
            allowances: allowances.into_iter().map(|a| (a.domain, a.nodes)).collect(),
            times,
            nodes: BTreeMap::new(),
            leases: BTreeMap::new(),
            requests: Requests::default(),
            epoch,
            recovering_until,
        }
    }

    /// A node is available; a new incarnation ends what the old one was lent for.
    pub(super) fn joined(&mut self, jid: Jid, incarnation: u64) -> Option<Loss> {
        let restarted = self.nodes.get(&jid).is_some_and(|node| node.incarnation != incarnation);
        let loss = if restarted { self.left(&jid, Departure::Restarted) } else { None };
        let fresh = Node { incarnation, suspect: false, lease: None };
        self.nodes.entry(jid).or_insert(fresh).suspect = false;
        loss
    }

    /// A node is gone.
    pub(super) fn left(&mut self, jid: &Jid, why: Departure) -> Option<Loss> {
        let node = self.nodes.remove(jid)?;
        self.take_from_lease(jid, &node.lease?, why)
    }

    /// A node does not answer: it is taken from its holder and lent to nobody until it recovers.
    pub(super) fn suspect(&mut self, jid: &Jid) -> Option<Loss> {
        let node = self.nodes.get_mut(jid)?;
        node.suspect = true;
        let lease = node.lease.take()?;
        self.take_from_lease(jid, &lease, Departure::Silent)
    }

    /// A node answers again.
    pub(super) fn recovered(&mut self, jid: &Jid) {
        if let Some(node) = self.nodes.get_mut(jid) {
            node.suspect = false;
        }
    }

    fn take_from_lease(&mut self, jid: &Jid, lease: &str, why: Departure) -> Option<Loss> {
        let lease = self.leases.get_mut(lease)?;
        lease.nodes.remove(jid);
        Some(Loss { lease: lease.reference.clone(), holder: lease.holder.clone(), node: jid.clone(), why })
    }

    /// Decides about a request. A new grant reserves its nodes; [`Ledger::durable`] or [`Ledger::failed`] must follow.
    pub(super) fn request(&mut self, holder: &Jid, request: Request, now: Instant) -> Result<Decision, StanzaError> {
        if let Some(grant) = self.requests.find(holder, &request)? {
            return self.again(grant, now);
        }
        let allowed = self.allowed(holder.as_ref())?;
        if let Some(until) = self.recovering_until.filter(|until| *until > now) {
            return Err(later("recovering", until - now));
        }
        let nodes = self.choose(request.count.min(allowed));
        if nodes.is_empty() {
            return Err(later("no-capacity", self.times.shortest));
        }
        Ok(Decision::Grant(self.reserve(holder, request, nodes, now)))
    }

    /// The same request again: the answer got lost. It renews the lease, since its holder counts the time to live from
    /// this request.
    fn again(&mut self, grant: Grant, now: Instant) -> Result<Decision, StanzaError> {
        let lease = self.leases.get_mut(&grant.lease.id).ok_or_else(expired)?;
        match lease.expires {
            None => Ok(Decision::Pending),
            Some(at) if at <= now => Err(expired()),
            Some(_) => {
                lease.expires = Some(now + lease.ttl);
                // Nodes that were lost meanwhile are not granted again.
                let nodes = lease.nodes.iter().cloned().collect();
                Ok(Decision::Again(Grant { nodes, ..grant }))
            }
        }
    }

    /// How many more nodes the holder's domain may have.
    fn allowed(&self, holder: JidRef<'_>) -> Result<u32, StanzaError> {
        let Some(&limit) = self.allowances.get(holder.domain()) else {
            let text = format!("{} may not lease here", holder.domain());
            return Err(StanzaError::new(Condition::Forbidden).with_text(text));
        };
        let theirs = self.leases.values().filter(|lease| lease.holder.domain() == holder.domain());
        let held: usize = theirs.map(|lease| lease.nodes.len()).sum();
        match limit.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX)) {
            0 => {
                let quota = Element::new("quota", namespace::CONVOKE_ERRORS).attr("nodes", limit);
                let error = StanzaError::new(Condition::PolicyViolation).with_type(convoke_xmpp::ErrorType::Wait);
                Err(error.with_application(quota))
            }
            free => Ok(free),
        }
    }

    fn choose(&self, count: u32) -> Vec<Jid> {
        let free = self.nodes.iter().filter(|(_, node)| node.lease.is_none() && !node.suspect);
        let mut room = GRANT_BYTES;
        let fits = |jid: &&Jid| {
            let rest = room.checked_sub(jid.as_str().len());
            room = rest.unwrap_or_default();
            rest.is_some()
        };
        free.map(|(jid, _)| jid).take(count as usize).take_while(fits).cloned().collect()
    }

    fn reserve(&mut self, holder: &Jid, request: Request, nodes: Vec<Jid>, now: Instant) -> Grant {
        self.epoch += 1;
        let lease = LeaseRef { id: format!("l{}", self.epoch), epoch: self.epoch };
        let ttl = request.ttl.unwrap_or(self.times.default).clamp(self.times.shortest, self.times.longest);
        for jid in &nodes {
            if let Some(node) = self.nodes.get_mut(jid) {
                node.lease = Some(lease.id.clone());
            }
        }
        let kept = nodes.iter().cloned().collect();
        let entry = Lease { reference: lease.clone(), holder: holder.clone(), ttl, expires: None, nodes: kept };
        self.leases.insert(lease.id.clone(), entry);
        let grant = Grant { lease: lease.clone(), req: request.req.clone(), ttl, nodes };
        self.requests.remember(holder, request, grant.clone(), now);
        grant
    }

    /// The epoch of this lease is durable: it lives from now. Gives the nodes that are still there; `None` if none is,
    /// and so no lease either.
    pub(super) fn durable(&mut self, id: &str, now: Instant) -> Option<Vec<Jid>> {
        let lease = self.leases.get_mut(id)?;
        if lease.nodes.is_empty() {
            self.failed(id);
            return None;
        }
        lease.expires = Some(now + lease.ttl);
        Some(lease.nodes.iter().cloned().collect())
    }

    /// The longest time to live of all leases that there are: after so long without a manager none is in use.
    pub(super) fn longest_ttl(&self) -> Duration {
        self.leases.values().map(|lease| lease.ttl).max().unwrap_or_default()
    }

    /// The epoch could not be made durable: the lease never was. Its epoch is not used again.
    pub(super) fn failed(&mut self, lease: &str) {
        self.end(lease);
        self.requests.forget(lease);
    }

    /// Renews what the holder names; gives the shortest TTL of the renewed leases too.
    pub(super) fn renew(&mut self, holder: &Jid, leases: Vec<LeaseRef>, now: Instant) -> (Duration, Vec<Renewal>) {
        let mut shortest = self.times.longest;
        let renew = |reference: LeaseRef| match self.leases.get_mut(&reference.id) {
            Some(lease) if lease.is_of(holder, &reference) && lease.expires.is_some_and(|at| at > now) => {
                lease.expires = Some(now + lease.ttl);
                shortest = shortest.min(lease.ttl);
                Renewal::Renewed(reference)
            }
            _ => Renewal::Lost(reference),
        };
        let renewals = leases.into_iter().map(renew).collect();
        (shortest, renewals)
    }

    /// The holder gives a lease back.
    pub(super) fn release(&mut self, holder: &Jid, reference: &LeaseRef) -> Result<Ended, StanzaError> {
        let lease = self.leases.get(&reference.id).ok_or_else(expired)?;
        if lease.holder.bare() != holder.bare() {
            return Err(StanzaError::new(Condition::NotAuthorized).with_text("another entity holds this lease"));
        }
        if lease.reference != *reference {
            return Err(fenced(reference.epoch, lease.reference.epoch));
        }
        self.end(&reference.id).ok_or_else(expired)
    }

    /// Ends what nobody renewed in time.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Ended> {
        let due = self.leases.values().filter(|lease| lease.expires.is_some_and(|at| at <= now));
        let due: Vec<_> = due.map(|lease| lease.reference.id.clone()).collect();
        due.iter().filter_map(|id| self.end(id)).collect()
    }

    /// When [`Ledger::expire`] has something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leases.values().filter_map(|lease| lease.expires).min()
    }

    /// Nodes that are there, and nodes that are lent.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.nodes.len(), self.nodes.values().filter(|node| node.lease.is_some()).count())
    }

    /// The nodes that are there, with their incarnations.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Jid, u64, Availability)> {
        self.nodes.iter().map(|(jid, node)| (jid, node.incarnation, node.availability()))
    }

    /// The leases that are in force.
    pub(super) fn leases(&self) -> impl Iterator<Item = Lent> {
        self.leases.values().filter(|lease| lease.expires.is_some()).map(|lease| Lent {
            lease: lease.reference.clone(),
            holder: lease.holder.clone(),
            nodes: lease.nodes.len() as u64,
            ttl: lease.ttl,
        })
    }

    fn end(&mut self, id: &str) -> Option<Ended> {
        let lease = self.leases.remove(id)?;
        for jid in &lease.nodes {
            if let Some(node) = self.nodes.get_mut(jid) {
                node.lease = None;
            }
        }
        Some(Ended { lease: lease.reference, nodes: lease.nodes.into_iter().collect() })
    }
}

impl Node {
    fn availability(&self) -> Availability {
        match self.lease {
            _ if self.suspect => Availability::Suspect,
            Some(_) => Availability::Lent,
            None => Availability::Free,
        }
    }
}

impl Lease {
    fn is_of(&self, holder: &Jid, reference: &LeaseRef) -> bool {
        self.holder.bare() == holder.bare() && self.reference == *reference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn holder() -> Jid {
        jid("scheduler@a.example")
    }

    fn ledger(nodes: usize) -> Ledger {
        let allowance = Allowance { domain: Domainpart::new("a.example").unwrap(), nodes: 3 };
        let mut ledger = Ledger::new(vec![allowance], LeaseTimes::default(), 100, None);
        for at in 0..nodes {
            ledger.joined(jid(&format!("v{at}@b.example/desk")), 1);
        }
        ledger
    }

    fn request(req: &str, count: u32) -> Request {
        Request { req: req.into(), count, ttl: Some(TTL) }
    }

    fn granted(ledger: &mut Ledger, req: &str, count: u32, now: Instant) -> Grant {
        let Ok(Decision::Grant(grant)) = ledger.request(&holder(), request(req, count), now) else { panic!() };
        assert_eq!(ledger.durable(&grant.lease.id, now).as_ref(), Some(&grant.nodes));
        grant
    }

    #[test]
    fn every_grant_has_a_greater_epoch_than_all_before() {
        let (mut ledger, now) = (ledger(3), Instant::now());
        let first = granted(&mut ledger, "r1", 1, now);
        assert_eq!(first.lease.epoch, 101);
        ledger.release(&holder(), &first.lease).unwrap();
        assert_eq!(granted(&mut ledger, "r2", 1, now).lease.epoch, 102);
    }

    #[test]
    fn the_same_request_is_granted_once() {
        let (mut ledger, now) = (ledger(3), Instant::now());
        let Ok(Decision::Grant(grant)) = ledger.request(&holder(), request("r1", 2), now) else { panic!() };
        assert_eq!(ledger.request(&holder(), request("r1", 2), now), Ok(Decision::Pending));
        ledger.durable(&grant.lease.id, now);
        let later = now + TTL / 2;
        assert_eq!(ledger.request(&holder(), request("r1", 2), later), Ok(Decision::Again(grant.clone())));
        assert!(ledger.expire(now + TTL).is_empty());
        let other = ledger.request(&holder(), request("r1", 1), now).unwrap_err();
        assert_eq!(other.condition, Condition::Conflict);
        assert_eq!(ledger.counts(), (3, 2));
    }

    #[test]
    fn a_domain_that_is_not_named_gets_nothing_and_a_named_one_no_more_than_its_share() {
        let (mut ledger, now) = (ledger(5), Instant::now());
        let stranger = ledger.request(&jid("x@c.example"), request("r", 1), now).unwrap_err();
        assert_eq!(stranger.condition, Condition::Forbidden);
        assert_eq!(granted(&mut ledger, "r1", 10, now).nodes.len(), 3);
        assert_eq!(ledger.request(&holder(), request("r2", 1), now).unwrap_err().condition, Condition::PolicyViolation);
    }

    #[test]
    fn without_free_nodes_the_holder_is_told_to_wait() {
        let mut ledger = ledger(0);
        let error = ledger.request(&holder(), request("r", 1), Instant::now()).unwrap_err();
        assert_eq!(error.condition, Condition::ResourceConstraint);
        assert_eq!(error.application.unwrap().name(), "no-capacity");
    }

    #[test]
    fn a_lease_lives_as_long_as_it_is_renewed() {
        let (mut ledger, start) = (ledger(2), Instant::now());
        let grant = granted(&mut ledger, "r1", 2, start);
        let later = start + TTL / 2;
        let (ttl, renewals) = ledger.renew(&holder(), vec![grant.lease.clone()], later);
        assert_eq!((ttl, renewals), (TTL, vec![Renewal::Renewed(grant.lease.clone())]));
        assert!(ledger.expire(start + TTL).is_empty());
        assert_eq!(ledger.expire(later + TTL), [Ended { lease: grant.lease.clone(), nodes: grant.nodes }]);
        let (_, renewals) = ledger.renew(&holder(), vec![grant.lease.clone()], later + TTL);
        assert_eq!(renewals, [Renewal::Lost(grant.lease)]);
        assert_eq!(ledger.counts(), (2, 0));
    }

    #[test]
    fn nobody_renews_or_releases_what_another_holds() {
        let (mut ledger, now) = (ledger(1), Instant::now());
        let grant = granted(&mut ledger, "r1", 1, now);
        let thief = jid("thief@a.example");
        assert_eq!(ledger.renew(&thief, vec![grant.lease.clone()], now).1, [Renewal::Lost(grant.lease.clone())]);
        assert_eq!(ledger.release(&thief, &grant.lease).unwrap_err().condition, Condition::NotAuthorized);
        let old = LeaseRef { epoch: grant.lease.epoch - 1, ..grant.lease.clone() };
        assert_eq!(ledger.release(&holder(), &old).unwrap_err().condition, Condition::Conflict);
        assert!(ledger.release(&holder(), &grant.lease).is_ok());
    }

    #[test]
    fn a_lost_node_is_told_once_and_not_lent_again_until_it_recovers() {
        let (mut ledger, now) = (ledger(1), Instant::now());
        let grant = granted(&mut ledger, "r1", 1, now);
        let node = grant.nodes[0].clone();
        let loss = ledger.suspect(&node).unwrap();
        assert_eq!((loss.why, &loss.lease), (Departure::Silent, &grant.lease));
        assert!(ledger.suspect(&node).is_none() && ledger.left(&node, Departure::SessionDied).is_none());
        ledger.joined(node.clone(), 1);
        ledger.suspect(&node);
        assert!(ledger.request(&holder(), request("r2", 1), now).is_err());
        ledger.recovered(&node);
        assert!(granted(&mut ledger, "r2", 1, now).lease.epoch > grant.lease.epoch);
    }

    #[test]
    fn a_new_incarnation_ends_the_lease_of_the_old_one() {
        let (mut ledger, now) = (ledger(1), Instant::now());
        let grant = granted(&mut ledger, "r1", 1, now);
        assert!(ledger.joined(grant.nodes[0].clone(), 1).is_none());
        assert_eq!(ledger.joined(grant.nodes[0].clone(), 2).unwrap().why, Departure::Restarted);
    }

    #[test]
    fn what_could_not_be_made_durable_was_never_granted() {
        let (mut ledger, now) = (ledger(1), Instant::now());
        let Ok(Decision::Grant(grant)) = ledger.request(&holder(), request("r1", 1), now) else { panic!() };
        ledger.failed(&grant.lease.id);
        assert_eq!(ledger.counts(), (1, 0));
        assert!(granted(&mut ledger, "r1", 1, now).lease.epoch > grant.lease.epoch);
    }

    #[test]
    fn nothing_is_granted_while_leases_of_before_a_restart_may_live() {
        let allowance = Allowance { domain: Domainpart::new("a.example").unwrap(), nodes: 3 };
        let now = Instant::now();
        let mut ledger = Ledger::new(vec![allowance], LeaseTimes::default(), 7, Some(now + TTL));
        ledger.joined(jid("v@b.example/desk"), 1);
        let error = ledger.request(&holder(), request("r", 1), now).unwrap_err();
        assert_eq!(error.application.unwrap().name(), "recovering");
        assert_eq!(granted(&mut ledger, "r", 1, now + TTL).lease.epoch, 8);
    }

    #[test]
    fn a_node_that_is_lost_while_its_epoch_is_made_durable_is_not_lent() {
        let (mut ledger, now) = (ledger(2), Instant::now());
        let Ok(Decision::Grant(grant)) = ledger.request(&holder(), request("r1", 2), now) else { panic!() };
        ledger.suspect(&grant.nodes[0]);
        assert_eq!(ledger.durable(&grant.lease.id, now), Some(vec![grant.nodes[1].clone()]));
        ledger.release(&holder(), &grant.lease).unwrap();

        let Ok(Decision::Grant(grant)) = ledger.request(&holder(), request("r2", 2), now) else { panic!() };
        ledger.left(&grant.nodes[0], Departure::SessionDied);
        assert_eq!(ledger.durable(&grant.lease.id, now), None);
        ledger.joined(grant.nodes[0].clone(), 2);
        assert!(granted(&mut ledger, "r2", 1, now).lease.epoch > grant.lease.epoch);
    }

    #[test]
    fn the_longest_time_to_live_is_that_of_the_leases_there_are() {
        let (mut ledger, now) = (ledger(1), Instant::now());
        assert_eq!(ledger.longest_ttl(), Duration::ZERO);
        let grant = granted(&mut ledger, "r1", 1, now);
        assert_eq!(ledger.longest_ttl(), TTL);
        ledger.release(&holder(), &grant.lease).unwrap();
        assert_eq!(ledger.longest_ttl(), Duration::ZERO);
    }

    #[test]
    fn a_grant_is_not_longer_than_a_stanza_may_be() {
        let allowance = Allowance { domain: Domainpart::new("a.example").unwrap(), nodes: 1000 };
        let mut ledger = Ledger::new(vec![allowance], LeaseTimes::default(), 0, None);
        for at in 0..1000 {
            ledger.joined(jid(&format!("v{at}@b.example/{}", "x".repeat(1000))), 1);
        }
        let first = granted(&mut ledger, "r1", 1000, Instant::now());
        assert!((30..45).contains(&first.nodes.len()), "{}", first.nodes.len());
    }
}

//! The holder's side of a lease.

use std::time::{Duration, Instant};

use convoke_xmpp::{Condition, Element, Jid, StanzaError, namespace};
use thiserror::Error;

use super::duration;
use super::lease::{Grant, LeaseRef, Renewal, Request, bad, renew, renewed_from_element};
use crate::component::{ComponentHandle, RequestError};

/// Why a manager did not lend, renew or take back.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The request was refused, or got no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The answer makes no sense.
    #[error("{manager} sent an answer that is none: {error}")]
    Answer {
        /// Who answered.
        manager: Jid,
        /// What is wrong.
        error: StanzaError,
    },
}

impl LeaseError {
    /// Whether the manager may have granted the request all the same: its answer got lost.
    pub fn may_be_granted(&self) -> bool {
        matches!(self, Self::Request(RequestError::TimedOut { .. }))
    }

    /// After how long it makes sense to ask again; `None` if it never does.
    pub fn retry(&self) -> Option<Duration> {
        const SOON: Duration = Duration::from_secs(1);
        /// A share that is used up is free again when leases end, not from one second to the next.
        const WHEN_LEASES_END: Duration = Duration::from_secs(10);
        let Self::Request(request) = self else { return None };
        let Some(error) = request.stanza_error() else { return Some(SOON) };
        let hint = error.application.as_ref().and_then(|e| e.attribute("retry")).and_then(duration::parse);
        match error.condition {
            Condition::Forbidden | Condition::FeatureNotImplemented | Condition::BadRequest => None,
            Condition::PolicyViolation => Some(hint.unwrap_or(WHEN_LEASES_END)),
            _ => Some(hint.unwrap_or(SOON)),
        }
    }
}

/// Asks one manager for nodes, on behalf of one entity.
#[derive(Debug, Clone)]
pub struct LeaseClient {
    holder: ComponentHandle,
    manager: Jid,
    timeout: Duration,
}

/// A lease as its holder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    /// What was granted.
    pub grant: Grant,
    /// When the holder stops using it: always before the manager ends it, since it is counted from *sending* the
    /// request, and shortened by a tenth.
    pub use_until: Instant,
}

impl HeldLease {
    /// Counts the time to live anew, from when the renewal was sent.
    pub fn renewed(&mut self, sent: Instant, ttl: Duration) {
        self.use_until = sent + ttl.mul_f64(0.9);
    }
}

impl LeaseClient {
    /// A client of this manager; every request waits at most `timeout`.
    pub fn new(holder: ComponentHandle, manager: Jid, timeout: Duration) -> Self {
        Self { holder, manager, timeout }
    }

    /// The manager.
    pub fn manager(&self) -> &Jid {
        &self.manager
    }

    /// Asks for at most `count` nodes. `req` names the request: asking again with the same name gives the same grant.
    pub async fn request(&self, req: &str, count: u32, ttl: Option<Duration>) -> Result<HeldLease, LeaseError> {
        let sent = Instant::now();
        let request = Request { req: req.to_owned(), count, ttl };
        let answer = self.holder.set(&self.manager, request.to_element(), self.timeout).await?;
        let grant = self.read(answer, |element| self.checked(Grant::from_element(element)?))?;
        let mut held = HeldLease { use_until: sent, grant };
        held.renewed(sent, held.grant.ttl);
        Ok(held)
    }

    /// Renews all these leases by one request; gives the TTL from now on and what became of each.
    pub async fn renew(&self, leases: &[LeaseRef]) -> Result<(Duration, Vec<Renewal>), LeaseError> {
        let answer = self.holder.set(&self.manager, renew(leases), self.timeout).await?;
        self.read(answer, renewed_from_element)
    }

    /// Gives a lease back. The manager is told when this returns; the future only waits for its answer.
    pub fn release(&self, lease: &LeaseRef) -> impl Future<Output = Result<(), LeaseError>> + Send + use<> {
        let answer = self.holder.set(&self.manager, lease.to_element("release"), self.timeout);
        async move {
            answer.await?;
            Ok(())
        }
    }

    /// A manager lends what is its own; whoever believed more would let it take the nodes of others away.
    fn checked(&self, grant: Grant) -> Result<Grant, StanzaError> {
        let is_its_own = |node: &Jid| !node.is_bare() && node.domain() == self.manager.domain();
        if grant.nodes.iter().all(is_its_own) { Ok(grant) } else { Err(bad("it lends nodes of another domain")) }
    }

    fn read<T>(
        &self,
        answer: Option<Element>,
        parse: impl FnOnce(&Element) -> Result<T, StanzaError>,
    ) -> Result<T, LeaseError> {
        let empty = || Element::new("nothing", namespace::CONVOKE_ERRORS);
        let wrong = |error| LeaseError::Answer { manager: self.manager.clone(), error };
        parse(&answer.unwrap_or_else(empty)).map_err(wrong)
    }
}

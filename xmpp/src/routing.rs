//! The traits by which rooms hand stanzas to each other.
//!
//! Routing is synchronous and bounded: there is no wait between two queues, so no cycle of full queues can wait on
//! itself, and every overflow is an answer. Nothing is dropped silently: what cannot be delivered is given back.

use std::fmt;

use crate::{Domainpart, Stanza, StanzaError};

/// Where a stanza came from: who vouches for its `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An entity of a domain that this process serves; the router set or checked `from`.
    Local,
    /// A federated domain; its link has proved that it may speak for the domain of `from`.
    Remote(Domainpart),
    /// The router itself, because the way to this domain is lost: an `unavailable` that nobody there has sent. Whoever
    /// it names may well be at work, only out of reach.
    RouteLost(Domainpart),
}

/// What has become of the way to another domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteChange {
    /// The domain was reachable and does not answer any more.
    Lost,
    /// It was lost and answers again.
    Restored,
}

/// A stanza that could not be delivered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The stanza, as it was.
    pub stanza: Box<Stanza>,
    /// What its sender is told.
    pub error: StanzaError,
}

impl Undelivered {
    /// Gives a stanza back.
    pub fn new(stanza: Stanza, error: impl Into<StanzaError>) -> Self {
        Self { stanza: Box::new(stanza), error: error.into() }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "undelivered {}: {}", self.stanza.kind().name(), self.error)
    }
}

impl std::error::Error for Undelivered {}

/// Decides where a stanza goes.
pub trait Router: Send + Sync {
    /// Hands the stanza on, to a local entity or to another domain.
    ///
    /// Never blocks. Gives the stanza back if it cannot be delivered at once; what fails later comes to
    /// [`Router::undelivered`]. A caller that is no component itself passes the failure to `undelivered` too.
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered>;

    /// Takes a stanza that could not be delivered: the one place that answers its sender with an error.
    fn undelivered(&self, undelivered: Undelivered);

    /// Takes note that the way from a local domain to another one is lost or restored: once for each change, in order.
    ///
    /// Must not block. By default nothing depends on it.
    fn route_changed(&self, local: &Domainpart, remote: &Domainpart, change: RouteChange) {
        let _ = (local, remote, change);
    }
}

/// A bounded way out: a session's outbox, a link to a domain, a mailbox.
pub trait Outbound: Send + Sync {
    /// Queues the stanza; gives it back when the queue is full or closed. Never blocks.
    fn send(&self, stanza: Stanza) -> Result<(), Undelivered>;
}

/// An entity that lives in the process and takes any stanza, in order: publish-subscribe, a gateway, a component.
pub trait Service: Send + Sync {
    /// Takes one stanza. Must not block; answers go to the router.
    fn handle(&self, stanza: Stanza, origin: &Origin, router: &dyn Router);
}

//! Links whose stanzas go by the stream of another link to the same peer.
//!
//! Such a link *rides*: its stanzas wait in the queue of the other, the *carrier*, and its order, its acknowledgements and
//! its bounces are the carrier's, streams that are lost and resumed included. It begins when the peer has taken the pair
//! on the carrier's stream, and ends when a later stream of the carrier does not take it, or when there is none any more;
//! what has not been sent by then goes back to the link itself, which dials.
//!
//! Locks are taken in the order rider, carrier, never the other way round.

use std::sync::{Arc, Weak};

use convoke_net::Full;
use convoke_xmpp::{Stanza, Undelivered};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::outgoing::Outgoing;
use super::requests::{Request, Requests};
use super::state::{Phase, State};
use super::{Link, queue_is_full, too_large};
use crate::federation::Shared;

impl Link {
    /// The stream that empties the queue now takes requests, or does not; gives the links that ride.
    pub(super) fn serve_riders(&self, requests: Option<Arc<Requests>>) -> Vec<Arc<Link>> {
        let mut state = self.lock();
        state.requests = requests;
        // Who has waited for it finds it.
        state.contact = None;
        state.riders.iter().filter_map(Weak::upgrade).collect()
    }

    /// The links that ride, if that is the stream which empties the queue.
    pub(super) fn riders_of(&self, stream: &Arc<Requests>) -> Vec<Arc<Link>> {
        let state = self.lock();
        let is_this = state.requests.as_ref().is_some_and(|requests| Arc::ptr_eq(requests, stream));
        state.riders.iter().filter(|_| is_this).filter_map(Weak::upgrade).collect()
    }

    /// The peer has asked for the pair of this link on a stream of that one.
    pub(super) fn met(&self, by: &Arc<Link>, shared: &Shared) {
        let mut state = self.lock();
        state.met = Arc::downgrade(by);
        state.end_pause();
        drop(state);
        self.route.reached(&self.pair, &*shared.router);
    }

    /// The link in whose queue the stanzas of this one go.
    fn carrier(self: &Arc<Self>) -> Option<Arc<Link>> {
        match &self.lock().phase {
            Phase::Riding { on } => Some(Arc::clone(on)),
            Phase::Open { .. } | Phase::Served { .. } => Some(Arc::clone(self)),
            _ => None,
        }
    }

    /// Lets go of those that ride, unless there is a stream for them, or soon will be, or may be for what is in doubt.
    pub(super) fn release_riders(self: &Arc<Self>, shared: &Arc<Shared>) {
        let riders: Vec<_> = {
            let state = self.lock();
            let is_at_rest = matches!(state.phase, Phase::Idle | Phase::Waiting { .. } | Phase::Retired);
            if !is_at_rest || self.outbox.unacknowledged() > 0 {
                return;
            }
            state.riders.iter().filter_map(Weak::upgrade).collect()
        };
        riders.iter().for_each(|rider| dismount(rider, self, shared));
    }

    /// The domain cannot be reached: the router is told so, for this pair and for those that ride.
    pub(super) fn miss(&self, shared: &Shared) {
        let riders: Vec<_> = self.lock().riders.iter().filter_map(Weak::upgrade).collect();
        for link in riders.iter().map(|rider| &**rider).chain([self]) {
            link.route.missed(&link.pair, &*shared.router);
        }
    }
}

impl Outgoing {
    /// Asks the streams that are there already, or will be at once, to carry the stanzas; says whether one does.
    pub(super) async fn board(&self) -> bool {
        if self.ask_streams().await {
            return true;
        }
        match self.first_contact() {
            None => false,
            Some(other) => {
                // No longer: it may take a minute to find out that nobody is there, and there may be another way.
                let _ = timeout(self.shared.timeouts.answer, other.cancelled()).await;
                self.ask_streams().await
            }
        }
    }

    /// Takes note that this link is the first one to dial the domain; gives the end of another's attempt, if it is not.
    fn first_contact(&self) -> Option<CancellationToken> {
        if !self.shared.dialer.dialback || !self.link.may_ride(&self.link.lock()) {
            return None;
        }
        let contact = self.shared.contacts.begin(&self.link.pair.remote);
        contact.map(|contact| self.link.lock().contact = Some(contact)).err()
    }

    async fn ask_streams(&self) -> bool {
        for requests in self.streams() {
            let (answer, answered) = oneshot::channel();
            requests.push(Request { rider: Arc::clone(&self.link), answer: Some(answer) });
            if self.is_taken(answered).await {
                return true;
            }
        }
        false
    }

    /// The peer's answer, in time. Who gives up takes back the question, so that no later answer counts.
    async fn is_taken(&self, mut answered: oneshot::Receiver<()>) -> bool {
        // The stream itself gives up after as long; this is for one that does nothing any more.
        match timeout(self.shared.timeouts.answer * 2, &mut answered).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => {
                answered.close();
                answered.try_recv().is_ok()
            }
        }
    }

    /// Streams of other pairs that may carry this one, without those of which some are in doubt.
    fn streams(&self) -> Vec<Arc<Requests>> {
        let met = {
            let state = self.link.lock();
            if !self.link.may_ride(&state) {
                return Vec::new();
            }
            state.met.upgrade()
        };
        let mut carriers: Vec<Arc<Link>> = Vec::new();
        for link in met.into_iter().chain(self.shared.links_to(self.link.pair.remote.as_str())) {
            let other = Some(link).filter(|link| !Arc::ptr_eq(link, &self.link)).and_then(|link| link.carrier());
            carriers.extend(other.filter(|other| carriers.iter().all(|known| !Arc::ptr_eq(known, other))));
        }
        carriers.iter().filter_map(|carrier| carrier.lock().requests.clone()).collect()
    }
}

impl Link {
    /// Not while others ride on it, or while what it has sent may still be acknowledged.
    fn may_ride(&self, state: &State) -> bool {
        state.riders.is_empty() && !state.can_resume() && self.outbox.unacknowledged() == 0
    }
}

/// The peer has taken the pair: its stanzas go by the carrier's queue from now on.
pub(super) fn mount(request: Request, carrier: &Arc<Link>, shared: &Shared) {
    let Request { rider, answer: Some(answer) } = request else { return };
    let mut state = rider.lock();
    let mut of_carrier = carrier.lock();
    let is_carried = matches!(of_carrier.phase, Phase::Open { .. } | Phase::Served { .. });
    // Told first: who has given up by then dials.
    if !is_carried || !rider.may_ride(&state) || answer.send(()).is_err() {
        return;
    }
    of_carrier.riders.push(Arc::downgrade(&rider));
    (state.phase, state.at_work) = (Phase::Riding { on: Arc::clone(carrier) }, false);
    (state.failures_in_a_row, state.lost_at, state.early_losses, state.ticket) = (0, None, 0, None);
    let refused = transfer(rider.outbox.take_all(), carrier, &of_carrier);
    drop(of_carrier);
    drop(state);
    rider.route.reached(&rider.pair, &*shared.router);
    refused.into_iter().for_each(|undelivered| shared.router.undelivered(undelivered));
}

/// The stanzas of the rider do not go by the carrier's queue any more; those that wait there go back to its own.
pub(super) fn dismount(rider: &Arc<Link>, carrier: &Arc<Link>, shared: &Arc<Shared>) {
    let mut state = rider.lock();
    if !matches!(&state.phase, Phase::Riding { on } if Arc::ptr_eq(on, carrier)) {
        return;
    }
    carrier.lock().riders.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(rider)));
    state.phase = Phase::Idle;
    let waiting = carrier.outbox.take_if(|stanza| rider.pair.is_of(stanza));
    let refused = transfer(waiting, rider, &state);
    if state.persistent || !rider.outbox.is_empty() {
        rider.dial(&mut state, shared);
    }
    drop(state);
    refused.into_iter().for_each(|undelivered| shared.router.undelivered(undelivered));
}

/// Moves stanzas, in order, to the queue of a link in this state; gives those that it cannot take.
fn transfer(stanzas: Vec<Stanza>, to: &Link, state: &State) -> Vec<Undelivered> {
    let moved = stanzas.into_iter().map(|stanza| match state.is_too_large(&stanza) {
        true => Err(Undelivered::new(stanza, too_large())),
        false => to.outbox.push(stanza).map_err(|Full(stanza)| queue_is_full(*stanza)),
    });
    moved.filter_map(Result::err).collect()
}

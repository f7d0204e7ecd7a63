//! Whether what proved the peer of a stream still does, when other roots, revocation lists or pins are in force.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::federation::Shared;
use crate::negotiation::Established;

/// Tells all streams when other trust is in force.
#[derive(Default)]
pub(crate) struct TrustWatch(Mutex<CancellationToken>);

impl TrustWatch {
    /// By now certificates are judged by something else than before.
    pub(crate) fn replaced(&self) {
        let before = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        before.cancel();
    }

    /// Ends when the trust that is in force now is replaced. Each stream has its own: they share no lock while they wait.
    fn replacement(&self) -> WaitForCancellationFutureOwned {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).child_token().cancelled_owned()
    }
}

/// The proof of one stream.
pub(super) struct Proof {
    replaced: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whether the trust was replaced while the stream was negotiated.
    is_stale: bool,
}

impl Proof {
    pub(super) fn new(stream: &Established, shared: &Shared) -> Self {
        let replaced = Box::pin(shared.trust.replacement());
        Self { replaced, is_stale: !stream.is_judged_by_present_trust() }
    }

    /// Ready once each time that the peer is to be judged anew.
    pub(super) fn poll_stale(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<()> {
        if !std::mem::take(&mut self.is_stale) {
            ready!(self.replaced.as_mut().poll(cx));
            self.replaced = Box::pin(shared.trust.replacement());
        }
        Poll::Ready(())
    }
}

//! Whether what proved the peer of a stream still does, when it is judged by something else than before.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::identity::Concerned;
use crate::live_trust::LiveTrust;
use crate::negotiation::Established;

/// The proof of one stream.
pub(super) struct Proof {
    replaced: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How many changes the proof has stood.
    changes: u64,
    /// Whether it was looked at what has changed while the stream was negotiated.
    is_settled: bool,
}

impl Proof {
    pub(super) fn new(stream: &Established, trust: &LiveTrust) -> Self {
        Self { replaced: Box::pin(trust.replacement()), changes: stream.changes(), is_settled: false }
    }

    /// Ready once each time that something has changed, with whom it concerns.
    pub(super) fn poll_changes(&mut self, cx: &mut Context<'_>, trust: &LiveTrust) -> Poll<Concerned> {
        if std::mem::replace(&mut self.is_settled, true) {
            ready!(self.replaced.as_mut().poll(cx));
            self.replaced = Box::pin(trust.replacement());
        }
        let (count, concerned) = trust.verifier().changes_since(self.changes);
        self.changes = count;
        Poll::Ready(concerned)
    }
}

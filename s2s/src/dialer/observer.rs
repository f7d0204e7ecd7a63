//! A negotiation that is watched: how far it has come, what TLS has found, and how long the peer is silent.

use std::time::{Duration, Instant};

use convoke_xmpp::negotiation::{Input, Negotiator, Output, TlsInfo};

use super::report::{TlsReport, Verdict};
use crate::error::{NegotiationFailure, Stage};
use crate::negotiation::{Established, Initiating};

/// How far a negotiation has come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    pub(super) tls: Option<TlsReport>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { stage: Stage::Connection, tls: None }
    }
}

/// An outgoing negotiation that keeps its progress where it can be seen after a failure, and gives a peer that is silent
/// for too long up before the negotiation as a whole is too late.
pub(super) struct Observed<'a> {
    inner: Initiating,
    /// How long one answer of the peer may take.
    patience: Duration,
    heard: Instant,
    progress: &'a mut Progress,
}

impl<'a> Observed<'a> {
    pub(super) fn new(inner: Initiating, patience: Duration, now: Instant, progress: &'a mut Progress) -> Self {
        let mut observed = Self { inner, patience, heard: now, progress };
        observed.note_stage();
        observed
    }

    fn note_stage(&mut self) {
        self.progress.stage = self.inner.stage().unwrap_or(Stage::Established);
    }

    fn note_tls(&mut self, tls: &TlsInfo<'_>, failure: Option<&NegotiationFailure>) {
        let certificate = match (failure, self.inner.identity()) {
            (Some(NegotiationFailure::Identity(error)), _) => Verdict::Refused(error.clone()),
            (_, Some(identity)) => Verdict::Proved(identity.matched()),
            // TLS that nobody had asked for: there is no verdict.
            (_, None) => return,
        };
        let alpn = tls.alpn.map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        self.progress.tls = Some(TlsReport { version: tls.version, alpn, certificate });
    }
}

impl Negotiator for Observed<'_> {
    type Established = Established;
    type Error = NegotiationFailure;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NegotiationFailure> {
        let tls = match &input {
            Input::TlsEstablished(tls) => Some(*tls),
            Input::Timeout if now >= self.heard + self.patience => {
                return Err(NegotiationFailure::TimedOut { stage: self.progress.stage });
            }
            _ => None,
        };
        if !matches!(input, Input::Timeout) {
            self.heard = now;
        }
        let handled = self.inner.handle(now, input);
        if let Some(tls) = tls {
            self.note_tls(&tls, handled.as_ref().err());
        }
        if handled.is_ok() {
            self.note_stage();
        }
        handled
    }

    fn poll_output(&mut self) -> Option<Output<Established>> {
        self.inner.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout().map(|deadline| deadline.min(self.heard + self.patience))
    }
}

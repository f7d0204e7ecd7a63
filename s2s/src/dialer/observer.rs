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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use convoke_dev::CertificateAuthority;
    use convoke_xmpp::stream::{Features, StreamHeader};
    use convoke_xmpp::{Domainpart, StreamEvent};

    use super::*;
    use crate::identity::{IdentityVerifier, TrustAnchors};
    use crate::negotiation::InitiatingConfig;

    const SECOND: Duration = Duration::from_secs(1);

    fn initiating(now: Instant) -> Initiating {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let trust = TrustAnchors::from_pem(authority.certificate_pem()).unwrap();
        let name = |name| Domainpart::new(name).unwrap();
        let config = InitiatingConfig::new(name("a.example"), name("b.example"));
        Initiating::new(config, Arc::new(IdentityVerifier::new(trust, webpki::ALL_VERIFICATION_ALGS)), now)
    }

    #[test]
    fn a_peer_has_its_time_for_each_answer_and_no_more() {
        let (start, mut progress) = (Instant::now(), Progress::default());
        let mut observed = Observed::new(initiating(start), 10 * SECOND, start, &mut progress);
        assert_eq!(observed.poll_timeout(), Some(start + 10 * SECOND));
        let header = StreamHeader::server(None, None).with_id("1");
        let later = start + 9 * SECOND;
        observed.handle(later, Input::Stream(StreamEvent::Open(header))).unwrap();
        assert_eq!(observed.poll_timeout(), Some(later + 10 * SECOND));
        observed.handle(later + 9 * SECOND, Input::Timeout).unwrap();
        let error = observed.handle(later + 10 * SECOND, Input::Timeout).unwrap_err();
        assert_eq!(error, NegotiationFailure::TimedOut { stage: Stage::Opening });
    }

    #[test]
    fn a_peer_that_answers_in_time_again_and_again_still_meets_the_deadline_of_the_whole() {
        let (start, mut progress) = (Instant::now(), Progress::default());
        let mut observed = Observed::new(initiating(start), 20 * SECOND, start, &mut progress);
        let header = StreamHeader::server(None, None).with_id("1");
        observed.handle(start + 15 * SECOND, Input::Stream(StreamEvent::Open(header))).unwrap();
        assert_eq!(observed.poll_timeout(), Some(start + 30 * SECOND));
        assert!(observed.handle(start + 30 * SECOND, Input::Timeout).is_err());
    }

    #[test]
    fn the_stage_of_a_failure_can_be_seen_after_it() {
        let (start, mut progress) = (Instant::now(), Progress::default());
        let mut observed = Observed::new(initiating(start), 10 * SECOND, start, &mut progress);
        let header = StreamHeader::server(None, None).with_id("1");
        observed.handle(start, Input::Stream(StreamEvent::Open(header))).unwrap();
        observed.handle(start, Input::Stream(StreamEvent::Element(Features::element()))).unwrap();
        observed.handle(start, Input::Disconnected).unwrap_err();
        assert_eq!((progress.stage, progress.tls), (Stage::StartTls, None));
    }
}

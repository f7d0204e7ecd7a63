//! A peer without a certificate that counts, and its claim by dialback (XEP-0220).

use convoke_xmpp::stream::{Features, StreamHeader};
use convoke_xmpp::{Condition, Domainpart, Element, namespace};

use super::{Bidi, Claim, ExpectKey, ExpectSecuredHeader, Listening, Outcome, Received, State, Step, Wire, unexpected};
use crate::dialback::{self, Dialback, Subject};
use crate::error::Stage;
use crate::negotiation::evidence::Evidence;
use crate::negotiation::foreign_language;

impl ExpectSecuredHeader {
    /// Nothing but dialback is left, and all features are told at once: no further stream follows.
    pub(super) fn without_proof(
        self,
        (local, remote, id): (Domainpart, Domainpart, String),
        evidence: Evidence,
        header: &StreamHeader,
        role: &Listening,
        wire: &mut Wire,
    ) -> ExpectKey {
        let bidi = role.config.bidi.then(Features::bidi);
        let features = Features::element().child(Features::dialback()).with_children(bidi);
        wire.send(features.with_children(role.voluntary_features()));
        let Self { tls_version, resumed, .. } = self;
        let lang = foreign_language(header);
        ExpectKey { local, remote, id, evidence, bidi: None, tls_version, resumed, lang }
    }
}

impl ExpectKey {
    pub(super) fn element(mut self, element: &Element, role: &Listening, wire: &mut Wire) -> Outcome {
        if element.is("bidi", namespace::BIDI) && role.config.bidi {
            self.bidi = Some(Bidi { peer_max_bytes: Features::accepted_by(element) });
            return Ok(Step::Next(State::Key(self)));
        }
        match Dialback::from_element(element) {
            Some(question) if role.vouch(&question, wire) => Ok(Step::Next(State::Key(self))),
            Some(request) if request.subject == Subject::Result => self.requested(request, role, wire),
            _ => unexpected(Stage::Authentication, element),
        }
    }

    /// XEP-0220, section 2.2.1. A claim is for the domains of the stream; another one is none, and the stream goes on.
    fn requested(self, request: Dialback, role: &Listening, wire: &mut Wire) -> Outcome {
        let condition = match &request.content {
            dialback::Content::Key(_) if request.to != self.local => Condition::ItemNotFound,
            dialback::Content::Key(_) if request.from != self.remote => Condition::NotAuthorized,
            dialback::Content::Key(_) => return Ok(Step::Done(Received::Claimed(Box::new(self.claim(request, role))))),
            // An answer that nobody has asked for (section 3.1).
            _ => return Ok(Step::Next(State::Key(self))),
        };
        wire.send(request.answered(dialback::Content::failed(condition)).to_element());
        Ok(Step::Next(State::Key(self)))
    }

    fn claim(self, request: Dialback, role: &Listening) -> Claim {
        let Self { id, evidence, bidi, tls_version, resumed, lang, .. } = self;
        Claim {
            request,
            id,
            evidence,
            bidi: bidi.is_some(),
            peer_max_bytes: bidi.and_then(|bidi| bidi.peer_max_bytes),
            stream_management: role.config.stream_management,
            tls_version,
            resumed,
            lang,
        }
    }
}

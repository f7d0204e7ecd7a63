//! The exchanges of SASL, until one succeeds (RFC 6120, section 6.4).

use convoke_xmpp::stream::{Features, SaslFailure};
use convoke_xmpp::{Element, namespace};

use super::{
    Bidi, ExpectAuth, ExpectFinalHeader, ExpectResponse, Failures, Listening, Outcome, State, Step, Wire, unexpected,
};
use crate::dialback::Dialback;
use crate::error::{NegotiationFailure, Stage};
use crate::sasl;

impl ExpectAuth {
    pub(super) fn element(mut self, element: &Element, role: &Listening, wire: &mut Wire) -> Outcome {
        match (element.name(), element.namespace()) {
            ("bidi", namespace::BIDI) if role.config.bidi => {
                self.proved.bidi = Some(Bidi { peer_max_bytes: Features::accepted_by(element) });
                Ok(Step::Next(State::Auth(self)))
            }
            ("verify", namespace::DIALBACK) => match Dialback::from_element(element) {
                Some(question) if role.vouch(&question, wire) => Ok(Step::Next(State::Auth(self))),
                _ => unexpected(Stage::Authentication, element),
            },
            ("auth", namespace::SASL) => self.auth(element, role, wire),
            ("abort", namespace::SASL) => self.fail(SaslFailure::Aborted, role, wire),
            ("response", namespace::SASL) => self.fail(SaslFailure::MalformedRequest, role, wire),
            _ => unexpected(Stage::Authentication, element),
        }
    }

    fn auth(self, element: &Element, role: &Listening, wire: &mut Wire) -> Outcome {
        if element.attribute("mechanism") != Some(sasl::EXTERNAL) {
            return self.fail(SaslFailure::InvalidMechanism, role, wire);
        }
        match data(element) {
            Err(failure) => self.fail(failure, role, wire),
            Ok(Some(response)) => self.judge(&response, role, wire),
            Ok(None) => {
                wire.send(Element::new("challenge", namespace::SASL));
                Ok(Step::Next(State::Response(ExpectResponse { proved: self.proved, failures: self.failures })))
            }
        }
    }

    fn judge(self, response: &[u8], role: &Listening, wire: &mut Wire) -> Outcome {
        if let Err(failure) = sasl::authorise(response, self.proved.identity.domain()) {
            return self.fail(failure, role, wire);
        }
        wire.send(Element::new("success", namespace::SASL));
        wire.restart();
        Ok(Step::Next(State::FinalHeader(ExpectFinalHeader { proved: self.proved })))
    }

    fn fail(mut self, failure: SaslFailure, role: &Listening, wire: &mut Wire) -> Outcome {
        self.failures.add(failure, role, wire)?;
        Ok(Step::Next(State::Auth(self)))
    }
}

impl ExpectResponse {
    /// Whatever comes ends this exchange: an answer, an abort, or a new `<auth/>` (RFC 6120, section 6.4.2). Nothing
    /// that is not SASL has a place in it.
    pub(super) fn element(self, element: &Element, role: &Listening, wire: &mut Wire) -> Outcome {
        let next = ExpectAuth { proved: self.proved, failures: self.failures };
        if element.namespace() != namespace::SASL {
            return unexpected(Stage::Authentication, element);
        }
        if element.name() != "response" {
            return next.element(element, role, wire);
        }
        match data(element) {
            Err(failure) => next.fail(failure, role, wire),
            Ok(response) => next.judge(&response.unwrap_or_default(), role, wire),
        }
    }
}

fn data(element: &Element) -> Result<Option<Vec<u8>>, SaslFailure> {
    if element.children().next().is_some() {
        return Err(SaslFailure::MalformedRequest);
    }
    sasl::decode(&element.content())
}

impl Failures {
    /// Tells the peer, and gives up with it when it has failed too often.
    pub(super) fn add(
        &mut self,
        failure: SaslFailure,
        role: &Listening,
        wire: &mut Wire,
    ) -> Result<(), NegotiationFailure> {
        self.attempts += 1;
        self.last = Some(failure);
        wire.send(sasl::failure(failure));
        if self.attempts < role.config.attempts {
            return Ok(());
        }
        Err(NegotiationFailure::TooManyAttempts { attempts: self.attempts, last: failure })
    }
}

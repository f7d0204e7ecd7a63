//! The features within TLS, and what of them is chosen: SASL EXTERNAL, or dialback where that is left (RFC 6120, section 6.4).

use convoke_xmpp::stream::Features;
use convoke_xmpp::{Element, namespace};

use super::{
    Dialing, ExpectFinalHeader, ExpectSecuredFeatures, ExpectSuccess, Fallback, InitiatingConfig, Outcome, Secured,
    State, Step, Wire, unexpected,
};
use crate::dialback::Dialback;
use crate::error::{NegotiationFailure, Stage};
use crate::sasl;

/// How many mechanisms an error tells.
const TOLD_MECHANISMS: usize = 8;

impl ExpectSecuredFeatures {
    pub(super) fn features(self, features: Features, config: &InitiatingConfig, wire: &mut Wire) -> Outcome {
        let Self { mut secured, opened } = self;
        if let Some(request) = config.question.clone() {
            return Ok(Fallback { request, opened, features }.ask(secured, wire));
        }
        let has_external = features.mechanisms.iter().any(|mechanism| mechanism == sasl::EXTERNAL);
        let can_dialback = features.dialback || opened.dialback;
        let secret = config.secret.as_ref().filter(|_| can_dialback);
        if !has_external && secret.is_none() {
            return Err(without_external(features));
        }
        secured.request_bidi(&features, config, wire);
        let dialback = secret.map(|secret| {
            let key = secret.key(&config.remote, &config.local, &opened.id);
            Fallback { request: Dialback::request(config.local.clone(), config.remote.clone(), key), opened, features }
        });
        match dialback {
            Some(dialback) if !has_external => Ok(dialback.ask(secured, wire)),
            dialback => authenticate(secured, dialback, config, wire),
        }
    }
}

impl Secured {
    /// Asks for both directions, if they are offered: after TLS and before anything else (XEP-0288, section 2.2). There is
    /// no answer to it.
    fn request_bidi(&mut self, features: &Features, config: &InitiatingConfig, wire: &mut Wire) {
        self.bidi = config.bidi && features.bidi;
        if self.bidi {
            wire.send(Features::bidi_request(config.max_bytes));
        }
    }
}

fn authenticate(secured: Secured, dialback: Option<Fallback>, config: &InitiatingConfig, wire: &mut Wire) -> Outcome {
    let response = sasl::initial_response(config.authzid, &config.local).ok_or(NegotiationFailure::SaslEngine)?;
    wire.send(sasl::auth(&response));
    Ok(Step::Next(State::Success(ExpectSuccess { secured, dialback, response: Some(response) })))
}

/// Only a feature that is not known here, or mechanisms that are not, or nothing at all.
fn without_external(features: Features) -> NegotiationFailure {
    match features.unknown_required.into_iter().next() {
        Some((name, namespace)) if features.mechanisms.is_empty() => {
            NegotiationFailure::UnsupportedFeature { name, namespace }
        }
        _ => {
            let offered = features.mechanisms.into_iter().take(TOLD_MECHANISMS).collect();
            NegotiationFailure::MechanismsLacking { offered }
        }
    }
}

impl ExpectSuccess {
    pub(super) fn element(self, element: &Element, role: &Dialing, wire: &mut Wire) -> Outcome {
        match (element.name(), element.namespace()) {
            ("success", namespace::SASL) => {
                wire.restart();
                wire.open(role.header());
                Ok(Step::Next(State::FinalHeader(ExpectFinalHeader { secured: self.secured })))
            }
            ("failure", namespace::SASL) => {
                if let Some(dialback) = self.dialback {
                    return Ok(dialback.ask(self.secured, wire));
                }
                // There is no other mechanism to try (RFC 6120, section 6.4.5).
                wire.close();
                let (failure, text) = (sasl::failure_condition(element), sasl::failure_text(element));
                Err(NegotiationFailure::Sasl { failure, text })
            }
            ("challenge", namespace::SASL) => self.challenge(element, wire),
            _ => unexpected(Stage::Authentication, element),
        }
    }

    /// A peer that takes no initial response asks for it (RFC 6120, section 6.4.3).
    fn challenge(mut self, element: &Element, wire: &mut Wire) -> Outcome {
        let Some(response) = self.response.take() else { return unexpected(Stage::Authentication, element) };
        wire.send(Element::new("response", namespace::SASL).text(response));
        Ok(Step::Next(State::Success(self)))
    }
}

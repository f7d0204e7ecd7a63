//! Questions of dialback in place of a certificate that counts, and their answers (XEP-0220).

use convoke_xmpp::Element;
use convoke_xmpp::stream::Features;

use super::{ExpectVerdict, InitiatingConfig, Opened, Outcome, Secured, State, Step, Wire, established, unexpected};
use crate::dialback::{Content, Dialback};
use crate::error::{NegotiationFailure, Stage};
use crate::negotiation::Established;

/// A way that needs no certificate, and what is known of the stream for it.
pub(super) struct Fallback {
    pub(super) request: Dialback,
    pub(super) opened: Opened,
    pub(super) features: Features,
}

impl Fallback {
    pub(super) fn ask(self, secured: Secured, wire: &mut Wire) -> Step<State> {
        let Self { request: question, opened, features } = self;
        wire.send(question.to_element());
        Step::Next(State::Verdict(ExpectVerdict { secured, opened, features, question }))
    }
}

impl ExpectVerdict {
    /// XEP-0220, sections 2.1.1 and 2.1.2; the stream goes on without a restart.
    pub(super) fn element(self, element: &Element, config: &InitiatingConfig, wire: &mut Wire) -> Outcome {
        let Some(answer) = Dialback::from_element(element).filter(|answer| answer.answers(&self.question)) else {
            return unexpected(Stage::Authentication, element);
        };
        let condition = match answer.content {
            Content::Valid => return Ok(Step::Done(self.established(config))),
            Content::Failed(error) => Some(error.condition),
            Content::Invalid | Content::Key(_) => None,
        };
        wire.close();
        Err(NegotiationFailure::Dialback { condition })
    }

    fn established(self, config: &InitiatingConfig) -> Established {
        let Self { secured, opened, features, question } = self;
        let established = established(secured, opened, &features, config);
        Established { vouched: config.question.is_some().then_some(question), ..established }
    }
}

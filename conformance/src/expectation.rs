//! What a server may answer, and what a case wants of it.

use std::fmt;

use convoke_xmpp::stream::{SaslFailure, StreamCondition, StreamError};
use convoke_xmpp::xml::ReadError;
use convoke_xmpp::{Element, Stanza, namespace};

use crate::verdict::{Judgement, failed, tolerated};
use crate::wire::Ending;

/// What a server answered, headers apart.
#[derive(Debug)]
pub(crate) enum Answer {
    Features(Element),
    Error(StreamError),
    Sasl(Element),
    StartTlsFailure,
    Proceed,
    Success,
    Challenge,
    Stanza(Box<Stanza>),
    /// Any other element.
    Other(Element),
    /// The end tag of the stream, without an error before it.
    Closed,
    Malformed(ReadError),
    Ended(Ending),
    Silence,
}

/// A kind of answer that a case wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    AnyError,
    Error(StreamCondition),
    AnySasl,
    Sasl(SaslFailure),
    StartTlsFailure,
    Features,
    Success,
    Challenge,
    /// The end tag of the stream, without an error before it.
    Closed,
    /// The end of the connection, however.
    Ended,
}

/// Every way to refuse a peer.
pub(crate) const REFUSAL: &[Wanted] =
    &[Wanted::AnyError, Wanted::AnySasl, Wanted::StartTlsFailure, Wanted::Closed, Wanted::Ended];

impl Answer {
    /// An element that is no stanza.
    pub(crate) fn of(element: Element) -> Self {
        match (element.name(), element.namespace()) {
            ("features", namespace::STREAM) => Self::Features(element),
            ("failure", namespace::SASL) => Self::Sasl(element),
            ("success", namespace::SASL) => Self::Success,
            ("challenge", namespace::SASL) => Self::Challenge,
            ("failure", namespace::TLS) => Self::StartTlsFailure,
            ("proceed", namespace::TLS) => Self::Proceed,
            _ => StreamError::from_element(&element).map_or(Self::Other(element), Self::Error),
        }
    }

    /// Judges the answer: it has to be one of `want`, and should be one of `prefer`, if there are any.
    pub(crate) fn judge(&self, want: &[Wanted], prefer: &[Wanted]) -> Judgement {
        if !self.is_any(want) {
            return failed(format!("{self}; wanted: {}", listed(want)));
        }
        if !prefer.is_empty() && !self.is_any(prefer) {
            return tolerated(format!("{self}; recommended: {}", listed(prefer)));
        }
        Ok(self.to_string())
    }

    /// Whether the answer is of one of these kinds.
    pub(crate) fn is_any(&self, wanted: &[Wanted]) -> bool {
        wanted.iter().any(|wanted| self.is(*wanted))
    }

    fn is(&self, wanted: Wanted) -> bool {
        match (wanted, self) {
            (Wanted::AnyError, Self::Error(_))
            | (Wanted::AnySasl, Self::Sasl(_))
            | (Wanted::StartTlsFailure, Self::StartTlsFailure)
            | (Wanted::Features, Self::Features(_))
            | (Wanted::Success, Self::Success)
            | (Wanted::Challenge, Self::Challenge)
            | (Wanted::Closed, Self::Closed)
            | (Wanted::Ended, Self::Ended(_)) => true,
            (Wanted::Error(condition), Self::Error(error)) => error.condition == condition,
            (Wanted::Sasl(condition), Self::Sasl(failure)) => {
                failure.find(condition.as_str(), namespace::SASL).is_some()
            }
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Features(features) => match features.children().next() {
                None => f.write_str("empty features"),
                Some(_) => {
                    let names: Vec<_> = features.children().map(Element::name).collect();
                    write!(f, "features ({})", names.join(", "))
                }
            },
            Self::Error(error) => write!(f, "{error}"),
            Self::Sasl(failure) => {
                let names: Vec<_> = failure.children().map(Element::name).filter(|name| *name != "text").collect();
                write!(f, "SASL failure {}", names.join(", "))
            }
            Self::StartTlsFailure => f.write_str("a STARTTLS failure"),
            Self::Proceed => f.write_str("proceed"),
            Self::Success => f.write_str("SASL success"),
            Self::Challenge => f.write_str("a SASL challenge"),
            Self::Stanza(stanza) => write!(f, "a stanza ({})", stanza.text()),
            Self::Other(element) => write!(f, "<{} xmlns='{}'>", element.name(), element.namespace()),
            Self::Closed => f.write_str("the end of the stream, without an error"),
            Self::Malformed(error) => write!(f, "something that is no stream ({error})"),
            Self::Ended(ending) => write!(f, "{ending}, without a word"),
            Self::Silence => f.write_str("nothing in time"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyError => f.write_str("a stream error"),
            Self::Error(condition) => write!(f, "stream error {condition}"),
            Self::AnySasl => f.write_str("a SASL failure"),
            Self::Sasl(condition) => write!(f, "SASL failure {condition}"),
            Self::StartTlsFailure => f.write_str("a STARTTLS failure"),
            Self::Features => f.write_str("features"),
            Self::Success => f.write_str("SASL success"),
            Self::Challenge => f.write_str("a SASL challenge"),
            Self::Closed => f.write_str("the end of the stream"),
            Self::Ended => f.write_str("the end of the connection"),
        }
    }
}

fn listed(wanted: &[Wanted]) -> String {
    wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Finding;

    fn error(condition: StreamCondition) -> Answer {
        Answer::of(StreamError::new(condition).to_element())
    }

    #[test]
    fn an_answer_is_wanted_tolerated_or_wrong() {
        let want = &[Wanted::AnyError][..];
        let prefer = &[Wanted::Error(StreamCondition::RestrictedXml)][..];
        assert!(error(StreamCondition::RestrictedXml).judge(want, prefer).is_ok());
        let other = error(StreamCondition::BadFormat).judge(want, prefer).unwrap_err();
        assert!(matches!(other, Finding::Tolerated(_)), "{other:?}");
        let closed = Answer::Ended(Ending::Closed).judge(want, prefer).unwrap_err();
        assert!(matches!(&closed, Finding::Failed(why) if why.contains("without a word; wanted: a stream error")));
    }

    #[test]
    fn a_sasl_failure_is_known_by_its_condition() {
        let failure = Element::parse("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/></failure>").unwrap();
        let answer = Answer::of(failure);
        assert!(answer.is_any(&[Wanted::Sasl(SaslFailure::Aborted)]));
        assert!(!answer.is_any(&[Wanted::Sasl(SaslFailure::NotAuthorized), Wanted::AnyError]));
        assert!(answer.is_any(REFUSAL));
        assert_eq!(answer.to_string(), "SASL failure aborted");
    }
}

//! Why a request is answered with an error, and with which.

use convoke_xmpp::{Condition, Element, ErrorType, StanzaError, namespace};
use thiserror::Error;

use super::feature::Feature;
use crate::broker::Refusal;

/// Why a request is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    #[error("this payload is not served here")]
    NotServed,
    #[error("too many answers and notifications wait to be handed on")]
    Busy,
    #[error("the request names no node")]
    NodeIdRequired,
    #[error("the name is no resourcepart of at most 1023 bytes")]
    UnacceptableName,
    #[error("the request names no address")]
    JidRequired,
    #[error("the address is malformed")]
    InvalidJid,
    #[error("the request holds no item, or no item id")]
    ItemRequired,
    #[error("the item holds no payload")]
    PayloadRequired,
    #[error("the item holds more than one payload element")]
    InvalidPayload,
    #[error("the access model is not supported")]
    UnsupportedAccessModel,
    #[error("{} is not supported", .0.as_str())]
    Unsupported(Feature),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<RequestError> for StanzaError {
    fn from(error: RequestError) -> Self {
        let stanza_error = match error {
            RequestError::Malformed(_) => Condition::BadRequest.into(),
            RequestError::NotServed => Condition::ServiceUnavailable.into(),
            RequestError::Busy => Condition::ResourceConstraint.into(),
            RequestError::NodeIdRequired => specific(Condition::BadRequest, "nodeid-required"),
            RequestError::UnacceptableName => Condition::NotAcceptable.into(),
            RequestError::JidRequired => specific(Condition::BadRequest, "jid-required"),
            RequestError::InvalidJid => specific(Condition::BadRequest, "invalid-jid"),
            RequestError::ItemRequired => specific(Condition::BadRequest, "item-required"),
            RequestError::PayloadRequired => specific(Condition::BadRequest, "payload-required"),
            RequestError::InvalidPayload => specific(Condition::BadRequest, "invalid-payload"),
            RequestError::UnsupportedAccessModel => specific(Condition::NotAcceptable, "unsupported-access-model"),
            RequestError::Unsupported(feature) => unsupported(feature),
            RequestError::Refused(refusal) => return refused(refusal),
        };
        match error {
            RequestError::Malformed(text) => stanza_error.with_text(text),
            _ => stanza_error,
        }
    }
}

fn refused(refusal: Refusal) -> StanzaError {
    match refusal {
        Refusal::Forbidden => Condition::Forbidden.into(),
        Refusal::NoSuchNode | Refusal::NoSuchItem => Condition::ItemNotFound.into(),
        Refusal::NodeExists => Condition::Conflict.into(),
        Refusal::TooManyNodes => specific(Condition::ResourceConstraint, "max-nodes-exceeded"),
        // XEP-0060 gives these two another type than RFC 6120 does (sections 6.1.3.9 and 6.2.3.2).
        Refusal::TooManySubscriptions => {
            specific(Condition::PolicyViolation, "too-many-subscriptions").with_type(ErrorType::Wait)
        }
        Refusal::NotSubscribed => specific(Condition::UnexpectedRequest, "not-subscribed").with_type(ErrorType::Cancel),
        Refusal::TooManyAffiliations => Condition::PolicyViolation.into(),
        Refusal::JidMismatch => specific(Condition::BadRequest, "invalid-jid"),
        Refusal::PayloadTooBig => specific(Condition::NotAcceptable, "payload-too-big"),
        Refusal::NodeFull | Refusal::PublisherFull | Refusal::StorageFull => Condition::ResourceConstraint.into(),
        Refusal::LastOwner => Condition::NotAcceptable.into(),
        Refusal::NoRandomness => Condition::InternalServerError.into(),
    }
}

/// With a condition of publish-subscribe beside the general one.
fn specific(condition: Condition, name: &'static str) -> StanzaError {
    StanzaError::new(condition).with_application(Element::new(name, namespace::PUBSUB_ERRORS))
}

fn unsupported(feature: Feature) -> StanzaError {
    let application = Element::new("unsupported", namespace::PUBSUB_ERRORS).attr("feature", feature.as_str());
    StanzaError::new(Condition::FeatureNotImplemented).with_application(application)
}

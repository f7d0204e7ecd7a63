//! Why a request is answered with an error, and with which.

use convoke_xmpp::{Condition, Element, ErrorType, StanzaError, namespace};
use thiserror::Error;

use super::command::COMMANDS;
use super::feature::Feature;
use crate::broker::Refusal;

/// Why a request is answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    #[error("this payload is not served here")]
    NotServed,
    #[error("there is no such command")]
    NoSuchCommand,
    #[error("the command has no such action")]
    BadAction,
    #[error("the form of the command does not say what it must")]
    BadPayload,
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
    #[error("the request holds no item id")]
    ItemRequired,
    #[error("the item holds more than one payload element")]
    InvalidPayload,
    #[error("the request holds no form of subscription options")]
    InvalidOptions,
    #[error("{} is not supported", .0.as_str())]
    Unsupported(Feature),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<RequestError> for StanzaError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Malformed(text) => StanzaError::from(Condition::BadRequest).with_text(text),
            RequestError::NotServed => Condition::ServiceUnavailable.into(),
            RequestError::NoSuchCommand => Condition::ItemNotFound.into(),
            RequestError::BadAction => of_command("bad-action"),
            RequestError::BadPayload => of_command("bad-payload"),
            RequestError::Busy => Condition::ResourceConstraint.into(),
            RequestError::NodeIdRequired => specific(Condition::BadRequest, "nodeid-required"),
            RequestError::UnacceptableName => Condition::NotAcceptable.into(),
            RequestError::JidRequired => specific(Condition::BadRequest, "jid-required"),
            RequestError::InvalidJid => specific(Condition::BadRequest, "invalid-jid"),
            RequestError::ItemRequired => specific(Condition::BadRequest, "item-required"),
            RequestError::InvalidPayload => specific(Condition::BadRequest, "invalid-payload"),
            RequestError::InvalidOptions => specific(Condition::BadRequest, "invalid-options"),
            RequestError::Unsupported(feature) => unsupported(feature),
            RequestError::Refused(refusal) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> StanzaError {
    match refusal {
        Refusal::Forbidden => Condition::Forbidden.into(),
        // XEP-0060 gives some conditions another type than RFC 6120 does (here sections 6.1.3.11, 8.7.3.3, 6.1.3.9,
        // 6.2.3.2 and 6.3.4.2).
        Refusal::Moved { uri } => StanzaError::from(Condition::Gone).with_type(ErrorType::Modify).with_alternate(uri),
        Refusal::NoApprover => StanzaError::from(Condition::Forbidden).with_type(ErrorType::Cancel),
        Refusal::TooManySubscriptions => {
            specific(Condition::PolicyViolation, "too-many-subscriptions").with_type(ErrorType::Wait)
        }
        Refusal::NotSubscribed => specific(Condition::UnexpectedRequest, "not-subscribed").with_type(ErrorType::Cancel),
        Refusal::NoSuchSubscriber => {
            specific(Condition::UnexpectedRequest, "not-subscribed").with_type(ErrorType::Modify)
        }
        Refusal::SubIdRequired => specific(Condition::BadRequest, "subid-required"),
        Refusal::InvalidSubId => specific(Condition::NotAcceptable, "invalid-subid"),
        Refusal::PresenceSubscriptionRequired => specific(Condition::NotAuthorized, "presence-subscription-required"),
        Refusal::NotInRosterGroup => specific(Condition::NotAuthorized, "not-in-roster-group"),
        Refusal::ClosedNode => specific(Condition::NotAllowed, "closed-node"),
        Refusal::SubscriptionRequired => specific(Condition::NotAuthorized, "not-subscribed"),
        Refusal::SubscriptionPending => specific(Condition::NotAuthorized, "pending-subscription"),
        Refusal::SubscribingDisabled => unsupported(Feature::Subscribe),
        Refusal::NoSuchNode | Refusal::NoSuchItem => Condition::ItemNotFound.into(),
        Refusal::CreationUnsupported => unsupported(Feature::CreateNodes),
        Refusal::NodeIdRequired => specific(Condition::NotAcceptable, "nodeid-required"),
        Refusal::NodeExists => Condition::Conflict.into(),
        Refusal::TooManyNodes => specific(Condition::ResourceConstraint, "max-nodes-exceeded"),
        Refusal::JidMismatch => specific(Condition::BadRequest, "invalid-jid"),
        Refusal::InvalidOptions | Refusal::UnknownPublishOption => specific(Condition::BadRequest, "invalid-options"),
        Refusal::InvalidConfiguration => Condition::NotAcceptable.into(),
        Refusal::UnsupportedAccessModel => specific(Condition::NotAcceptable, "unsupported-access-model"),
        Refusal::Collections => unsupported(Feature::Collections),
        Refusal::PreconditionNotMet => specific(Condition::Conflict, "precondition-not-met"),
        Refusal::ItemRequired => specific(Condition::BadRequest, "item-required"),
        Refusal::ItemForbidden => specific(Condition::BadRequest, "item-forbidden"),
        Refusal::PayloadRequired => specific(Condition::BadRequest, "payload-required"),
        Refusal::InvalidPayload => specific(Condition::BadRequest, "invalid-payload"),
        Refusal::PayloadTooBig => specific(Condition::NotAcceptable, "payload-too-big"),
        Refusal::NodeFull => specific(Condition::Conflict, "node-full"),
        Refusal::ItemsNotPersistent => unsupported(Feature::PersistentItems),
        Refusal::NodeStorageFull | Refusal::PublisherFull | Refusal::StorageFull => {
            Condition::ResourceConstraint.into()
        }
        Refusal::NoRandomness => Condition::InternalServerError.into(),
    }
}

/// With a condition of publish-subscribe beside the general one.
fn specific(condition: Condition, name: &'static str) -> StanzaError {
    StanzaError::new(condition).with_application(Element::new(name, namespace::PUBSUB_ERRORS))
}

/// With a condition of ad-hoc commands beside the general one (XEP-0050, section 4.3).
fn of_command(name: &'static str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_application(Element::new(name, COMMANDS))
}

fn unsupported(feature: Feature) -> StanzaError {
    let application = Element::new("unsupported", namespace::PUBSUB_ERRORS).attr("feature", feature.as_str());
    StanzaError::new(Condition::FeatureNotImplemented).with_application(application)
}

//! The two maps between stanza errors and HTTP statuses.
//!
//! From a stanza error to a status there is no standard (XEP-0086 is deprecated, and its 302 and 407 mislead HTTP
//! clients). 401 is never produced: it speaks of the HTTP credential, and a stanza error does not. Neither is 405,
//! which obliges to an `Allow` header.
//!
//! From a status to a stanza error the map follows the practice of the servers in use, with three corrections: 503 with
//! `Retry-After` says wait, a refusal of the gateway's own credential is no fault of the XMPP sender, and a redirect is
//! reported rather than followed.

use axum::http::StatusCode;
use convoke_xmpp::{Condition, ErrorType, StanzaError};

/// The HTTP status that reports a stanza error to a REST client.
///
/// The type of the error decides where the condition alone does not: a shortage is 429 when waiting helps and 413 when
/// the request has to change.
pub fn status_of(error: &StanzaError) -> StatusCode {
    match (error.condition, error.error_type) {
        (Condition::ResourceConstraint | Condition::PolicyViolation, ErrorType::Wait) => StatusCode::TOO_MANY_REQUESTS,
        (Condition::ResourceConstraint, ErrorType::Modify) => StatusCode::PAYLOAD_TOO_LARGE,
        (condition, _) => status_of_condition(condition),
    }
}

/// One arm for every condition of RFC 6120 (section 8.3.3): the compiler sees to it that none is missing.
fn status_of_condition(condition: Condition) -> StatusCode {
    match condition {
        Condition::BadRequest | Condition::JidMalformed => StatusCode::BAD_REQUEST,
        Condition::NotAuthorized
        | Condition::Forbidden
        | Condition::RegistrationRequired
        | Condition::SubscriptionRequired
        | Condition::NotAllowed
        | Condition::PolicyViolation
        | Condition::ResourceConstraint => StatusCode::FORBIDDEN,
        Condition::ItemNotFound => StatusCode::NOT_FOUND,
        Condition::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Condition::Conflict | Condition::UnexpectedRequest => StatusCode::CONFLICT,
        Condition::Gone => StatusCode::GONE,
        Condition::RecipientUnavailable | Condition::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Condition::FeatureNotImplemented => StatusCode::NOT_IMPLEMENTED,
        Condition::RemoteServerNotFound
        | Condition::InternalServerError
        | Condition::UndefinedCondition
        | Condition::Redirect => StatusCode::BAD_GATEWAY,
        Condition::RemoteServerTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What an HTTP answer says besides its status, as far as it decides about the stanza error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// There is a `Retry-After` header (RFC 9110, section 10.2.3).
    pub retry_after: bool,
    /// There is a `WWW-Authenticate` header (RFC 9110, section 11.6.1): the refusal is about the credential.
    pub challenge: bool,
}

/// The stanza error that reports an unsuccessful HTTP answer to an XMPP sender.
///
/// An XMPP sender has no HTTP credential of its own: the gateway signs every request. So 401, and 403 with a
/// challenge, say that the service refused the gateway, and the sender learns of an internal error that may pass.
pub fn stanza_error_of(status: StatusCode, hints: Hints) -> StanzaError {
    let (condition, error_type) = match status.as_u16() {
        401 | 407 | 511 => (Condition::InternalServerError, ErrorType::Wait),
        403 if hints.challenge => (Condition::InternalServerError, ErrorType::Wait),
        503 if hints.retry_after => (Condition::ServiceUnavailable, ErrorType::Wait),
        code => in_table(code).unwrap_or_else(|| by_class(code)),
    };
    StanzaError::new(condition).with_type(error_type)
}

const TO_STANZA_ERROR: &[(u16, Condition, ErrorType)] = &[
    (400, Condition::BadRequest, ErrorType::Modify),
    (402, Condition::NotAllowed, ErrorType::Auth),
    (403, Condition::Forbidden, ErrorType::Auth),
    (404, Condition::ItemNotFound, ErrorType::Cancel),
    (405, Condition::NotAllowed, ErrorType::Cancel),
    (406, Condition::NotAcceptable, ErrorType::Modify),
    (408, Condition::RemoteServerTimeout, ErrorType::Wait),
    (409, Condition::Conflict, ErrorType::Cancel),
    (410, Condition::Gone, ErrorType::Cancel),
    (412, Condition::Conflict, ErrorType::Cancel),
    (413, Condition::ResourceConstraint, ErrorType::Modify),
    (414, Condition::ResourceConstraint, ErrorType::Modify),
    (415, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (422, Condition::BadRequest, ErrorType::Modify),
    (423, Condition::ResourceConstraint, ErrorType::Wait),
    (425, Condition::UnexpectedRequest, ErrorType::Wait),
    (428, Condition::UnexpectedRequest, ErrorType::Modify),
    (429, Condition::ResourceConstraint, ErrorType::Wait),
    (431, Condition::ResourceConstraint, ErrorType::Modify),
    (451, Condition::Forbidden, ErrorType::Auth),
    (500, Condition::InternalServerError, ErrorType::Wait),
    (501, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (502, Condition::RemoteServerTimeout, ErrorType::Wait),
    (503, Condition::ServiceUnavailable, ErrorType::Cancel),
    (504, Condition::RemoteServerTimeout, ErrorType::Wait),
    (507, Condition::ResourceConstraint, ErrorType::Wait),
];

fn in_table(code: u16) -> Option<(Condition, ErrorType)> {
    TO_STANZA_ERROR.iter().find(|(status, ..)| *status == code).map(|(_, condition, kind)| (*condition, *kind))
}

/// RFC 9110, section 15: a status that is not known is treated as the first of its class.
fn by_class(code: u16) -> (Condition, ErrorType) {
    match code / 100 {
        3 => (Condition::Redirect, ErrorType::Cancel),
        4 => (Condition::BadRequest, ErrorType::Modify),
        5 => (Condition::InternalServerError, ErrorType::Wait),
        _ => (Condition::UndefinedCondition, ErrorType::Cancel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR_TYPES: [ErrorType; 5] =
        [ErrorType::Auth, ErrorType::Cancel, ErrorType::Continue, ErrorType::Modify, ErrorType::Wait];

    #[test]
    fn every_condition_has_the_status_of_the_table() {
        let expected = [
            ("bad-request", 400),
            ("conflict", 409),
            ("feature-not-implemented", 501),
            ("forbidden", 403),
            ("gone", 410),
            ("internal-server-error", 502),
            ("item-not-found", 404),
            ("jid-malformed", 400),
            ("not-acceptable", 406),
            ("not-allowed", 403),
            ("not-authorized", 403),
            ("policy-violation", 403),
            ("recipient-unavailable", 503),
            ("redirect", 502),
            ("registration-required", 403),
            ("remote-server-not-found", 502),
            ("remote-server-timeout", 504),
            ("resource-constraint", 429),
            ("service-unavailable", 503),
            ("subscription-required", 403),
            ("undefined-condition", 502),
            ("unexpected-request", 409),
        ];
        let mapped: Vec<_> =
            Condition::ALL.iter().map(|&c| (c.as_str(), status_of(&StanzaError::new(c)).as_u16())).collect();
        assert_eq!(mapped, expected);
    }

    #[test]
    fn no_stanza_error_becomes_a_success_or_a_status_that_needs_another_header() {
        for &condition in Condition::ALL {
            for error_type in ERROR_TYPES {
                let status = status_of(&StanzaError::new(condition).with_type(error_type));
                assert!(status.is_client_error() || status.is_server_error(), "{condition:?} {error_type:?}");
                assert!(!matches!(status.as_u16(), 401 | 405 | 407), "{condition:?} {error_type:?}");
            }
        }
    }

    #[test]
    fn a_shortage_tells_apart_waiting_and_changing() {
        let status = |kind| status_of(&StanzaError::new(Condition::ResourceConstraint).with_type(kind)).as_u16();
        assert_eq!((status(ErrorType::Wait), status(ErrorType::Modify), status(ErrorType::Cancel)), (429, 413, 403));
    }

    #[test]
    fn every_http_status_becomes_an_error_of_its_class() {
        for code in 100..=999 {
            let error = stanza_error_of(StatusCode::from_u16(code).unwrap(), Hints::default());
            match code / 100 {
                3 => assert_eq!(error.condition, Condition::Redirect, "{code}"),
                4 => assert_ne!(error.condition, Condition::UndefinedCondition, "{code}"),
                5 if code == 501 || code == 503 => assert_eq!(error.error_type, ErrorType::Cancel, "{code}"),
                5 => assert_eq!(error.error_type, ErrorType::Wait, "{code}"),
                _ => assert_eq!(error.condition, Condition::UndefinedCondition, "{code}"),
            }
        }
    }

    #[test]
    fn a_service_that_names_a_time_to_wait_makes_the_sender_wait() {
        let unavailable =
            |retry_after| stanza_error_of(StatusCode::SERVICE_UNAVAILABLE, Hints { retry_after, challenge: false });
        assert_eq!(unavailable(true).error_type, ErrorType::Wait);
        assert_eq!(unavailable(false).error_type, ErrorType::Cancel);
        assert_eq!(unavailable(true).condition, Condition::ServiceUnavailable);
    }

    #[test]
    fn a_refusal_of_the_gateway_is_not_the_fault_of_the_sender() {
        let error = |code, challenge| {
            stanza_error_of(StatusCode::from_u16(code).unwrap(), Hints { challenge, retry_after: false })
        };
        for refused in [error(401, true), error(401, false), error(403, true), error(407, true)] {
            assert_eq!(refused.condition, Condition::InternalServerError);
            assert_eq!(refused.error_type, ErrorType::Wait);
        }
        assert_eq!(error(403, false).condition, Condition::Forbidden);
    }

    #[test]
    fn what_one_map_says_the_other_one_understands() {
        for (code, condition) in [(400, "bad-request"), (404, "item-not-found"), (409, "conflict"), (410, "gone")] {
            let error = stanza_error_of(StatusCode::from_u16(code).unwrap(), Hints::default());
            assert_eq!(error.condition.as_str(), condition);
            assert_eq!(status_of(&error).as_u16(), code);
        }
    }
}

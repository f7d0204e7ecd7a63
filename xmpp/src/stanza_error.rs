//! Stanza errors (RFC 6120, section 8.3).

use thiserror::Error;

use crate::namespace;
use crate::xml::Element;

/// What the sender may do about an error (RFC 6120, section 8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// It was only a warning: proceed.
    Continue,
    /// Retry after changing the data that was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The value of the attribute `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Auth, Self::Cancel, Self::Continue, Self::Modify, Self::Wait].into_iter().find(|t| t.as_str() == text)
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $kind:ident;)*) => {
        /// The defined conditions, in the order of RFC 6120, section 8.3.3.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Condition { $($(#[$doc])* $variant,)* }

        impl Condition {
            /// All conditions, in the order of the standard.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the element.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The type that the standard associates with the condition.
            pub fn default_type(self) -> ErrorType {
                match self { $(Self::$variant => ErrorType::$kind,)* }
            }
        }
    };
}

conditions! {
    /// The stanza does not conform to its schema or to the rules of its kind.
    BadRequest = "bad-request", Modify;
    /// Something of that name or address exists already.
    Conflict = "conflict", Cancel;
    /// The feature is not implemented.
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// The sender lacks the permission.
    Forbidden = "forbidden", Auth;
    /// The recipient is no longer at this address.
    Gone = "gone", Cancel;
    /// The server failed.
    InternalServerError = "internal-server-error", Cancel;
    /// The addressed thing does not exist.
    ItemNotFound = "item-not-found", Cancel;
    /// An address is malformed.
    JidMalformed = "jid-malformed", Modify;
    /// The recipient understands it and refuses it by its criteria.
    NotAcceptable = "not-acceptable", Modify;
    /// The action is allowed to nobody.
    NotAllowed = "not-allowed", Cancel;
    /// The sender must prove who it is first.
    NotAuthorized = "not-authorized", Auth;
    /// A policy is violated.
    PolicyViolation = "policy-violation", Modify;
    /// The recipient is there but cannot be reached at the moment.
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// Ask somewhere else.
    Redirect = "redirect", Modify;
    /// Register first.
    RegistrationRequired = "registration-required", Auth;
    /// The remote server does not exist or cannot be resolved.
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// The remote server was resolved, but no stream to it could be negotiated in time.
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// There is not enough of something to serve the request.
    ResourceConstraint = "resource-constraint", Wait;
    /// The service is not provided.
    ServiceUnavailable = "service-unavailable", Cancel;
    /// Subscribe first.
    SubscriptionRequired = "subscription-required", Auth;
    /// None of the others.
    UndefinedCondition = "undefined-condition", Cancel;
    /// The request came out of turn.
    UnexpectedRequest = "unexpected-request", Wait;
}

impl Condition {
    /// The condition of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|condition| condition.as_str() == name)
    }
}

/// A stanza error: type, condition, and what the application adds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} ({}){}", condition.as_str(), error_type.as_str(), text.as_ref().map(|t| format!(": {t}")).unwrap_or_default())]
pub struct StanzaError {
    /// What the sender may do about it.
    pub error_type: ErrorType,
    /// What is wrong.
    pub condition: Condition,
    /// Where to turn to instead, as a URI: what `gone` and `redirect` say besides (RFC 6120, sections 8.3.3.5 and 8.3.3.14).
    pub alternate: Option<String>,
    /// A description for people; never parsed.
    pub text: Option<String>,
    /// The application-specific condition (RFC 6120, section 8.3.2), if any.
    pub application: Option<Box<Element>>,
}

impl StanzaError {
    /// An error of the type that the standard associates with the condition.
    pub fn new(condition: Condition) -> Self {
        Self { error_type: condition.default_type(), condition, alternate: None, text: None, application: None }
    }

    /// With another type.
    pub fn with_type(mut self, error_type: ErrorType) -> Self {
        self.error_type = error_type;
        self
    }

    /// With a URI to turn to instead, for `gone` and `redirect`.
    pub fn with_alternate(mut self, uri: impl Into<String>) -> Self {
        self.alternate = Some(uri.into());
        self
    }

    /// With a description for people.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition.
    pub fn with_application(mut self, application: Element) -> Self {
        self.application = Some(Box::new(application));
        self
    }

    /// The `error` element.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), namespace::STANZA_ERRORS);
        if let Some(uri) = &self.alternate {
            condition = condition.text(uri.clone());
        }
        let mut error =
            Element::new("error", namespace::CLIENT).attr("type", self.error_type.as_str()).child(condition);
        if let Some(text) = &self.text {
            error.push(Element::new("text", namespace::STANZA_ERRORS).text(text.clone()));
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }

    /// Reads an `error` element; what is unknown becomes `undefined-condition` (RFC 6120, section 8.3.3).
    pub fn from_element(element: &Element) -> Self {
        let is_text = |e: &&Element| e.is("text", namespace::STANZA_ERRORS);
        let mut defined = element.children().filter(|e| e.namespace() == namespace::STANZA_ERRORS);
        let found = defined.find_map(|e| Some((Condition::parse(e.name())?, alternate(e))));
        let (condition, alternate) = found.unwrap_or((Condition::UndefinedCondition, None));
        let application = element.children().find(|e| e.namespace() != namespace::STANZA_ERRORS);
        Self {
            error_type: element.attribute("type").and_then(ErrorType::parse).unwrap_or(condition.default_type()),
            condition,
            alternate,
            text: element.children().find(is_text).map(Element::content),
            application: application.map(|e| Box::new(e.clone())),
        }
    }
}

/// The address that a condition holds; examples of the standard have white space around it.
fn alternate(condition: &Element) -> Option<String> {
    let content = condition.content();
    Some(content.trim()).filter(|uri| !uri.is_empty()).map(str::to_owned)
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_survives_the_wire() {
        for &condition in Condition::ALL {
            let error = StanzaError::new(condition).with_text("why").with_application(Element::new("x", "urn:x"));
            assert_eq!(StanzaError::from_element(&error.to_element()), error);
        }
    }

    /// RFC 6120, section 8.3.3.5.
    #[test]
    fn who_is_gone_may_say_where_to() {
        let error = Element::parse(
            "<error xmlns='jabber:client' type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>
               xmpp:romeo@afterlife.example.net
             </gone></error>",
        );
        let read = StanzaError::from_element(&error.unwrap());
        assert_eq!(read, StanzaError::new(Condition::Gone).with_alternate("xmpp:romeo@afterlife.example.net"));
        assert_eq!(StanzaError::from_element(&read.to_element()), read);
    }

    #[test]
    fn an_unknown_condition_is_undefined() {
        let element =
            Element::parse("<error type='x'><foo xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>").unwrap();
        assert_eq!(StanzaError::from_element(&element), StanzaError::new(Condition::UndefinedCondition));
    }
}

//! One answer for every request.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Condition, Element, IqType, Jid, Kind, Origin, Stanza, StanzaError};

/// An iq of type get or set, as a handler sees it.
#[derive(Debug, Clone)]
pub struct IqRequest {
    /// Who asks.
    pub from: Jid,
    /// Whom it asks.
    pub to: Jid,
    /// `true` for set, `false` for get.
    pub is_set: bool,
    /// The child element.
    pub payload: Element,
    /// Who vouches for `from`.
    pub origin: Origin,
}

/// Answers the requests of one payload name.
#[async_trait]
pub trait IqHandler: Send + Sync {
    /// The payload of the result, or the error.
    async fn handle(&self, request: IqRequest) -> Result<Option<Element>, StanzaError>;
}

/// Finds the handler for a request by the name and namespace of its payload.
#[derive(Clone, Default)]
pub struct Dispatcher {
    handlers: HashMap<(&'static str, &'static str), Arc<dyn IqHandler>>,
}

impl Dispatcher {
    /// A dispatcher that refuses everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for payloads of this name and namespace.
    pub fn on(mut self, name: &'static str, namespace: &'static str, handler: impl IqHandler + 'static) -> Self {
        self.handlers.insert((name, namespace), Arc::new(handler));
        self
    }

    /// The answer to a request: exactly one result or error.
    ///
    /// `None` for stanzas that are no requests. A payload that nobody handles is answered with service-unavailable
    /// (RFC 6120, section 8.4), a request without exactly one child element with bad-request (section 8.2.3).
    pub async fn answer(&self, stanza: &Stanza, origin: &Origin) -> Option<Stanza> {
        if !stanza.is_request() {
            return None;
        }
        match self.run(stanza, origin).await {
            Ok(payload) => Some(stanza.result(payload)),
            Err(error) => stanza.bounce(&error),
        }
    }

    async fn run(&self, stanza: &Stanza, origin: &Origin) -> Result<Option<Element>, StanzaError> {
        let (name, namespace) = stanza.payload_name().ok_or(Condition::BadRequest)?;
        let handler = self.find(name, namespace).ok_or(Condition::ServiceUnavailable)?;
        let (Some(from), Some(to), Some(payload)) = (stanza.from(), stanza.to(), stanza.payload()) else {
            return Err(Condition::BadRequest.into());
        };
        let is_set = stanza.kind() == Kind::Iq(IqType::Set);
        let request = IqRequest { from: from.to_owned(), to: to.to_owned(), is_set, payload, origin: origin.clone() };
        handler.handle(request).await
    }

    fn find(&self, name: &str, namespace: &str) -> Option<&Arc<dyn IqHandler>> {
        self.handlers.iter().find(|((n, s), _)| *n == name && *s == namespace).map(|(_, handler)| handler)
    }
}

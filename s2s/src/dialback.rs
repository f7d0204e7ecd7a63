//! Server dialback, as far as it needs no connection: its elements (XEP-0220), its keys (XEP-0185), and the answer that a
//! certificate gives without any key (XEP-0344).
//!
//! On a stream that is authenticated by SASL EXTERNAL a peer may ask to be taken for further domains; what it proves them
//! by are the certificates of that stream. The key in such a request is of no meaning then:
//!
//! ```text
//! I  <db:result from='pubsub.a.example' to='b.example'>key</db:result>
//! R  <db:result from='b.example' to='pubsub.a.example' type='valid'/>
//! ```
//!
//! An answer counts only if it was asked for, on that stream ([`Dialback::answers`]): unsolicited ones have been used to
//! forge senders (XEP-0220, section 3.1).

mod key;

use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::{Condition, Domainpart, Element, StanzaError, namespace};

pub use key::{Key, Secret};

use crate::negotiation::Established;
use crate::policy::DomainPattern;

/// Whom dialback by keys is good enough for, which trusts DNS and everybody on the way to it, and our own keys.
///
/// For these domains a certificate that proves nothing is no obstacle; TLS is required all the same. Default nobody.
#[derive(Debug, Clone)]
pub struct DialbackPolicy {
    /// The domains.
    pub domains: Vec<DomainPattern>,
    /// What our keys are made from; the servers of a domain share it.
    pub secret: Arc<Secret>,
}

impl DialbackPolicy {
    /// Whether dialback is good enough for the domain.
    pub fn names(&self, domain: &Domainpart) -> bool {
        self.domains.iter().any(|pattern| pattern.matches(domain.as_str()))
    }
}

/// One element of server dialback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialback {
    /// What it is about.
    pub subject: Subject,
    /// The domain that speaks.
    pub from: Domainpart,
    /// The domain that is spoken to.
    pub to: Domainpart,
    /// What it says.
    pub content: Content,
}

/// What an element of server dialback is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Whether the sender is to be taken for the domain `from`: `<db:result/>`.
    Result,
    /// Whether a key is right: `<db:verify/>`.
    Verify {
        /// The identifier of the stream for which the key was made.
        id: String,
    },
}

/// A question or its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The question, by the key that proves the right to it.
    Key(Key),
    /// The answer: yes.
    Valid,
    /// The answer: no.
    Invalid,
    /// There is no answer; the stream goes on (XEP-0220, section 2.5).
    Failed(Box<StanzaError>),
}

impl Dialback {
    /// The question whether the sender is to be taken for `from` towards `to`.
    pub fn request(from: Domainpart, to: Domainpart, key: Key) -> Self {
        Self { subject: Subject::Result, from, to, content: Content::Key(key) }
    }

    /// The question to the authoritative server of `from` whether that key is right, which was sent to `to` on the stream
    /// with this identifier; `None` if this is no request (XEP-0220, section 2.1.2).
    pub fn verification(&self, id: &str) -> Option<Self> {
        let is_request = self.subject == Subject::Result && matches!(self.content, Content::Key(_));
        let subject = Subject::Verify { id: id.to_owned() };
        let (from, to, content) = (self.to.clone(), self.from.clone(), self.content.clone());
        is_request.then_some(Self { subject, from, to, content })
    }

    /// Reads `<db:result/>` or `<db:verify/>`; `None` for other elements, and where an attribute is missing or no domain.
    pub fn from_element(element: &Element) -> Option<Self> {
        let subject = match (element.name(), element.namespace()) {
            ("result", namespace::DIALBACK) => Subject::Result,
            ("verify", namespace::DIALBACK) => Subject::Verify { id: element.attribute("id")?.to_owned() },
            _ => return None,
        };
        let domain = |name| Domainpart::new(element.attribute(name)?).ok();
        Some(Self { subject, from: domain("from")?, to: domain("to")?, content: Content::from_element(element)? })
    }

    /// The element; its namespace is declared by itself, for the header of our streams declares none for it.
    pub fn to_element(&self) -> Element {
        let (name, id) = match &self.subject {
            Subject::Result => ("result", None),
            Subject::Verify { id } => ("verify", Some(id)),
        };
        let element = Element::new(name, namespace::DIALBACK);
        let element = element.attr("from", self.from.as_str()).attr("to", self.to.as_str());
        let element = id.into_iter().fold(element, |element, id| element.attr("id", id));
        self.content.write(element)
    }

    /// The answer to this.
    pub fn answered(&self, content: Content) -> Self {
        let Self { subject, from, to, .. } = self.clone();
        Self { subject, from: to, to: from, content }
    }

    /// Whether this is the answer to that request: between the same domains, about the same stream.
    pub fn answers(&self, request: &Self) -> bool {
        let is_answer = !matches!(self.content, Content::Key(_)) && matches!(request.content, Content::Key(_));
        is_answer && self.subject == request.subject && self.from == request.to && self.to == request.from
    }

    /// Judges a request to be taken for another domain by the certificates of the stream on which it came, as the clock
    /// stands at `at` (XEP-0344, section 2.4).
    ///
    /// The verdict is `valid`, or there is none: `item-not-found` where `to` is not served here, and `not-authorized`
    /// where the certificates do not name `from`. The stream goes on.
    pub fn judged(&self, stream: &Established, serves: impl FnOnce(&Domainpart) -> bool, at: SystemTime) -> Content {
        if !serves(&self.to) {
            Content::failed(Condition::ItemNotFound)
        } else if stream.also(&self.from, at).is_some() {
            Content::Valid
        } else {
            Content::failed(Condition::NotAuthorized)
        }
    }

    /// Answers the question whether a key is right, as authoritative server of the domain `to` (XEP-0220, section 2.2.2);
    /// `None` if this is no such question.
    ///
    /// The answer is `valid` or `invalid`, or `item-not-found` where `to` is not served here.
    pub fn vouched(&self, secret: &Secret, serves: impl FnOnce(&Domainpart) -> bool) -> Option<Self> {
        let (Subject::Verify { id }, Content::Key(key)) = (&self.subject, &self.content) else { return None };
        let content = if !serves(&self.to) {
            Content::failed(Condition::ItemNotFound)
        } else if secret.has_made(key, &self.from, &self.to, id) {
            Content::Valid
        } else {
            Content::Invalid
        };
        Some(self.answered(content))
    }
}

impl Content {
    /// There is no answer, for this reason.
    pub fn failed(condition: Condition) -> Self {
        Self::Failed(Box::new(condition.into()))
    }

    fn from_element(element: &Element) -> Option<Self> {
        Some(match element.attribute("type") {
            None => Self::Key(Key::read(&element.content())),
            Some("valid") => Self::Valid,
            Some("invalid") => Self::Invalid,
            Some("error") => Self::Failed(Box::new(StanzaError::from_element(
                element.children().find(|child| child.name() == "error")?,
            ))),
            Some(_) => return None,
        })
    }

    fn write(&self, element: Element) -> Element {
        match self {
            Self::Key(key) => element.text(key.as_str()),
            Self::Valid => element.attr("type", "valid"),
            Self::Invalid => element.attr("type", "invalid"),
            Self::Failed(error) => element.attr("type", "error").child(server_error(error)),
        }
    }
}

/// The error in the namespace of servers' streams: there is no stanza around it that could be scoped anew.
fn server_error(error: &StanzaError) -> Element {
    let parts: Vec<_> = error.to_element().children().cloned().collect();
    Element::new("error", namespace::SERVER).attr("type", error.error_type.as_str()).with_children(parts)
}

#[cfg(test)]
mod tests;
